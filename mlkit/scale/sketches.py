"""What does not merge, and what stands in for it: a histogram that does, with a declared error.

The median of a year is not made of the medians of its days. A histogram whose bins grow by a fixed
factor is: bins are added up, and each value lies within a known share of its bin's middle.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.features import run_sql
from mlkit.params import checked

Error = Annotated[float, Interval(gt=0, lt=1)]
Quantile = Annotated[float, Interval(ge=0, le=1)]


@checked
def histogram(values: pd.Series, *, error: Error) -> pd.Series:
    """Return how many values lie in each bin, index the bin's number.

    Parameters
    ----------
    values: positive numbers; missing ones are left out
    error: the largest relative error of a quantile read from it

    Raises
    ------
    ValueError: a value that is not positive and finite

    Source: Masson, Rim and Lee (2019), DDSketch, PVLDB 12(12).
    """
    known = pd.Series(values).dropna().to_numpy("float64")
    if not (np.isfinite(known) & (known > 0)).all():
        odd = known[~(np.isfinite(known) & (known > 0))][0]
        raise ValueError(f"values: expected positive finite numbers, came {odd}; set them aside")
    bins = np.ceil(np.log(known) / _log_growth(error)).astype("int64")
    numbers, counts = np.unique(bins, return_counts=True)
    return pd.Series(counts, index=pd.Index(numbers, name="bin"), name="n", dtype="int64")


def merge(*parts: pd.Series) -> pd.Series:
    """Return the histogram of all rows from those of the parts: counts are added."""
    return pd.concat(parts).groupby(level=0).sum().sort_index().rename("n")


@checked
def quantile(counts: pd.Series, q: float, *, error: Error) -> float:
    """Return a quantile from a histogram made with the same `error`; NaN of an empty one.

    Off by at most `error`, relative, from the value of that rank.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"q = {q}: expected a number from 0 to 1")
    if not counts.sum():
        return float("nan")
    rank = q * (counts.sum() - 1)
    number = counts.index[int(np.searchsorted(counts.cumsum().to_numpy(), rank, side="right"))]
    growth = np.exp(_log_growth(error))
    return float(2 * np.exp(number * _log_growth(error)) / (growth + 1))


def _log_growth(error: float) -> float:
    return float(np.log((1 + error) / (1 - error)))


def naive_merged_median(rows: pd.DataFrame, *, part: np.ndarray) -> pd.Series:
    """Return per user the mean of the medians of the parts, as if a median could be averaged."""
    each = rows.groupby([np.asarray(part), rows["user_id"]])["amount_usd"].median()
    return each.groupby(level=1).mean()


def naive_distinct(keys: pd.Series, *, part: np.ndarray) -> int:
    """Return the sum over parts of their distinct keys, as if nobody came twice."""
    return int(keys.groupby(np.asarray(part)).nunique().sum())


@checked
def approximations(rows: pd.DataFrame, *, part: np.ndarray, error: Error) -> pd.DataFrame:
    """Return quantiles of amount_usd and the number of users: exact, merged from parts, DuckDB's.

    Parameters
    ----------
    rows: user_id and amount_usd
    part: the part of each row; quantiles are merged as histograms, the number of users naively
    error: of the histograms
    """
    amount, table = rows["amount_usd"], {}
    days = merge(*[histogram(some, error=error) for _, some in amount.groupby(np.asarray(part))])
    given = rows[["user_id", "amount_usd"]]
    for q in (0.5, 0.9, 0.99):
        guess = run_sql(f"SELECT APPROX_QUANTILE(amount_usd, {q}) AS x FROM given", given=given)
        exact = amount.quantile(q, interpolation="lower")
        table[f"quantile {q}"] = [exact, quantile(days, q, error=error), guess["x"].item()]
    guess = run_sql("SELECT APPROX_COUNT_DISTINCT(user_id) AS x FROM given", given=given)
    naive = naive_distinct(rows["user_id"], part=part)
    table["different users"] = [rows["user_id"].nunique(), naive, guess["x"].item()]
    return pd.DataFrame(table, index=["exact", "merged days", "DuckDB"]).T
