"""Exercise 1: an offline builder, a parity check for real logs, an integration test."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import (
    Criterion,
    a_bool,
    a_frame,
    a_set,
    bet,
    exercise,
    expect,
    learner_seed,
    quiz,
)
from mlkit.exercises.ex1.logs import Pair, atlas, healthy_pairs, unseen
from mlkit.exercises.ex1.paths import (
    BAD,
    COLUMNS,
    EDGES,
    by_loop,
    by_merge,
    edge,
    from_the_back,
    history,
)
from mlkit.params import stream


def _equal(got: pd.DataFrame, want: pd.DataFrame) -> str:
    """Return the first column of a built table that is not as wanted, or nothing."""
    if got["request_id"].tolist() != want["request_id"].tolist():
        return "request_id"
    for name in COLUMNS:
        mine, true = (pd.to_numeric(t[name], errors="coerce").to_numpy(float) for t in (got, want))
        if not np.allclose(mine, true, rtol=1e-9, equal_nan=True):
            return name
    return ""


@cache
def cases(seed: int) -> dict[str, tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """Return purchases, requests and the true features: one edge each, then all together."""
    rng = stream(seed, "exercise", "ex1.1")
    found = {name: edge(name, rng) for name in EDGES}
    found["all of it together, equal to a loop over rows"] = history(rng, n_users=30)
    return {name: (*case, by_loop(*case)) for name, case in found.items()}


@exercise(
    "ex1.1",
    title="The offline builder",
    level=3,
    minutes=30,
    returns=a_frame("request_id", *COLUMNS),
    hints=[
        "For one request: which rows could anybody have seen at that moment, on both clocks?",
        "Pair every request with all purchases of its user, keep what was known, then group by "
        "request; requests without a pair must come back at the end.",
        "pairs = requests.merge(purchases, on='user_id').query('event_ts < asked_ts and "
        "arrived_ts <= asked_ts')",
    ],
    praise="The training path is yours: every feature as of its request, none from the future.",
)
def ex1_1(build: Any) -> Iterator[Criterion]:
    """Features as of each request, held to a loop over rows, one edge at a time."""
    for name, (purchases, requests, want) in cases(learner_seed()).items():
        got = build(purchases, requests)
        wrong = _equal(got, want)
        shown = [] if wrong in ("", "request_id") else [wrong]
        yield expect(
            not wrong,
            name,
            got={c: got[c].tolist()[:6] for c in shown} if shown else wrong or None,
            want={c: want[c].tolist()[:6] for c in shown} if shown else wrong or None,
            why=EDGES[name].why
            if name in EDGES
            else "Every edge alone is right, and together they "
            "are not: compare with a loop over the requests, one row at a time.",
        )


@exercise(
    "ex1.2",
    title="The parity check",
    level=3,
    minutes=40,
    returns=a_set,
    hints=[
        "What may differ between two honest records of the same request, and what may not?",
        "First make the log comparable (retries, types, order), then compare pair by pair, feature "
        "by feature: one side missing, or further apart than one part in a thousand.",
        "both = recomputed.merge(served.drop_duplicates(), how='outer', on=['user_id', "
        "'asked_at'], suffixes=('', '_served'), indicator=True)",
    ],
    praise="It is silent on a healthy log and finds what the lesson never showed you.",
)
def ex1_2(parity_check: Any) -> Iterator[Criterion]:
    """Silent on every healthy pair, exact on every skew of the atlas and on others."""
    seed = learner_seed()
    for pair in (*healthy_pairs(seed), *unseen(seed)):
        yield _names(parity_check, pair)
    missed = {p.name: parity_check(p.served, p.recomputed) for p in atlas(seed)}
    wrong = [p.name for p in atlas(seed) if missed[p.name] != p.want]
    yield expect(
        not wrong,
        f"names the features of all {len(missed)} skews of the lesson's atlas, and no others",
        got=", ".join(f"{name}: {', '.join(sorted(missed[name])) or 'nothing'}" for name in wrong),
        want=", ".join(
            f"{p.name}: {', '.join(sorted(p.want))}" for p in atlas(seed) if p.name in wrong
        ),
        why="Compare each feature of each pair by itself: one window, unit or clock moves some "
        "features and leaves others alone.",
    )


def _names(parity_check: Any, pair: Pair) -> Criterion:
    got = parity_check(pair.served, pair.recomputed)
    return expect(got == pair.want, pair.name, got=got, want=pair.want, why=pair.why)


@exercise(
    "ex1.3",
    title="The integration test",
    level=3,
    minutes=20,
    returns=a_bool,
    hints=[
        "Which customer would tell this wrong service from a right one?",
        "A service is wrong at an edge: no purchase at all, one at the very moment, one that "
        "arrived late, one that is just too old, more than thirty in thirty days. Make one each.",
        "a, b = build(purchases, requests), serve(purchases, requests).set_index('request_id')"
        ".loc[requests['request_id']].reset_index()",
    ],
    praise="A test that runs on every change, and knows the customers who break services.",
)
def ex1_3(paths_agree: Any) -> Iterator[Criterion]:
    """True for a service written differently, False for each that is wrong at one edge."""
    for name, right in {"in loops": by_loop, "by merging": by_merge}.items():
        yield expect(
            paths_agree(by_loop, right) == True,  # noqa: E712
            f"a right service, written {name}, is let through",
            got="refused",
            want="let through",
            why="Missing on both sides is agreement, and numbers may differ in the last bit. A "
            "test that refuses right code is deleted within a week.",
        )
    yield expect(
        paths_agree(by_loop, from_the_back) == True,  # noqa: E712
        "a right service may answer in another order",
        got="refused",
        want="let through",
        why="Pair the answers by request_id, not by their position.",
    )
    for name, (serve, why) in BAD.items():
        yield expect(
            paths_agree(by_loop, serve) == False,  # noqa: E712
            f"a service that is wrong is refused: {name}",
            got="let through",
            want="refused",
            why=why,
        )


quiz(
    "ex1.q1",
    "Both paths now read one feature store. Parity of served and recomputed features",
    right="b",
    a=(
        "can be switched off",
        "The store holds what a job wrote last. When the job fails, both paths are one definition "
        "and the values are old.",
    ),
    b=(
        "still has to be watched, and the age of the values too",
        "Right: a store ends one cause, different code, and leaves time, sources and renames.",
    ),
    c=(
        "is the same number by construction",
        "Only the definition is shared: rows, clock and cache are not.",
    ),
)
quiz(
    "ex1.q2",
    "Production is back at its old accuracy after your repair. What proves that the skew is gone?",
    right="c",
    a=(
        "the accuracy",
        "In a stationary world it never fell, and elsewhere it moves for other reasons.",
    ),
    b=(
        "the offline score, which is as high as before",
        "It was as high while the skew was there: it never looks at the serving path.",
    ),
    c=(
        "parity that is silent, and fires when you put the fault back",
        "Right: a check that was never seen red proves nothing.",
    ),
)
bet(
    "ex1.b1",
    "What share of the offers was served another value of its worst feature?",
    usual="to think of a fault as an exception. A wrong definition touches nearly everybody; who "
    "is harmed by it is another question.",
)
