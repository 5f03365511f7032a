"""governance.1: which readers a new promise breaks, each by what it relies on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, a_set, exercise, expect, seeded

USES = ["reader", "column", "least", "most", "copes_with_gaps"]
PROMISES = ["column", "least", "most", "gaps"]
INF = float("inf")


def uses_of(*rows: tuple[str, str, float, float, bool]) -> pd.DataFrame:
    """Return what readers rely on, one row per reader and column."""
    return pd.DataFrame(list(rows), columns=USES)


def promises_of(*rows: tuple[str, float, float, bool]) -> pd.DataFrame:
    """Return what is promised, one row per column."""
    return pd.DataFrame(list(rows), columns=PROMISES)


def by_loop(uses: pd.DataFrame, promises: pd.DataFrame) -> set[str]:
    """Return the readers that may be sent something they do not cope with."""
    promised = {row.column: row for row in promises.itertuples()}
    broken = set()
    for use in uses.itertuples():
        if use.column not in promised:
            broken.add(use.reader)
            continue
        promise = promised[use.column]
        inside = promise.least >= use.least and promise.most <= use.most
        if not inside or (promise.gaps and not use.copes_with_gaps):
            broken.add(use.reader)
    return broken


SOUND = "Whatever may come is something the reader copes with: it has nothing to do."
NARROW = (
    "The new promise is tighter than what the reader copes with, so nothing can come that it does "
    "not expect. Block tighter promises too and no owner will ever tighten one."
)
OVERLAP = (
    "That both ranges have values in common is not enough: one value that may come and is not "
    "expected, and the reader fails on the day on which it comes. Ask for a part of, not for "
    "an overlap."
)
BOTH = "Look at both ends: it is the new least that this reader does not expect."
GONE = (
    "A column that is no longer promised breaks all who read it. An inner join drops these rows "
    "before anybody has looked at them."
)
GAPS = (
    "Values may be missing from now on, and this reader does not cope with it: it adds up, or "
    "stops."
)
NO_GAPS = (
    "No value is missing by promise: whether the reader would cope with gaps is of no concern then."
)
SOME = (
    "A reader that reads two columns is broken by one of them: it is enough that one use fails, "
    "not all of them."
)
EQUAL = "The same bounds as before are kept bounds: at most means up to and with."
MANY = "All of it at once, drawn."


@exercise(
    "governance.1",
    title="Whom does it break?",
    level=1,
    minutes=8,
    returns=a_set,
    hints=[
        "A reader copes with amounts from 0 to 500. Is it in danger when 10 to 100 are promised?",
        "First blank: for each use, the least and the most that may come lie within what the "
        "reader copes with, and so do gaps. After the join a column that is gone has NaN, and no "
        "comparison with NaN is true.",
        "fine = (both['least_new'] >= both['least']) & ... & (both['copes_with_gaps'] | ...)",
    ],
    praise="You judge a change by what each reader relies on, not by how it looks to the owner.",
)
def governance_1(broken_readers: Any) -> Iterator[Criterion]:
    """Readers by what they cope with: tighter, wider, moved, gone, gaps, several columns."""
    rng = seeded("governance.1")
    low, high = int(rng.integers(5, 50)), int(rng.integers(200, 900))
    one = ("model", "amount", 0.0, float(high), False)
    for text, uses, promises, why in (
        ("the same promise as before", [one], [("amount", 0, high, False)], EQUAL),
        ("a tighter promise", [one], [("amount", low, high - 50, False)], NARROW),
        ("larger values may come", [one], [("amount", 0, high + 1, False)], OVERLAP),
        ("smaller values may come", [one], [("amount", -low, high, False)], BOTH),
        ("the column is not promised any more", [one], [("price", 0, high, False)], GONE),
        ("values may be missing", [one], [("amount", 0, high, True)], GAPS),
        *_several(low, high),
    ):
        yield _held(broken_readers, text, uses_of(*uses), promises_of(*promises), why)
    yield _held(broken_readers, "forty readers", *_drawn(rng), MANY)


def _several(low: int, high: int) -> Iterator[tuple[str, list, list, str]]:
    careful = ("report", "amount", -INF, INF, True)
    yield (
        "a reader that copes with everything",
        [careful],
        [("amount", low, high, True), ("note", 0, 1, False)],
        SOUND,
    )
    yield (
        "a reader that copes with gaps, and none come",
        [("report", "amount", 0, high, True)],
        [("amount", low, high, False)],
        NO_GAPS,
    )
    two = [("model", "amount", 0, high, True), ("model", "age", 18, 99, True), careful]
    yield (
        "a reader of two columns, one of which breaks it",
        two,
        [("age", 0, 99, False), ("amount", 0, high, False)],
        SOME,
    )


def _held(
    answer: Any, text: str, uses: pd.DataFrame, promises: pd.DataFrame, why: str
) -> Criterion:
    got, want = answer(uses, promises), by_loop(uses, promises)
    return expect(got == want, text, got=_text(got), want=_text(want), why=why)


def _text(readers: Any) -> str:
    return ", ".join(sorted(readers)) or "nobody"


def _drawn(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = list("abcdefgh")
    promises = pd.DataFrame({"column": columns, "least": rng.integers(0, 9, 8) * 10.0})
    promises["most"] = promises["least"] + rng.integers(5, 20, 8) * 10
    promises["gaps"] = rng.random(8) < 0.4
    pairs = [(f"r{i}", column) for i in range(40) for column in rng.choice(columns, 2, False)]
    uses = pd.DataFrame(pairs, columns=["reader", "column"])
    uses["least"] = rng.choice([-INF, 0, 10, 40], len(uses), p=[0.4, 0.3, 0.2, 0.1])
    uses["most"] = rng.choice([INF, 300, 200], len(uses), p=[0.6, 0.3, 0.1])
    uses["copes_with_gaps"] = rng.random(len(uses)) < 0.7
    return uses.iloc[rng.permutation(len(uses))].reset_index(drop=True), promises.iloc[1:]
