"""What a stream keeps of one card, so that it can answer as the batch does.

A stream cannot ask the table, so it keeps the charges of the last thirty days, about twenty a
card, and recomputes the answer from them: a running sum would drift, and could not take back what
grows too old. Times are integer microseconds of UTC, two for each charge: when it happened and
when it arrived.
"""

from bisect import bisect_left, insort
from collections import deque
from math import inf
from typing import NamedTuple

from mlkit.features import DAY_US, MINUTE_US, WINDOW_DAYS

WINDOW_US = WINDOW_DAYS * DAY_US
FIVE_US, HOUR_US = 5 * MINUTE_US, 60 * MINUTE_US
LATENESS_US = DAY_US  # how late a charge may come and still be counted
RETENTION_US = 7 * DAY_US  # how long an id is remembered after it was first delivered


class Charge(NamedTuple):
    """One charge of a card: what a request asks about, and what the log delivers later."""

    charge_id: int
    user_id: int
    at_us: int
    arrived_us: int
    amount_usd: float
    new_device: float
    km_home: float


class CardState:
    """The charges and charge-backs of one card that a later request may have to count.

    Parameters
    ----------
    lateness_us: a charge that happened longer than this before the newest of its card is counted
        as late and not kept
    retention_us: a second delivery of an id is dropped within this time after the first; 0 keeps
        no ids, so that every delivery counts

    Attributes
    ----------
    kept: (at_us, arrived_us, amount_usd) by event time, of the last 30 days and the lateness
    repeats, late: deliveries dropped as repeats, and as too late

    Examples
    --------
    >>> state = CardState()
    >>> first = Charge(1, 7, at_us=0, arrived_us=5, amount_usd=20.0, new_device=0.0, km_home=1.0)
    >>> state.update(first), state.update(first._replace(arrived_us=9))
    (True, False)
    >>> now = Charge(2, 7, at_us=60, arrived_us=70, amount_usd=30.0, new_device=1.0, km_home=2.0)
    >>> answer = state.features(now)
    >>> answer["charges_5m"], answer["avg_30d"], answer["amount_ratio"]
    (1.0, 20.0, 1.5)
    """

    __slots__ = ("_ids", "_order", "kept", "late", "lateness_us", "repeats", "retention_us", "told")

    def __init__(self, *, lateness_us: int = LATENESS_US, retention_us: int = RETENTION_US) -> None:
        self.lateness_us, self.retention_us = lateness_us, retention_us
        self.kept: list[tuple[int, int, float]] = []
        self.told: list[int] = []
        self._ids: set[int] = set()
        self._order: deque[tuple[int, int]] = deque()
        self.repeats = self.late = 0

    def update(self, charge: Charge) -> bool:
        """Keep a delivered charge, and return whether it was counted: neither repeat nor late."""
        if self._seen(charge):
            self.repeats += 1
            return False
        kept, at = self.kept, charge.at_us
        newest = kept[-1][0] if kept else at
        if at < newest - self.lateness_us:
            self.late += 1
            return False
        insort(kept, (at, charge.arrived_us, charge.amount_usd))
        oldest = max(at, newest) - WINDOW_US - self.lateness_us
        if kept[0][0] < oldest:
            del kept[: bisect_left(kept, (oldest,))]
        return True

    def chargeback(self, known_us: int) -> None:
        """Keep the moment at which the holder complained about a charge of this card."""
        insort(self.told, known_us)

    def features(self, charge: Charge) -> dict[str, float]:
        """Return the features of a charge at its moment: the columns of `CARD_FEATURES`.

        An earlier charge counts when it happened strictly before and had arrived by then. Without
        one in the last 30 days, avg_30d and amount_ratio are NaN; a division by zero is as in SQL.
        """
        now = charge.at_us
        start = bisect_left(self.kept, (now - WINDOW_US,))
        known = [row for row in self.kept[start:] if row[0] < now and row[1] <= now]
        recent = [row for row in known if row[0] >= now - HOUR_US]
        last = [row[2] for row in recent if row[0] >= now - FIVE_US]
        average = sum([row[2] for row in known]) / len(known) if known else float("nan")
        return {
            "amount_usd": charge.amount_usd,
            "new_device": charge.new_device,
            "km_home": charge.km_home,
            "charges_5m": float(len(last)),
            "amount_5m": float(sum(last)),
            "charges_1h": float(len(recent)),
            "charges_30d": float(len(known)),
            "avg_30d": average,
            "amount_ratio": charge.amount_usd / average if average else charge.amount_usd * inf,
            "chargebacks": float(sum(known_us <= now for known_us in self.told)),
        }

    def _seen(self, charge: Charge) -> bool:
        """Return whether the id is remembered; remember it, and forget what is past retention."""
        if not self.retention_us:
            return False
        order, ids = self._order, self._ids
        while order and order[0][0] < charge.arrived_us - self.retention_us:
            ids.discard(order.popleft()[1])
        if charge.charge_id in ids:
            return True
        ids.add(charge.charge_id)
        order.append((charge.arrived_us, charge.charge_id))
        return False
