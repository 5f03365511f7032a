"""How far two samples of one column are apart, and how far they would be without any drift.

A measure is a dictionary: name of a check to a number that is 0 when nothing moved. `numeric` and
`categorical` take both samples, `by_chance` says what each check gives in the tail without drift.
"""

import datetime
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from mlkit.stats import psi_null, sorted_ks, sorted_psi

Kind = Literal["number", "flag", "category", "time", "mixed", "missing"]
Measure = dict[str, float]
POINTS = 5000  # order statistics of a longer sample that the Wasserstein distance looks at
KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        "integer integer-na floating mixed-integer-float decimal timedelta".split(), "number"
    ),
    **dict.fromkeys("date datetime time period".split(), "time"),
    **dict.fromkeys("string bytes".split(), "category"),
    "boolean": "flag",
}


def kind_of(column: pd.Series) -> Kind:
    """Return what a column holds, whatever its dtype; text is a category, even "12.5".

    Examples
    --------
    >>> kind_of(pd.Series([1, None])), kind_of(pd.Series(["1", "2"])), kind_of(pd.Series([1, "a"]))
    ('number', 'category', 'mixed')
    """
    if not len(column) or column.isna().all():
        return "missing"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category"
    return KINDS.get(types.infer_dtype(column, skipna=True).rstrip("0123456789"), "mixed")


def reads_as_number(column: pd.Series) -> bool:
    """Return whether every value of a column of text is a number in writing."""
    text = column.dropna()
    return bool(pd.to_numeric(text.astype("str"), errors="coerce").notna().all())


def as_numbers(column: pd.Series) -> np.ndarray:
    """Return numbers, flags, spans of time (days) or numbers in writing as float64, shape (n,)."""
    if types.is_timedelta64_dtype(column.dtype):
        return (column / pd.Timedelta(days=1)).to_numpy("float64", na_value=np.nan)
    if not types.is_numeric_dtype(column.dtype):
        column = pd.to_numeric(column.astype("object").map(_plain), errors="coerce")
    return column.to_numpy("float64", na_value=np.nan)


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timedelta | datetime.timedelta):
        return value / pd.Timedelta(days=1)
    return float(value) if isinstance(value, bool | np.bool_) else value


def as_codes(reference: pd.Series, current: pd.Series) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Return the categories of both samples as codes (-1 for missing), and the categories.

    A category is the text of a value: 1 and "1" are one category, "a" and "A" are two.
    """
    both = pd.concat([side.astype("object") for side in (reference, current)], ignore_index=True)
    codes, names = pd.factorize(both.map(str, na_action="ignore"))
    return codes[: len(reference)], codes[len(reference) :], pd.Index(names)


def numeric(a: np.ndarray, b: np.ndarray, *, bins: int) -> Measure:
    """Return PSI, KS and Wasserstein distance, and how the shares of missing and infinite moved.

    Parameters
    ----------
    a, b: sorted, NaN last, at least one row
    bins: of the PSI
    """
    known = not (np.isnan(a).all() and np.isnan(b).all())
    gone, endless = (
        abs(float(np.mean(what(b)) - np.mean(what(a)))) for what in (np.isnan, np.isinf)
    )
    return {
        "psi": sorted_psi(a, b, bins=bins),
        "ks": sorted_ks(a, b) if known else 0.0,
        "wasserstein": _wasserstein(a[np.isfinite(a)], b[np.isfinite(b)]),
        "missing": gone,
        "infinite": endless,
    }


def _wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Wasserstein distance of sorted finite samples in standard deviations of `a`."""
    from scipy.stats import wasserstein_distance

    if not (len(a) and len(b)):
        return np.nan if len(a) or len(b) else 0.0
    scale = max(abs(a[0]), abs(a[-1]), abs(b[0]), abs(b[-1])) or 1.0  # 1e308 squared is infinite
    a, b = (_thinned(x) / scale for x in (a, b))
    distance, spread = wasserstein_distance(a, b), float(np.std(a))
    if spread > 1e-12 * max(abs(a[0]), abs(a[-1])):
        return float(distance / spread)
    return np.inf if distance > 1e-12 else 0.0


def _thinned(x: np.ndarray) -> np.ndarray:
    if len(x) <= POINTS:
        return x
    return x[((np.arange(POINTS) + 0.5) * len(x) / POINTS).astype(int)]


def categorical(a: np.ndarray, b: np.ndarray) -> Measure:
    """Return total variation, the share of unseen categories, and how the missing share moved.

    Parameters
    ----------
    a, b: codes as `as_codes` makes them, at least one row each
    """
    size = max(a.max(), b.max()) + 1
    counts = [np.bincount(x[x >= 0], minlength=size) for x in (a, b)]
    gone = abs(float((b < 0).mean() - (a < 0).mean()))
    if not (counts[0].any() and counts[1].any()):
        nothing = np.nan if counts[0].any() or counts[1].any() else 0.0
        return {"category": nothing, "unseen": nothing, "missing": gone}
    p, q = (count / count.sum() for count in counts)
    distance, unseen = float(np.abs(p - q).sum() / 2), float(q[counts[0] == 0].sum())
    return {"category": distance, "unseen": unseen, "missing": gone}


def by_chance(
    found: Measure, a: np.ndarray, b: np.ndarray, *, alpha: float, bins: int
) -> dict[str, tuple[float, float]]:
    """Return for each check what chance exceeds with probability `alpha`, and the p of its value.

    For rows that do not depend on each other. KS, PSI and shares by their asymptotic laws; total
    variation by chi-square, as the inequality of Cauchy and Schwarz allows; Wasserstein by the
    concentration of Gaussian maxima (p unknown, NaN); unseen categories by Good and Turing.

    Parameters
    ----------
    found: what `numeric` or `categorical` returned
    a, b: the samples it came from
    """
    tails: dict[str, Callable] = {"ks": _ks_tail, "wasserstein": _wasserstein_tail}
    tails |= {"category": _category_tail, "unseen": _unseen_tail}
    result = {}
    for check, value in found.items():
        if check == "psi":
            from scipy.stats import chi2

            scale = 1 / len(a) + 1 / len(b)
            noise = psi_null(len(a), len(b), bins=bins, level=1 - alpha)
            result[check] = noise, float(chi2.sf(value / scale, bins - 1))
        elif check in ("missing", "infinite"):
            gone = np.isinf if check == "infinite" else is_missing
            result[check] = _share_tail(value, gone(a), gone(b), alpha)
        else:
            present = a[~is_missing(a)], b[~is_missing(b)]
            few = not (len(present[0]) and len(present[1]))
            result[check] = (np.nan, np.nan) if few else tails[check](value, *present, alpha)
    return result


def is_missing(x: np.ndarray) -> np.ndarray:
    """Return which values are missing: NaN, or the code -1."""
    return np.isnan(x) if x.dtype.kind == "f" else x < 0


def _ks_tail(value: float, a: np.ndarray, b: np.ndarray, alpha: float) -> tuple[float, float]:
    from scipy.stats import kstwobign

    scale = np.sqrt(1 / len(a) + 1 / len(b))
    return float(kstwobign.isf(alpha) * scale), float(kstwobign.sf(value / scale))


def _wasserstein_tail(
    value: float, a: np.ndarray, b: np.ndarray, alpha: float
) -> tuple[float, float]:
    from scipy.stats import norm

    known = [_thinned(x[np.isfinite(x)]) for x in (a, b)]
    both = np.sort(np.concatenate(known))
    if len(both) < 2 or not (spread := float(np.std(both / (np.abs(both).max() or 1)))):
        return 0.0, np.nan
    at = np.arange(1, len(both)) / len(both)
    width = np.sum(np.diff(both / np.abs(both).max()) * np.sqrt(at * (1 - at))) / spread
    scale = np.sqrt(1 / len(a) + 1 / len(b))
    return float(scale * (np.sqrt(2 / np.pi) * width + norm.isf(alpha))), np.nan


def _category_tail(value: float, a: np.ndarray, b: np.ndarray, alpha: float) -> tuple[float, float]:
    from scipy.stats import chi2, chi2_contingency

    counts = np.array([np.bincount(x, minlength=max(a.max(), b.max()) + 1) for x in (a, b)])
    counts = counts[:, counts.any(axis=0)]
    degrees = counts.shape[1] - 1
    if not degrees:
        return 0.0, 1.0
    noise = np.sqrt(chi2.isf(alpha, degrees) * (1 / len(a) + 1 / len(b))) / 2
    return float(noise), float(chi2_contingency(counts, correction=False).pvalue)


def _unseen_tail(value: float, a: np.ndarray, b: np.ndarray, alpha: float) -> tuple[float, float]:
    from scipy.stats import binom

    once = min((np.count_nonzero(np.bincount(a) == 1) + 1) / len(a), 1.0)
    tail = binom.isf(alpha, len(b), once) / len(b)
    return float(tail), float(binom.sf(round(value * len(b)) - 1, len(b), once))


def _share_tail(value: float, a: np.ndarray, b: np.ndarray, alpha: float) -> tuple[float, float]:
    from scipy.stats import norm

    share = (a.sum() + b.sum()) / (len(a) + len(b))
    spread = float(np.sqrt(share * (1 - share) * (1 / len(a) + 1 / len(b))))
    if not spread:
        return 0.0, 1.0
    return float(norm.isf(alpha / 2) * spread), float(2 * norm.sf(value / spread))
