"""One event log, three consumers on a virtual clock: batch, a naive and an event-time stream.

The log (`arrivals`) holds deliveries in the order of arrival; the same charge may be delivered
twice, and out of order. Every consumer is asked for the features of each charge at the moment of
the charge, when its record, and perhaps that of the one before, has not arrived yet.
"""

import heapq
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from mlkit.dualmode.state import LATENESS_US, RETENTION_US, CardState, Charge
from mlkit.features import CARD_FEATURES, CARDS, DAY_US, WINDOW_DAYS, card_features, run_sql
from mlkit.tables import as_microseconds, require, require_complete, require_unique

KEYS = ["charge_id", "user_id", "event_ts"]
ARRIVALS = {"offset": "int", "charge_id": "int", "arrival_ts": "time"}
FOREVER_US = 2**62
WINDOWED = {
    name: text
    for name, text in CARD_FEATURES.items()
    if "c.age_us" in text or "c.before_usd" in text
}
COUNTED = f"""
WITH c AS (
  SELECT now.charge_id, now.amount_usd, now.at_us - b.at_us AS age_us, b.amount_usd AS before_usd
  FROM requests now LEFT JOIN history b
    ON b.user_id = now.user_id AND b.at_us < now.at_us AND b.known_us <= now.at_us
    AND b.until_us > now.at_us AND b.at_us >= now.at_us - {WINDOW_DAYS * DAY_US}
)
SELECT c.charge_id, {", ".join(f"{text} AS {name}" for name, text in WINDOWED.items())}
FROM c GROUP BY c.charge_id"""


def event_log(charges: pd.DataFrame) -> pd.DataFrame:
    """Return the log in which each charge is delivered once, when it was ingested.

    Returns
    -------
    `arrivals`: offset int64 (1, 2, ... by arrival), charge_id, arrival_ts UTC.
    """
    columns = {"charge_id": "int", "ingest_ts": "time"}
    rows = whole(charges, "charges", columns)[list(columns)]
    return in_order(rows.rename(columns={"ingest_ts": "arrival_ts"}))


def whole(frame: pd.DataFrame, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return a table when it has rows, and every column with its kind and no gap.

    Raises
    ------
    KeyError, TypeError, ValueError: see `require` and `require_complete`
    """
    require_complete(require(frame, name, columns), name, columns)
    return frame


def in_order(deliveries: pd.DataFrame) -> pd.DataFrame:
    """Return deliveries as a log: ordered by arrival, numbered from 1."""
    log = deliveries.sort_values(["arrival_ts", "charge_id"], kind="stable", ignore_index=True)
    return log.assign(offset=np.arange(1, len(log) + 1))[list(ARRIVALS)]


def first_arrivals(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return the charges that the log holds, each with its first arrival as `ingest_ts`.

    Raises
    ------
    KeyError, TypeError, ValueError: see `whole`; a delivery of a charge that nobody made
    """
    log = whole(arrivals, "arrivals", ARRIVALS)
    keys = {"charge_id": "int", "user_id": "int", "event_ts": "time"}
    require_unique(whole(charges, "charges", keys), "charges", ["charge_id"])
    strange = ~log["charge_id"].isin(charges["charge_id"])
    if strange.any():
        raise ValueError(
            f"arrivals: expected charge_ids of charges, {int(strange.sum())} are not, first "
            f"{log.loc[strange, 'charge_id'].iloc[0]}; was the log of another world read?"
        )
    first = log.groupby("charge_id")["arrival_ts"].min()
    return charges.assign(ingest_ts=charges["charge_id"].map(first)).dropna(subset=["ingest_ts"])


def batch(charges: pd.DataFrame, arrivals: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the features of each charge, recomputed from the whole log as of its moment.

    Event time, each id once, and nothing that had not arrived: `card_features` over the log.
    """
    log = event_log(charges) if arrivals is None else arrivals
    return card_features(first_arrivals(whole(charges, "charges", CARDS), log))


def stream(
    charges: pd.DataFrame,
    arrivals: pd.DataFrame | None = None,
    *,
    lateness_us: int = LATENESS_US,
    retention_us: int = RETENTION_US,
) -> pd.DataFrame:
    """Return the features of each charge as a stream answers at its moment.

    At least once, plus dedupe by id: effectively once, for as long as ids are remembered.

    Parameters
    ----------
    charges: see `card_features`
    arrivals: the log, offset int, charge_id int, arrival_ts UTC; without one, `event_log`
    lateness_us, retention_us: see `CardState`

    Returns
    -------
    As `card_features`.

    Raises
    ------
    KeyError, TypeError, ValueError: see `card_features` and `first_arrivals`
    """
    log = event_log(charges) if arrivals is None else arrivals
    states: dict[int, CardState] = {}
    answers: dict[int, tuple[float, ...]] = {}
    for what, event in virtual_clock(charges, log):
        state = states.get(event.user_id)
        if state is None:
            state = CardState(lateness_us=lateness_us, retention_us=retention_us)
            states[event.user_id] = state
        if what == "arrival":
            state.update(event)
        elif what == "chargeback":
            state.chargeback(event.arrived_us)
        else:
            answers[event.charge_id] = tuple(state.features(event).values())
    return _table(charges, answers)


def virtual_clock(charges: pd.DataFrame, arrivals: pd.DataFrame) -> Iterator[tuple[str, Charge]]:
    """Yield what happens in the order in which it does: charge-backs, arrivals, requests.

    At the same microsecond what arrives comes before what is asked.
    """
    require(whole(charges, "charges", CARDS), "charges", {"fraud_known_ts": "time"})
    first_arrivals(charges, arrivals)  # asks for a log of these charges
    rows = dict(zip(charges["charge_id"].tolist(), events(charges), strict=True))
    log = arrivals.sort_values("offset", kind="stable")
    came = as_microseconds(log["arrival_ts"]).tolist()
    told = charges.dropna(subset=["fraud_known_ts"])
    known = as_microseconds(told["fraud_known_ts"]).tolist()
    pairs = zip(log["charge_id"].tolist(), came, strict=True)
    delivered = ((at, 1, rows[i]._replace(arrived_us=at)) for i, at in pairs)
    complaints = zip(told["charge_id"].tolist(), known, strict=True)
    returned = sorted((at, 0, rows[i]._replace(arrived_us=at)) for i, at in complaints)
    asked = sorted((row.at_us, 2, row) for row in rows.values())
    names = ("chargeback", "arrival", "request")
    for _, what, event in heapq.merge(returned, delivered, asked):
        yield names[what], event


def events(charges: pd.DataFrame) -> list[Charge]:
    """Return each row of charges as an event, in their order."""
    columns = [charges["charge_id"], charges["user_id"]]
    numbers = [column.tolist() for column in columns]
    numbers += [as_microseconds(charges[name]).tolist() for name in ("event_ts", "ingest_ts")]
    plain = ["amount_usd", "new_device", "km_home"]
    numbers += [charges[name].astype("float64").tolist() for name in plain]
    return list(map(Charge._make, zip(*numbers, strict=True)))


def naive_stream(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return the windows of a stream that takes its own clock, and counts what it is handed."""
    history = delivered(charges, arrivals)
    history["at_us"] = history["known_us"]  # when it came, for when it happened
    return counted(charges, history)


def delivered(charges: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return one row per delivery: user_id, at_us, known_us, until_us, amount_usd.

    `counted` counts it for a request between known_us and until_us.
    """
    first_arrivals(charges, arrivals)  # asks for a log of these charges
    rows = arrivals[["charge_id", "arrival_ts"]].merge(charges, on="charge_id", validate="m:1")
    history = rows[["user_id", "amount_usd"]].assign(at_us=as_microseconds(rows["event_ts"]))
    return history.assign(known_us=as_microseconds(rows["arrival_ts"]), until_us=FOREVER_US)


def counted(
    charges: pd.DataFrame, history: pd.DataFrame, *, at_us: np.ndarray | None = None
) -> pd.DataFrame:
    """Return the windows of each charge, counted over a history as somebody keeps it.

    Parameters
    ----------
    charges: charge_id int, user_id int, event_ts UTC, amount_usd float
    history: see `delivered`
    at_us: the moments that are asked about, shape (n,); those of the charges by default

    Returns
    -------
    One row per charge in their order: the columns of `WINDOWED` as float64.
    """
    now = as_microseconds(charges["event_ts"]) if at_us is None else at_us
    asked = charges[["charge_id", "user_id", "amount_usd"]].assign(at_us=now)
    rows = run_sql(COUNTED, requests=asked, history=history).set_index("charge_id")
    return rows.loc[charges["charge_id"]].astype("float64").reset_index(drop=True)


def with_itself(features: pd.DataFrame) -> pd.DataFrame:
    """Return features of another version of the code: each charge stands in its own average."""
    n, total = features["charges_30d"], (features["charges_30d"] * features["avg_30d"]).fillna(0.0)
    average = (total + features["amount_usd"]) / (n + 1)
    return features.assign(avg_30d=average, amount_ratio=features["amount_usd"] / average)


def _table(charges: pd.DataFrame, answers: dict[int, tuple[float, ...]]) -> pd.DataFrame:
    known = [answers[i] for i in charges["charge_id"].tolist()]
    values = pd.DataFrame(known, columns=list(CARD_FEATURES), dtype="float64")
    return charges[KEYS].reset_index(drop=True).join(values)
