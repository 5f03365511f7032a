"""Challenge 1, training-serving skew: the model is asked with features it was not trained on.

The fault lives in how one of the two paths computes a feature, never in the rows of the
warehouse. `inject` answers a share of the offers by a faulty code path; `detect` pairs what was
served with what the training path computed for the same offer.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import Kind, findings
from mlkit.features import FEATURES, asof_features
from mlkit.model import log_decisions, operate, performance
from mlkit.params import Count, Days, NotNegative, Positive, Share, checked, options
from mlkit.tables import Tables, require, require_tables, require_unique

WORLD = "shop"
DETAILS = ["pairs", "gap", "missing", "first"]
HARMLESS = "stationary"  # the preset in which old purchases are as good as new ones


def inject_window(transactions: pd.DataFrame, asked: pd.DataFrame, *, rows: int) -> pd.DataFrame:
    """Return features whose average is over the last `rows` purchases, however old."""
    last_rows = f"AVG(CASE WHEN h.recency <= {rows} THEN h.amount_usd END)"
    wrong = {**FEATURES, "avg_amount": last_rows}
    return asof_features(transactions, asked, definitions=wrong)


def inject_zero_for_missing(transactions: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features whose average is 0 for users without a purchase in the window."""
    idle = asked["purchases_30d"] == 0
    return asked.assign(avg_amount=asked["avg_amount"].mask(idle, 0.0))


def inject_rewrite(transactions: pd.DataFrame, asked: pd.DataFrame, *, rows: int) -> pd.DataFrame:
    """Return features of the rewritten service: last `rows` purchases, 0 where idle."""
    return inject_zero_for_missing(transactions, inject_window(transactions, asked, rows=rows))


def inject_lost_rows(training: pd.DataFrame, hit: pd.Series) -> pd.DataFrame:
    """Return training rows without users idle for 30 days, as grouping filtered rows does."""
    lost = training["offer_id"].isin(hit) & (training["purchases_30d"] == 0)
    return training[~lost].reset_index(drop=True)


def inject_other_source(transactions: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features from the web and app event stream, which lacks the point of sale."""
    return asof_features(transactions[transactions["channel"] != "pos"], asked)


def inject_stale_cache(
    transactions: pd.DataFrame, asked: pd.DataFrame, *, days: int
) -> pd.DataFrame:
    """Return features as materialised `days` ago: one definition, one code path, still skew."""
    earlier = asked["prediction_ts"] - pd.Timedelta(days=days)
    return asof_features(transactions, asked.assign(prediction_ts=earlier))


def inject_time_zone(
    transactions: pd.DataFrame, asked: pd.DataFrame, *, hours: float
) -> pd.DataFrame:
    """Return features of a host whose local time is taken for UTC, `hours` behind."""
    local = asked["prediction_ts"] - pd.Timedelta(hours=hours)
    return asof_features(transactions, asked.assign(prediction_ts=local))


def inject_rounding(
    transactions: pd.DataFrame, asked: pd.DataFrame, *, step_usd: float
) -> pd.DataFrame:
    """Return features whose average is rounded to steps of `step_usd`."""
    return asked.assign(avg_amount=(asked["avg_amount"] / step_usd).round() * step_usd)


def inject_category_codes(transactions: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features whose category codes were rebuilt in alphabetical order."""
    names = transactions["category"].cat.categories
    rebuilt = {float(old): float(sorted(names).index(name)) for old, name in enumerate(names)}
    return asked.assign(last_category=asked["last_category"].map(rebuilt))


def inject_renamed_column(transactions: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return features of a service that finds no `amount_usd` any more and fills in 0."""
    return asked.assign(avg_amount=0.0, amount_variance=0.0)


def inject_unit(transactions: pd.DataFrame, asked: pd.DataFrame, *, factor: float) -> pd.DataFrame:
    """Return features whose amounts are in another unit, `factor` to the dollar."""
    return asked.assign(
        avg_amount=asked["avg_amount"] * factor,
        amount_variance=asked["amount_variance"] * factor**2,
    )


KINDS = {
    "window": Kind(inject_window, "yes", False, "different code: last 30 purchases, not days"),
    "zero_for_missing": Kind(
        inject_zero_for_missing, "yes", True, "different code: 0 where the window is empty"
    ),
    "rewrite": Kind(
        inject_rewrite, "yes", True, "different code: both of these, and training drops the idle"
    ),
    "other_source": Kind(
        inject_other_source, "yes", True, "different source: serving lacks the point of sale"
    ),
    "stale_cache": Kind(
        inject_stale_cache, "depends", False, "different timing: values of some days ago"
    ),
    "time_zone": Kind(inject_time_zone, "no", False, "different timing: the clock is hours off"),
    "rounding": Kind(inject_rounding, "no", False, "different logic: rounded on the way"),
    "category_codes": Kind(
        inject_category_codes, "depends", False, "schema change: codes rebuilt in serving"
    ),
    "renamed_column": Kind(
        inject_renamed_column, "yes", True, "schema change: a column renamed, filled with 0"
    ),
    "unit": Kind(inject_unit, "yes", True, "schema change: cents for dollars"),
}
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]


@checked
def inject(
    world: Tables,
    *,
    rng: np.random.Generator,
    kind: KindName = "window",
    severity: Share = 1.0,
    start_day: Days = 0,
    rows: Count = 30,
    days: Days = 7,
    hours: Annotated[float, Interval(ge=0, le=48)] = 8.0,
    step_usd: Positive = 1.0,
    factor: Positive = 100.0,
) -> Tables:
    """Return the world with a share of its offers served by a faulty code path.

    Parameters
    ----------
    world: tables with `transactions`, `offers`, `training` and `served`
    rng: draws which offers take the faulty path
    kind: one of `KINDS`
    severity: share of offers on the faulty path in [0, 1]; 0 returns an equal world
    start_day: days after the first offer from which the faulty path is live
    rows, days, hours, step_usd, factor: size of the fault for `window` and `rewrite` (purchases),
        `stale_cache` (days), `time_zone` (hours), `rounding` (USD) and `unit` (times)

    Returns
    -------
    New tables: `served` and `decisions` as the faulty path leaves them (`rewrite` also thins
    `training`); everything else is the world's own.

    Raises
    ------
    ValueError: unknown kind or an option out of range
    KeyError: a table is missing

    Source: challenge 1, root causes one to five.
    """
    require_tables(world, "transactions", "offers", "training", "served")
    served = require(world["served"], "served", {"prediction_ts": "time"})
    live_from = served["prediction_ts"].min() + pd.Timedelta(days=start_day)
    hit = (rng.random(len(served)) < severity) & (served["prediction_ts"] >= live_from)
    if not hit.any():
        return dict(world)
    fault = KINDS[kind].path
    sizes = {"rows": rows, "days": days, "hours": hours, "step_usd": step_usd, "factor": factor}
    sizes = {name: sizes[name] for name in options(fault)}
    wrong = fault(world["transactions"], served[hit].reset_index(drop=True), **sizes)
    mixed = served.copy()
    mixed.loc[hit, list(FEATURES)] = wrong[list(FEATURES)].to_numpy()
    broken = {**world, "served": mixed}
    if kind == "rewrite":
        broken["training"] = inject_lost_rows(world["training"], served.loc[hit, "offer_id"])
    return log_decisions(broken)


@checked
def naive_detect(reference: Tables, suspect: Tables, *, max_gap: NotNegative = 0.2) -> pd.DataFrame:
    """Return one row per feature: do the averages of both paths look alike?

    The usual check: a dashboard with the mean of each feature as served beside the mean in the
    warehouse. Means say nothing about who was served which value.

    Parameters
    ----------
    reference: tables with `training`, from before the suspicion
    suspect: tables with `served`
    max_gap: largest difference of means that passes, as a share of the warehouse's mean

    Returns
    -------
    Columns check ("mean"), subject (the feature), value, limit, failed.

    Raises
    ------
    KeyError: a table or a feature is missing
    ValueError: a table without rows, or max_gap below 0
    """
    require_tables(reference, "training")
    require_tables(suspect, "served")
    columns = dict.fromkeys(FEATURES, "float")
    usual = require(reference["training"], "training", columns)[list(FEATURES)].mean()
    now = require(suspect["served"], "served", columns)[list(FEATURES)].mean()
    gap = ((now - usual) / usual).abs().fillna(np.inf).mask(now == usual, 0.0)
    return findings("mean", gap, max_gap)


@checked
def detect(
    reference: Tables,
    suspect: Tables,
    *,
    rtol: NotNegative = 0.01,
    max_share: Share = 0.01,
) -> pd.DataFrame:
    """Return the parity of both paths, offer by offer: one row per feature, one for coverage.

    Parameters
    ----------
    reference: tables with `offers`: the requests that both paths should have answered
    suspect: tables with `training` and `served`
    rtol: largest relative difference that counts as equal
    max_share: share of unequal pairs above which a feature fails

    Returns
    -------
    As `parity`.

    Raises
    ------
    KeyError, TypeError, ValueError: see `parity`

    Source: challenge 1, testing and validation.
    """
    require_tables(reference, "offers")
    require_tables(suspect, "training", "served")
    asked = require(reference["offers"], "offers", {"offer_id": "int"})[["offer_id"]]
    training = require(suspect["training"], "training", {"offer_id": "int"})
    expected = asked.merge(training, "left", "offer_id")
    return parity(
        suspect["served"],
        expected,
        on=["offer_id"],
        features=list(FEATURES),
        time="prediction_ts",
        rtol=rtol,
        max_share=max_share,
    )


@checked
def parity(
    served: pd.DataFrame,
    recomputed: pd.DataFrame,
    *,
    on: list[str],
    features: list[str],
    time: str | None = None,
    rtol: NotNegative = 0.01,
    max_share: Share = 0.01,
) -> pd.DataFrame:
    """Return how far two computations of the same features agree, pair by pair.

    Pairs are joined on `on`. Two numbers agree when they differ by at most `rtol` of the
    recomputed one; a missing value agrees with a missing value and with nothing else.

    Parameters
    ----------
    served, recomputed: one row per key, the columns of `on` and `features`
    on: the key, usually the entity and the time of the request
    features: columns to compare, numbers or anything that can be tested for equality
    time: column of `served` that dates the first disagreement
    rtol, max_share: see `detect`

    Returns
    -------
    One row "coverage" (share of keys that only one side has) and one row "parity" per feature:
    check, subject, value (share of pairs that disagree, in [0, 1]), limit, failed, then pairs,
    gap (median relative difference where both are numbers and disagree), missing (share of pairs
    where exactly one side is missing), first (time of the first disagreement).

    Raises
    ------
    KeyError: a column is missing
    ValueError: no rows, repeated keys, no key in common, or no columns to join on or to compare
    TypeError: a column holds numbers on one side only
    """
    if not on or not features or set(on) & set(features):
        raise ValueError(
            f"on = {on}, features = {features}: expected a column or more in each, none in both"
        )
    columns = dict.fromkeys([*on, *features], "any")
    require(served, "served", {**columns, **({time: "any"} if time else {})})
    require(recomputed, "recomputed", columns)
    ours, theirs = paired(served, recomputed, on=on)
    lonely = 1 - len(ours) / (len(served) + len(recomputed) - len(ours))
    when = ours[time] if time else None
    rows = [{"check": "coverage", "subject": ", ".join(on), "value": lonely}]
    rows += [_compare(ours[name], theirs[name], when, rtol=rtol) for name in features]
    table = pd.DataFrame(rows).assign(limit=max_share, pairs=len(ours))
    table["failed"] = table["value"] > max_share
    return table[["check", "subject", "value", "limit", "failed", *DETAILS]]


def paired(
    served: pd.DataFrame, recomputed: pd.DataFrame, *, on: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of both tables whose keys are in both, side by side in the served order.

    Raises
    ------
    ValueError: repeated keys, or no key in common
    """
    for frame, name in ((served, "served"), (recomputed, "recomputed")):
        require_unique(frame, name, on)
    ours, theirs = (
        pd.MultiIndex.from_frame(frame[on]) if len(on) > 1 else pd.Index(frame[on[0]])
        for frame in (served, recomputed)
    )
    at = theirs.get_indexer(ours)
    if (at < 0).all():
        first = [frame[on].iloc[0].to_dict() for frame in (served, recomputed)]
        raise ValueError(
            f"served and recomputed share no key {on}: one begins with {first[0]}, the other with "
            f"{first[1]}. Same ids, same time zone?"
        )
    return (
        served[at >= 0].reset_index(drop=True),
        recomputed.iloc[at[at >= 0]].reset_index(drop=True),
    )


def unequal(served: pd.Series, truth: pd.Series, *, rtol: float) -> np.ndarray:
    """Return which of two paired columns' values differ, shape (n,), bool.

    Numbers differ by more than `rtol` of the truth, anything else by its text; a missing value
    equals a missing value and nothing else.

    Raises
    ------
    TypeError: numbers on one side only
    """
    filled = [side for side in (served, truth) if side.notna().any()]
    numeric = {pd.api.types.is_numeric_dtype(side.dtype) for side in filled}
    if len(numeric) == 2:
        raise TypeError(
            f"{truth.name}: served is {served.dtype}, recomputed is {truth.dtype}; "
            f"expected one kind"
        )
    if numeric != {False}:
        a, b = _floats(served), _floats(truth)
        return ~np.isclose(a, b, rtol=rtol, atol=1e-12, equal_nan=True)
    differ = (served.astype("string") != truth.astype("string")).fillna(False).to_numpy(bool)
    return differ | (served.isna() != truth.isna()).to_numpy()


def _compare(
    served: pd.Series, truth: pd.Series, when: pd.Series | None, *, rtol: float
) -> dict[str, Any]:
    wrong = unequal(served, truth, rtol=rtol)
    return {
        "check": "parity",
        "subject": truth.name,
        "value": float(wrong.mean()),
        "gap": _typical_gap(served[wrong], truth[wrong]),
        "missing": float((served.isna() != truth.isna()).mean()),
        "first": when[wrong].min() if when is not None and wrong.any() else pd.NaT,
    }


def _typical_gap(served: pd.Series, truth: pd.Series) -> float:
    """Return the median relative difference of the pairs with two finite numbers, else NaN."""
    if not pd.api.types.is_numeric_dtype(truth.dtype):
        return np.nan
    a, b = _floats(served), _floats(truth)
    known = np.isfinite(a) & np.isfinite(b)
    gaps = np.abs(a[known] - b[known]) / np.maximum(np.abs(b[known]), 1e-12)
    return float(np.median(gaps)) if known.any() else np.nan


def _floats(side: pd.Series) -> np.ndarray:
    return side.to_numpy("float64", na_value=np.nan)


@checked
def repair(
    suspect: Tables, *, how: Literal["one_definition", "log_and_train"] = "one_definition"
) -> Tables:
    """Return the tables with both paths on the same features, and the decisions that follow.

    one_definition: both paths run the text of `mlkit.features`.
    log_and_train: the model learns from the features as they were served. No skew is left by
    construction, but what the serving path never knew, the model cannot learn.

    Raises
    ------
    KeyError: a table is missing
    ValueError: another `how`

    Source: challenge 1, solutions one and two; log and train: Zinkevich, Rules of ML, rule 29.
    """
    require_tables(suspect, "transactions", "offers", "served")
    if how == "log_and_train":
        return log_decisions({**suspect, "training": suspect["served"]})
    return operate(suspect)


def score(tables: Tables) -> dict[str, float]:
    """Return offline, honest and production accuracy, and the AUC in production.

    Raises
    ------
    KeyError: a table is missing; `truth_offers` is needed for production
    """
    return performance(tables)
