"""scale.3: smallest, largest and last under inserts, corrections, deletions and replays."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, exercise, expect, kind_of, learner_seed
from mlkit.params import stream

FEATURES = ["smallest", "largest", "last", "last_at", "last_id"]
CHANGES = ["batch_id", "kind", "event_id", "user_id", "at", "amount_usd", "was_usd"]
ROWS = ["event_id", "user_id", "at", "amount_usd"]
Change = tuple[str, int, int, int, float]  # kind, event_id, user_id, at, amount
Table = dict[int, tuple[int, int, float]]  # event_id to user_id, at, amount
Batches = list[tuple[int, list[Change]]]  # id and changes; an id that comes again is a replay
SLACK = 2.0


def features_and_seen(value: Any) -> str:
    """Return what is wrong when a value is no pair: a table of features, and a set of ids."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return f"expected a pair: features and seen; got {kind_of(value)}"
    if not isinstance(value[0], pd.DataFrame):
        return f"features: expected a DataFrame, got {kind_of(value[0])}"
    if sorted(map(str, value[0].columns)) != sorted(FEATURES):
        return f"features: expected the columns {FEATURES}, got {list(value[0].columns)}"
    if not value[0].index.is_unique:
        return "features: expected one row per user; a user has two"
    if not isinstance(value[1], (set, frozenset)):
        return f"seen: expected a set of batch ids, got {kind_of(value[1])}"
    return ""


def recomputed(table: Table) -> pd.DataFrame:
    """Return the features of all users from all rows, one row at a time."""
    found: dict[int, list[float]] = {}
    for event, (user, at, amount) in table.items():
        low, high, last, last_at, last_id = found.get(user, [amount, amount, amount, at, event])
        if (at, event) >= (last_at, last_id):
            last, last_at, last_id = amount, at, event
        found[user] = [min(low, amount), max(high, amount), last, last_at, last_id]
    return pd.DataFrame.from_dict(found, orient="index", columns=FEATURES).sort_index()


def apply(table: Table, changes: list[Change]) -> tuple[Table, list[float]]:
    """Return the table after some changes, and for each change the amount that was there before."""
    table, was = dict(table), []
    for kind, event, user, at, amount in changes:
        was.append(table[event][2] if event in table else np.nan)
        if kind == "delete":
            del table[event]
        else:
            table[event] = (user, at, amount)
    return table, was


class Run(NamedTuple):
    """How a stream ended: features, what they should be, rows read and needed per batch."""

    got: pd.DataFrame
    want: pd.DataFrame
    read: list[int]
    needed: list[int]
    rows: int

    @property
    def right(self) -> bool:
        """Whether the features are those of a recomputation."""
        got, want = self.got[FEATURES].sort_index(), self.want
        if list(got.index) != list(want.index):
            return False
        return np.allclose(got.astype(float), want.astype(float), equal_nan=True)


def run(refresh: Any, batches: Batches) -> Run:
    """Return how a learner's function fares on a stream of batches, from nothing."""
    table: Table = {}
    features, seen = pd.DataFrame(columns=FEATURES, dtype=float), set()  # type: ignore[var-annotated]
    features.index = features.index.astype("int64")
    sent: dict[int, pd.DataFrame] = {}
    read, needed, rows = [], [], 0
    for id, changes in batches:
        before = recomputed(table)
        if new := id not in sent:
            table, was = apply(table, changes)
            sent[id] = _as_frame(id, changes, was)
        counts: list[int] = []
        features, seen = refresh(features, seen, sent[id], _reader(table, counts))
        read.append(sum(counts))
        needed.append(_needed(before, table, sent[id]) if new else 0)
        rows += len(table)
    return Run(features, recomputed(table), read, needed, rows)


def _as_frame(id: int, changes: list[Change], was: list[float]) -> pd.DataFrame:
    rows = [(id, *change, old) for change, old in zip(changes, was, strict=True)]
    frame = pd.DataFrame(rows, columns=CHANGES)
    return frame.astype({"amount_usd": float, "was_usd": float})


def _reader(table: Table, counts: list[int]) -> Callable[[int], pd.DataFrame]:
    def read(user_id: int) -> pd.DataFrame:
        rows = [(event, *row) for event, row in table.items() if row[0] == user_id]
        counts.append(len(rows))
        return pd.DataFrame(rows, columns=ROWS)

    return read


def _needed(before: pd.DataFrame, table: Table, changes: pd.DataFrame) -> int:
    """Return the rows of users of whom something was taken away that a feature stood on."""
    users = set()
    twice = changes["event_id"].duplicated(keep=False)
    for change, again in zip(changes.itertuples(), twice, strict=True):
        if change.kind == "insert" and not again:
            continue
        if again or change.user_id not in before.index:
            users.add(change.user_id)
            continue
        low, high, _, _, last_id = before.loc[change.user_id]
        edge = not low < change.was_usd < high
        if edge or (change.kind == "delete" and change.event_id == last_id):
            users.add(change.user_id)
    return sum(row[0] in users for row in table.values())


class Story(NamedTuple):
    """A stream, what a wrong result costs, and the stories whose failure explains it too."""

    batches: Batches
    why: str
    unless: tuple[str, ...] = ()


START: list[Change] = [
    ("insert", 1, 7, 100, 20.0),
    ("insert", 2, 7, 200, 90.0),
    ("insert", 3, 7, 300, 50.0),
    ("insert", 4, 7, 400, 40.0),
    ("insert", 5, 8, 150, 60.0),
]
PLAIN, OLD, TIE = "five inserts", "an old row comes late", "two rows at the same moment"
GONE, FIXED, LAST = "the largest is deleted", "the largest is corrected", "the last is corrected"
REPLAY, ORDER = "a replay after a correction", "batch 3 comes before batch 2"


def stories(rng: np.random.Generator) -> dict[str, Story]:
    """Return streams with one difficulty each, their amounts stretched by a draw."""
    factor = float(rng.integers(2, 9))
    told = {**_added(), **_edges_taken(), **_last_taken(), **_delivered()}
    return {
        text: Story([(id, _stretched(c, factor)) for id, c in s.batches], s.why, s.unless)
        for text, s in told.items()
    }


def _stretched(changes: list[Change], factor: float) -> list[Change]:
    return [(kind, event, user, at, factor * usd) for kind, event, user, at, usd in changes]


def _added() -> dict[str, Story]:
    tie: list[Change] = [("insert", 11, 7, 400, 45.0), ("insert", 10, 7, 400, 55.0)]
    return {
        PLAIN: Story(
            [(1, START), (2, [("insert", 6, 7, 500, 30.0), ("insert", 9, 9, 500, 5.0)])],
            "Per user the smaller, the larger and the later of what is kept and what is new; a new "
            "user begins with the first row.",
        ),
        OLD: Story(
            [(1, START), (2, [("insert", 6, 7, 250, 70.0)])],
            "What arrives last has not happened last: a phone that was offline rewrites the newest "
            "purchase with an old one.",
            (PLAIN,),
        ),
        TIE: Story(
            [(1, START), (2, tie)],
            "At the same moment the larger event_id is the last one. Without a rule for ties the "
            "feature depends on the order of delivery, and no rerun gives it again.",
            (PLAIN, OLD),
        ),
    }


def _edges_taken() -> dict[str, Story]:
    """Return streams in which the smallest or the largest is taken away."""
    back = "The largest of what is left is not in what you kept: smallest, largest and last cannot "
    back += "be un-merged. A refund would stay the customer's largest purchase for ever."
    return {
        GONE: Story([(1, START), (2, [("delete", 2, 7, 200, 0.0)])], back, (PLAIN,)),
        FIXED: Story(
            [(1, START), (2, [("correct", 2, 7, 200, 30.0)])],
            "A correction is not one more row: the amount that was there before is no longer true, "
            "and a typing error with two zeros too many stays the largest for ever.",
            (PLAIN,),
        ),
        "the smallest is corrected": Story(
            [(1, START), (2, [("correct", 1, 7, 100, 45.0)])],
            "The smallest has an edge too: what it stood on was taken away.",
            (PLAIN, GONE, FIXED),
        ),
    }


def _last_taken() -> dict[str, Story]:
    """Return streams in which the last or the only row is taken away."""
    both: list[Change] = [("insert", 6, 7, 500, 99.0), ("delete", 6, 7, 500, 0.0)]
    return {
        LAST: Story(
            [(1, START), (2, [("correct", 4, 7, 400, 41.0)])],
            "The last row is still the last and has another amount: neither the smallest nor the "
            "largest moves, and the served value is the mistyped one.",
            (PLAIN, FIXED),
        ),
        "the last is deleted": Story(
            [(1, START), (2, [("delete", 4, 7, 400, 0.0)])],
            "The last row is gone, though it was neither smallest nor largest: which one is last "
            "now stands only in the table.",
            (PLAIN, GONE),
        ),
        "the only row of a user is deleted": Story(
            [(1, START), (2, [("delete", 5, 8, 150, 0.0)])],
            "A user without rows has no features. Kept, an erased customer is still served; as a "
            "row of missing values the next insert is compared with nothing.",
            (PLAIN, GONE),
        ),
        "a row comes and goes within one batch": Story(
            [(1, START), (2, both)],
            "The changes of a batch happen in its order: what was inserted and deleted in it was "
            "never there for anybody who looks afterwards.",
            (PLAIN, GONE),
        ),
    }


def _delivered() -> dict[str, Story]:
    """Return streams whose batches come again, or in another order."""
    fix: list[Change] = [("correct", 2, 7, 200, 30.0)]
    new: list[Change] = [("insert", 6, 7, 500, 95.0)]
    return {
        REPLAY: Story(
            [(1, START), (2, fix), (1, START)],
            "The replayed insert brings back the amount that was corrected since. Inserting twice "
            "looks harmless for a maximum, until something was taken away in between.",
            (PLAIN, FIXED),
        ),
        ORDER: Story(
            [(1, START), (3, new), (2, [("insert", 12, 8, 600, 10.0)])],
            "The highest id so far is no list of what has come: the batch that was overtaken is "
            "lost, and nobody notices.",
            (PLAIN,),
        ),
    }


@cache
def long_stream(seed: int) -> Batches:
    """Return fifty batches of everything at once, for one seed, made once."""
    rng = stream(seed, "exercise", "scale.3", "long")
    table: Table = {}
    batches: Batches = []
    for number in range(50):
        changes: list[Change] = []
        for place in range(24):
            changes.append(_a_change(rng, table, 24 * number + place))
            table, _ = apply(table, changes[-1:])
        batches.append((number + 1000 * int(rng.integers(0, 9)), changes))
        if number > 3 and rng.random() < 0.2:
            batches.append(batches[int(rng.integers(0, len(batches)))])
    return batches


def _a_change(rng: np.random.Generator, table: Table, event: int) -> Change:
    if len(table) > 40 and rng.random() < 0.12:
        old = int(rng.choice([*table]))
        user, at, _ = table[old]
        kind = "delete" if rng.random() < 0.4 else "correct"
        return kind, old, user, at, 0.0 if kind == "delete" else _usd(rng)
    late = int(rng.geometric(0.2)) if rng.random() < 0.3 else 0
    return "insert", event, int(rng.integers(0, 12)), event // 3 - late, _usd(rng)


def _usd(rng: np.random.Generator) -> float:
    return float(np.round(rng.lognormal(3.5, 0.8), 2))


@exercise(
    "scale.3",
    title="What was taken away",
    level=3,
    minutes=30,
    returns=features_and_seen,
    hints=[
        "Which changes can be answered from the five numbers you keep, and after which does the "
        "answer stand only in the table?",
        "An insert never needs the table. A correction or a deletion does when what it takes away "
        "was the smallest, the largest or the last; then read that one user.",
        "edge = not row['smallest'] < change.was_usd < row['largest']",
    ],
    praise="Your state follows corrections and deletions, and reads a user only when it must.",
)
def scale_3(refresh: Any) -> Iterator[Criterion]:
    """Features after each stream, against a recomputation; then how many rows were read for it."""
    failed: set[str] = set()
    runs = {}
    for text, story in stories(stream(learner_seed(), "exercise", "scale.3")).items():
        end = runs[text] = run(refresh, story.batches)
        again = failed & set(story.unless)
        failed |= set() if end.right else {text}
        why = "As above." if again else story.why
        yield expect(end.right, text, got=_shown(end.got), want=_shown(end.want), why=why)
    yield from _reading(runs)
    yield from _long(refresh, bool(failed))


def _shown(features: pd.DataFrame) -> dict[str, list[float]]:
    table = features[["smallest", "largest", "last"]].sort_index()
    return {str(user): [float(value) for value in row] for user, *row in table.itertuples()}


def _reading(runs: dict[str, Run]) -> Iterator[Criterion]:
    """Yield how many rows may be read where none, or one user's, are needed."""
    quiet = max(sum(runs[text].read) for text in (PLAIN, OLD, TIE, ORDER))
    yield expect(
        quiet == 0,
        "inserts alone: no row is read",
        got=quiet,
        want=0,
        why="An insert needs nothing but what you keep. A state that reads its users again for "
        "every insert is a full recomputation with more code.",
    )
    small = runs[LAST].read[-1]
    yield expect(
        small == 0,
        "a correction that no edge stands on: no row is read",
        got=small,
        want=0,
        why="As above."
        if quiet
        else "Most corrections take away nothing that a feature stands on: compare `was_usd` with "
        "what you keep before you read.",
    )
    yield from _reading_at_most_one(runs)


def _reading_at_most_one(runs: dict[str, Run]) -> Iterator[Criterion]:
    again, gone = runs[REPLAY].read[-1], runs[GONE].read[-1]
    why = "A batch that was taken already costs nothing: look at its id before you read."
    yield expect(again == 0, "a replayed batch: no row is read", got=again, want=0, why=why)
    yield expect(
        gone <= 3,
        "the largest of one user is deleted: this user's rows are read, once",
        got=gone,
        want="at most 3",
        why="One user lost the largest; the others did not change. Reading them all costs the "
        "whole table for each refund.",
    )


def _long(refresh: Any, failed: bool) -> Iterator[Criterion]:
    end = run(refresh, long_stream(learner_seed()))
    why = "Somewhere in fifty batches the features parted from the table."
    text = "fifty batches, everything at once: equal to a recomputation"
    differ = "the users differ"
    if set(end.got.index) == set(end.want.index):
        got = end.got[FEATURES].sort_index().astype(float)
        differ = f"{int((~np.isclose(got, end.want)).any(axis=1).sum())} users differ"
    yield expect(
        end.right, text, got=differ, want="0 users differ", why="As above." if failed else why
    )
    limit = int(SLACK * sum(end.needed))
    yield expect(
        sum(end.read) <= limit,
        f"and at most {limit} rows are read, of {end.rows} in fifty recomputations",
        got=sum(end.read),
        want=f"at most {limit}",
        why="It is right, and costs about what it was meant to save: read a user only when "
        "what a feature stood on was taken away.",
    )
