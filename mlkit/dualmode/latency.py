"""What one charge costs, part by part: where the milliseconds of an answer go."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlkit.dualmode.events import parse_charge
from mlkit.dualmode.scorer import NAMES, Scorer, to_event

PARTS = ["parse", "append", "features", "update", "score"]


def parts(
    scorer: Scorer, bodies: Iterable[bytes], *, clock: Callable[[], float] = time.perf_counter
) -> pd.DataFrame:
    """Return the milliseconds of each part of each answer: the steps of `Scorer.charge`, timed.

    Parameters
    ----------
    scorer: as in production; the charges are stored in its log and in its state
    bodies: charges that it does not know yet, in order of arrival
    clock: in seconds

    Returns
    -------
    One row per charge: parse, append (until the disk has it), features, update, score.
    """
    rows = []
    for raw in bodies:
        times = [clock()]
        charge = parse_charge(raw, now_us=scorer.now(), limits=scorer.limits)
        times.append(clock())
        scorer.log.append(to_event(charge))
        times.append(clock())
        card = scorer.card(charge.user_id)
        features = card.features(charge)
        times.append(clock())
        card.update(charge)
        times.append(clock())
        scorer.score(features)
        times.append(clock())
        rows.append(times)
    return pd.DataFrame(1e3 * np.diff(rows, axis=1), columns=PARTS)


def each(
    work: Callable[[Any], Any],
    things: Iterable[Any],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Return the milliseconds of one call per thing, shape (n,)."""
    taken = []
    for thing in things:
        begin = clock()
        work(thing)
        taken.append(clock() - begin)
    return 1e3 * np.array(taken)


def summary(taken: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return p50 and p99 of each row of milliseconds."""
    quantiles = {name: np.quantile(ms, [0.5, 0.99]) for name, ms in taken.items()}
    return pd.DataFrame(quantiles, index=["p50", "p99"]).T


def small_forest(X: pd.DataFrame, y: pd.Series, *, trees: int = 100) -> Any:
    """Return a forest of full trees for comparison, missing features as -1."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    forest = RandomForestClassifier(trees, random_state=0, n_jobs=1)
    fill = SimpleImputer(strategy="constant", fill_value=-1.0)
    return make_pipeline(fill, forest).fit(X[list(NAMES)], y)
