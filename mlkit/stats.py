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
