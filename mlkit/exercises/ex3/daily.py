"""Daily statistics of a service, the count of alarms, and the syllabus's rule, which cries wolf."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from mlkit.exercises.ex3.days import DELAY, FEATURES, FIRST, REFERENCE_END, WINDOW, reference_of

COUNTER = "psi_total_purchases"
STATISTICS = [f"psi_{name}" for name in FEATURES] + ["missing", "jump", "error"]
BINS = 10  # of the stability index, and one more for missing values


def daily_statistics(rows: pd.DataFrame, *, first: int = 1) -> pd.DataFrame:
    """Return one row per month and day from `first` on: a larger number is more suspicious.

    `psi_*` compare the last seven days with the reference of the same month; `missing` is the share
    of missing values in the last seven days; `jump` is how far the median amount of the day is
    from that of the reference, in powers of ten; `error` is the share of wrong decisions among the
    answers that became known in the last seven days.
    """
    months, days = int(rows["month"].max()) + 1, int(rows["day"].max()) - first + 1
    table = pd.DataFrame(np.indices((months, days)).reshape(2, -1).T, columns=["month", "day"])
    table["day"] += first
    for name in FEATURES:
        table[f"psi_{name}"] = _psi(rows, name)[:, -days:].ravel()
    lost = rows[FEATURES].isna().to_numpy().mean(axis=1)
    wrong = (rows["decision"] != rows["answer"]).to_numpy(float)
    late = rows.assign(day=rows["day"] + DELAY)
    table["missing"] = _mean(rows, lost)[:, -days:].ravel()
    table["jump"] = _jump(rows)[:, -days:].ravel()
    table["error"] = _mean(late, wrong)[:, -days - DELAY : -DELAY].ravel()
    return table


def _sums(rows: pd.DataFrame, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the number (or sum of weights) of rows for each month and day since `FIRST`."""
    month, day = rows["month"].to_numpy(), rows["day"].to_numpy() - FIRST
    shape = int(month.max()) + 1, int(day.max()) + 1
    flat = np.bincount(month * shape[1] + day, weights, minlength=shape[0] * shape[1])
    return flat.reshape(shape)


def _last_days(sums: np.ndarray) -> np.ndarray:
    """Return sums over the last seven days, along the second axis."""
    total = np.cumsum(sums, axis=1)
    return np.concatenate([total[:, :WINDOW], total[:, WINDOW:] - total[:, :-WINDOW]], axis=1)


def _mean(rows: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    return _last_days(_sums(rows, values)) / np.maximum(_last_days(_sums(rows)), 1)


def _psi(rows: pd.DataFrame, name: str) -> np.ndarray:
    """Return the index for each month and day, as `mlkit.stats.psi` has it for one pair."""
    bins = _bins(rows, name)
    counts = np.stack([_sums(rows, bins == b) for b in range(BINS + 1)], axis=2)
    old = counts[:, : REFERENCE_END - FIRST + 1].sum(axis=1, keepdims=True) + 0.5
    new = _last_days(counts) + 0.5
    old, new = (x / x.sum(axis=2, keepdims=True) for x in (old, new))
    return ((new - old) * np.log(new / old)).sum(axis=2)


def _bins(rows: pd.DataFrame, name: str) -> np.ndarray:
    """Return each row's bin among the quantiles of its month's reference; missing is the last."""
    values, month = rows[name].to_numpy(), rows["month"].to_numpy()
    bins = np.full(len(rows), BINS)
    cuts = np.searchsorted(month, np.arange(month[-1] + 2))
    old = (rows["day"] <= REFERENCE_END).to_numpy() & ~np.isnan(values)
    for part in map(slice, cuts[:-1], cuts[1:]):
        inner = np.quantile(
            values[part][old[part]], np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf"
        )
        bins[part] = np.searchsorted(inner, values[part], side="right")
    bins[np.isnan(values)] = BINS
    return bins


def _jump(rows: pd.DataFrame) -> np.ndarray:
    """Return for each month and day how far the median amount is off, in powers of ten."""
    size = np.log10(rows["avg_amount"])
    shape = _sums(rows).shape
    by_day = size.groupby([rows["month"], rows["day"]]).median()
    grid = pd.MultiIndex.from_product([range(shape[0]), range(FIRST, FIRST + shape[1])])
    old = size[rows["day"] <= REFERENCE_END].groupby(rows["month"]).median().to_numpy()
    return np.abs(by_day.reindex(grid).to_numpy().reshape(shape) - old[:, None])


# Alarms


def alarms(history: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """Return the days on which a watched statistic is above its limit and none was the day before.

    Days in a row are one alarm: somebody has been woken already. Columns month and day.
    """
    above = np.zeros(len(history), dtype=bool)
    for name, limit in limits.items():
        above |= (history[name] > limit).to_numpy()
    again = np.r_[False, above[:-1]] & (history["month"] == history["month"].shift()).to_numpy()
    return history.loc[above & ~again, ["month", "day"]]


def alarms_a_month(history: pd.DataFrame, limits: Mapping[str, float]) -> float:
    """Return the mean number of alarms in a month."""
    return len(alarms(history, limits)) / history["month"].nunique()


# The syllabus's rule


def naive_weekly_rule(
    reference: pd.DataFrame, production: pd.DataFrame, *, features: list[str] | None = None
) -> bool:
    """Return the rule as the syllabus has it: p below .05 in more than a fifth of the features."""
    names = FEATURES[1:] if features is None else features
    drifted = [
        p_value(reference[name].dropna(), production[name].dropna()) < 0.05 for name in names
    ]
    return sum(drifted) / len(drifted) > 0.2


def p_value(reference: pd.Series, production: pd.Series) -> float:
    """Return the p-value of Kolmogorov and Smirnov for large samples of independent rows.

    scipy's `ks_2samp(..., method="asymp")` gives nearly the same, in ten times the time.
    """
    from scipy.special import kolmogorov

    old, new = np.sort(reference.to_numpy()), np.sort(production.to_numpy())
    both = np.concatenate([old, new])
    shares = [np.searchsorted(s, both, side="right") / len(s) for s in (old, new)]
    size = len(old) * len(new) / len(both)
    return float(kolmogorov(np.sqrt(size) * np.abs(shares[0] - shares[1]).max()))


def naive_months(
    rows: pd.DataFrame, *, features: list[str] | None = None, one_a_user: bool = False
) -> int:
    """Return in how many months the rule, run every day on the last seven, fires at least once.

    With `one_a_user` each user counts once: with the last row of the reference and of the week.
    """
    return sum(
        any(
            naive_weekly_rule(old, week, features=features)
            for old, week in _checks(month, one_a_user)
        )
        for _, month in rows.groupby("month")
    )


def _checks(month: pd.DataFrame, one_a_user: bool) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield the reference and the last seven days, for every day of watching."""
    old, day = reference_of(month), month["day"].to_numpy()
    for today in range(1, day[-1] + 1):
        week = month[slice(*np.searchsorted(day, [today - WINDOW + 1, today + 1]))]
        pair = [old, week]
        if one_a_user:
            pair = [rows.drop_duplicates("user_id", keep="last") for rows in pair]
        yield pair[0], pair[1]
