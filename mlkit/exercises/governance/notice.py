"""governance.2: how many days of notice a change needs, from who reads whom and who moves when."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, a_number, exercise, expect, seeded

Reader = tuple[str, int, int]  # name, days of work, days between releases


def tables(
    edges: list[tuple[str, str]], readers: list[Reader], rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return who reads what, and what each reader needs, both in no order."""
    reads = pd.DataFrame(edges, columns=["source", "target"])
    needs = pd.DataFrame(readers, columns=["name", "work", "every"])
    shuffled = [
        table.iloc[rng.permutation(len(table))].reset_index(drop=True) for table in (reads, needs)
    ]
    return shuffled[0], shuffled[1]


def by_recursion(edges: pd.DataFrame, readers: pd.DataFrame, column: str) -> int:
    """Return the day of the last release, each reader after all it reads of what is reached."""
    needs = {row.name: (row.work, row.every) for row in readers.itertuples(index=False)}
    sources = edges.groupby("target")["source"].agg(list).to_dict()

    @cache
    def released(name: str) -> int | None:
        if name == column:
            return 0
        before = [day for s in sources.get(name, []) if (day := released(s)) is not None]
        if not before:
            return None
        work, every = needs[name]
        return -(-(max(before) + work) // every) * every

    return max([0, *(day for name in needs if (day := released(name)) is not None)])


NOBODY = "Nobody reads it: no notice is owed. A habit of two weeks would hold this change up."
ROUND = (
    "The work is done before the next release, and the reader changes with the release: until then "
    "it runs the old code. Round each day up to the reader's own calendar."
)
ON_TIME = "Done on the very day of a release is in time for it."
FAR = (
    "A reader of a reader is hit too: two weeks for those who read the column, and the report "
    "behind them fails in silence. Follow the edges to the end."
)
STEPS = (
    "Round at every step: the second reader begins when the first is released, not when its work "
    "is done. Adding up the work and rounding once promises a day that nobody keeps."
)
BESIDE = (
    "Two readers that do not read each other work side by side: the notice is the longer of the "
    "two, not the sum."
)
LAST = (
    "It reads two things that change: it can begin when the later of them is released. Begin with "
    "the earlier and it works against something that is still to change."
)
OTHER = (
    "What the change does not reach has nothing to do: its work is not part of the notice, and "
    "whoever reads it besides does not wait for it."
)
MANY = "All of it at once: many readers, drawn."


@exercise(
    "governance.2",
    title="How long a notice?",
    level=2,
    minutes=20,
    returns=a_number,
    hints=[
        "A dashboard reads a model that reads the column. On which day can the dashboard begin?",
        "Give every reader a day of release. It follows from the latest release among what it "
        "reads and the change reaches. Ask for the day of a reader and let that ask for theirs, or "
        "go over the edges again until no day moves.",
        "day = -(-(max(before) + work) // every) * every",
    ],
    praise="Your notice follows from who reads whom, and is as long as it has to be.",
)
def governance_2(notice: Any) -> Iterator[Criterion]:
    """Days of notice: nobody, one, chains, side by side, waiting for the last, and what is not."""
    rng = seeded("governance.2")
    for text, (edges, readers), why in _stories(rng):
        table, needs = tables(edges, readers, rng)
        got, want = notice(table, needs, "amount"), by_recursion(table, needs, "amount")
        yield expect(got == want, text, got=got, want=want, why=why)


def _stories(rng: np.random.Generator) -> Iterator[tuple[str, tuple[list, list], str]]:
    work, every = int(rng.integers(2, 7)), int(rng.choice([10, 14]))
    model, report = ("model", work, every), ("report", work + 1, 7)
    both = [model, report]
    other = [("channel", "pos"), ("pos", "cash"), ("cash", "report")]
    slow = [("pos", 40, 30), ("cash", 25, 30)]
    yield "nobody reads it", ([("channel", "pos")], [("pos", 5, 7)]), NOBODY
    yield "one reader, with a release to wait for", ([("amount", "model")], [model]), ROUND
    yield (
        "one reader, done on the day of a release",
        ([("amount", "model")], [("model", every, every)]),
        ON_TIME,
    )
    yield "a reader of a reader", ([("amount", "model"), ("model", "report")], both), FAR
    steps = [("amount", "a"), ("a", "b"), ("b", "c")]
    yield (
        "three in a row, each with its releases",
        (steps, [("a", 1, 7), ("b", 1, 7), ("c", 1, 7)]),
        STEPS,
    )
    yield "two side by side", ([("amount", "model"), ("amount", "report")], both), BESIDE
    wait = [("amount", "model"), ("amount", "tax"), ("tax", "books"), ("books", "report")]
    wait += [("model", "report")]
    late = [*both, ("tax", 9, 10), ("books", 12, 10)]
    yield "a reader that waits for two", (wait, late), LAST
    yield (
        "something slow that is not reached",
        ([("amount", "report"), *other], [report, *slow]),
        (OTHER),
    )
    yield "many readers", _drawn(rng), MANY


def _drawn(rng: np.random.Generator, n: int = 16) -> tuple[list, list]:
    names = [f"r{i}" for i in rng.permutation(n)]
    nodes = ["amount", "channel", *names]
    edges = {
        (nodes[int(rng.integers(0, place + 2))], name)
        for place, name in enumerate(names)
        for _ in range(2)
    }
    readers = [(name, int(rng.integers(0, 9)), int(rng.choice([1, 7, 14]))) for name in names]
    return sorted(edges), readers
