"""The gate between an alarm and a new model: what to do, and who may take over.

Every review looks at what was known on that day and nothing later. A bug is repaired upstream and
never learned; a shift without harm is left alone; scores that mislead are recalibrated; a concept
that changed calls for a challenger, which has to beat the champion on matured answers.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from mlkit.drift.monitor import margin, matured
from mlkit.features import FEATURES
from mlkit.model import THRESHOLD, fit, log_decisions, periods, plain_model, round_fitted
from mlkit.params import Share, checked
from mlkit.stats import Level
from mlkit.tables import Tables, require, require_complete, require_tables
from mlkit.tasks import TASKS

X = list(FEATURES)
Action = Literal["do nothing", "fix upstream", "recalibrate", "retrain"]
HARMS = ("performance", "calibration")
SOURCE = ("unit", "parity")
FEW = 5  # purchases below which a day by itself is not judged
RARE = 0.01  # share of odd amounts that are no unit: in small shops a day is odd by chance


class Deployment(NamedTuple):
    """A model that went live: what it learned from, since when, why, how it did before."""

    model: str
    trained_from: pd.Timestamp
    trained_to: pd.Timestamp
    shift: float  # added to the log-odds of its score
    live_from: pd.Timestamp
    reason: str
    matured: float  # accuracy on answers it had not learned from


def decide(found: pd.DataFrame) -> Action:
    """Return what findings call for: the most urgent reason first.

    Parameters
    ----------
    found: findings of `source_breaks`, `harm` and `detectors.shifts`, in any order

    Returns
    -------
    "fix upstream" for a broken source, "retrain" for proven loss, "recalibrate" for scores that
    mislead, else "do nothing": a shift by itself is a question, not a reason.

    Raises
    ------
    KeyError: no column check or failed
    """
    require(found, "found", {"check": "any", "failed": "bool"})
    failed = set(found.loc[found["failed"], "check"])
    if failed & set(SOURCE):
        return "fix upstream"
    if "performance" in failed:
        return "retrain"
    return "recalibrate" if "calibration" in failed else "do nothing"


# --- upstream -------------------------------------------------------------------------------------


def wrong_unit(transactions: pd.DataFrame, *, until: pd.Timestamp) -> tuple[np.ndarray, float]:
    """Return which purchases arrived in another unit, shape (n,), and its factor (1: none).

    Found are powers of ten, up or down: a hundred and more (or a hundredth and less) where a fifth
    of a day's amounts or more are wrong, ten and a tenth only where nearly all of a day's are.
    Other days whose median is off by more than five times, or a fifth of whose amounts by more than
    ten, are returned with the factor NaN: that something is wrong is plain, what it was is not.

    A factor within 1.4 times of a power of ten is taken for it. Not found, or not always: what is
    wrong before `until` already, since those days say what is typical; factors below five; ten, or
    another one below seventy, in a part of the rows; ten on days of fewer than five purchases; a
    factor without a name in one amount of a hundred or fewer. Where a day begins right and ends
    wrong, ten is laid to the whole day or to none of it.

    Parameters
    ----------
    transactions: columns event_ts and amount_usd
    until: end of the days that are known to be right, such as those of the training period

    Raises
    ------
    ValueError: no purchase by `until`
    """
    day = transactions["event_ts"].dt.floor("D")
    amount, known = transactions["amount_usd"].clip(lower=0.005), transactions["event_ts"] <= until
    if not known.any():
        raise ValueError(f"until = {until}: expected a purchase by then, to say what is typical")
    size = np.log10(amount / amount[known].median())
    number = size.groupby(day).transform("size")
    share = (size.abs() > 1).groupby(day).transform("mean")
    off = ~known & (number >= FEW) & (size.groupby(day).transform("median").abs() > np.log10(5))
    part = ~known & (number >= FEW) & (share > 0.2)
    power = float(size[part & (size.abs() > 1)].median()) if part.any() else 0.0
    if abs(power) < 1.85:  # the far end of what is typical: days as a whole have to tell
        power = float(size[off].median()) if off.any() else 0.0
    if not round(power) or abs(power - round(power)) > 0.15:
        odd = (off | (part & (size.abs() > 1))).to_numpy()
        few = odd.mean() <= RARE
        return (odd & ~few), (1.0 if few else float("nan"))
    far = size * np.sign(power) > abs(power) / 2
    alone = ~known & (number < FEW) & far
    hit = off if abs(round(power)) == 1 else (~known & (share > 0.9)) | (part & far) | alone
    return hit.to_numpy(), float(10.0 ** round(power))


def trained_until(tables: Tables) -> pd.Timestamp:
    """Return the moment of the last request of the training period."""
    asked = tables["offers"]
    return asked.loc[periods(asked) == "train", "prediction_ts"].max()


def source_breaks(tables: Tables, *, max_share: Share = 0.01) -> tuple[pd.DataFrame, Tables]:
    """Return what is broken upstream of the model, and the tables as they should have been.

    Amounts in another unit are brought back, where the unit is known, then every feature is
    computed again from the purchases and compared with what was served. What cannot be found says
    `wrong_unit`.

    Parameters
    ----------
    tables: `transactions`, `offers`, `training`, `served` and `decisions`
    max_share: share of wrong amounts or features that passes, in [0, 1]

    Returns
    -------
    Findings with a row "unit" for the amounts and a row "parity" per feature: check, subject,
    value (share that is wrong), limit, failed, first (when it began), factor (of the unit; NaN
    where it is not known, and the amounts are as they came); and the mended tables.

    Raises
    ------
    KeyError: a table or a column is missing
    """
    require_tables(tables, "transactions", "offers", "training", "served")
    bought, served = tables["transactions"], tables["served"]
    hit, factor = wrong_unit(bought, until=trained_until(tables))
    back = hit & np.isfinite(factor)  # what it was, is not known without a factor
    amount = bought["amount_usd"].mask(back, np.round(bought["amount_usd"] / factor, 2))
    mended = {**tables, "transactions": bought.assign(amount_usd=amount)}
    right = TASKS["shop"].compute(mended)
    rows = [("unit", "amount_usd", hit.mean(), bought.loc[hit, "event_ts"].min())]
    truth = right.set_index("offer_id").loc[served["offer_id"]]
    for name in X:
        off = ~np.isclose(served[name], truth[name], rtol=0.01, atol=1e-12, equal_nan=True)
        first = served.loc[off, "prediction_ts"].min()
        explained = hit.mean() > max_share  # by the unit, which is the cause
        rows.append(("parity", name, 0.0 if explained else off.mean(), first))
    found = pd.DataFrame(rows, columns=["check", "subject", "value", "first"])
    found = found.assign(limit=max_share, failed=found["value"] > max_share)
    found = found.assign(factor=np.where(found["check"] == "unit", factor, 1.0))
    found = found[["check", "subject", "value", "limit", "failed", "first", "factor"]]
    return found, log_decisions({**mended, "training": right, "served": right})


# --- models ---------------------------------------------------------------------------------------


def log_odds(score: np.ndarray) -> np.ndarray:
    """Return log-odds of scores in [0, 1], cut off where six decimals end."""
    score = np.clip(np.asarray(score, dtype=float), 1e-6, 1 - 1e-6)
    return np.log(score / (1 - score))


def shifted(score: np.ndarray, shift: float) -> np.ndarray:
    """Return scores with `shift` added to their log-odds, six decimals."""
    return np.round(1 / (1 + np.exp(-(log_odds(score) + shift))), 6)


def recalibrate(score: np.ndarray, label: np.ndarray) -> float:
    """Return the shift of log-odds after which the mean score is the share of positive answers.

    One number cannot change the order of the scores: it cures a changed base rate, not a changed
    concept. Found by bisection, six decimals.

    Raises
    ------
    ValueError: no answers, missing ones, or one class alone: no finite shift would do

    Source: Elkan, The foundations of cost-sensitive learning, IJCAI 2001.
    """
    score, label = np.asarray(score, dtype=float), np.asarray(label, dtype=float)
    lost = int((~np.isfinite(score)).sum() + (~np.isfinite(label)).sum())
    if lost or len(score) != len(label) or not 0 < label.sum() < len(label):
        raise ValueError(
            "expected a score and a label for each row, both classes among them, came "
            f"{len(score)} scores, {int((label == 1).sum())} positive and "
            f"{int((label == 0).sum())} negative labels, {lost} missing values"
        )
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if shifted(score, middle).mean() < np.mean(label):
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 6)


def model_of(tables: Tables, row: Any) -> Any:
    """Return the model of a row of `deployments`, learned again from what the row names.

    Raises
    ------
    KeyError: a table is missing
    """
    if row.model == "champion":
        return fit(tables)
    log = matured(tables["decisions"])
    rows = log[(log["ts"] >= row.trained_from) & (log["ts"] <= row.trained_to)]
    return fit_rows(rows)


def predict(model: Any, rows: pd.DataFrame, shift: float = 0.0) -> np.ndarray:
    """Return scores in [0, 1], six decimals, shape (n,)."""
    score = np.round(model.predict_proba(rows[X])[:, 1], 6)
    return shifted(score, shift) if shift else score


def fit_rows(rows: pd.DataFrame) -> Any:
    """Return the plain model, fitted to the features and labels of some rows of a log."""
    return round_fitted(plain_model().fit(rows[X], rows["label"].astype(bool)))


@checked
def beats(
    challenger: np.ndarray,
    champion: np.ndarray,
    rows: pd.DataFrame,
    *,
    level: Level = 0.95,
) -> bool:
    """Return whether the challenger is right more often on the same rows, beyond chance.

    Parameters
    ----------
    challenger, champion: scores in [0, 1], shape (n,)
    rows: user_id and label of the same n decisions, matured and learned by neither model
    level: of the two-sided interval of the difference, each user counted once; with fewer than
        `monitor.FEWEST_USERS` nothing is proven

    Raises
    ------
    KeyError: a column is missing
    ValueError: a label, a user or a score is missing
    """
    require(rows, "rows", {"user_id": "any", "label": "any"})
    require_complete(rows, "rows", ["user_id", "label"])
    missing = int(np.isnan(challenger).sum() + np.isnan(champion).sum())
    if missing:
        raise ValueError(f"expected a score for each of {len(rows)} rows, {missing} are missing")
    label = rows["label"].to_numpy(bool)
    won = ((challenger >= THRESHOLD) == label).astype(float) - ((champion >= THRESHOLD) == label)
    each = pd.Series(won).groupby(rows["user_id"].to_numpy()).mean()
    return bool(each.mean() - margin(each, level) > 0)
