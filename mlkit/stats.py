"""Numbers that come with their uncertainty, and distances between two samples."""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import checked

Level = Annotated[float, Interval(gt=0, lt=1)]
Bins = Annotated[int, Interval(ge=2, le=1000)]


@checked
def share_interval(hits: int, n: int, *, level: Level = 0.95) -> tuple[float, float]:
    """Return Wilson's interval (low, high) for a share of `hits` in `n` trials.

    Raises
    ------
    ValueError: n below 1, hits outside 0..n, or level outside (0, 1)

    Examples
    --------
    >>> low, high = share_interval(5, 10)
    >>> round(low, 3), round(high, 3)
    (0.237, 0.763)

    Source: Wilson, JASA 22 (1927) 209-212.
    """
    from scipy.stats import binomtest

    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"hits = {hits}, n = {n}: expected n >= 1 and 0 <= hits <= n")
    interval = binomtest(int(hits), int(n)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def difference_interval(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float]:
    """Return Newcombe's interval (low, high) for one share less another.

    Parameters
    ----------
    first, second: a share, then the bounds of its interval (see `share_interval`)

    Source: Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10.
    """
    (p, p_low, p_high), (q, q_low, q_high) = first, second
    down, up = np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)
    return float(p - q - down), float(p - q + up)


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the share of pairs of one row of each answer that a score puts in order, in [0, 1].

    The area under the ROC curve, by ranks: fast enough for hundreds of columns or draws. NaN where
    there is one answer only.

    Parameters
    ----------
    truth: the answers, shape (n,), bool
    score: without missing values, shape (n,)
    """
    truth = np.asarray(truth, dtype=bool)
    n, m = int(truth.sum()), int((~truth).sum())
    if not n or not m:
        return float("nan")
    ranks = pd.Series(np.asarray(score)).rank().to_numpy()
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * m))


@checked
def psi(expected: pd.Series, actual: pd.Series, *, bins: Bins = 10) -> float:
    """Return the population stability index of `actual` against `expected`.

    Bins are quantiles of `expected` with open ends, missing values are a bin of their own, and
    half a row is added to every bin, so shifts are seen and empty bins do no harm. Zero means
    the same shares; without any change the mean is about (bins - 1) * (1/n + 1/m), so the usual
    0.1 and 0.2 say nothing for small samples.

    Parameters
    ----------
    expected, actual: numbers, any length of at least one; their order does not matter
    bins: number of quantile bins

    Raises
    ------
    ValueError: an empty sample, or no number in `expected`
    TypeError: not numbers

    Examples
    --------
    >>> psi(pd.Series(range(100)), pd.Series(range(100)))
    0.0

    Source: Yurdakul, dissertation, Western Michigan University (2018); challenge 6.
    """
    expected, actual = numbers(expected, "expected"), numbers(actual, "actual", at_least=0)
    inner = np.quantile(
        expected[~np.isnan(expected)], np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"
    )
    if inner[-1] == np.nanmax(expected):  # many equal values at the top: what lies above is new
        inner = np.append(inner, np.nextafter(inner[-1], np.inf))
    shares = []
    for sample in (expected, actual):
        bin_of = np.where(
            np.isnan(sample), len(inner) + 1, np.searchsorted(inner, sample, side="right")
        )
        counts = np.bincount(bin_of, minlength=len(inner) + 2) + 0.5
        shares.append(counts / counts.sum())
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


@checked
def psi_null(n: float, m: float, *, bins: Bins = 10, level: Level | None = None) -> float:
    """Return the PSI of samples of `n` and `m` rows that nothing has moved: mean, or a quantile.

    Without drift PSI / (1/n + 1/m) is about chi-square with bins - 1 degrees of freedom, from
    some hundred rows on and for rows that do not depend on each other. Rows of the same user do:
    then `permuted` tells what no drift looks like.

    Parameters
    ----------
    n, m: rows of both samples
    bins: as in `psi`
    level: share of drift-free comparisons that stay below the returned value; None: their mean

    Raises
    ------
    ValueError: n or m below 1, or another option out of range

    Examples
    --------
    >>> round(psi_null(6000, 100), 3), round(psi_null(6000, 100, level=0.95), 3)
    (0.092, 0.172)

    Source: Yurdakul, dissertation, Western Michigan University (2018).
    """
    if not (n >= 1 and m >= 1):
        raise ValueError(f"n = {n}, m = {m}: expected both >= 1")
    if level is None:
        return (bins - 1) * (1 / n + 1 / m)
    from scipy.stats import chi2

    return float(chi2.ppf(level, bins - 1)) * (1 / n + 1 / m)


def ks(expected: pd.Series, actual: pd.Series) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance in [0, 1] of two samples, and its p-value.

    Missing values are left out: look at their share by itself. The p-value assumes rows that do
    not depend on each other, which rows of the same user do.

    Raises
    ------
    ValueError: a sample without numbers
    """
    from scipy.stats import ks_2samp

    samples = [numbers(s, name) for s, name in ((expected, "expected"), (actual, "actual"))]
    result = ks_2samp(*(sample[~np.isnan(sample)] for sample in samples))
    return float(result.statistic), float(result.pvalue)


@checked
def ks_and_psi(expected: pd.Series, actual: pd.Series, *, bins: Bins = 10) -> tuple[float, float]:
    """Return the distance of `ks` and the index of `psi` from one sort of each sample.

    A sort is nearly all that it costs, so a million rows are quick. Where `actual` has no number
    at all the distance is NaN.

    Raises
    ------
    ValueError, TypeError: as `psi`

    Examples
    --------
    >>> distance, index = ks_and_psi(pd.Series([1, 2, 3, 4]), pd.Series([3, 4, 5, 6]), bins=2)
    >>> round(distance, 3), round(index, 3)
    (0.5, 0.245)
    """
    a, b = np.sort(numbers(expected, "expected")), np.sort(numbers(actual, "actual", at_least=0))
    return sorted_ks(a, b), sorted_psi(a, b, bins=bins)


def sorted_ks(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance of two sorted samples, shape (n,), NaN last.

    Both distribution functions are compared at some 4000 values of `a`. They only grow, so these
    bound what lies between, and one looks closer where the bound exceeds the best so far.
    """
    a, b = (x[: np.searchsorted(x, np.nan)] for x in (a, b))
    n, m = len(a), len(b)
    if not (n and m):
        return np.nan
    edges = np.unique(a[:: max(1, n // 4000)])
    low, low_b = np.searchsorted(a, edges), np.searchsorted(b, edges)
    high, high_b = np.searchsorted(a, edges, "right"), np.searchsorted(b, edges, "right")
    best = max(np.abs(low / n - low_b / m).max(), np.abs(high / n - high_b / m).max())
    low, low_b = np.append(low, n), np.append(low_b, m)
    close = np.maximum(low[1:] / n - high_b / m, low_b[1:] / m - high / n) > best
    spans = zip(high[close], low[1:][close], strict=True)
    at = np.concatenate([[0], *(np.arange(*span) for span in spans)])
    above = (at + 1) / n - np.searchsorted(b, a[at], "right") / m
    below = np.searchsorted(b, a[at]) / m - at / n
    return float(max(best, above.max(), below.max()))


def sorted_psi(a: np.ndarray, b: np.ndarray, *, bins: int = 10) -> float:
    """Return the population stability index of sorted `b` against sorted `a`, NaN last."""
    n = np.searchsorted(a, np.nan)
    ranks = np.ceil(n * np.linspace(0, 1, bins + 1)[1:-1] - 1).clip(0).astype(int)
    inner = a[ranks]
    if inner[-1] == a[n - 1]:  # as in `psi`
        inner = np.append(inner, np.nextafter(inner[-1], np.inf))
    cuts = np.append(inner, np.nan)
    counts = [np.diff([0, *np.searchsorted(x, cuts), len(x)]) + 0.5 for x in (a, b)]
    e, o = (count / count.sum() for count in counts)
    return float(np.sum((o - e) * np.log(o / e)))


def permuted(
    entities: np.ndarray, is_current: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray:
    """Return which rows count as current, shape (n,), bool, had the periods nothing to do with it.

    Entities with rows in one period only change places as a whole, so that rows which depend on
    each other stay together and as many entities as before are current. Entities with rows in
    both periods keep their number of rows in each, and it is drawn which ones. That takes the
    rows of one entity as exchangeable: where a row resembles the one before it (averages over
    thirty days, for example), even this null is too narrow, and one row per entity is safer.

    Parameters
    ----------
    entities: codes >= 0 of the entity of each row, shape (n,)
    is_current: which rows are of the current period, shape (n,)

    Raises
    ------
    ValueError: shapes that differ
    """
    if entities.shape != is_current.shape:
        raise ValueError(f"{entities.shape} entities, {is_current.shape} rows: expected one shape")
    rows = np.bincount(entities)
    current = np.bincount(entities, weights=is_current)
    split = (current > 0) & (current < rows)
    whole = np.flatnonzero((rows > 0) & ~split)
    dealt = np.zeros(len(rows))
    dealt[whole] = rng.permutation(current[whole] > 0)
    order = np.lexsort((rng.random(len(entities)), entities))
    place = np.arange(len(order)) - (np.cumsum(rows) - rows)[entities[order]]
    result = np.empty(len(order), dtype=bool)
    result[order] = place < np.where(split, current, dealt * rows)[entities[order]]
    return result


def numbers(sample: pd.Series, name: str, *, at_least: int = 1) -> np.ndarray:
    """Return a sample as float64, shape (n,), infinities kept, missing values as NaN.

    Raises
    ------
    ValueError: no rows, or fewer than `at_least` numbers in them
    TypeError: not numbers
    """
    if not pd.api.types.is_numeric_dtype(getattr(sample, "dtype", None)):
        raise TypeError(f"{name}: expected numbers, came {getattr(sample, 'dtype', type(sample))}")
    values = pd.Series(sample).to_numpy(dtype="float64", na_value=np.nan)
    if not len(values) or (~np.isnan(values)).sum() < at_least:
        raise ValueError(f"{name}: expected at least one number, came {len(values)} missing values")
    return values
