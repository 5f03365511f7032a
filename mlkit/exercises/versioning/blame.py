"""versioning.3: which of many changes between two versions of a table lost the score."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, a_set, exercise, expect, learner_seed
from mlkit.params import stream

CALLS, LOST = 18, 0.03  # trainings that one hunt may cost; what counts as lost
TWINS, STRONG = ("basket", "spend"), ("visits", "age")
NOISE = [f"extra_{i}" for i in range(1, 15)]
FEATURES = [*TWINS, *STRONG, *NOISE]
COLUMNS = ["row_id", "batch", *FEATURES, "label"]


def rows(rng: np.random.Generator, batch: str, *, n: int) -> pd.DataFrame:
    """Return rows of a batch: two columns say the same, two more count, the rest is noise."""
    table = pd.DataFrame(rng.normal(0, 1, (n, len(FEATURES))), columns=FEATURES)
    table["spend"] = table["basket"] + rng.normal(0, 0.05, n)
    truth = table["basket"] + table["visits"] + table["age"] + rng.normal(0, 0.5, n)
    table["label"] = np.where(truth > 0, 1, -1)
    table.insert(0, "batch", batch)
    return table


def score(table: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return the accuracy on the test rows of least squares that are fitted to the table."""
    x, y = table[FEATURES].to_numpy(float), table["label"].to_numpy(float)
    weights = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(len(FEATURES)), x.T @ y)
    return float(np.mean(np.sign(test[FEATURES].to_numpy() @ weights) == test["label"]))


class World(NamedTuple):
    """Two versions of a table, the rows to score on, and what is to blame."""

    before: pd.DataFrame
    after: pd.DataFrame
    test: pd.DataFrame
    blame: frozenset[str]


class Case(NamedTuple):
    """What is done to a table: columns shuffled, batches whose labels are turned or that go."""

    shuffled: tuple[str, ...] = ()
    turned: str = ""
    gone: str = ""
    why: str = ""


ROWS = "These are rows, not a column: a batch that came in, or that is gone, has no column that "
ROWS += "changed. Comparing the rows that both have shows nothing."
LABEL = "The label is a column like any other, and the model believes every word of it."
COLUMN = "One column among many. Undo half of the changes, train, and see in which half it is."
TOGETHER = "Each of the two alone is harmless: the model takes the other column, which says the "
TOGETHER += "same. Together they lose it, and whoever tries one change at a time finds nothing."
NONE = "Nothing was lost: much has changed, and nobody is to blame. An alarm on every difference "
NONE += "is switched off before the one that counts."
LARGEST = "The largest change is not the one that hurts: a column that the model does not use may "
LARGEST += "change as it likes."

CASES = {
    "one column, small, beside larger changes": Case(("visits",), why=f"{COLUMN} {LARGEST}"),
    "a batch that came in": Case(turned="b6", why=ROWS),
    "a batch that is gone": Case(gone="b3", why=ROWS),
    "the labels": Case(("label",), why=LABEL),
    "two columns that hurt only together": Case(TWINS, why=TOGETHER),
    "nothing was lost": Case(why=NONE),
    "one of the twins changed, and another column": Case(("basket", "age"), why=COLUMN),
}


@cache
def worlds(seed: int) -> dict[str, World]:
    """Return every case for one seed of a learner, made once."""
    rng = stream(seed, "exercise", "versioning.3")
    return {name: _world(case, rng) for name, case in CASES.items()}


def _world(case: Case, rng: np.random.Generator) -> World:
    known = [rows(rng, f"b{i}", n=30 if i == 5 else 150) for i in range(1, 6)]
    known[2] = pd.concat([known[2], rows(rng, "b3", n=150)])
    before = pd.concat(known, ignore_index=True)
    if case.gone:  # the age is known in this batch only, as a constant elsewhere
        before.loc[before["batch"] != case.gone, "age"] = 0.0
    new = [rows(rng, name, n=30 if name != case.turned else 1400) for name in ("b6", "b7")]
    added = pd.concat(new, ignore_index=True)
    added["age"] *= 0.0 if case.gone else 1.0
    added["label"] *= np.where(added["batch"] == case.turned, -1, 1)
    lost = case.gone or "b5"
    after = _changed(before[before["batch"] != lost], case.shuffled, rng)
    numbers = rng.permutation(len(before) + len(added)) + 1000
    before.insert(0, "row_id", numbers[: len(before)])
    after.insert(0, "row_id", before.loc[after.index, "row_id"])
    added.insert(0, "row_id", numbers[len(before) :])
    after = pd.concat([after, added], ignore_index=True)
    names = rng.permutation(len(after))
    blame = {*case.shuffled, case.turned, case.gone} - {""}
    blame -= {"basket"} if "age" in blame else set()
    after = after.iloc[names].reset_index(drop=True)
    return World(before[COLUMNS], after[COLUMNS], rows(rng, "test", n=1500), frozenset(blame))


def _changed(
    table: pd.DataFrame, shuffled: tuple[str, ...], rng: np.random.Generator
) -> pd.DataFrame:
    """Return a table with harmless changes everywhere, and some columns shuffled."""
    new = table.copy()
    for column in NOISE:
        new[column] = new[column] * 3 + rng.normal(0, 1, len(new))
    spare = [c for c in (*TWINS, *STRONG) if c not in shuffled][:1]
    for column in spare:
        new[column] += rng.normal(0, 0.05, len(new))
    for column in shuffled:
        turned = column == "label"
        new[column] = -new[column] if turned else rng.permutation(new[column].to_numpy())
    return new


@exercise(
    "versioning.3",
    title="Which change was it?",
    level=3,
    minutes=30,
    returns=a_set,
    hints=[
        "If half of the changes are made to the old table and the score is still good, where is "
        "the one you look for? And if two are needed?",
        "List the changes first: columns whose values differ in rows that both have, batches that "
        "only one has. Write a function that makes any set of them to the old table. Then look for "
        "the shortest beginning of the list with which the score is lost: its last change is to "
        "blame. Keep that one in, and look again.",
        "while low < high: middle = (low + high) // 2; ...",
    ],
    praise="Two versions apart by many changes, and a handful of trainings names the one.",
)
def versioning_3(blame: Any) -> Iterator[Criterion]:
    """Changes that lost the score, in few trainings: a column, rows, two together, none."""
    told: set[str] = set()
    for name, world in worlds(learner_seed()).items():
        calls: list[int] = []
        got = blame(world.before, world.after, _scorer(world.test, calls))
        why = _why(CASES[name], got, world)
        ok = got == world.blame
        yield expect(
            ok,
            name,
            got=_text(got),
            want=_text(world.blame),
            why="As above." if why in told else why,
        )
        told |= set() if ok else {why}
        few = len(calls) <= CALLS
        yield expect(
            few,
            f"{name}: at most {CALLS} trainings",
            got=len(calls),
            want=f"at most {CALLS}",
            why="As above." if BUDGET in told else BUDGET,
        )
        told |= set() if few else {BUDGET}


BUDGET = "One training for every change: here there are few, and a training takes a second. Halve "
BUDGET += "the changes instead, and a thousand of them take a dozen."
ALL = "Everything that changed is to blame, so nothing is: the smallest set that loses the score "
ALL += "is what somebody can go and repair."


def _scorer(test: pd.DataFrame, calls: list[int]) -> Callable[[pd.DataFrame], float]:
    def train_and_score(table: pd.DataFrame) -> float:
        calls.append(1)
        return score(table, test)

    return train_and_score


def _why(case: Case, got: Any, world: World) -> str:
    return ALL if world.blame and got > world.blame and len(got) > 3 else case.why


def _text(names: Any) -> str:
    return " and ".join(sorted(names)) or "nothing"
