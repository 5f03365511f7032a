"""Reuse: what a cache of features saves, when it pays, and how caches and old versions grow."""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Days, NotNegative, Positive, Share, checked

Experiments = Annotated[int, Interval(ge=1, le=1_000_000)]


@checked
def cache_saving(
    *,
    experiments: Experiments = 20,
    feature_hours: Positive = 5.0,
    model_hours: NotNegative = 1.0,
    hits: Share = 1.0,
) -> float:
    """Return the share of the compute of all experiments that a cache of features saves, in [0, 1].

    Without a cache N experiments take N (F + M) hours. With one, the first computes the features
    and each of the others finds them with probability h, so that h (N - 1) F hours are saved.
    The models are trained all the same: however many the experiments, no more than F / (F + M).

    Parameters
    ----------
    experiments: N, on the same features
    feature_hours: F, to compute the features once
    model_hours: M, of each experiment for everything else
    hits: h, share of later experiments whose features are in the cache unchanged

    Examples
    --------
    >>> cache_saving(experiments=20, feature_hours=5.0, model_hours=0.0)
    0.95
    """
    n, whole = experiments, feature_hours + model_hours
    return hits * (n - 1) * feature_hours / (n * whole)


@checked
def experiments_to_pay(
    *,
    cached_gb: Positive = 100.0,
    per_gb_month: Positive = 0.023,
    months: Positive = 1.0,
    feature_hours: Positive = 5.0,
    per_hour: Positive = 1.0,
    hits: Share = 1.0,
) -> float:
    """Return from how many experiments on a cache pays for its storage; infinite without hits.

    Parameters
    ----------
    cached_gb, per_gb_month, months: what keeping the features costs
    feature_hours, per_hour: what computing them again costs
    hits: share of later experiments that find them

    Examples
    --------
    >>> experiments_to_pay(cached_gb=1000.0, feature_hours=5.0, per_hour=1.0)
    6.0
    """
    kept, again = cached_gb * per_gb_month * months, hits * feature_hours * per_hour
    return float(1 + np.ceil(kept / again - 1e-9)) if again else float("inf")


@checked
def cache_growth(
    *,
    entry_gb: Positive = 1.0,
    new_per_day: NotNegative = 4.0,
    keep_days: Days | None = None,
    days: Annotated[int, Interval(ge=1, le=36_500)] = 365,
) -> pd.Series:
    """Return the GB of a cache at the end of each day (index from 1), with or without eviction.

    A cache keyed by content gets a new entry whenever code or data changes; the old one stays.

    Parameters
    ----------
    keep_days: entries older than this are deleted; None keeps them all
    """
    day = np.arange(1, days + 1)
    kept = day if keep_days is None else np.minimum(day, keep_days)
    return pd.Series(entry_gb * new_per_day * kept, index=pd.Index(day, name="day"), name="gb")


@checked
def time_travel(
    *,
    table_gb: Positive = 100.0,
    rewritten_per_day: Share = 0.05,
    keep_days: Days | None = None,
    days: Annotated[int, Interval(ge=1, le=36_500)] = 365,
) -> pd.Series:
    """Return the GB of a table and its old versions at the end of each day (index from 1).

    A table format never changes a file: it writes a new one, and the old one stays for time
    travel until somebody removes old versions (vacuum, expire snapshots). The table itself does
    not grow here.

    Parameters
    ----------
    rewritten_per_day: share of the table whose files are replaced in a day
    keep_days: old versions older than this are removed; None keeps them all
    """
    old = cache_growth(
        entry_gb=table_gb, new_per_day=rewritten_per_day, keep_days=keep_days, days=days
    )
    return table_gb + old
