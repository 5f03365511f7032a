"""scale.2: the click rate of seven days, kept up to date by batches that come late and again."""

from collections.abc import Iterator, Mapping, Sized
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, a_series, exercise, expect, kind_of, learner_seed
from mlkit.params import stream

COLUMNS = ["batch_id", "item", "day", "views", "clicks"]
WEEK = 7
Row = tuple[str, int, int, int]  # item, day, views, clicks
Step = tuple[pd.DataFrame, int]  # a batch, and the day on which it comes


def a_state_and_rates(value: Any) -> str:
    """Return what is wrong when a value is no pair: a dictionary, and a Series of numbers."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return f"expected a pair: the new state and the rates; got {kind_of(value)}"
    if not isinstance(value[0], dict):
        return f"the state: expected a dictionary, got {kind_of(value[0])}"
    return a_series(value[1]) if len(value[1:]) and not _is_empty(value[1]) else ""


def _is_empty(value: Any) -> bool:
    return isinstance(value, pd.Series) and not len(value)


def batch(id: int, *rows: Row) -> pd.DataFrame:
    """Return a batch: one row per report of a server."""
    table = pd.DataFrame([(id, *row) for row in rows], columns=COLUMNS)
    return table.astype({name: "int64" for name in COLUMNS if name != "item"})


def recomputed(steps: list[Step]) -> pd.Series:
    """Return the rates of the last day, from every batch once, row by row."""
    today, taken, sums = steps[-1][1], set(), {}  # type: ignore[var-annotated]
    for rows, _ in steps:
        if not len(rows) or rows["batch_id"].iloc[0] in taken:
            continue
        taken.add(rows["batch_id"].iloc[0])
        for _, item, day, views, clicks in rows.itertuples(index=False):
            if today - WEEK < day <= today:
                had = sums.get(item, (0, 0))
                sums[item] = (had[0] + views, had[1] + clicks)
    return pd.Series({i: c / v for i, (v, c) in sorted(sums.items()) if v}, dtype=float)


def size(thing: Any) -> int:
    """Return how many values a state holds, in tables, dictionaries and sets."""
    if isinstance(thing, (pd.DataFrame, pd.Series, np.ndarray)):
        return int(thing.size)
    if isinstance(thing, Mapping):
        return sum(1 + size(each) for each in thing.values())
    if isinstance(thing, Sized) and not isinstance(thing, (str, bytes)):
        return sum(map(size, thing)) if isinstance(thing, (list, tuple)) else len(thing)
    return 1


class Story(NamedTuple):
    """Steps, why their result matters, and the stories whose failure explains this one too."""

    steps: list[Step]
    why: str
    unless: tuple[str, ...] = ()


WEIGHT, SERVERS, AGAIN = (
    "seven days, one batch each: clicks by views",
    "two servers report the same numbers",
    "the batch of yesterday comes again",
)
LONG_AGO, LATE, ORDER = (
    "a batch comes again after others came",
    "late rows of a day that was there already",
    "batch 12 comes before batch 11",
)
EXPIRED, SILENT = "the eighth day leaves", "three days without a batch"


def stories(rng: np.random.Generator) -> dict[str, Story]:
    """Return the stories that are told one at a time, their numbers drawn."""
    return {**_plain(rng), **_repeated(rng), **_dated(rng)}


def _draw(rng: np.random.Generator, item: str, day: int) -> Row:
    views = int(rng.integers(40, 400))
    return item, day, views, int(views * rng.uniform(0.05, 0.6))


def _week(rng: np.random.Generator, *, days: int = 7) -> list[Step]:
    return [
        (batch(d + 1, *(_draw(rng, item, d) for item in ("bag", "hat"))), d) for d in range(days)
    ]


def _plain(rng: np.random.Generator) -> dict[str, Story]:
    row, few = _draw(rng, "bag", 1), ("bag", 0, 2, 2)
    twice = [(batch(1, few, row, row), 1), (batch(2, row), 1)]
    return {
        WEIGHT: Story(
            [(batch(1, few), 0), *_week(rng)[1:]],
            "The average of rates lets a day of two views count like a day of four hundred. A "
            "ratio cannot be merged: keep both sums and divide last.",
        ),
        SERVERS: Story(
            twice,
            "Rows that look alike are not rows that came twice: two servers may count the same. "
            "`drop_duplicates` on values deletes honest traffic, most of it from small items.",
            (WEIGHT,),
        ),
        "an item that is shown to nobody has no rate": Story(
            [(batch(1, row, ("hat", 1, 0, 0)), 1)],
            "Nothing over nothing is no rate: as zero it would rank a new item last before anybody "
            "has seen it.",
            (WEIGHT,),
        ),
    }


def _repeated(rng: np.random.Generator) -> dict[str, Story]:
    """Return stories of batches that come again, late, or in another order."""
    week = _week(rng, days=5)
    other = [_draw(rng, "bag", 3), _draw(rng, "hat", 3)]
    return {
        AGAIN: Story(
            [*week, (week[4][0], 5)],
            "A retry delivers a batch twice, and addition counts it twice: after each incident "
            "the newest days weigh double.",
            (WEIGHT,),
        ),
        LONG_AGO: Story(
            [*week, (week[1][0], 5)],
            "It is not enough to remember the last batch: a queue that is rewound brings old ones "
            "again, after newer ones.",
            (WEIGHT, AGAIN),
        ),
        LATE: Story(
            [*week, (batch(70, *other), 5)],
            "A late batch adds to its day. Overwriting the day forgets what came in time; leaving "
            "the late rows out forgets phones that were offline.",
            (WEIGHT, AGAIN),
        ),
        ORDER: Story(
            [(batch(12, *other), 3), (batch(11, _draw(rng, "bag", 3)), 3)],
            "The highest id so far is no list of what has come: batch 11 was on its way, and is "
            "lost for ever.",
            (WEIGHT, SERVERS, LATE),
        ),
    }


def _dated(rng: np.random.Generator) -> dict[str, Story]:
    """Return stories about which days count."""
    long, nothing = _week(rng, days=9), batch(0)
    early = batch(3, _draw(rng, "hat", 1), _draw(rng, "hat", 2))
    return {
        EXPIRED: Story(
            long,
            "Seven days, today among them. A running sum never lets go: customers of long ago "
            "vote on what is shown today.",
            (WEIGHT,),
        ),
        SILENT: Story(
            [*long[:7], (nothing, 7), (nothing, 8), (nothing, 9)],
            "The window moves with the calendar, not with the deliveries: when they stop, old days "
            "must leave all the same.",
            (WEIGHT, EXPIRED),
        ),
        "a row that is older than the week": Story(
            [*long, (batch(90, _draw(rng, "bag", 1), _draw(rng, "bag", 8)), 8)],
            "The day of a row says whether it counts, not the day on which it came.",
            (WEIGHT, EXPIRED, LATE),
        ),
        "a clock that is a day ahead": Story(
            [(batch(1, _draw(rng, "hat", 1)), 1), (early, 1), (nothing, 2)],
            "A row of tomorrow does not count today, and does tomorrow: thrown away on arrival, it "
            "is missing when its day has come.",
            (WEIGHT, LATE, SILENT),
        ),
    }


@cache
def long_story(seed: int) -> tuple[Step, ...]:
    """Return sixty days of everything at once, for one seed, made once."""
    rng = stream(seed, "exercise", "scale.2", "long")
    sent: list[pd.DataFrame] = []
    steps: list[Step] = []
    for today in range(60):
        days = np.maximum(today - rng.geometric(0.5, 24) + 1, 0)
        rows = [_draw(rng, str(rng.choice(["bag", "hat", "tie"])), int(day)) for day in days]
        sent.append(batch(int(2 * today + 100 - 6 * rng.integers(0, 4)) * 100 + today, *rows))
        steps.append((sent[-1], today))
        if rng.random() < 0.3:
            steps.append((sent[int(rng.integers(0, len(sent)))], today))
    return tuple(steps)


@exercise(
    "scale.2",
    title="Seven days of clicks",
    level=2,
    minutes=20,
    returns=a_state_and_rates,
    hints=[
        "What must be kept so that a day can leave, and so that a batch can come twice?",
        "Views and clicks per item and day, as two sums, and the ids of the batches that were "
        "taken. Add, drop what is too old, then divide what lies in the window.",
        "cells = pd.concat([cells, new]).groupby(['item', 'day'])[['views', 'clicks']].sum()",
    ],
    praise="Your feature can be fed twice, late and out of order, and says what a full "
    "recomputation would.",
)
def scale_2(roll: Any) -> Iterator[Criterion]:
    """Rates after each story, against a recomputation; then sixty days, and what is kept."""
    failed: set[str] = set()
    rng = stream(learner_seed(), "exercise", "scale.2")
    for text, story in stories(rng).items():
        got, want = followed(roll, story.steps)[1], recomputed(story.steps)
        ok = _same(got, want)
        again = failed & set(story.unless)
        failed |= set() if ok else {text}
        why = "As above." if again else story.why
        yield expect(ok, text, got=_shown(got), want=_shown(want), why=why)
    yield from _long(roll, bool(failed))


def followed(roll: Any, steps: list[Step]) -> tuple[dict, pd.Series]:
    """Return the state and the rates after these steps."""
    state: dict[str, Any] = {}
    rates = pd.Series(dtype=float)
    for rows, today in steps:
        state, rates = roll(state, rows, today)
    return state, rates


def _same(got: pd.Series, want: pd.Series) -> bool:
    fits = got.index.is_unique and set(got.index) == set(want.index)
    return bool(fits and np.allclose(got.reindex(want.index).astype(float), want))


def _shown(rates: pd.Series) -> dict[str, float]:
    return {str(item): round(float(rate), 4) for item, rate in rates.items()}


def _long(roll: Any, failed: bool) -> Iterator[Criterion]:
    steps = [*long_story(learner_seed())]
    state, got = followed(roll, steps)
    want = recomputed(steps)
    why = "Somewhere in sixty days the state parted from the recomputation, and stays apart."
    text = "sixty days, everything at once: equal to a recomputation from all rows"
    yield expect(
        _same(got, want),
        text,
        got=_shown(got),
        want=_shown(want),
        why="As above." if failed else why,
    )
    rows = sum(len(each) for each, _ in steps)
    held, limit = size(state), rows // 2
    yield expect(
        held <= limit,
        f"after {rows} rows the state holds at most {limit} values",
        got=held,
        want=f"at most {limit}",
        why="A state that keeps every row, or every day, is the table again: each run reads more "
        "than the run before. What has left the window can go.",
    )
