"""Exercise 2: a join on two clocks, an experiment of two splits, an audit of a training set."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import (
    Criterion,
    a_frame,
    a_series,
    bet,
    exercise,
    expect,
    learner_seed,
    quiz,
)
from mlkit.exercises.ex2 import clocks, splits, states
from mlkit.exercises.ex2.clocks import Built, built, shares_by_loop
from mlkit.params import stream

TOGETHER = "500 random requests with ties and late rows, equal to a loop over rows"


@cache
def histories(seed: int) -> dict[str, tuple[pd.DataFrame, pd.DataFrame, pd.Series]]:
    """Return events, requests and the true states: one edge each, then all together."""
    rng = stream(seed, "exercise", "ex2.1")
    found = {name: states.edge(name, rng) for name in states.EDGES}
    found[TOGETHER] = states.tangled(rng)
    return {name: (*case, states.by_loop(*case)) for name, case in found.items()}


@exercise(
    "ex2.1",
    title="A join on two clocks",
    level=3,
    minutes=30,
    returns=a_series,
    hints=[
        "For one request: which rows count at that moment on both clocks, and which is the newest?",
        "Pair every request with all rows of its user; keep, then order, then choose; requests "
        "without a row must come back at the end, and in their place.",
        "known = pairs[(pairs['event_ts'] <= pairs['asked_ts']) & (pairs['known_ts'] <= "
        "pairs['asked_ts'])].sort_values(['event_ts', 'seq']).drop_duplicates('row', keep='last')",
    ],
    praise="Ties, late rows, corrections, announcements: your join holds what was known, no more.",
)
def ex2_1(asof: Any) -> Iterator[Criterion]:
    """The state as of each request, held to a loop over rows, one edge at a time."""
    for name, (events, requests, want) in histories(learner_seed()).items():
        got = asof(events, requests)
        placed = got.index.equals(want.index)
        wrong = ~np.isclose(got, want, equal_nan=True) if placed else np.ones(len(want), bool)
        yield expect(
            not wrong.any(),
            name,
            got=got[wrong].tolist()[:6] if placed else f"index {got.index.tolist()[:6]}",
            want=want[wrong].tolist()[:6] if placed else f"index {want.index.tolist()[:6]}",
            why=_why_state(name, got[wrong], want[wrong]) if placed else _why_index(got, want),
        )


def _why_index(got: pd.Series, want: pd.Series) -> str:
    if len(got) < len(want):
        return f"{len(want) - len(got)} requests have no answer. {states.EDGES[states.NOBODY].why}"
    return f"The index is not that of the requests. {states.EDGES[states.IN_ORDER].why}"


def _why_state(name: str, got: pd.Series, want: pd.Series) -> str:
    if name not in states.EDGES:
        return (
            "Every edge alone is right, and together they are not: compare with a loop over the "
            "requests, one row at a time."
        )
    edge = states.EDGES[name]
    nothing = len(got) and (got.isna() & want.notna()).all()
    return edge.missing if edge.missing and nothing else edge.why


@exercise(
    "ex2.2",
    title="Two splits and a replay",
    level=3,
    minutes=25,
    returns=a_frame(*splits.COLUMNS),
    hints=[
        "Of each score: what did the model learn from, what is it fed, and on which rows?",
        "Six scores are three pairs of rows: who is in training, who in the test, and from which "
        "column each side takes x. Only the replay takes x from two columns.",
        "score(train[['table', 'label']].set_axis(['x', 'label'], axis=1), "
        "test[['as_of', 'label']].set_axis(['x', 'label'], axis=1))",
    ],
    praise="You can tell a score that production keeps from one that it cannot keep.",
)
def ex2_2(compare: Any) -> Iterator[Criterion]:
    """Six scores of two features: each column held to the experiment, mistakes told by value."""
    rows, cut = splits.case(learner_seed())
    got = compare(rows, cut, splits.closeness)
    shape = sorted(map(str, got.index)) == sorted(splits.FEATURES)
    yield expect(
        shape,
        "one row for each feature",
        got=got.index.tolist(),
        want=splits.FEATURES,
        why="The index of the frame says which feature a score belongs to.",
        points=0,
    )
    if not shape:
        return
    want, said = splits.experiment(rows, cut, splits.closeness), ""
    for column, text in COLUMNS.items():
        mine, true = got.loc[splits.FEATURES, column].astype(float), want[column]
        why = " Or: ".join(splits.named(rows, cut, column, mine)) or WHY[column]
        yield expect(
            np.allclose(mine, true, rtol=0, atol=1e-9),
            text,
            got=mine.round(5).to_dict(),
            want=true.round(5).to_dict(),
            why="As above." if why == said else why,
        )
        said = why


COLUMNS = {
    "random": "random: trained where draw is below 0.7, tested on the others",
    "temporal": "temporal: trained on what was known at the cut, tested on what was asked from "
    "then on",
    "replay": "replay: the models of the temporal split, fed with the value as of the request",
}
WHY = {
    "random": "Look at the draw of each row, and at all rows: each is on one side.",
    "temporal": "Training ends where labels were known by the cut; the test begins at the cut.",
    "replay": "Same model, same test rows as in the temporal split; only what it is fed changes.",
}


@cache
def training_sets(seed: int) -> list[Built]:
    """Return the training sets of the audit: honest ones, then leaks one at a time, then many."""
    rng = stream(seed, "exercise", "ex2.3")
    found = [
        built(text, why, rng, *columns)
        for text, (columns, why) in {**clocks.SILENT, **clocks.LEAKS}.items()
    ]
    every = [column for columns, _ in clocks.LEAKS.values() for column in columns]
    mixed = [every[i] for i in rng.permutation(len(every))[:6]]
    return [*found, built("six columns at once", "Look at each column by itself.", rng, *mixed)]


@cache
def audits(seed: int) -> list[tuple[Built, pd.Series]]:
    """Return each training set of the audit with the true shares."""
    return [(each, shares_by_loop(each.training, each.history)) for each in training_sets(seed)]


@exercise(
    "ex2.3",
    title="What nobody could have known",
    level=3,
    minutes=25,
    returns=a_series,
    hints=[
        "What would have to be in the history, and by when, for a value to be possible?",
        "For each row and column: is there any row of this user and feature that holds this value "
        "and was known by then? When was each value known first?",
        "first = history.groupby(['user_id', 'feature', 'value'])['known_ts'].min()",
    ],
    praise="You can audit a training set that others built, without the code that built it.",
)
def ex2_3(impossible: Any) -> Iterator[Criterion]:
    """Share of impossible values by column: silent on honest sets, exact on leaks."""
    for each, want in audits(learner_seed()):
        got = impossible(each.training, each.history)
        names = sorted(map(str, got.index)) == sorted(want.index)
        same = names and np.allclose(got[want.index], want, rtol=0, atol=1e-9)
        yield expect(
            same,
            each.text,
            got=got.round(3).to_dict(),
            want=want.round(3).to_dict(),
            why=each.why
            if names
            else "One share for each feature: every column but user_id and "
            "asked_ts, also where nothing is wrong.",
        )


quiz(
    "ex2.q1",
    "A feature holds the future. The test is moved to the newest two months. Its score",
    right="b",
    a=(
        "falls to what production will get",
        "The test rows read the same finished table: they hold the future as well.",
    ),
    b=(
        "still promises more than production gets",
        "Right: a split chooses rows. What is wrong here stands in a column of every row.",
    ),
    c=(
        "falls, because the world has changed",
        "It may, or it may rise; either way the same column flatters it.",
    ),
)
quiz(
    "ex2.q2",
    "A feature store joins, for each request, the last row with an event time before it. A value "
    "of March 3 was corrected on March 20, under its old event time. A training row of March 10",
    right="c",
    a=(
        "gets the old value: the store is point-in-time correct",
        "By event time only. When a row became known is a second clock that has to be asked for.",
    ),
    b=(
        "gets nothing: the correction is newer than the request",
        "By the clock of the join it is not: it carries March 3.",
    ),
    c=(
        "gets the correction, ten days before anybody knew it",
        "Right: event time alone lets corrections and late rows into the past.",
    ),
)
bet(
    "ex2.b1",
    "What does the feature from the finished report score when the test comes after the training?",
    usual="to expect that a split in order of time exposes the leak. It moves rows; the future "
    "stands in a column, in the test rows too. Only a replay as of the request takes it out.",
)
