"""Was this row in the training data? What a model gives away about who it learned from."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.model import plain_model
from mlkit.params import checked

Models = Annotated[int, Interval(ge=6, le=1000)]
Rate = Annotated[float, Interval(gt=0, lt=1)]
EVEN = 0.01  # confidences are held this far from 0 and 1, where log-odds are endless


class Runs(NamedTuple):
    """Models of random halves: which rows each has seen, and how sure it is of the right answer.

    Both arrays have the shape (models, rows). Models 2i and 2i + 1 share the rows among them.
    """

    members: np.ndarray
    sure: np.ndarray


def learners() -> dict[str, Callable[[], Any]]:
    """Return makers of models that know their training rows less or more by heart."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    boosting = partial(HistGradientBoostingClassifier, early_stopping=False, random_state=0)
    forest = partial(RandomForestClassifier, 40, random_state=0)
    return {
        "logistic regression": plain_model,
        "small boosting": partial(boosting, max_iter=60, max_depth=3),
        "forest, 20 rows a leaf": partial(forest, min_samples_leaf=20),
        "deep boosting": partial(boosting, max_iter=150, min_samples_leaf=5),
        "full forest": forest,
    }


@checked
def shadows(
    make: Callable[[], Any],
    X: np.ndarray,
    y: np.ndarray,
    *,
    rng: np.random.Generator,
    models: Models = 16,
) -> Runs:
    """Return models of random halves of the rows: the attacker's, of whom each is once attacked.

    Parameters
    ----------
    make: returns an unfitted model
    X, y: features, shape (rows, features), and answers, shape (rows,), bool
    models: how many; an odd one is left out

    Source: Carlini and others, Membership inference attacks from first principles (2022).
    """
    half = [rng.permutation(len(y)) < len(y) // 2 for _ in range(models // 2)]
    members = np.array([side for one in half for side in (one, ~one)])
    return Runs(members, np.array([sure(make().fit(X[m], y[m]), X, y) for m in members]))


def sure(model: Any, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the probability that a model gives to the right answer of each row."""
    return model.predict_proba(X)[np.arange(len(y)), y.astype(int)]


def log_odds(sure: np.ndarray) -> np.ndarray:
    """Return log-odds of confidences, which lie more like a bell than the confidences do."""
    return np.log((sure + EVEN) / (1 - sure + EVEN))


def one_threshold(runs: Runs, target: int) -> np.ndarray:
    """Return the suspicion of the simple attack, by row: the surer the model, the likelier seen."""
    return runs.sure[target]


def by_row(
    runs: Runs, target: int, *, sure: np.ndarray | None = None, apart: int | None = None
) -> np.ndarray:
    """Return the suspicion by row: is the model as sure as those that saw it, or as the others?

    The other models say, for each row by itself, how sure a model is that has seen the row and
    one that has not: two bells, whose likelihoods are compared. Their middles are the row's own,
    their width is that of all rows, which a few models tell better.

    Parameters
    ----------
    runs: see `shadows`
    target: the model under attack; it and its other half are not looked at
    sure: confidences of another model, such as the target after a deletion
    apart: one more model that is not looked at, nor its other half

    Source: Carlini and others (2022), LiRA with one variance for all rows.
    """
    pair = np.arange(len(runs.members)) // 2
    others = (pair != target // 2) & (pair != (target if apart is None else apart) // 2)
    value = log_odds(runs.sure[target] if sure is None else sure)
    seen, z = runs.members[others], log_odds(runs.sure[others])
    fits = []
    for side in (seen, ~seen):
        mean = (z * side).sum(axis=0) / side.sum(axis=0)
        spread = np.sqrt((((z - mean) ** 2) * side).sum() / side.sum()) + 1e-9
        fits.append(-(((value - mean) / spread) ** 2) / 2 - np.log(spread))
    return fits[0] - fits[1]


def accuracy(suspicion: np.ndarray, members: np.ndarray) -> float:
    """Return the share of right guesses at the best threshold, half of the rows being members."""
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(members, suspicion)
    return float(((true + 1 - false) / 2).max())


@checked
def found(suspicion: np.ndarray, members: np.ndarray, *, at_most: Rate = 0.01) -> float:
    """Return the share of the members found while `at_most` of the others are accused.

    Raises
    ------
    ValueError: no members, or nobody else
    """
    if members.all() or not members.any():
        raise ValueError("members: expected some rows of both kinds, came one kind")
    threshold = np.quantile(suspicion[~members], 1 - at_most, method="higher")
    return float((suspicion[members] > threshold).mean())


def attacked(runs: Runs) -> pd.DataFrame:
    """Return how both attacks do on each model in turn, and on who it has nothing to do with.

    Returns
    -------
    One row per model and attack (one threshold, by row, other model): accuracy, found. The last
    is the control: the suspicion by row against one model, judged by the members of another.
    """
    rows = []
    for target, members in enumerate(runs.members):
        other = (target + 2) % len(runs.members)
        for attack, score, who in (
            ("one threshold", one_threshold(runs, target), members),
            ("by row", by_row(runs, target), members),
            ("other model", by_row(runs, target, apart=other), runs.members[other]),
        ):
            rows.append((target, attack, accuracy(score, who), found(score, who)))
    return pd.DataFrame(rows, columns=["target", "attack", "accuracy", "found"])


def after_deletion(
    make: Callable[[], Any], X: np.ndarray, y: np.ndarray, runs: Runs, *, rng: np.random.Generator
) -> dict[str, float]:
    """Return which share of the members found in the first model is still found after a refit.

    Returns
    -------
    theirs: they were deleted before the refit; others: as many other members were.
    """
    members, suspicion = runs.members[0], by_row(runs, 0)
    limit = np.quantile(suspicion[~members], 0.99, method="higher")
    caught = members & (suspicion > limit)
    rest = rng.permutation(np.flatnonzero(members & ~caught))[: caught.sum()]
    still = {}
    for name, gone in (("theirs", np.flatnonzero(caught)), ("others", rest)):
        kept = members.copy()
        kept[gone] = False
        refit = sure(make().fit(X[kept], y[kept]), X, y)
        still[name] = float((by_row(runs, 0, sure=refit)[caught] > limit).mean())
    return still
