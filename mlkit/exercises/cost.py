"""Exercises of challenge 8: minutes as they are billed, days to redo, runs that nobody needed."""

import math
from collections.abc import Iterator
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
    kind_of,
    quiz,
    seeded,
)

# cost.1: what the provider makes of measured minutes

LEAST = 10  # minutes that every attempt is billed for


def _runs(*rows: tuple[str, float, int]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=["job", "minutes", "attempts"])
    return table.assign(usd_hour=table["job"].map({"train": 3.0}).fillna(1.2))


def billed(runs: pd.DataFrame, least: int) -> pd.Series:
    """Return the dollars of each job: minutes begun, at least so many, for every attempt."""
    minutes = runs["minutes"].map(math.ceil).clip(lower=least) * runs["attempts"]
    return (minutes * runs["usd_hour"] / 60).groupby(runs["job"]).sum()


DRAWN = "All of it at once, on a month of runs."


@exercise(
    "cost.1",
    title="From minutes to dollars",
    level=1,
    minutes=6,
    returns=a_series,
    hints=[
        "A run took two minutes and ten seconds, on its third attempt. What is on the bill?",
        "Two blanks: the minutes billed for one attempt (`np.ceil`, and `clip` for the least), and "
        "by what the dollars of one attempt have to be multiplied.",
        "billed = np.ceil(runs['minutes']).clip(lower=least)",
    ],
    praise="Your bill is the provider's, and shows what many short runs cost.",
)
def cost_1(dollars: Any) -> Iterator[Criterion]:
    """Dollars by job: whole minutes, the least, attempts that failed, many short runs."""
    rng = seeded("cost.1")
    long = [round(float(rng.integers(20, 90)) + 0.2, 1) for _ in range(2)]
    short = float(rng.integers(1, 4))
    many = [("features", short, 1)] * int(rng.integers(20, 40))
    whole = (("features", 30.0, 1), ("features", 45.0, 1), ("train", 60.0, 1))
    jobs = rng.choice(["land", "features", "train"], 40)
    minutes = rng.gamma(1.0, 25.0, 40).round(2) + 0.01
    month = list(zip(jobs, minutes, rng.choice([1, 1, 1, 2, 3], 40), strict=True))
    for text, rows, why in (
        ("whole minutes: the dollars of each job", whole, SUMMED),
        (
            "a minute that has begun is billed",
            [("train", long[0], 1), ("train", long[1], 1)],
            BEGUN,
        ),
        (f"a run of {short:g} minutes is billed as {LEAST}", [("train", short, 1)], AT_LEAST),
        ("a run that took three attempts", [("train", 40.0, 3)], FAILED),
        ("a short run that took three attempts", [("train", short, 3)], EACH),
        ("many short runs: each has its least", many, MANY),
        ("a month of runs", month, DRAWN),
    ):
        runs = _runs(*rows)
        got, want = dollars(runs, LEAST), billed(runs, LEAST)
        same = sorted(got.index) == list(want.index) and np.allclose(got[want.index], want)
        yield expect(same, text, got=got.round(3).to_dict(), want=want.round(3).to_dict(), why=why)


SUMMED = "Each job: its minutes, as hours, times its own price for an hour, added up."
BEGUN = (
    "A minute that has begun is a minute on the bill, of every run: round up, and before you add."
)
AT_LEAST = (
    "The least is what a machine costs for being started: take the larger of the two, do not add."
)
FAILED = "A failed attempt is billed like one that went well: a job that needs three costs three."
EACH = "Every attempt has its own start and so its own least; the least is not for the job."
MANY = (
    "Split a job into many short runs and each is billed as a long one: rounding and the least "
    "are for the run, not for the sum."
)


# cost.2: which days must be computed again


def some_days(value: Any) -> str:
    """Return what is wrong when a value is no list, set or array of whole numbers."""
    if not isinstance(value, (list, tuple, set, range, np.ndarray, pd.Index, pd.Series)):
        return f"expected a list of days, got {kind_of(value)}"
    odd = [d for d in value if isinstance(d, (bool, str)) or d is None or d != d or d != int(d)]
    return f"expected whole numbers, the days; got {kind_of(odd[0])}" if odd else ""


def to_redo(rows: pd.DataFrame, last_run: int, today: int, window: int) -> list[int]:
    """Return the days whose features the rows have changed since the last run."""
    here = (rows["arrived"] <= last_run) & ~(rows["removed"] <= last_run)
    now = (rows["arrived"] <= today) & ~(rows["removed"] <= today)
    days = set(range(last_run + 1, today + 1))
    for day in rows.loc[here != now, "day"]:
        days |= set(range(int(day), min(int(day) + window, today + 1)))
    return sorted(days)


def _rows(*rows: tuple[int, ...]) -> pd.DataFrame:
    full = [(*row, np.nan)[:3] for row in rows]
    table = pd.DataFrame(full, columns=["day", "arrived", "removed"])
    return table.astype({"removed": "float64"})


OLD: list[tuple[int, ...]] = [(day, day) for day in range(1, 41)]
REDO: dict[str, tuple[list[tuple[int, ...]], str]] = {
    "nothing late: the new days, and no other": (
        [(41, 41), (42, 42)],
        "What has not changed is not computed again: that is the whole saving.",
    ),
    "a row that arrived late": (
        [(30, 41)],
        "Ask when a row arrived, not when it happened: `day > last_run` never sees a late row, and "
        "a look back of some days sees those that are a little late.",
    ),
    "a late row changes every day whose window holds it": (
        [(20, 42)],
        "The features of a day count the days before it: a late row changes its own day and each "
        "day after, as long as it is in the window.",
    ),
    "a late row of yesterday: no day after today": (
        [(39, 42)],
        "Its window reaches beyond today: those days come, and will be computed when they do.",
    ),
    "a row that was taken away": (
        [(25, 25, 42)],
        "A refund or an erasure is a change as well: it arrived long ago and is gone since.",
    ),
    "a row that came and went since the last run": (
        [(15, 41, 42)],
        "It was in no feature before and is in none now: nothing to do.",
    ),
    "a row that will arrive tomorrow": (
        [(18, 43)],
        "The table holds what nobody knows by the end of today.",
    ),
    "a row that was gone before the last run": (
        [(12, 12, 39)],
        "The last run has seen that already.",
    ),
}


@exercise(
    "cost.2",
    title="Only the days that changed",
    level=2,
    minutes=15,
    returns=some_days,
    hints=[
        "Which rows would make a table of today differ from the table of the last run?",
        "For each row: was it there at the last run, is it there today? Where the two differ, its "
        "day and those after it have changed, as far as the window and today allow.",
        "there = (rows['arrived'] <= moment) & ~(rows['removed'] <= moment)",
    ],
    praise="Late rows and erasures reach every feature they belong to, and nothing else is paid.",
)
def cost_2(days_to_redo: Any) -> Iterator[Criterion]:
    """Days to compute again: late, removed, future rows, each alone; then many at once."""
    window = int(seeded("cost.2").integers(6, 9))
    for text, (rows, why) in REDO.items():
        yield _redone(days_to_redo, _rows(*OLD, *rows), (40, 42, window), (text, why))
    yield _redone(
        days_to_redo,
        _rows(*OLD, (20, 41)),
        (40, 42, 1),
        ("features of a single day", "With a window of one day a late row changes its own."),
    )
    rng = seeded("cost.2 rows")
    for _ in range(3):
        day = rng.integers(1, 61, 90)
        arrived = day + rng.choice([0, 0, 0, 1, 3, 12], 90)
        removed = np.where(rng.random(90) < 0.15, arrived + rng.integers(0, 30, 90), np.nan)
        rows = pd.DataFrame({"day": day, "arrived": arrived, "removed": removed})
        limits = (int(rng.integers(48, 56)), 60, int(rng.integers(2, 6)))
        yield _redone(days_to_redo, rows, limits, ("ninety rows of all kinds", "All at once."))


def _redone(days_to_redo: Any, rows: pd.DataFrame, when: tuple, said: tuple) -> Criterion:
    got = sorted({int(day) for day in days_to_redo(rows, *when)})
    want = to_redo(rows, *when)
    return expect(got == want, said[0], got=_short(got), want=_short(want), why=said[1])


def _short(days: list[int]) -> str:
    """Return days as runs: 1-3, 7."""
    parts: list[list[int]] = []
    for day in days:
        if parts and day == parts[-1][-1] + 1:
            parts[-1].append(day)
        else:
            parts.append([day])
    runs = [f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts]
    return ", ".join(runs) or "none"


# cost.3: the largest part of a bill that could be left out


def a_job_and_dollars(value: Any) -> str:
    """Return what is wrong when a value is no pair of a job and dollars."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return f"expected a pair, job and dollars, got {kind_of(value)}"
    return a_text(value[0]) or a_number(value[1])


def avoidable(runs: pd.DataFrame, served: set[str]) -> tuple[str, float]:
    """Return the job with the dearest avoidable runs, and what they cost; ("none", 0.0)."""
    good = runs[runs["output"] != ""]
    first = good[~good.duplicated(["job", "code", "input", "output"])]
    needed = set(served)
    while more := set(first.loc[first["output"].isin(needed), "input"]) - needed:
        needed |= more
    kept = first.index[first["output"].isin(needed)]
    lost = runs.drop(kept).groupby("job")["usd"].sum()
    return ("none", 0.0) if lost.empty else (str(lost.idxmax()), float(lost.max()))


Log = tuple[pd.DataFrame, set[str]]
CHAIN = [
    ("land", "raw", "rows", 1.0),
    ("join", "rows", "wide", 2.0),
    ("train", "wide", "model", 9.0),
]


def _log(rng: np.random.Generator, *more: tuple) -> Log:
    """Return a month of runs of a chain of jobs, and of more, and what was served.

    A step: job, what it reads, what it writes, dollars; then changes of the runs (see `_step`).
    """
    rows, served = [], set()
    for day in range(1, 29):
        for step in [*CHAIN, *more]:
            rows += _step(rng, day, *step)
        served.add(f"model-{day}")
    return pd.DataFrame(rows, columns=["job", "code", "input", "output", "usd"]), served


def _step(rng: np.random.Generator, day: int, *step: Any) -> list[tuple]:
    job, reads, writes, usd, *how = step
    kind = how[0] if how else ""
    if kind == "failing" and day % 2:
        return _step(rng, day, job, reads, writes, usd)
    again = {"repeated": 3, "new code": 3, "random": 3, "failing": 3}.get(kind, 1)
    rows = []
    for k in range(again):
        code = f"c{day}.{k}" if kind == "new code" else "c1"
        output = f"{writes}-{day}" + (f".{k}" if kind in ("random", "new code") else "")
        output = "" if kind == "failing" and k < again - 1 else output
        rows.append(
            (job, code, f"{reads}-{day}", output, round(usd * float(rng.uniform(0.8, 1.2)), 2))
        )
    return rows


def logs(rng: np.random.Generator) -> dict[str, tuple[list[Log], str]]:
    """Return logs of many kinds by what is odd in them, each with what it means not to see it."""
    report = ("report", "rows", "page", 1.5)
    search = ("search", "wide", "trial", 1.2, "new code")
    unread = [("wider", "wide", "cube", 2.5), ("slides", "cube", "deck", 1.0)]
    found = {
        "nothing to leave out": [_served(_log(rng, report), "page")],
        "one job does its work again": [
            _served(_log(rng, ("features", "wide", "table", 1.0, "repeated"), report), "table")
        ],
        "one job fails and is started again": [
            _served(_log(rng, ("crawl", "web", "links", 1.6, "failing"), report), "links", "page")
        ],
        "the same input under new code": [
            _served(
                _log(rng, search, report),
                *(f"trial-{d}.{k}" for d in range(1, 29) for k in range(3)),
            )
        ],
        "the same run, with another result each time": [
            _served(
                _log(rng, ("draw", "rows", "sample", 1.1, "random"), report),
                *(f"sample-{d}.{k}" for d in range(1, 29) for k in range(3)),
            )
        ],
        "a page that nobody opened": [_log(rng, report, ("mail", "rows", "sent", 0.2))],
        "a dear table, read by a job that nobody reads": [
            _served(_log(rng, *unread, report), "page")
        ],
    }
    return {text: (cases, WHY[text]) for text, cases in found.items()}


def _served(log: Log, *more: str) -> Log:
    """Return a log in which more was served: outputs by name, or each day's of a kind."""
    runs, served = log
    days = {name for name in runs["output"] if name.rsplit("-", 1)[0] in more}
    return runs, served | days | (set(more) & set(runs["output"]))


WHY = {
    "nothing to leave out": "Everything here was needed once. The largest line of a bill is where "
    "the money goes, and no proof that it can be saved.",
    "one job does its work again": "The same code on the same input with the same result, three "
    "times a day: the first was needed, the others are what a cache saves.",
    "one job fails and is started again": "A failed attempt writes nothing and is billed.",
    "the same input under new code": "New code is a new question: its answer was not there before, "
    "and leaving the run out would have changed what was served.",
    "the same run, with another result each time": "Same code, same input, another output: what "
    "was served came from these very runs. A cache would have changed it.",
    "a page that nobody opened": "It runs every day and nobody reads it. No fault shows that: only "
    "the list of what was served.",
    "a dear table, read by a job that nobody reads": "Being read is not being needed: its only "
    "reader could be left out as well. Go back from what was served.",
}
AMOUNT = "The job is right and the dollars are not: add up those of its runs that could be left "
AMOUNT += "out, and of no others."


@exercise(
    "cost.3",
    title="What could have been left out?",
    level=3,
    minutes=25,
    returns=a_job_and_dollars,
    hints=[
        "Begin at the end: what was served, and which runs did it take?",
        "Drop failed runs and repeated ones first. Then collect what is needed: what was served, "
        "what the runs that made it read, what the runs that made that read, until nothing is new.",
        "more = set(first.loc[first['output'].isin(needed), 'input']) - needed",
    ],
    praise="You name what to switch off, and prove with a sum what it saves.",
)
def cost_3(largest_waste: Any) -> Iterator[Criterion]:
    """The job with the dearest avoidable runs and their dollars, on months with one oddity each."""
    for text, (cases, why) in logs(seeded("cost.3")).items():
        for runs, served in cases:
            job, usd = largest_waste(runs, served)
            name, want = avoidable(runs, served)
            ok = job == name and math.isclose(usd, want, rel_tol=1e-6, abs_tol=1e-6)
            yield expect(
                ok,
                f"a month: {text}",
                got=f"{job}, {usd:.2f}",
                want=f"{name}, {want:.2f}",
                why=AMOUNT if job == name else why,
            )


quiz(
    "cost.q1",
    "Parquet makes a table three times smaller than CSV. The bill of the pipeline",
    right="c",
    a=(
        "falls to a third",
        "Storage of this table does. Requests, machines that wait and what is sent out do not "
        "know of it.",
    ),
    b=(
        "does not change: storage is cheap",
        "What is not stored is not read either, and reading takes hours of machines.",
    ),
    c=(
        "falls by that on the lines that depend on its bytes, and they have to be measured",
        "Right: and how much smaller it gets depends on the data, twenty times or not at all.",
    ),
)
quiz(
    "cost.q2",
    "A spot machine costs 70 % less. Your nightly job takes five hours and keeps nothing before "
    "its end. It will cost",
    right="b",
    a=(
        "70 % less",
        "On nights without an interruption. On the others it begins again, and the first hours "
        "are billed too.",
    ),
    b=(
        "less or more, by how often machines are taken away: with checkpoints mostly less",
        "Right: lost work is billed. A checkpoint is what you pay so as not to lose it.",
    ),
    c=(
        "more: an interruption always costs more than the discount gives",
        "Where machines are seldom taken, hardly anything is lost.",
    ),
)
quiz(
    "cost.q3",
    "Four optimisations: what each has saved, day by day, below the line a loss. Which one is "
    "worth having?",
    right="c",
    a=("picture A", "It costs a little more every day than it saves: the loss grows for ever."),
    b=(
        "picture B",
        "The copy is made anew before it is paid back: stairs that lead down. A cache of what "
        "changes every day.",
    ),
    c=("picture C", "Right: paid once, and ahead for good from the crossing on."),
    d=(
        "picture D",
        "It saves at first; then the copies that nobody deletes cost more than it saves.",
    ),
)
bet(
    "cost.b1",
    "What share of the last bill is storage?",
    usual="to look at what can be seen: files, and how many gigabytes they have. What is on day "
    "and night leaves no file behind.",
)
bet(
    "cost.b2",
    "The format is Parquet by now. Next, only the new rows are read, out of files by month. What "
    "share of the bill does that step take off where it stands? (Below zero: it adds.)",
    usual="to think of the job that reads less, and not of everybody else who reads the same "
    "files. A step has no worth of its own: it depends on what was done before it.",
    low=-1.0,
)
