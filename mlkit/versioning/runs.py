"""Why two runs of one code on one data set give two models: find the cause by hashes.

Each run leaves a record, one hash per step. Where two records part for the first time is where to
look. The hashes assume the same code and parameters: compare these first (`dvc.lock` does).

What the machine decides comes in from outside, so that a run can be told again: `rng` is the order
in which files are listed and the entropy of an unseeded generator, `moment` is the clock on the
wall. Threads are simulated: sums over as many parts as there are workers, added in order.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, get_args, get_type_hints

import numpy as np
import pandas as pd

from mlkit.features import FEATURES
from mlkit.model import periods
from mlkit.tables import Tables, content_hash, require, require_tables, require_unique
from mlkit.versioning.versions import require_finite

NUMBERS = [name for name in FEATURES if name != "last_category"]
PARTS = 16  # files that a table lies in
DIGITS = 6  # decimals that survive another order of addition
STEPS = ("rows", "order", "features_rounded", "features", "split", "model", "scores")
CAUSES = {
    "data": "the rows differ: the input is another version",
    "order": "unsorted read: the same rows in another order; sort by a key after reading",
    "clock": "wall clock: features of the same rows differ; pass the moment as a parameter",
    "threads": "order of addition: only last digits differ; fix the number of workers, or round",
    "seed": "unseeded: the same features, another split or model; pass a seed to every generator",
}
PARTING = {"rows": "data", "order": "order", "features_rounded": "clock", "features": "threads"}


class Recipe(NamedTuple):
    """What a run leaves to the machine, and what it settles; the default settles everything."""

    seed: int | None = 7
    order: Literal["sorted", "as_read"] = "sorted"
    workers: int = 1
    clock: Literal["as_of", "now"] = "as_of"
    learner: Literal["sgd", "newton"] = "sgd"


class Run(NamedTuple):
    """What a run made: its rows as read, features, training rows, model, decisions, accuracy."""

    rows: pd.DataFrame
    features: np.ndarray
    trained_on: np.ndarray
    weights: np.ndarray
    decisions: pd.Series
    accuracy: float


def inject_unseeded(recipe: Recipe) -> Recipe:
    """Return the recipe without a seed: each run draws its own."""
    return recipe._replace(seed=None)


def inject_unsorted(recipe: Recipe) -> Recipe:
    """Return the recipe that takes rows as the file system happens to list their files."""
    return recipe._replace(order="as_read")


def inject_workers(recipe: Recipe) -> Recipe:
    """Return the recipe as another machine runs it, with three more workers."""
    return recipe._replace(workers=recipe.workers + 3)


def inject_wall_clock(recipe: Recipe) -> Recipe:
    """Return the recipe that counts days up to now instead of up to the offer."""
    return recipe._replace(clock="now")


KINDS = {
    "seed": inject_unseeded,
    "order": inject_unsorted,
    "threads": inject_workers,
    "clock": inject_wall_clock,
}


def run(tables: Tables, recipe: Recipe, *, rng: np.random.Generator, moment: pd.Timestamp) -> Run:
    """Return what one run of a small training pipeline makes.

    Rows of `training` with a known answer are read, standardised by sums over the workers' parts,
    split at random into three quarters and one, and learned: by stochastic gradient descent, which
    feels its seed, the order of rows and the last digits, or by Newton's method, which converges.

    Parameters
    ----------
    tables: a shop in operation, with `training` and `offers`
    recipe: what the run settles
    rng: the machine: the order of listed files, and entropy where there is no seed
    moment: the clock on the wall, UTC

    Raises
    ------
    KeyError: a table is missing
    ValueError: fewer than four rows with a known answer, or all the same answer; an infinite
        feature; fewer than one worker, an unknown order, clock or learner
    """
    _require_recipe(recipe)
    rows = _read(tables, recipe, rng)
    seed = int(rng.integers(2**31)) if recipe.seed is None else recipe.seed
    features = _standardised(_on_clock(rows, recipe, moment), recipe.workers)
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    train, test = np.split(shuffled, [3 * len(rows) // 4])
    answers = rows["accepted"].to_numpy(bool)
    model = _learner(recipe, seed).fit(features[train], answers[train])
    decisions = pd.Series(model.predict(features), index=rows["offer_id"]).sort_index()
    accuracy = float((model.predict(features[test]) == answers[test]).mean())
    weights = np.append(model.coef_.ravel(), model.intercept_)
    return Run(rows, features, rows["offer_id"].to_numpy()[train], weights, decisions, accuracy)


def hashes(made: Run) -> dict[str, str]:
    """Return the hash of what each step of a run made: `STEPS`, in the order in which they happen.

    Rows by content, in any order; order by their ids; features to `DIGITS` decimals and with all
    their bits; split by the ids trained on, in order; the model by its weights; scores by decision.
    """
    return {
        "rows": content_hash({"rows": made.rows}),
        "order": _hash(made.rows["offer_id"].to_numpy()),
        "features_rounded": _hash(np.round(made.features, DIGITS) + 0.0),
        "features": _hash(made.features),
        "split": _hash(made.trained_on),
        "model": _hash(made.weights),
        "scores": _hash(made.decisions.to_numpy()),
    }


def parting(first: dict[str, str], second: dict[str, str]) -> str:
    """Return the first step at which two records (see `hashes`) differ, or "" where none does.

    Raises
    ------
    KeyError: a record lacks a step
    """
    for step in STEPS:
        if step not in first or step not in second:
            raise KeyError(f"a record lacks {step!r}; expected {', '.join(STEPS)}")
        if first[step] != second[step]:
            return step
    return ""


def cause_of(first: dict[str, str], second: dict[str, str]) -> str:
    """Return why two runs differ, a key of `CAUSES`, or "" where they do not (see `hashes`).

    Code and parameters must be the same: a change of these moves features as a clock does.

    Raises
    ------
    KeyError: a record lacks a step
    """
    step = parting(first, second)
    return PARTING.get(step, "seed") if step else ""


def pair(tables: Tables, kind: str, *, rng: np.random.Generator) -> tuple[Run, Run]:
    """Return two runs a day apart of a recipe with one fault: a key of `KINDS`, or "" for none.

    For "threads" the second run is on the machine with more workers; otherwise both have the fault.

    Raises
    ------
    ValueError: no such kind
    KeyError: a table is missing
    """
    if kind and kind not in KINDS:
        raise ValueError(f"kind = {kind!r}: expected '' or one of {', '.join(KINDS)}")
    require_tables(tables, "training", "offers")
    faulty = KINDS[kind](Recipe()) if kind else Recipe()
    moment = tables["training"]["prediction_ts"].max() + pd.Timedelta(days=30)
    days = (moment, moment + pd.Timedelta(days=1))
    recipes = (Recipe() if kind == "threads" else faulty, faulty)
    first, second = (
        run(tables, recipe, rng=rng, moment=day) for recipe, day in zip(recipes, days, strict=True)
    )
    return first, second


def spread(made: Iterable[Run]) -> dict[str, float]:
    """Return how far runs on the same rows differ.

    Returns
    -------
    runs, lowest and highest accuracy on each run's own test rows, and flips: the mean share of
    decisions, over all pairs of runs, that are not the same, in [0, 1].

    Raises
    ------
    ValueError: fewer than two runs
    """
    runs = list(made)
    if len(runs) < 2:
        raise ValueError(f"expected two runs or more, came {len(runs)}")
    yes = np.array([one.decisions.to_numpy(bool) for one in runs]).mean(axis=0)
    accuracy = [one.accuracy for one in runs]
    unlike = 2 * yes * (1 - yes) * len(runs) / (len(runs) - 1)
    return {
        "runs": len(runs),
        "lowest": min(accuracy),
        "highest": max(accuracy),
        "flips": float(unlike.mean()),
    }


def flips(first: Run, second: Run) -> float:
    """Return the share of decisions, offer by offer, that two runs do not share, in [0, 1]."""
    return float((first.decisions != second.decisions).mean())


def distinct_totals(values: pd.Series, *, threads: int, times: int = 20) -> int:
    """Return how many different totals a database gives that really adds up in so many threads.

    More than one thread may give one total or several: it depends on who is ready first.
    """
    import duckdb

    with duckdb.connect(config={"threads": threads}) as base:
        base.register("amounts", values.rename("amount").to_frame())
        query = "SELECT SUM(amount) FROM amounts"
        totals = [base.execute(query).fetchone() for _ in range(times)]
    return len({total[0] for total in totals if total})


def _require_recipe(recipe: Recipe) -> None:
    if not isinstance(recipe.workers, int) or recipe.workers < 1:
        raise ValueError(f"recipe.workers = {recipe.workers}: expected a whole number >= 1")
    for name in ("order", "clock", "learner"):
        known = get_args(get_type_hints(Recipe)[name])
        if getattr(recipe, name) not in known:
            raise ValueError(f"recipe.{name} = {getattr(recipe, name)!r}: expected one of {known}")


def _read(tables: Tables, recipe: Recipe, rng: np.random.Generator) -> pd.DataFrame:
    """Rows with a known answer, in the order in which their files are listed, or sorted."""
    require_tables(tables, "training", "offers")
    training, offers = tables["training"], tables["offers"]
    require(training, "training", {"offer_id": "int", **dict.fromkeys(NUMBERS, "float")})
    require_unique(training, "training", ["offer_id"])
    require_finite(training, "training", NUMBERS)
    asked = offers.loc[periods(offers) == "train", ["offer_id", "accepted"]].dropna()
    rows = asked.merge(training, on="offer_id", validate="1:1")
    if len(rows) < 4 or rows["accepted"].nunique() != 2:
        raise ValueError(f"training: {len(rows)} rows with a known answer, expected both answers")
    listed = rng.permutation(PARTS)
    files = np.array_split(np.arange(len(rows)), PARTS)
    rows = rows.iloc[np.concatenate([files[number] for number in listed])]
    rows = rows.sort_values("offer_id") if recipe.order == "sorted" else rows
    return rows.reset_index(drop=True)


def _on_clock(rows: pd.DataFrame, recipe: Recipe, moment: pd.Timestamp) -> np.ndarray:
    """Features with the days since the last purchase counted up to the offer, or up to now."""
    X = rows[NUMBERS]
    if recipe.clock == "now":
        late = (moment - rows["prediction_ts"]).dt.total_seconds() / 86_400
        X = X.assign(days_since_last_purchase=X["days_since_last_purchase"] + late)
    values = X.to_numpy("float64")
    return np.copysign(np.log1p(np.abs(values)), values)


def _standardised(X: np.ndarray, workers: int) -> np.ndarray:
    """Columns with mean 0 and spread 1, 0 where missing; the sums are added up part by part."""
    known = np.maximum((~np.isnan(X)).sum(axis=0), 1)
    mean = _sum_in_parts(np.nan_to_num(X), workers) / known
    centred = np.nan_to_num(X - mean)
    spread_ = np.sqrt(_sum_in_parts(centred**2, workers) / known)
    return centred / np.where(spread_ > 0, spread_, 1.0)


def _sum_in_parts(X: np.ndarray, workers: int) -> np.ndarray:
    """Sums of columns: each worker adds row after row, and their sums are added in order."""
    total = np.zeros(X.shape[1])
    for part in np.array_split(X, min(workers, len(X))):
        total = total + np.cumsum(part, axis=0)[-1]
    return total


def _learner(recipe: Recipe, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, SGDClassifier

    if recipe.learner == "newton":
        return LogisticRegression(solver="newton-cholesky")
    return SGDClassifier(loss="log_loss", alpha=1e-3, max_iter=20, tol=None, random_state=seed)


def _hash(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]
