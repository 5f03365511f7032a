"""What the service does with one charge, without the HTTP around it.

Parse, store, look, remember, score: the log comes first, so whatever was answered survives, and
what is kept in memory can be made again from it. The features are those of the request: the charge
itself joins the history after it was scored.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlkit.dualmode.events import (
    DAY_US,
    LIMITS,
    SECOND_US,
    Limits,
    Rejected,
    parse_charge,
    parse_chargeback,
    wrong,
)
from mlkit.dualmode.log import EventLog, Row
from mlkit.dualmode.state import CardState, Charge
from mlkit.features import CARD_FEATURES

KEY = "event_id"  # what identifies an event in the log of the service
NAMES = tuple(CARD_FEATURES)
PLAIN = ["FunctionTransformer", "SimpleImputer", "StandardScaler", "LogisticRegression"]
Features = Mapping[str, float]


def wall_clock() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1_000


def to_event(charge: Charge) -> dict[str, Any]:
    """Return a charge as the log of the service keeps it."""
    return {KEY: f"charge {charge.charge_id}", "kind": "charge", **charge._asdict()}


class Scorer:
    """A log, what it says about every card, and a model: one writer.

    Parameters
    ----------
    log: an event log with the key "event_id"; what it holds is replayed first
    model: a fitted model with `predict_proba`, of the columns of `CARD_FEATURES`
    threshold: the score from which a charge is reviewed, in [0, 1]
    now: the clock, microseconds since 1970
    limits: what an event may be

    Raises
    ------
    ValueError: a log with another key, or a threshold out of range
    """

    def __init__(
        self,
        log: EventLog,
        model: Any,
        *,
        threshold: float = 0.5,
        now: Callable[[], int] = wall_clock,
        limits: Limits = LIMITS,
    ) -> None:
        """Rebuild the state of every card from the log."""
        if log.key != KEY:
            raise ValueError(f"log.key = {log.key!r}: expected {KEY!r}; open it with key={KEY!r}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold = {threshold!r}: expected a number from 0 to 1")
        self.log, self.threshold, self.now, self.limits = log, threshold, now, limits
        self.score = one_row(model)
        self.cards: dict[int, CardState] = {}
        for row in log.replay():
            self._remember(row)

    def charge(self, raw: bytes) -> dict[str, Any]:
        """Return the answer to a charge: charge_id, offset, again, score, review, features.

        Sent again, it is answered again at its first offset, as of the same moment. The state looks
        back far enough for that within the days that a charge may be late; who needs the very
        answer of a year ago logs what was served.

        Raises
        ------
        Rejected, Conflict: no charge, or another one under its id; it is kept as a dead letter
        """
        return self._or_dead_letter(raw, self._charge)

    def chargeback(self, raw: bytes) -> dict[str, Any]:
        """Return charge_id, offset and again for a complaint, which later charges will count.

        Raises
        ------
        Rejected, Conflict: see `charge`
        """
        return self._or_dead_letter(raw, self._chargeback)

    def health(self) -> dict[str, Any]:
        """Return counts: events kept, forgotten below the first, dead letters, cards."""
        log = self.log
        counts = {"events": len(log), "low": log.low(), "dead_letters": log.count_dead_letters()}
        return {"status": "ok", **counts, "cards": len(self.cards)}

    def _or_dead_letter(self, raw: bytes, act: Callable[[bytes], dict[str, Any]]) -> dict[str, Any]:
        try:
            return act(raw)
        except Rejected as error:
            self.log.reject(raw, str(error))
            raise

    def _charge(self, raw: bytes) -> dict[str, Any]:
        now = self.now()
        charge = parse_charge(raw, now_us=now, limits=self.limits)
        known = self.log.find(f"charge {charge.charge_id}")
        if known and charge.arrived_us == now:  # without a stamp: it arrived when it first did
            charge = charge._replace(arrived_us=known.event["arrived_us"])
        offset = self.log.append(to_event(charge))
        features = self.card(charge.user_id).features(charge)
        if not known:
            self.card(charge.user_id).update(charge)
        score = self.score(features)
        answer = {"charge_id": charge.charge_id, "offset": offset, "again": known is not None}
        return {**answer, "score": score, "review": score >= self.threshold, "features": features}

    def _chargeback(self, raw: bytes) -> dict[str, Any]:
        told = parse_chargeback(raw, now_us=self.now(), limits=self.limits)
        charge = self.log.find(f"charge {told['charge_id']}")
        if charge and charge.event["user_id"] != told["user_id"]:
            raise wrong("user_id", told["user_id"], f"the card of charge {told['charge_id']}")
        event = {KEY: f"chargeback {told['charge_id']}", "kind": "chargeback", **told}
        known = self.log.find(event[KEY])
        offset = self.log.append(event)
        if not known:
            self.card(told["user_id"]).chargeback(told["known_us"])
        return {"charge_id": told["charge_id"], "offset": offset, "again": known is not None}

    def _remember(self, row: Row) -> None:
        """Do to the state what was done to it when the event came."""
        event = {key: value for key, value in row.event.items() if key not in (KEY, "kind")}
        card = self.card(event["user_id"])
        if row.event["kind"] == "charge":
            card.update(Charge(**event))
        else:
            card.chargeback(event["known_us"])

    def card(self, user_id: int) -> CardState:
        """Return what is known of a card: as far back as the limits let a charge be late."""
        late = int(self.limits.late_days * DAY_US + self.limits.ahead_s * SECOND_US)
        return self.cards.setdefault(user_id, CardState(lateness_us=late))


def one_row(model: Any) -> Callable[[Features], float]:
    """Return a function that scores the features of one charge, in [0, 1].

    scikit-learn is made for many rows: for one, most of its time goes into checks and data frames.
    The kit's plain pipeline is five lines of arithmetic, which give the same number to 1e-12; any
    other model is asked as it is.
    """
    steps = [type(part).__name__ for _, part in getattr(model, "steps", [])]
    return plain_row(model) if steps == PLAIN else frame_row(model)


def frame_row(model: Any) -> Callable[[Features], float]:
    """Return a function that asks the model with a data frame of one row."""

    def score(features: Features) -> float:
        row = pd.DataFrame([[features[name] for name in NAMES]], columns=list(NAMES))
        return float(model.predict_proba(row)[0, 1])

    return score


def plain_row(model: Any) -> Callable[[Features], float]:
    """Return the arithmetic of the plain pipeline: log, median, scale, logistic."""
    _, imputer, scaler, logistic = (part for _, part in model.steps)
    median, weight = imputer.statistics_, logistic.coef_[0] / scaler.scale_
    constant = float(logistic.intercept_[0] - weight @ scaler.mean_)

    def score(features: Features) -> float:
        x = np.log1p(np.array([features[name] for name in NAMES]))
        x = np.where(np.isnan(x), median, x)
        return float(1 / (1 + np.exp(-(weight @ x + constant))))

    return score
