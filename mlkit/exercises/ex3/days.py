"""A service with a model in it, day by day: the same users again and again, answers that come late.

Day 1 is the first day of watching. The reference is a month of rows before it. The answer to a
decision is known `DELAY` days later. What changes is a `Change`: of the people, of what their
answers depend on, or of what the service writes into a feature.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.model import plain_model
from mlkit.params import stream

FEATURES = ["age", "avg_amount", "days_since", "total_purchases"]
FIRST, REFERENCE_END = -42, -13  # days of the reference
WINDOW, DELAY = 7, 7  # days that a statistic looks at, days until an answer is known
USERS = 240  # of each month
FOREVER = 10_000
NEWCOMERS = 0.6  # share of other users after a campaign
BEFORE, AFTER = (3.0, -0.8), (1.0, 2.5)  # how answers depend on amount and days since, by concept


class Change(NamedTuple):
    """What changes, from which day on, up to and with which day."""

    kind: str
    start: int
    end: int = FOREVER


def make_days(
    *, rng: np.random.Generator, months: int = 1, users: int = USERS, last: int = 30, first: int = 1
) -> pd.DataFrame:
    """Return rows of true features: the days of the reference, and those from `first` to `last`.

    Each month has users of its own. A user comes for some weeks and stays away for others, so the
    rows of a week are those of few people. Days that no statistic of `first` and later looks at
    are left out.
    """
    n = last - FIRST + 1
    on = rng.random((months, n // 7 + 2, users)) < 0.3
    week = (np.arange(n)[:, None] + rng.integers(0, 7, users)) // 7
    present = on[:, week, np.arange(users)] & (rng.random((months, n, users)) < 0.7)
    present[:, REFERENCE_END - FIRST + 1 : first - DELAY - WINDOW + 1 - FIRST] = False
    month, day, user = np.nonzero(present)
    who = _people(rng, months, users)
    rows = pd.DataFrame({"month": month, "day": day + FIRST, "user_id": user})
    rows["age"] = who["age"][month, user]
    spent = 3.4 + 0.8 * who["level"][month, user] + 0.25 * rng.standard_normal(len(rows))
    rows["avg_amount"] = np.round(np.exp(spent), 2)
    gap = who["gap"][month, user] * rng.standard_exponential(len(rows))
    rows["days_since"] = np.where(rng.random(len(rows)) < 0.08, np.nan, np.round(gap, 1))
    bought = who["bought"][month, user] + 0.3 * day
    rows["total_purchases"] = np.floor(bought)
    return rows.assign(truth_taste=who["taste"][month, user])


def _people(rng: np.random.Generator, months: int, users: int) -> dict[str, np.ndarray]:
    shape = (months, users)
    return {
        "age": np.floor(np.clip(rng.normal(38, 10, shape), 18, 90)),
        "level": rng.standard_normal(shape),
        "gap": np.exp(1.5 + 0.5 * rng.standard_normal(shape)),
        "bought": np.exp(3 + 0.6 * rng.standard_normal(shape)),
        "taste": 0.5 * rng.standard_normal(shape),
    }


# What changes


def inject_newcomers(rows: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return rows in which a campaign has brought other users: younger, and otherwise alike."""
    new = hit & (rows["user_id"].to_numpy() * 7 % 10 < 10 * NEWCOMERS)
    younger = np.floor(18 + (rows["age"] - 18) * 0.45)
    return rows.assign(
        age=rows["age"].mask(new, younger), user_id=rows["user_id"].mask(new, rows["user_id"] + 1e6)
    ).astype({"user_id": "int64"})


def inject_cents(rows: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return rows in which the average amount is in cents."""
    return rows.assign(avg_amount=rows["avg_amount"].mask(hit, rows["avg_amount"] * 100))


def inject_cents_on_one_server(rows: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return rows in which one server of three writes cents."""
    return inject_cents(rows, hit & (rows["user_id"].to_numpy() % 3 == 0))


def inject_nulls(rows: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return rows in which every third average amount is missing."""
    lost = hit & (rows["user_id"].to_numpy() * 11 % 3 == 1)
    return rows.assign(avg_amount=rows["avg_amount"].mask(lost))


def inject_default(rows: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return rows in which the days since the last purchase are 0 for everybody."""
    return rows.assign(days_since=rows["days_since"].mask(hit, 0.0))


def inject_reset(rows: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return rows in which the counter of purchases began again at 0 on the first such day."""
    start = rows["day"].where(hit).min()
    new = np.floor(0.3 * (rows["day"] - start))
    return rows.assign(total_purchases=rows["total_purchases"].mask(hit, new))


def inject_months(rows: pd.DataFrame, hit: np.ndarray) -> pd.DataFrame:
    """Return rows in which the age is in months."""
    return rows.assign(age=rows["age"].mask(hit, rows["age"] * 12))


PEOPLE = {"benign": inject_newcomers}  # before the answers: these are true
BUGS: dict[str, Callable[[pd.DataFrame, np.ndarray], pd.DataFrame]] = {  # after them: these are not
    "unit": inject_cents,
    "server": inject_cents_on_one_server,
    "nulls": inject_nulls,
    "default": inject_default,
    "reset": inject_reset,
    "months": inject_months,
}


def operate(
    rows: pd.DataFrame, *, rng: np.random.Generator, model: Any, plan: Iterable[Change] = ()
) -> pd.DataFrame:
    """Return the rows with what the service saw, decided and later learned, after some changes.

    Adds `decision` and `answer` (0.0 or 1.0). `answer` depends on the true features, `decision` on
    those that the service has.
    """
    plan = list(plan)
    rows = _changed(rows, plan, PEOPLE)
    other = np.zeros((len(rows), 1), dtype=bool)
    for change in plan:
        other |= (_during(rows, change) & (change.kind == "concept"))[:, None]
    known = np.log(rows["avg_amount"]) - 3.4, np.log1p(rows["days_since"].fillna(4.0)) - 1.6
    weights = np.where(other, AFTER, BEFORE)
    pull = (np.column_stack(known) * weights).sum(axis=1) + rows["truth_taste"]
    answer = (rng.random(len(rows)) < 1 / (1 + np.exp(-pull))).astype(float)
    rows = _changed(rows.assign(answer=answer).drop(columns="truth_taste"), plan, BUGS)
    return rows.assign(decision=decide_all(model, rows))


def _during(rows: pd.DataFrame, change: Change) -> np.ndarray:
    return rows["day"].between(change.start, change.end).to_numpy()


def _changed(rows: pd.DataFrame, plan: list[Change], known: dict[str, Callable]) -> pd.DataFrame:
    for change in plan:
        if change.kind in known:
            rows = known[change.kind](rows, _during(rows, change))
    return rows


# The model


def train(rows: pd.DataFrame) -> Any:
    """Return the plain model fitted to the rows whose answer is known."""
    known = rows.dropna(subset=["answer"])
    return plain_model().fit(known[FEATURES], known["answer"])


def decide_all(model: Any, rows: pd.DataFrame) -> np.ndarray:
    """Return the decisions of the model, 0.0 or 1.0; without a model, none."""
    return np.full(len(rows), np.nan) if model is None else model.predict(rows[FEATURES])


@cache
def first_model(seed: int) -> Any:
    """Return the model in operation: trained once, before everything, on many months."""
    rng = stream(seed, "exercise", "ex3", "model")
    rows = make_days(rng=rng, months=20, last=REFERENCE_END)
    return train(operate(rows, rng=rng, model=None))


def reference_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the reference."""
    return rows[rows["day"] <= REFERENCE_END]


def known_on(rows: pd.DataFrame, today: int) -> pd.DataFrame:
    """Return what is known in the evening of a day: later rows gone, answers missing until due."""
    rows = rows[rows["day"] <= today]
    return rows.assign(answer=rows["answer"].where(rows["day"] <= today - DELAY))
