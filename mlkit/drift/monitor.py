"""What the log of decisions tells: whether anything moved, and whether it does harm.

An alarm says that a distribution moved. Harm says that decisions got worse, or that scores no
longer mean what they say; only matured answers can tell. The two are different rows here.
"""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import findings
from mlkit.drift.detectors import shifts
from mlkit.features import FEATURES
from mlkit.model import THRESHOLD
from mlkit.params import NotNegative, Share, checked
from mlkit.stats import Level, psi
from mlkit.tables import Tables, require, require_complete, require_tables

LIFETIME = "total_purchases"  # grows with the age of an account, whatever happens
WATCHED = [name for name in FEATURES if name != LIFETIME]
RULE = ["avg_amount", "days_since_last_purchase", "total_purchases"]  # those of the syllabus
FEWEST_USERS = 30  # below which no difference of means over users is proven
LOG = {"user_id": "int", "ts": "time", "score": "float", "label": "any"}
Span = Annotated[int, Interval(ge=1, le=100_000)]


def first_days(log: pd.DataFrame, days: int) -> pd.DataFrame:
    """Return the rows of a log from its first `days` days."""
    return log[log["ts"] < log["ts"].min() + pd.Timedelta(days=days)]


def last_days(log: pd.DataFrame, days: int) -> pd.DataFrame:
    """Return the rows of a log from its last `days` days."""
    return log[log["ts"] > log["ts"].max() - pd.Timedelta(days=days)]


def matured(log: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a log whose answer is known, their label as bool."""
    known = log.dropna(subset=["label"])
    return known.assign(label=known["label"].astype(bool))


@checked
def naive_detect(
    reference: Tables, suspect: Tables, *, days: Span = 28, max_psi: NotNegative = 0.2
) -> pd.DataFrame:
    """Return one row per feature: does its distribution look as it did?

    The usual check: the population stability index of each feature, missing values dropped first,
    and a model retrained where it passes 0.2. It sees P(x) alone, and not what was dropped. And it
    knows nothing of chance, which alone gives about 9 (1/n + 1/m) for n and m rows: with fifty
    rows in a window it rings whatever happens, it needs several hundred in both.

    Parameters
    ----------
    reference, suspect: tables with `decisions`; the first days of one, the last of the other
    days: length of both windows
    max_psi: largest index that passes

    Returns
    -------
    Columns check ("psi"), subject (the feature), value (infinite without any number), limit,
    failed.

    Raises
    ------
    KeyError: a table or a feature is missing
    ValueError: a log without rows, or an option out of range

    Source: challenge 6, strategy 2.
    """
    before, now = _windows(reference, suspect, days)
    values = {name: _index(before[name].dropna(), now[name].dropna()) for name in FEATURES}
    return findings("psi", pd.Series(values), max_psi)


def _index(before: pd.Series, now: pd.Series) -> float:
    return psi(before, now) if len(before) and len(now) else float("inf")


@checked
def detect(
    reference: Tables,
    suspect: Tables,
    *,
    days: Span = 28,
    max_loss: Share = 0.02,
    max_gap: Share = 0.05,
) -> pd.DataFrame:
    """Return harm (performance, calibration) and alarms (shifts of features), one row each.

    Parameters
    ----------
    reference, suspect: tables with `decisions`; the first days of one, the last of the other
    days: length of both windows; for harm the last days whose answers have matured
    max_loss, max_gap: see `harm`

    Returns
    -------
    As `harm`, then one row per feature and check as `detectors.shifts` gives them.

    Raises
    ------
    KeyError, TypeError: a table or a column is missing or of another type
    ValueError: a log without rows or without matured answers, or an option out of range

    Source: challenge 6, strategies 1 to 3, as far as they hold.
    """
    before, now = _windows(reference, suspect, days)
    answered = last_days(matured(suspect["decisions"]), days)
    return pd.concat(
        [
            harm(matured(before), answered, max_loss=max_loss, max_gap=max_gap),
            _alarms(before, now),
        ],
        ignore_index=True,
    )


def _windows(reference: Tables, suspect: Tables, days: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = {**LOG, **dict.fromkeys(FEATURES, "float")}
    for tables in (reference, suspect):
        require_tables(tables, "decisions")
        require(tables["decisions"], "decisions", columns)
    return first_days(reference["decisions"], days), last_days(suspect["decisions"], days)


def _alarms(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Return the shifts of the watched features, one row per user: his last in each window."""
    one, other = (log.drop_duplicates("user_id", keep="last") for log in (before, now))
    return shifts(one, other, features=WATCHED)


@checked
def harm(
    before: pd.DataFrame,
    now: pd.DataFrame,
    *,
    max_loss: Share = 0.02,
    max_gap: Share = 0.05,
    level: Level = 0.95,
) -> pd.DataFrame:
    """Return whether matured answers prove harm: fewer right decisions, or scores that mislead.

    Every user counts once, however many rows he has: rows of one user are no new evidence. With
    fewer than `FEWEST_USERS` on either side nothing is proven.

    Parameters
    ----------
    before, now: one row per decision with a known answer: user_id int, score in [0, 1], label
    max_loss: largest proven loss of accuracy that passes, in [0, 1]
    max_gap: largest proven distance of mean score and share of positive answers that passes
    level: of the two-sided intervals

    Returns
    -------
    Rows "performance" (accuracy) and "calibration" (score): check, subject, value (what is proven:
    the near end of the interval, at least 0), limit, failed, before, now (the two estimates).

    Raises
    ------
    KeyError: a column is missing
    ValueError: no rows, a user, score or label is missing, or an option out of range
    """
    then, today = (by_user(log, name) for log, name in ((before, "before"), (now, "now")))
    spread = np.hypot(margin(then["right"], level), margin(today["right"], level))
    loss = then["right"].mean() - today["right"].mean() - spread
    gap = abs(today["excess"].mean()) - margin(today["excess"], level)
    rows = [
        ("performance", "accuracy", loss, max_loss, then["right"].mean(), today["right"].mean()),
        ("calibration", "score", gap, max_gap, then["excess"].mean(), today["excess"].mean()),
    ]
    table = pd.DataFrame(rows, columns=["check", "subject", "value", "limit", "before", "now"])
    table["value"] = table["value"].clip(lower=0.0)
    table["failed"] = table["value"] > table["limit"]
    return table[["check", "subject", "value", "limit", "failed", "before", "now"]]


def by_user(log: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return per user the share of right decisions and the mean of score minus answer."""
    require(log, name, {"user_id": "any", "score": "float", "label": "any"})
    require_complete(log, name, ["user_id", "score", "label"])
    label = log["label"].astype(float)
    each = pd.DataFrame(
        {"right": (log["score"] >= THRESHOLD) == (label == 1), "user": log["user_id"]}
    )
    each["excess"] = log["score"] - label
    return each.astype({"right": float}).groupby("user").mean()


def margin(means: pd.Series, level: float) -> float:
    """Return half of the interval of a mean over users; with few users it has no end.

    Student's quantile, as the spread is estimated; below `FEWEST_USERS` the spread of a few equal
    users would be zero, and anything proven.
    """
    from scipy.stats import t

    if len(means) < FEWEST_USERS:
        return float("inf")
    return float(t.ppf((1 + level) / 2, len(means) - 1) * means.std() / np.sqrt(len(means)))
