"""Exercises of challenge 1: which release, how old, where does it come from; quiz and bets."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import (
    Criterion,
    a_number,
    a_series,
    a_text,
    bet,
    exercise,
    expect,
    learner_seed,
    quiz,
    seeded,
)
from mlkit.params import stream

RELEASES = ["1.4", "1.5", "2.0"]
NOISE = 1e-12  # what two databases differ by when they add the same numbers in another order


def answers_of_both_paths(rng: np.random.Generator, *, n: int = 600) -> pd.DataFrame:
    """Return a healthy log without missing values: release, `recomputed` and an equal `served`."""
    log = pd.DataFrame({"release": rng.choice(RELEASES, n, p=[0.6, 0.3, 0.1])})
    log["recomputed"] = np.round(rng.lognormal(3.5, 1.0, n), 2)
    return log.assign(served=log["recomputed"])


@exercise(
    "skew.1",
    title="Which release is it?",
    level=1,
    minutes=5,
    returns=a_series,
    hints=[
        "When are two values equal? If both are missing? If one is? If the last bit differs?",
        "`np.isclose` takes `rtol` and `equal_nan`; `groupby` takes a column of the same length.",
        "differs = ~np.isclose(log['served'], log['recomputed'], rtol=rtol, equal_nan=True)",
    ],
    praise="You can tell a bad release from a good one while it still has few requests.",
)
def skew_1(share_by_release: Any) -> Iterator[Criterion]:
    """Share of unequal pairs for each release: nulls, tolerance, denominators."""
    rng = seeded("skew.1")
    log = answers_of_both_paths(rng)
    releases, got = sorted(log["release"].unique()), share_by_release(log, 0.01)
    yield expect(
        list(got.index) == releases,
        "one row per release, in order",
        got=list(got.index),
        want=releases,
        why="The index of the result says which release a share belongs to.",
        points=0,
    )
    empty = log.copy()
    empty.loc[::9, ["recomputed", "served"]] = np.nan
    yield _silent(
        share_by_release(empty, 0.01),
        "missing on both sides is agreement",
        "NaN == NaN is False in pandas; a check that cries wolf is switched off.",
    )
    noisy = log.assign(served=log["served"] * (1 + NOISE * rng.standard_normal(len(log))))
    yield _silent(
        share_by_release(noisy, 0.01),
        "a difference in the last bit is none",
        "Two databases add in another order: exact equality alarms on every sum.",
    )
    yield from _broken_on_2(share_by_release, log, rng)


def _silent(got: pd.Series, text: str, why: str) -> Criterion:
    return expect(got.max() == 0, text, why=why, got=got.round(3).to_dict(), want=0)


def _broken_on_2(
    share_by_release: Any, log: pd.DataFrame, rng: np.random.Generator
) -> Iterator[Criterion]:
    """Yield a criterion for each way in which release 2.0 may be broken."""
    on_2 = log["release"] == "2.0"
    hit = on_2 & (rng.random(len(log)) < 0.5)
    half = log.assign(served=log["served"].mask(hit, log["served"] * 1.5))
    small = half.assign(served=half["served"] / 1e6, recomputed=half["recomputed"] / 1e6)
    zeros = log.assign(recomputed=log["recomputed"].mask(hit), served=log["served"].mask(hit, 0.0))
    rows, others = log.index[on_2], log.copy()
    others.loc[rows, "served"] = log.loc[np.roll(rows, 1), "served"].to_numpy()
    moved = ~np.isclose(others["served"], others["recomputed"], rtol=0.01)
    before = None
    for table, wrong, (text, why) in zip(
        (half, small, zeros, others), (hit, hit, hit, pd.Series(moved)), ON_2.items(), strict=True
    ):
        got, want = share_by_release(table, 0.01), wrong.groupby(table["release"]).mean()
        again = before is not None and got.equals(before)  # the mistake that was named already
        yield _close(got, want, text, "As above." if again else why)
        before = got if before is None else before


ON_2 = {
    "release 2.0 serves half as much again on some requests": "Count the requests that differ, of "
    "the release's own requests: of all requests, a release with few of them looks harmless.",
    "so it does where values are small": "An absolute tolerance is blind to a feature of small "
    "values and nervous about large ones; a relative tolerance is the same promise for all.",
    "release 2.0 serves 0 where the value is missing: that is a difference": "Dropping missing "
    "values, or filling them with 0, hides the most common skew of all: 0 for unknown.",
    "release 2.0 serves everybody another user's value": "A mean cannot tell who was served which "
    "value: the average stays, the pairs differ.",
}


def _close(got: pd.Series, want: pd.Series, text: str, why: str) -> Criterion:
    given = got.reindex(want.index)
    same = np.allclose(given, want, atol=1e-9)
    return expect(same, text, why=why, got=given.round(3).to_dict(), want=want.round(3).to_dict())


def requests_and_store(
    rng: np.random.Generator, *, n_users: int = 24, n: int = 150
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return requests (user_id, asked_at) and what the store wrote (user_id, written_at, value).

    The store writes each user about once a day and skips some days; some users it never wrote.
    """
    start = pd.Timestamp("2025-03-01", tz="UTC")
    day = np.tile(np.arange(10), n_users)
    store = pd.DataFrame({"user_id": np.repeat(np.arange(n_users), 10)})
    second = day * 86_400 + rng.integers(0, 4 * 3600, len(store))
    store["written_at"] = start + pd.to_timedelta(second, unit="s")
    store["value"] = np.round(rng.lognormal(3.5, 1, len(store)), 2)
    store = store[(rng.random(len(store)) < 0.7) & (store["user_id"] % 8 != 0)]
    requests = pd.DataFrame({"user_id": rng.integers(0, n_users, n)})
    requests["asked_at"] = start + pd.to_timedelta(rng.integers(86_400, 10 * 86_400, n), unit="s")
    return (
        requests.sort_values("asked_at", ignore_index=True),
        store.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True),
    )


@cache
def stale_case(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return requests, store and the true ages for one seed, made once."""
    requests, store = requests_and_store(stream(seed, "exercise", "skew.2"))
    return requests, store, ages_by_loop(requests, store)


def ages_by_loop(requests: pd.DataFrame, store: pd.DataFrame) -> pd.Series:
    """Return the age of what each request was served, one request at a time; NaT for nothing."""
    ages = []
    for user, asked in zip(requests["user_id"], requests["asked_at"], strict=True):
        written = store.loc[(store["user_id"] == user) & (store["written_at"] <= asked)]
        ages.append(asked - written["written_at"].max() if len(written) else pd.NaT)
    return pd.Series(pd.to_timedelta(ages), index=requests.index)


@exercise(
    "skew.2",
    title="How old is what we serve?",
    level=2,
    minutes=10,
    returns=a_number,
    hints=[
        "What did the store know at the moment of a request, and what did it learn only later?",
        "`pd.merge_asof` finds, by user, the last row before each request; sort both sides.",
        "found = pd.merge_asof(requests, store.sort_values('written_at'), left_on='asked_at', "
        "right_on='written_at', by='user_id')",
    ],
    praise="Freshness can now be watched beside parity: a stale store serves right values, late.",
)
def skew_2(stale_share: Any) -> Iterator[Criterion]:
    """Share of requests whose value was too old: as of the request, none counts as stale."""
    requests, store, age = stale_case(learner_seed())
    for hours in (30, 54):
        stale = age.isna() | (age > pd.Timedelta(hours=hours))
        got = stale_share(requests, store, hours)
        yield expect(
            np.isclose(got, stale.mean()),
            f"share of requests served nothing, or a value older than {hours} hours",
            got=got,
            want=float(stale.mean()),
            why=_why_stale(got, requests, store, age, pd.Timedelta(hours=hours)),
        )
    yield from _edges(stale_share, requests.head(1).assign(user_id=3))


def _edges(stale_share: Any, one: pd.DataFrame) -> Iterator[Criterion]:
    wrote = one["asked_at"].iloc[0] - pd.Timedelta(hours=30)
    row = pd.DataFrame({"user_id": [3], "written_at": [wrote], "value": [1.0]})
    got = stale_share(one, row, 30)
    yield expect(
        got == 0,
        "a value of exactly 30 hours is not older than 30 hours",
        got=got,
        want=0,
        why="Hours, not calendar days, and older means strictly older: a limit that is off by one "
        "run of the job alarms every day.",
    )
    got = stale_share(pd.concat([one, one.assign(user_id=8)]), row, 48)
    yield expect(
        got == 0.5,
        "a user that the store never wrote is stale",
        got=got,
        want=0.5,
        why="A join that drops requests without a value reports the best users only.",
    )


def _why_stale(
    got: float,
    requests: pd.DataFrame,
    store: pd.DataFrame,
    age: pd.Series,
    limit: pd.Timedelta,
) -> str:
    """Return which known mistakes give just this number, or a general word."""
    last = store.groupby("user_id")["written_at"].max()
    latest = requests["asked_at"] - requests["user_id"].map(last)
    known = {
        "This counts values that the store wrote after the request: it knew nothing of them.": [
            (latest.isna() | (latest > limit)).mean(),
            (latest > limit).mean(),
            (latest.isna() | (latest.abs() > limit)).mean(),
        ],
        "This forgets the requests for which the store had nothing at all: they are the worst.": [
            (age > limit).mean(),
            (age > limit).sum() / max(age.notna().sum(), 1),
        ],
        "This is the share that was fresh enough.": [(age <= limit).mean()],
        "This takes what the store wrote for anybody: pair by user, not by time alone.": [
            _stale_by_time_alone(requests, store, limit),
        ],
    }
    fitting = [
        why for why, values in known.items() if any(np.isclose(got, value) for value in values)
    ]
    return " Or: ".join(fitting) or (
        "For each request: the last row that the store wrote for that user at or before it, and "
        f"how old it was then. {age.isna().mean():.0%} of the requests found none."
    )


def _stale_by_time_alone(requests: pd.DataFrame, store: pd.DataFrame, limit: pd.Timedelta) -> float:
    written = store["written_at"].sort_values().to_frame()
    found = pd.merge_asof(requests, written, left_on="asked_at", right_on="written_at")
    age = requests["asked_at"] - found["written_at"]
    return float((age.isna() | (age > limit)).mean())


PLACES = {
    "region": ["north", "south", "east", "west"],
    "channel": ["web", "app", "pos"],
    "host": ["a", "b", "c", "d", "e", "f"],
    "release": RELEASES,
}
FAULTS = {
    "cents for dollars": lambda values: values * 100,
    "a few per cent off": lambda values: values * 1.04,
    "another user's value": lambda values: np.roll(values, 1),
    "missing where it is known": lambda values: np.full(len(values), np.nan),
}
WHY = {
    "cents for dollars": "Counts of wrong requests follow the largest groups: compare rates, and "
    "see how far one value of a column stands out from the others.",
    "a few per cent off": "A small relative error is an error: is the tolerance too wide?",
    "another user's value": "The means agree, the pairs do not: compare pair by pair.",
    "missing where it is known": "Missing on one side only is a difference: do not drop it.",
}


def log_with_places(rng: np.random.Generator, *, n: int = 4000) -> pd.DataFrame:
    """Return a healthy log of requests: where each came from, `served` and `recomputed`."""
    log = pd.DataFrame({"request_id": np.arange(n)})
    for place, values in PLACES.items():
        weight = 0.55 ** np.arange(len(values))  # some are common, some are rare
        log[place] = rng.choice(rng.permutation(values), n, p=weight / weight.sum())
    log["recomputed"] = np.round(rng.lognormal(3.5, 0.8, n), 2)
    log.loc[rng.random(n) < 0.08, "recomputed"] = np.nan
    log["served"] = log["recomputed"] * (1 + NOISE * rng.standard_normal(n))
    return log.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)


def with_late_rows(log: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the log with one request in twenty a little off, wherever it came from."""
    late = rng.random(len(log)) < 0.05
    return log.assign(served=log["served"].mask(late, log["served"] * 0.9))


def break_place(
    log: pd.DataFrame, place: str, fault: str, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the log with late rows, and a fault in most requests from a place's rarest value."""
    rarest = log[place].value_counts().index[-1]
    known = log.index[(log[place] == rarest) & log["recomputed"].notna()]
    hit = known[rng.random(len(known)) < 0.6]
    broken = with_late_rows(log, rng)
    broken.loc[hit, "served"] = FAULTS[fault](log.loc[hit, "served"].to_numpy())
    return broken


@exercise(
    "skew.3",
    title="Where does it come from?",
    level=3,
    minutes=20,
    returns=a_text,
    hints=[
        "If you knew the column, how would the share of wrong requests differ between its values?",
        "Compare rates, not counts, and ask of every rate whether chance alone could give it.",
        "rate = log.assign(wrong=wrong).groupby(place)['wrong'].mean(); rate.max() - rate.median()",
    ],
    praise="From an alarm to a team to call, without knowing beforehand what is broken.",
)
def skew_3(culprit: Any) -> Iterator[Criterion]:
    """Name of the column in which the fault lives, over unseen faults; "none" when healthy."""
    rng = seeded("skew.3")
    healthy = log_with_places(rng)
    yield _nobody(
        culprit(healthy),
        "a healthy log has no culprit",
        "Nothing differs here but the last bit and rows that are missing on both sides: "
        "this answer would send a team on call to look for nothing.",
    )
    yield _nobody(
        culprit(with_late_rows(healthy, rng)),
        "a few late requests from everywhere have no culprit",
        "Some value always leads, and with wrong requests everywhere that is chance. Blame "
        "needs a rate that stands out, not the largest number of a table.",
    )
    for fault in FAULTS:
        named = {place: culprit(break_place(healthy, place, fault, rng)) for place in PLACES}
        wrong = {place: name for place, name in named.items() if name != place}
        yield expect(
            not wrong,
            f"finds the column, whichever it is: {fault}",
            got=", ".join(f"{name} for {place}" for place, name in wrong.items()),
            want=", ".join(wrong),
            why=_why_culprit(set(wrong.values()), fault),
        )


def _nobody(named: str, text: str, why: str) -> Criterion:
    return expect(named == "none", text, got=named, want="none", why=why)


def _why_culprit(named: set[str], fault: str) -> str:
    if "request_id" in named:
        return (
            "A column with a value of its own for each row explains everything and nothing: "
            "ask for groups that are large enough to have a rate."
        )
    return WHY[fault]


quiz(
    "skew.q1",
    "Every feature's mean and histogram agree on both paths. Then",
    right="b",
    a=(
        "there is no skew",
        "Errors of single requests cancel in a mean and in a histogram: the window bug did so.",
    ),
    b=(
        "each request may still have been served a wrong value",
        "Right: a distribution says nothing about who was served what. Only pairs do.",
    ),
    c=(
        "there is drift, but no skew",
        "Equal distributions speak against drift of these features, and say nothing about skew.",
    ),
)
quiz(
    "skew.q2",
    "Both paths read one feature store and run one definition. What is still to be checked?",
    right="c",
    a=(
        "nothing, the definition is the same",
        "The store serves what it wrote last. A job that failed on Friday is served on Monday.",
    ),
    b=(
        "the offline score after each training",
        "The offline score never looks at the serving path; it did not move in this lesson either.",
    ),
    c=(
        "parity of what was served with what should have been, and its age",
        "Right: one definition does not stop values from ageing, nor a feature from being renamed.",
    ),
)
quiz(
    "skew.q3",
    "Which picture shows a service that fills in 0 where a value is missing?",
    right="d",
    a=("picture A", "All points on the diagonal: both paths agree."),
    b=("picture B", "A line parallel to the diagonal: every value times the same factor, a unit."),
    c=("picture C", "A cloud about the diagonal: another window or an old value."),
    d=(
        "picture D",
        "Right: a row of points at the bottom. They had a value, and were served none.",
    ),
)
bet(
    "skew.b1",
    "What share of its decisions will production get right once the window is wrong?",
    usual="to expect what the offline score says. It judges the training path; the fault sits on "
    "the other one. Or to expect a collapse: a wrong average still carries much of the truth.",
)
