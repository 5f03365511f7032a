"""How well one column alone tells two answers apart, and how far apart two columns are."""

import numpy as np
import pandas as pd

from mlkit.leakage.columns import as_floats, as_scores, codes, kind, moments
from mlkit.stats import auc, psi

EVIDENCE = 10  # rows of each answer below which no AUC is judged
ENOUGH = 50_000  # rows of each answer that an AUC is computed from
FOLDS = 5
CELLS = 20  # quantile bins of numbers, so that a feature that is high at both ends is seen
FEW = 50  # different values up to which numbers are taken as categories


def answers(label: pd.Series) -> np.ndarray:
    """Return 1.0, 0.0 and NaN (no answer), shape (n,): the larger of two values is 1.

    Numbers of more than two values are cut at their median.

    Raises
    ------
    TypeError: neither numbers nor words
    ValueError: one answer only, more than two in words, or fewer than ten rows of either
    """
    what, known = kind(label), label.notna().to_numpy()
    if what not in ("number", "text"):
        raise TypeError(f"label {label.name!r}: expected two answers or numbers, came {what}")
    values = as_floats(label) if what == "number" else codes_of(label)
    distinct = np.unique(values[known])
    if what == "text" and len(distinct) > 2:
        raise ValueError(
            f"label {label.name!r}: expected two answers, came {len(distinct)} such as "
            f"{label.dropna().iloc[0]!r}; make a column of the one that matters"
        )
    cut = np.median(values[known]) if len(distinct) > 2 else distinct[0]
    high = values > cut if cut < distinct[-1] else values >= cut
    sizes = [int((known & ~high).sum()), int((known & high).sum())]
    if min(sizes) < EVIDENCE:
        raise ValueError(
            f"label {label.name!r}: expected at least {EVIDENCE} rows of either answer, came "
            f"{sizes[0]} and {sizes[1]} ({int((~known).sum())} rows without); bring more rows or "
            "leave the label out"
        )
    return np.where(known, high, np.nan)


def codes_of(column: pd.Series) -> np.ndarray:
    """Return whole numbers, shape (n,), equal where the values are, 0 where they are missing."""
    return codes(column, column[:0])


def enough(answer: np.ndarray) -> np.ndarray:
    """Return positions of up to 50,000 rows of each answer, evenly spaced.

    An AUC does not depend on how many rows there are of either answer.
    """
    kept = []
    for value in (0.0, 1.0):
        at = np.flatnonzero(answer == value)
        step = np.linspace(0, len(at) - 1, min(len(at), ENOUGH)).astype("int64")
        kept.append(at[step])
    return np.sort(np.concatenate(kept))


def power(column: pd.Series, high: np.ndarray) -> dict[str, float]:
    """Return the AUC of a column in each way to read it, folded to at least 0.5.

    Parameters
    ----------
    column: anything
    high: which rows have the answer 1, both answers at least ten times
    """
    score = as_scores(column)
    missing = column.isna().to_numpy()
    found = {}
    if score is not None:
        known = ~np.isnan(score)
        if min((high & known).sum(), (~high & known).sum()) >= EVIDENCE:
            found["value"] = _folded(auc(high[known], score[known]))
    way = "bins" if score is not None else "categories"
    found[way] = max(auc(high, _mean_answer(_cells(column, score), high)), 0.5)
    return {**found, "missing": _folded(auc(high, missing))}


def _folded(value: float) -> float:
    return max(value, 1 - value)


def _cells(column: pd.Series, score: np.ndarray | None) -> np.ndarray:
    """Return the category or the quantile bin of each value; missing is one of its own."""
    if score is None:
        return codes_of(column)
    known = ~np.isnan(score)
    distinct = np.unique(score[known])
    edges = distinct
    if len(distinct) > FEW:
        inner = np.linspace(0, 1, CELLS + 1)[1:-1]
        edges = np.unique(np.quantile(score[known], inner, method="inverted_cdf"))
    return np.where(known, np.searchsorted(edges, score, side="right") + 1, 0)


def _mean_answer(cells: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the mean answer of each row's cell in the other folds, drawn a little to the middle.

    Folds have the same share of answers, so that a column without any meaning has an AUC of 0.5.
    """
    fold = pd.Series(high).groupby(high).cumcount().to_numpy() % FOLDS
    place, size = cells * FOLDS + fold, (cells.max() + 1) * FOLDS
    rows = np.bincount(place, minlength=size).reshape(-1, FOLDS)
    hits = np.bincount(place, weights=high, minlength=size).reshape(-1, FOLDS)
    others, theirs = (table.sum(axis=1, keepdims=True) - table for table in (rows, hits))
    return ((theirs + high.mean()) / (others + 1))[cells, fold]


def distance(expected: pd.Series, actual: pd.Series, *, bins: int) -> float:
    """Return the population stability index over quantiles of numbers or frequent words.

    Words beyond the `bins - 1` most frequent are one bin, missing values another.

    Raises
    ------
    ValueError: a time zone on one side only
    """
    if kind(expected) != "text" and expected.notna().any():
        sides = {f"production.{expected.name}": expected, f"sample.{actual.name}": actual}
        timed = all(kind(side) == "time" for side in sides.values())
        scores = moments(sides) if timed else [as_scores(side) for side in sides.values()]
        return psi(*map(pd.Series, scores), bins=bins)
    n, code = len(expected), codes(expected, actual)
    counts = np.bincount(code[:n], minlength=code.max() + 1)
    counts[0] = 0
    frequent = np.argsort(-counts, kind="stable")[: bins - 1]
    cell = np.full(len(counts), bins)
    cell[frequent], cell[0] = np.arange(len(frequent)), bins + 1
    shares = []
    for side in (cell[code[:n]], cell[code[n:]]):
        rows = np.bincount(side, minlength=bins + 2) + 0.5
        shares.append(rows / rows.sum())
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
