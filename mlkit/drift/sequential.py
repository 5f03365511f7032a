"""Watching day after day: a statistic per day, CUSUM, a budget of false alarms, matured labels.

A daily test forgets yesterday, so a small lasting move stays below its limit for ever, while a
test a day at five percent is wrong once in twenty days. CUSUM adds up what lies beyond a slack, and
its limit is calibrated so that quiet months keep to a stated number of false alarms.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.drift.detectors import Alpha
from mlkit.params import Count, NotNegative, Positive, Share, checked
from mlkit.tables import require

Rounds = Annotated[int, Interval(ge=20, le=100_000)]
Metric = Literal["right", "recall", "precision"]


@checked
def level_for(alarms: Positive = 1.0, *, checks: Count = 30) -> float:
    """Return the `level` of one comparison that keeps to so many false alarms in so many checks.

    Raises
    ------
    ValueError: as many alarms as checks or more

    Examples
    --------
    >>> round(level_for(1.0, checks=30), 4)
    0.0333
    """
    if not 0 < alarms < checks:
        raise ValueError(f"alarms = {alarms}: expected more than 0 and fewer than {checks} checks")
    return alarms / checks


@checked
def daily(
    frame: pd.DataFrame,
    feature: str,
    *,
    time: str,
    what: Literal["mean", "missing", "rows"] = "mean",
) -> pd.Series:
    """Return one number per UTC day: the mean, the share of missing values, or the rows.

    Days without a row are there too, as NaN (0 rows). Rows need no order, and many may share a
    timestamp.

    Raises
    ------
    KeyError: a column is missing
    TypeError: the feature holds no numbers, or `time` no times
    ValueError: times without a zone (whose day is it?), or a row without its time
    """
    require(frame, "frame", {feature: "any", time: "any"})
    if not pd.api.types.is_datetime64_any_dtype(frame[time].dtype):
        raise TypeError(f"{time}: expected times, came {frame[time].dtype}; use pd.to_datetime")
    if frame[time].dt.tz is None:
        raise ValueError(f"{time}: has no time zone; give it one with .dt.tz_localize('UTC')")
    if frame[time].isna().any():
        raise ValueError(f"{time}: {int(frame[time].isna().sum())} rows have no time; drop them")
    if what == "mean" and not pd.api.types.is_numeric_dtype(frame[feature].dtype):
        raise TypeError(f"{feature}: expected numbers, came {frame[feature].dtype}")
    day = frame[time].dt.tz_convert("UTC").dt.floor("D")
    values = frame[feature].isna() if what == "missing" else frame[feature]
    by_day = values.groupby(day)
    result = by_day.size() if what == "rows" else by_day.mean().astype("float64")
    whole = pd.date_range(day.min(), day.max(), freq="D", name="day")
    return result.reindex(whole, fill_value=0 if what == "rows" else np.nan)


@checked
def cusum(values: pd.Series, *, target: float, slack: NotNegative, limit: Positive) -> pd.DataFrame:
    """Return the two-sided cumulative sum of what lies beyond `target` plus or minus `slack`.

    Each day adds what exceeds the slack and never falls below zero; above the limit it fails and
    starts anew. A day without a value fails too, and leaves the sum as it was: what is not
    measured is not quiet.

    Parameters
    ----------
    values: one number per day, in order; index: the day
    target: the level of quiet days
    slack: what a day may be off for nothing; half of the move that matters, in units of `values`
    limit: sum that fails; `cusum_limit` finds it

    Returns
    -------
    One row per day: check ("cusum"), subject (the day), value (the larger sum), limit, failed,
    then up and down (both sums).

    Raises
    ------
    TypeError: not a column of numbers
    ValueError: no days, days that repeat or are out of order, or target no finite number

    Examples
    --------
    >>> cusum(pd.Series([0.0, 1.0, 1.0, 1.0]), target=0.0, slack=0.5, limit=1.2)["failed"].tolist()
    [False, False, False, True]

    Source: Page, Biometrika 41 (1954) 100-115.
    """
    series = _series(values)
    if not np.isfinite(target):
        raise ValueError(f"target = {target}: expected a finite number, such as the quiet mean")
    up = down = 0.0
    rows = []
    for day, value in series.items():
        if not np.isnan(value):
            up = max(0.0, up + value - target - slack)
            down = max(0.0, down + target - value - slack)
        top = np.nan if np.isnan(value) else max(up, down)
        rows.append((day, top, not top <= limit, up, down))
        if top > limit:
            up = down = 0.0
    table = pd.DataFrame(rows, columns=["subject", "value", "failed", "up", "down"])
    table = table.assign(check="cusum", limit=limit)
    return table[["check", "subject", "value", "limit", "failed", "up", "down"]]


def _series(values: pd.Series) -> pd.Series:
    if not isinstance(values, pd.Series) or not pd.api.types.is_numeric_dtype(values.dtype):
        came = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"expected a column of numbers, came {came}")
    if not len(values):
        raise ValueError("expected one value per day, came none")
    if values.index.has_duplicates or not values.index.is_monotonic_increasing:
        twice = int(values.index.duplicated().sum())
        advice = "group by the day" if twice else "use sort_index()"
        raise ValueError(f"expected one value per day in order, came {twice} repeats; {advice}")
    return values.astype("float64")


@checked
def cusum_limit(
    quiet: pd.Series,
    *,
    rng: np.random.Generator,
    slack: NotNegative,
    alarms: Positive = 1.0,
    days: Count = 30,
    block: Count = 1,
    rounds: Rounds = 1000,
) -> float:
    """Return the smallest limit that keeps to `alarms` false alarms in `days`, by simulation.

    Each round draws a history of the length of `quiet` and a month from it, takes the target from
    the history as one would, and runs CUSUM on the month. So the limit pays for a target that a
    few quiet weeks know only roughly.

    Parameters
    ----------
    quiet: daily values of a time without drift, in order
    rng: draws the rounds
    slack: as in `cusum`
    alarms: false alarms that `days` days may have on average
    days: length of a month
    block: days drawn together, 7 where weekdays differ or days depend on each other
    rounds: simulated months

    Raises
    ------
    TypeError: not a column of numbers
    ValueError: fewer than 14 days, values that are not finite, a constant series (nothing to
        calibrate on), or block longer than the series

    Source: Page (1954); moving blocks: Künsch, Annals of Statistics 17 (1989) 1217-1241.
    """
    values = _series(quiet).to_numpy()
    if len(values) < 14 or not np.isfinite(values).all() or not np.ptp(values):
        raise ValueError(
            f"quiet: expected 14 finite daily values or more that vary, came {len(values)}, "
            f"{int((~np.isfinite(values)).sum())} not finite, {len(np.unique(values))} different"
        )
    if block > len(values):
        raise ValueError(f"block = {block}: expected at most the {len(values)} days of quiet")
    values = (values - values.mean()) * np.sqrt(len(values) / (len(values) - 1))
    target = _blocks(values, len(values), block, rounds, rng).mean(axis=1)
    months = _blocks(values, days, block, rounds, rng) - target[:, None]
    low, high = 0.0, float(np.abs(months).sum(axis=1).max())
    for _ in range(40):
        middle = (low + high) / 2
        if _alarms(months, slack, middle) > alarms:
            low = middle
        else:
            high = middle
    return high or float(np.finfo(float).tiny)


def _blocks(
    values: np.ndarray, days: int, block: int, rounds: int, rng: np.random.Generator
) -> np.ndarray:
    """Return runs of `block` days in a row, drawn with replacement, shape (rounds, days)."""
    starts = rng.integers(0, len(values) - block + 1, (rounds, -(-days // block)))
    return values[starts[..., None] + np.arange(block)].reshape(rounds, -1)[:, :days]


def _alarms(months: np.ndarray, slack: float, limit: float) -> float:
    """Return the mean number of alarms per row of deviations from the target."""
    up, down = np.zeros(len(months)), np.zeros(len(months))
    count = 0
    for day in months.T:
        up, down = np.maximum(0, up + day - slack), np.maximum(0, down - day - slack)
        over = np.maximum(up, down) > limit
        count += int(over.sum())
        up[over] = down[over] = 0.0
    return count / len(months)


@checked
def performance_finding(
    decisions: pd.DataFrame,
    *,
    now: Any,
    expected: Share,
    metric: Metric = "right",
    max_loss: Share = 0.02,
    entity: str | None = None,
    since: Any = None,
    level: Alpha = 0.05,
) -> pd.DataFrame:
    """Return what the model has lost on decisions whose label is known, with an interval.

    Only labels known by `now` count, and of those the ones of decisions made from `since` on. The
    newest decisions have no label yet, and what was refused may never get one.

    Parameters
    ----------
    decisions: columns ts and label_known_ts (UTC), decision and label (bool or 0 and 1)
    now, since: a time with its zone: the moment of the check, and the first decision that counts
    expected: the metric when the model went live
    metric: share of right decisions; recall (of the true labels); precision (of the decisions)
    max_loss: tolerance
    entity: column whose rows depend on each other; widens the interval
    level: probability that the interval misses

    Returns
    -------
    One row "performance": check, subject (the metric), value (expected minus measured), limit (the
    tolerance or, where larger, half of the interval), failed, then measured, low, high (of the
    metric), n (decisions counted), matured (share of the decisions since `since` with a label).

    Raises
    ------
    KeyError, TypeError: columns missing or of another kind
    ValueError: no label known yet, times without a zone, labels that are neither 0 nor 1
    """
    rows, share = _known(decisions, now, since, entity)
    right = rows["decision"] == rows["label"]
    counted = {"right": right | True, "recall": rows["label"], "precision": rows["decision"]}
    right, rows = right[counted[metric]], rows[counted[metric]]
    if rows.empty:
        raise ValueError(f"{metric}: no decision counts for it among those with a known label")
    measured = float(right.mean())
    low, high = _interval(right, rows[entity] if entity else None, level)
    limit = max(max_loss, measured - low, high - measured)
    row = {"check": "performance", "subject": metric, "value": expected - measured, "limit": limit}
    row |= {"failed": expected - measured > limit, "measured": measured, "low": low, "high": high}
    return pd.DataFrame([{**row, "n": len(rows), "matured": share}])


def _known(
    decisions: pd.DataFrame, now: Any, since: Any, entity: str | None
) -> tuple[pd.DataFrame, float]:
    """Return the decisions with a label at `now`, and their share."""
    columns = {"ts": "time", "label_known_ts": "time", "decision": "any", "label": "any"}
    require(decisions, "decisions", columns | ({entity: "any"} if entity else {}))
    for name, moment in (("now", now), ("since", since)):
        if not (isinstance(moment, datetime) and moment.tzinfo) and (moment or name == "now"):
            raise ValueError(
                f"{name} = {moment!r}: expected a pandas Timestamp with a zone, such as UTC"
            )
    made = decisions[decisions["ts"].between(since or decisions["ts"].min(), now)]
    known = made[(made["label_known_ts"] <= now) & made["label"].notna()]
    if known.empty:
        first = decisions["label_known_ts"].min()
        raise ValueError(f"no label is known by {now} of {len(made)} decisions; the first: {first}")
    for name in ("decision", "label"):
        if not known[name].isin([0, 1]).all():
            odd = known.loc[~known[name].isin([0, 1]), name].iloc[0]
            raise ValueError(f"decisions.{name}: expected 0 and 1 or bool, came {odd}")
    return known.astype({"decision": bool, "label": bool}), len(known) / len(made)


def _interval(right: pd.Series, entity: pd.Series | None, level: float) -> tuple[float, float]:
    """Return Wilson's interval for as many rows as the rows of dependent entities are worth."""
    from scipy.stats import norm

    n, p = float(len(right)), float(right.mean())
    if entity is not None:
        sums = (right - p).groupby(entity.to_numpy(), dropna=False).sum()
        spread = float((sums**2).sum()) / n**2 * len(sums) / max(len(sums) - 1, 1)
        independent = p * (1 - p) / n
        n = min(n, n * independent / spread) if spread > 0 else float(len(sums))
    z = float(norm.isf(level / 2))
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)
