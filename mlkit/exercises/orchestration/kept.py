"""orchestration.1: the rows that a table should hold after a log of attempts."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, a_frame, exercise, expect, seeded

Attempt = tuple[int, int, str]  # logical date, minute it ended, state
Written = tuple[int, int, int, int]  # number of the attempt, day it happened, user_id, amount_usd
GOOD, BAD = "success", "failed"
COLUMNS = ["run", "happened", "user_id", "amount_usd"]


class Story(NamedTuple):
    """Attempts and what they wrote, and what it costs to keep other rows."""

    attempts: list[Attempt]
    written: list[Written]
    why: str
    unless: tuple[str, ...] = ()


def tables(story: Story, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what was written and the attempts, both in no order, with names for the runs."""
    names = [f"r{i}" for i in rng.permutation(len(story.attempts)) + 100]
    attempts = pd.DataFrame(story.attempts, columns=["logical_date", "ended", "state"])
    attempts.insert(0, "run", names)
    written = pd.DataFrame(story.written, columns=COLUMNS, dtype="int64")
    written["run"] = [names[i] for i in written["run"]]
    mix = [t.iloc[rng.permutation(len(t))].reset_index(drop=True) for t in (written, attempts)]
    return mix[0], mix[1]


def by_loop(written: pd.DataFrame, attempts: pd.DataFrame) -> list[tuple]:
    """Return the rows that the table should hold, one attempt at a time."""
    holds: dict[int, list[tuple]] = {}
    for run, day, _, state in attempts.sort_values("ended").itertuples(index=False):
        if state == GOOD:
            holds[day] = _rows(written[written["run"] == run])
    return sorted(row for rows in holds.values() for row in rows)


def _rows(table: pd.DataFrame) -> list[tuple]:
    return sorted(table[COLUMNS].itertuples(index=False, name=None))


PLAIN, CRASH, HONEST, NEVER = (
    "two days, one attempt each",
    "an attempt that failed after it had written",
    "the same customer buys the same again",
    "a day that never succeeded",
)
AGAIN, LATER = "a day computed once more", "a second computation that failed"


def stories(rng: np.random.Generator) -> dict[str, Story]:
    """Return logs with one difficulty each, their amounts drawn."""
    usd = [int(each) for each in rng.choice(np.arange(10, 99), 4, replace=False)]
    one: list[Written] = [(0, 1, 7, usd[0]), (0, 1, 8, usd[1])]
    two: list[Written] = [(1, 2, 7, usd[2]), (1, 2, 9, usd[3])]
    return {**_failures(one, two), **_second(one, two), **_dates(one, two)}


def _failures(one: list[Written], two: list[Written]) -> dict[str, Story]:
    good: list[Attempt] = [(1, 2000, GOOD), (2, 3500, GOOD)]
    crashed: list[Attempt] = [(1, 1950, BAD), (1, 2000, GOOD)]
    retried = [*one, *((1, *row[1:]) for row in one)]
    return {
        PLAIN: Story(good, [*one, *two], "Both succeeded: every row stays, each once."),
        CRASH: Story(
            crashed,
            retried,
            "The failed attempt had written before it died, and its retry wrote the same again: "
            "append counts those customers twice.",
        ),
        HONEST: Story(
            good,
            [*one, *one[:1], *two],
            "Two coffees are two purchases. Equal rows within one attempt are honest, and "
            "`drop_duplicates` deletes them.",
        ),
        NEVER: Story(
            [(1, 2000, GOOD), (2, 3500, BAD)],
            [*one, two[0]],
            "What a failed attempt left behind is a part of a day that looks like a whole one: no "
            "rows are better, and somebody notices.",
            (CRASH,),
        ),
    }


def _second(one: list[Written], two: list[Written]) -> dict[str, Story]:
    better: list[Written] = [(1, 1, 7, one[0][3]), (1, 1, 8, one[1][3] + 1)]
    return {
        AGAIN: Story(
            [(1, 2000, GOOD), (1, 9000, GOOD)],
            [*one, *better],
            "Computed once more, for a reason: the last success holds, not the first, and not "
            "both. Names of runs are no order, `ended` is.",
        ),
        LATER: Story(
            [(1, 2000, GOOD), (1, 9000, BAD)],
            [*one, better[0]],
            "The last attempt failed: the success before it still holds. Otherwise one bad "
            "backfill empties a day that was right.",
            (CRASH, NEVER),
        ),
    }


def _dates(one: list[Written], two: list[Written]) -> dict[str, Story]:
    return {
        "late rows: of another day than that of the run": Story(
            [(1, 2000, GOOD), (2, 3500, GOOD)],
            [*one, *two, (1, 1, 8, 5)],
            "A partition belongs to the logical date of its run. A purchase of day 1 that came in "
            "with day 2 is day 2's to write, and stays.",
            (PLAIN,),
        ),
        "computed once more, and now there is nothing": Story(
            [(1, 2000, GOOD), (1, 9000, GOOD), (2, 3500, GOOD)],
            [*one, *((2, *row[1:]) for row in two)],
            "A success without rows is a success: the source took its rows back. Looking only at "
            "what was written, you never see that run.",
            (AGAIN,),
        ),
    }


@exercise(
    "orchestration.1",
    title="What should be in there?",
    level=1,
    minutes=8,
    returns=a_frame(*COLUMNS),
    hints=[
        "Whose rows may count: those of which attempts, and of how many for each logical date?",
        "Two blanks, both on `attempts`: which of them count at all, and for each logical date the "
        "name of the run that ended last.",
        "good = attempts[attempts['state'] == 'success']",
    ],
    praise="You can say from the log what a table should hold, and repair one that does not.",
)
def orchestration_1(rows_to_keep: Any) -> Iterator[Criterion]:
    """Rows of the last success of each logical date, each as often as it was written."""
    failed: set[str] = set()
    rng = seeded("orchestration.1")
    for text, story in stories(rng).items():
        written, attempts = tables(story, rng)
        got, want = _rows(rows_to_keep(written, attempts)), by_loop(written, attempts)
        again = failed & set(story.unless)
        failed |= set() if got == want else {text}
        why = "As above." if again else story.why
        yield expect(got == want, text, got=_shown(got), want=_shown(want), why=why)
    written, attempts = tables(_drawn(rng), rng)
    got, want = _rows(rows_to_keep(written, attempts)), by_loop(written, attempts)
    why = "As above." if failed else "The last success of each logical date, in full."
    text = f"{len(attempts)} attempts, {len(written)} rows"
    yield expect(got == want, text, got=_sum(got), want=_sum(want), why=why)


def _drawn(rng: np.random.Generator, *, n: int = 60) -> Story:
    ends = rng.permutation(n) * 7 + 2000
    days, states = rng.integers(1, 15, n), rng.choice([GOOD, BAD], n, p=[0.6, 0.4])
    attempts = [(int(d), int(e), str(s)) for d, e, s in zip(days, ends, states, strict=True)]
    runs = np.sort(rng.choice(n, 300))
    users, usd = rng.integers(1, 6, (2, len(runs))).tolist()
    rows = zip(runs.tolist(), days[runs].tolist(), users, usd, strict=True)
    return Story(attempts, list(rows), "")


def _shown(rows: list[tuple]) -> str:
    return ", ".join(f"{run}: {user} {usd}" for run, _, user, usd in rows) or "no rows"


def _sum(rows: list[tuple]) -> str:
    return f"{len(rows)} rows, {sum(row[-1] for row in rows)} USD"
