"""A gate before every retraining, a stream that runs through it, and the cases that try a gate."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises.ex3.daily import naive_weekly_rule
from mlkit.exercises.ex3.days import (
    FEATURES,
    WINDOW,
    Change,
    decide_all,
    first_model,
    known_on,
    make_days,
    operate,
    reference_of,
    train,
)
from mlkit.params import stream
from mlkit.stats import share_interval

RETRAIN, FIX, NOTHING = VERDICTS = ("retrain", "fix upstream", "nothing")
RECENT = 21  # days that a gate looks at: two weeks of answers, and a week without them
BROKEN = 0.22  # share of a day's rows beyond all that the reference has
Gate = Callable[[pd.DataFrame, pd.DataFrame], str]


def careful_gate(reference: pd.DataFrame, recent: pd.DataFrame) -> str:
    """Return what to do: look at the data day by day first, then at answers with their interval."""
    broken = broken_days(reference, recent)
    if broken:  # rows of the bug stay in the answers for weeks after the repair: wait
        return FIX if broken[-1] > recent["day"].max() - 3 else NOTHING
    known = recent.dropna(subset=["answer"])
    if len(known) < 50:
        return NOTHING
    wrong, usual = (t["decision"] != t["answer"] for t in (known, reference))
    low, _ = share_interval(int(wrong.sum()), len(wrong), level=0.99)
    newer = known["day"] > known["day"].max() - WINDOW
    filled = wrong[~newer].mean() > 0.75 * wrong[newer].mean()  # the rows to learn from are new
    return RETRAIN if filled and low > usual.mean() + 0.05 else NOTHING


def broken_days(reference: pd.DataFrame, recent: pd.DataFrame) -> list[int]:
    """Return the days on which values are missing, beyond all of the reference, or all the same."""
    low, high = reference[FEATURES].min(), reference[FEATURES].max() * 1.2
    high["total_purchases"] = np.inf  # a counter grows
    values, days = recent[FEATURES], recent["day"]
    odd = ((values < low) | (values > high)).groupby(days).mean()
    lost = values.isna().groupby(days).mean() - reference[FEATURES].isna().mean()
    one = 1 - values.groupby(days).nunique().div(values.groupby(days).count().clip(lower=1))
    bad = (odd > BROKEN) | (lost > BROKEN) | (one > 0.9)
    return bad.index[bad.any(axis=1)].tolist()


def naive_gate(reference: pd.DataFrame, recent: pd.DataFrame) -> str:
    """Return the verdict of the syllabus's rule on the last seven days, whatever the answers."""
    week = recent[recent["day"] > recent["day"].max() - WINDOW]
    return RETRAIN if naive_weekly_rule(reference, week) else NOTHING


def no_gate(reference: pd.DataFrame, recent: pd.DataFrame) -> str:
    """Return that nothing is to be done, whatever comes."""
    return NOTHING


# A stream through a gate


class Run(NamedTuple):
    """What a gate said on each day that it was asked, and the rows as decided under it."""

    verdicts: dict[int, str]
    rows: pd.DataFrame


def run(rows: pd.DataFrame, gate: Gate, *, model: Any, every: int = 7) -> Run:
    """Return a stream of one month's rows under a gate that is asked every seven days.

    On "retrain" a model is fitted to the recent rows whose answer is known; it decides from the
    next day on. The reference stays what it was.
    """
    reference, verdicts = reference_of(rows), {}
    for today in range(every, int(rows["day"].max()) + 1, every):
        recent = recent_of(rows, today, model)
        verdicts[today] = gate(reference, recent)
        if verdicts[today] == RETRAIN:
            model = train(recent)
            now = np.where(rows["day"] > today, decide_all(model, rows), rows["decision"])
            rows = rows.assign(decision=now)
    return Run(verdicts, rows)


def recent_of(rows: pd.DataFrame, today: int, model: Any) -> pd.DataFrame:
    """Return what a gate sees on a day: three weeks, known answers, the model's own decisions."""
    known = known_on(rows, today)
    recent = known[known["day"] > today - RECENT].reset_index(drop=True)
    return recent.assign(decision=decide_all(model, recent))


def accuracy(rows: pd.DataFrame, first: int, last: int) -> float:
    """Return the share of right decisions from one day to another."""
    part = rows[rows["day"].between(first, last)]
    return float((part["decision"] == part["answer"]).mean())


# Cases


class Case(NamedTuple):
    """What a gate is shown, the verdicts that are right, and the mistake of every other."""

    name: str
    reference: pd.DataFrame
    recent: pd.DataFrame
    want: tuple[str, ...]
    why: str


PLANS: dict[str, tuple[list[Change], int, tuple[str, ...], str]] = {
    "a quiet month": (
        [],
        30,
        (NOTHING,),
        "Nothing has changed but the sample. A gate that acts on a p-value, or on a number without "
        "its interval, acts every week.",
    ),
    "a quiet month, two months later": (
        [],
        90,
        (NOTHING,),
        "Only the lifetime counter has grown, as counters do: that is neither a bug nor a reason.",
    ),
    "a campaign brought younger users": (
        [Change("benign", 8)],
        30,
        (NOTHING,),
        "An alarm is not harm: the age has moved, and the decisions are as good as before. Ask the "
        "answers before you act.",
    ),
    "answers depend on the amount in another way": (
        [Change("concept", 8)],
        30,
        (RETRAIN,),
        "No feature has moved, and the decisions are wrong: only answers tell. Data that are whole "
        "and answers that disagree are what retraining is for.",
    ),
    "amounts in cents for three weeks": (
        [Change("unit", 9)],
        30,
        (FIX,),
        "Decisions are wrong because the data are: retraining on the bug looks fine, and falls "
        "when upstream is repaired.",
    ),
    "amounts in cents since yesterday": (
        [Change("unit", 29)],
        30,
        (FIX,),
        "Two days of twenty-one do not move a median: look at each day by itself.",
    ),
    "every third amount missing": (
        [Change("nulls", 9)],
        30,
        (FIX,),
        "What you drop you cannot see: missing values are a symptom of their own.",
    ),
    "ages in months": (
        [Change("months", 9)],
        30,
        (FIX,),
        "Every feature is data that somebody trusts: this one has hardly harmed yet, and the next "
        "training would learn it.",
    ),
    "a counter that began again at 0": (
        [Change("reset", 9)],
        30,
        (FIX,),
        "Every feature is data that somebody trusts: a counter that falls has been reset.",
    ),
    "another concept, and cents since five days": (
        [Change("concept", 4), Change("unit", 26)],
        30,
        (FIX,),
        "Both are true, and the order matters: retraining on the bug teaches the model cents.",
    ),
    "cents until last week, repaired since": (
        [Change("unit", 8, 25)],
        32,
        (FIX, NOTHING),
        "Upstream is whole again, and the rows with known answers are still those of the bug: that "
        "is retraining on the bug, a week late.",
    ),
}


FEW = "nine answers are known, three of them against the decision"
NONE = "no answer is known yet"
UNKNOWN = "An answer that is not known yet is no wrong decision: leave it out, and do not count it."


@cache
def cases(seed: int) -> tuple[Case, ...]:
    """Return what a gate is tried on, drawn for a learner's seed."""
    model, found = first_model(seed), []
    for name, (plan, today, want, why) in PLANS.items():
        rng = stream(seed, "exercise", "ex3.3", name)
        rows = operate(make_days(rng=rng, last=today), rng=rng, model=model, plan=plan)
        rows = rows.drop(columns="month")
        found.append(Case(name, reference_of(rows), recent_of(rows, today, model), want, why))
    quiet = found[0]
    for name, answers in ((FEW, _few(quiet.recent)), (NONE, np.nan)):
        recent = quiet.recent.assign(answer=answers)
        found.append(Case(name, quiet.reference, recent, (NOTHING,), WAITS[name]))
    return tuple(found)


WAITS = {
    FEW: "Three of nine is what luck does with a fifth of wrong decisions: ask for an interval, or "
    "for more answers.",
    NONE: UNKNOWN,
}


def _few(recent: pd.DataFrame) -> pd.Series:
    """Return answers of which nine are known, and three of those are against the decision."""
    right = (recent["decision"] == recent["answer"]) & recent["answer"].notna()
    wrong = (recent["decision"] != recent["answer"]) & recent["answer"].notna()
    kept = [*recent.index[wrong][:3], *recent.index[right][:6]]
    return recent["answer"].where(recent.index.isin(kept))


# One stream, from the first day to the last


TRIAL = [Change("concept", 22), Change("unit", 64, 84)]
LEARNED, REPAIRED = (43, 63), (85, 98)  # when a gate has had its chance; after the repair
POISONED = range(64, 105)  # asked on these days, cents are in the rows, or in the answers' rows


@cache
def trial(seed: int) -> pd.DataFrame:
    """Return a stream with another concept, then cents that are repaired after three weeks."""
    rng = stream(seed, "exercise", "ex3.3", "trial")
    rows = make_days(rng=rng, last=98)
    return operate(rows, rng=rng, model=first_model(seed), plan=TRIAL)


@cache
def trial_of(seed: int, gate: Gate) -> Run:
    """Return the stream of `trial` under a gate of the kit."""
    return run(trial(seed), gate, model=first_model(seed))
