"""What learners are held to: quiet months, months in which something is planted, hidden streams."""

from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from mlkit.exercises.ex3.daily import daily_statistics
from mlkit.exercises.ex3.days import (
    Change,
    first_model,
    make_days,
    operate,
    reference_of,
)
from mlkit.params import stream

MONTHS, PLANTED_MONTHS = 200, 40
START = 8  # the day on which something is planted


@cache
def quiet_months(seed: int, name: str, *, months: int = MONTHS, first: int = 1) -> pd.DataFrame:
    """Return the daily statistics of months in which nothing happens, thirty days from `first`."""
    return _statistics(seed, name, months, first=first)


def _statistics(seed: int, name: str, months: int, **days: Any) -> pd.DataFrame:
    rng, plan = stream(seed, "exercise", "ex3.1", name), days.pop("plan", ())
    first = days.get("first", 1)
    rows = make_days(rng=rng, months=months, first=first, last=first + 29)
    return daily_statistics(operate(rows, rng=rng, model=first_model(seed), plan=plan), first=first)


class Planted(NamedTuple):
    """What is planted, within how many days it has to be found, and why it is missed."""

    kind: str
    within: int
    why: str


PLANTED = {
    "amounts in cents, within two days": Planted(
        "unit", 2, "Two days of cents are two days of wrong decisions for everybody."
    ),
    "every third amount missing, within a week": Planted(
        "nulls", 7, "Missing values are a symptom of their own: watch their share."
    ),
    "other people, within two weeks": Planted(
        "benign", 14, "It does no harm, and somebody should know: a campaign ends, too."
    ),
    "another concept, within the month": Planted(
        "concept",
        23,
        "When only the answers change, no feature moves: watch the error, and remember that the "
        "answers come a week late.",
    ),
}


@cache
def planted_months(seed: int) -> dict[str, pd.DataFrame]:
    """Return the daily statistics of months in which something changes on day `START`."""
    return {
        name: _statistics(seed, name, PLANTED_MONTHS, plan=[Change(planted.kind, START)])
        for name, planted in PLANTED.items()
    }


def found(history: pd.DataFrame, limits: dict[str, float], within: int) -> float:
    """Return the share of months in which some limit is passed in the first days of a change."""
    watched = list(limits)
    above = (history[watched] > pd.Series(limits)[watched]).any(axis=1)
    in_time = history["day"].between(START, START + within - 1)
    return float((above & in_time).groupby(history["month"]).any().mean())


# Hidden streams of rows


class Stream(NamedTuple):
    """Reference and days of a service, with the first day of its bug (0: none)."""

    name: str
    reference: pd.DataFrame
    days: pd.DataFrame
    start: int


QUIET_STREAMS = 12
HIDDEN = {
    "amounts in cents": "unit",
    "amounts in cents on one server of three": "server",
    "every third amount missing": "nulls",
    "the days since the last purchase are 0 for everybody": "default",
    "the counter of purchases began again at 0": "reset",
    "ages in months": "months",
}


@cache
def quiet_streams(seed: int) -> tuple[Stream, ...]:
    """Return streams without a bug: half of them right after the reference, half a month later."""
    return tuple(hidden(seed, f"quiet {i}", first=1 + 30 * (i % 2)) for i in range(QUIET_STREAMS))


@cache
def broken_streams(seed: int) -> tuple[Stream, ...]:
    """Return two streams for each hidden bug."""
    return tuple(
        hidden(seed, name, kind=kind, first=first)
        for name, kind in HIDDEN.items()
        for first in (1, 31)
    )


def hidden(seed: int, name: str, *, kind: str = "", first: int = 1) -> Stream:
    """Return one stream of rows, without answers: they would come a week late."""
    rng = stream(seed, "exercise", "ex3.2", name, str(first))
    start = first + int(rng.integers(9, 25)) if kind else 0
    rows = make_days(rng=rng, first=first, last=first + 29)
    plan = [Change(kind, start)] if kind else []
    rows = operate(rows, rng=rng, model=first_model(seed), plan=plan)
    rows = rows.drop(columns=["month", "answer", "decision"])
    days = rows[rows["day"] >= first].reset_index(drop=True)
    return Stream(name, reference_of(rows).reset_index(drop=True), days, start)
