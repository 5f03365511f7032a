"""Small deliveries that differ in one thing each, so that a cheat is told by what it does."""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from mlkit.exercises.ex4.pipelines import run
from mlkit.exercises.ex4.world import (
    FEATURES,
    Deliveries,
    corrected,
    delay,
    expected,
    file_name,
    files_of,
    make_rows,
)
from mlkit.params import stream

FIRST, LAST = 33, 36

DROPPED = (
    "Dropped columns: only the features that need `country` are wrong. The bill falls with every "
    "column that nobody reads, and this one is read. In production the model goes on with a "
    "feature that is always nought, and scores abroad as at home."
)
SAMPLED = (
    "Sampling: users are missing. A sample keeps averages and loses those who are rare; in "
    "production each of them is scored as a stranger, and fraud is rare."
)
SKIPPED = (
    "Skipped late rows: what arrives days after it happened never reaches the features, or not "
    "those of its own day. In production the counts stay too low for good, and no error is raised."
)
STALE = (
    "Stale cache: the source delivered a file again, with other rows under the same name, and the "
    "old ones are still counted. In production a refund, or an erasure, never takes place."
)
MEMORY = (
    "Stale cache: what an earlier run left in the memory of the process is served as today's. In "
    "production each day is a new process, on another machine: what is to last belongs in the "
    "store, under the content hash of what it was made from."
)
DOUBLED = (
    "Counted twice: the day was run again after it had ended well, as schedulers do, and its rows "
    "were added once more. Replace what a file brought; do not add to it."
)
MISSED = (
    "Missed days: the pipeline did not run for two days, and what arrived meanwhile was never "
    "read. Ask the store what is new since the last run, not what is dated today."
)
LOST = (
    "Answers out of memory: the features are right, and some files of the source were not read on "
    "that day, nor anything that was made from them. They came from the memory of the process, or "
    "past the store, where no bill is written. A process of tomorrow does not have it."
)
REBUILT = (
    "Everything but the source was deleted, and the features did not come back. A cache that "
    "cannot be made anew from the source is a second source, without an owner."
)


class Probe(NamedTuple):
    """What is tried, in words, its deliveries, how often each day runs, what a failure means."""

    text: str
    deliveries: Deliveries
    why: str
    times: int = 1
    lost: int = 0


@cache
def probes_of(seed: int) -> dict[str, Probe]:
    """Return the probes of a learner's seed, by name, in the order in which they are run."""
    plain, other = (_plain(seed, name) for name in ("plain", "other"))
    return {
        "plain": Probe("four days on which nothing odd happens", plain, ""),
        "other": Probe("the same days of another source, in a store of its own", other, MEMORY),
        "late": Probe("late rows: by a day, four, twenty, thirty", _late(seed), SKIPPED),
        "again": Probe(
            "files that come again: yesterday's, and one of long ago", _again(seed), STALE
        ),
        "retry": Probe("every day run twice", plain, DOUBLED, times=2),
        "outage": Probe(
            "two days without a run, then one", replace(plain, runs=(FIRST, LAST)), MISSED
        ),
        "lost": Probe(
            "everything but the source is lost before the last run", other, LOST, lost=LAST
        ),
    }


def _rows(seed: int, name: str) -> pd.DataFrame:
    rng = stream(seed, "exercise", "ex4", name)
    rows = make_rows(rng, days=LAST, a_day=26, users=72)
    return rows.assign(user_id=rows["user_id"] + int(rng.integers(500)))


def _plain(seed: int, name: str) -> Deliveries:
    return Deliveries(files_of(_rows(seed, name), parts=1), FIRST)


def _late(seed: int) -> Deliveries:
    rng = stream(seed, "exercise", "ex4", "late rows")
    rows = delay(_rows(seed, "late"), [1, 4, 20, 30], share=0.15, rng=rng)
    return Deliveries(files_of(rows, parts=1), FIRST)


def _again(seed: int) -> Deliveries:
    files = files_of(_rows(seed, "again"), parts=1)
    rng = stream(seed, "exercise", "ex4", "files again")
    for day, old in ((FIRST + 1, FIRST), (LAST, 12)):
        name = file_name(old, 0)
        files[day] |= corrected({name: files[old][name]}, rng)
    return Deliveries(files, FIRST)


# What differs


class Trial(NamedTuple):
    """How a pipeline did in a probe: the days that differ, what differs first, what is unread."""

    differ: list[int]
    first: str
    kind: str
    unread: str


def trial(daily: Any, probe: Probe) -> Trial:
    """Return how a pipeline does in a probe, beside the right features."""
    done = run(daily, probe.deliveries, times=probe.times, lost=probe.lost)
    found = compare_days(done.tables, expected(probe.deliveries))
    return found._replace(unread=unread(done.trace, probe.deliveries))


def unread(trace: pd.DataFrame, deliveries: Deliveries) -> str:
    """Return in words the first day on which a run did not see all of the source; "" for none.

    A run sees what it reads, and what the run had seen by then that wrote what it reads.
    """
    made: dict[str, set[str]] = {}
    there: set[str] = set()
    for day, files in deliveries.files.items():
        there |= set(files)
        seen: set[str] = set()
        for op in trace[trace["day"] == day].itertuples():
            if op.op == "read":
                seen |= made.get(op.name, {op.name})
            elif op.op == "write":
                made[op.name] = set(seen)
        if day in deliveries.days and there - seen:
            return f"day {day}: {len(there - seen)} of {len(there)} files not seen"
    return ""


def compare_days(got: dict[int, pd.DataFrame], want: dict[int, pd.DataFrame]) -> Trial:
    """Return the days that differ, and in which way the first of them does."""
    differ = {day: seen for day in want if (seen := difference(got[day], want[day])).text}
    first = next(iter(differ.values()), Difference("", ""))
    day = f"day {next(iter(differ))}, " if differ else ""
    return Trial(list(differ), day + first.text, first.kind, "")


class Difference(NamedTuple):
    """In words what differs, and which cheat looks like that ("" when none does)."""

    text: str
    kind: str


def difference(got: pd.DataFrame, want: pd.DataFrame) -> Difference:
    """Return in which way a feature table is not the right one; empty words when it is."""
    if absent := [name for name in FEATURES if name not in got]:
        return Difference(f"no column {absent[0]}", "dropped" if absent == ["abroad_28"] else "")
    got = got[["user_id", *FEATURES]].apply(pd.to_numeric, errors="coerce")
    if got["user_id"].duplicated().any():
        return Difference("a user stands in more than one row", "")
    got, want = got.set_index("user_id"), want.set_index("user_id")
    missing, extra = want.index.difference(got.index), got.index.difference(want.index)
    if len(missing) or len(extra):
        text = f"{len(missing)} of {len(want)} users are missing, {len(extra)} are too many"
        return Difference(text, "sampled" if len(missing) < len(want) and not len(extra) else "")
    wrong = got.reindex(want.index).ne(want)
    if not wrong.any(axis=None):
        return Difference("", "")
    columns = [name for name in FEATURES if wrong[name].any()]
    user = wrong.index[wrong[columns[0]]][0]
    text = f"user {user}, {columns[0]}: {got.loc[user, columns[0]]:g}"
    kind = "dropped" if columns == ["abroad_28"] else ""
    return Difference(f"{text} for {want.loc[user, columns[0]]}", kind)
