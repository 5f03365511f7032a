"""Reasons for a decision: what they are of, what they depend on, and what they do not say."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import checked

PROTECTED = ("gender", "woman", "sex", "age", "birth_year")
UP, DOWN = 1, -1
ACTIONABLE = {"credit_score": UP, "years_in_job": UP, "income_usd": UP, "amount_usd": DOWN}


def booster(X: pd.DataFrame, y: pd.Series) -> Any:
    """Return a fitted boosting model of small trees; its raw output are log-odds of a default."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=60, max_depth=3, early_stopping=False, random_state=0
    )
    return model.fit(X.to_numpy(), y.to_numpy(bool))


def eighths(X: pd.DataFrame) -> pd.DataFrame:
    """Return the features rounded to eighths, which single precision holds exactly.

    With a background, shap compares in single precision: a value that lies on the threshold of a
    tree may fall on the other side of it, and the sum of the contributions is then wrong.
    """
    return (X * 8).round() / 8


def contributions(
    model: Any, X: pd.DataFrame, *, background: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, float]:
    """Return the Shapley values of a tree model on its raw scale, and where they start from.

    Parameters
    ----------
    model: see `booster`
    X: rows to explain, in `eighths` as the model was fitted
    background: rows that an absent feature is filled from (the first 200 are used); None: the
        training rows, by the counts in the trees

    Returns
    -------
    One row per row of `X`, one column per feature, in log-odds; and the mean of the background.

    Source: Lundberg and Lee (2017); shap.TreeExplainer.
    """
    with warnings.catch_warnings():  # of its progress bars and colours, which are not used
        warnings.simplefilter("ignore")
        import shap

    data = None if background is None else background.to_numpy()[:200]
    explainer = shap.TreeExplainer(model, data)
    found = explainer.shap_values(X.to_numpy(), check_additivity=False)  # see `additive_gap`
    values = pd.DataFrame(found, index=X.index, columns=X.columns)
    return values, float(np.ravel(explainer.expected_value)[0])


def additive_gap(model: Any, X: pd.DataFrame, values: pd.DataFrame, start: float) -> float:
    """Return the largest distance between start plus contributions and the model's log-odds."""
    raw = model.decision_function(X.to_numpy())
    return float(np.abs(values.sum(axis=1).to_numpy() + start - raw).max())


def mass(values: pd.DataFrame) -> pd.Series:
    """Return the share of each feature in all absolute contributions, the largest first."""
    total = values.abs().mean()
    return (total / total.sum()).sort_values(ascending=False)


@checked
def reason_codes(
    values: pd.DataFrame, *, top: Annotated[int, Interval(ge=1, le=10)] = 4
) -> pd.DataFrame:
    """Return for each row the features that pushed it up most, first, second ...

    Parameters
    ----------
    values: see `contributions`; up is towards the default
    top: how many at most; features that pushed down are no reasons

    Returns
    -------
    One row per row, columns 1, 2 ...; missing where fewer features pushed up.

    Raises
    ------
    ValueError: a protected attribute is among the features. Leaving it out of the letter would
        hide what was used: it has to be settled whether the model may use it at all.
    """
    barred = [name for name in values.columns if name in PROTECTED]
    if barred:
        raise ValueError(
            f"{', '.join(barred)}: a protected attribute is an input of this model. It is no "
            "reason that somebody could act on, and leaving it out would hide that it was used; "
            "settle first whether the model may use it"
        )
    order = np.argsort(-values.to_numpy(), axis=1, kind="stable")[:, :top]
    names = values.columns.to_numpy().astype(object)[order]
    names[np.take_along_axis(values.to_numpy(), order, axis=1) <= 0] = None
    return pd.DataFrame(names, index=values.index, columns=range(1, order.shape[1] + 1))


# Recourse


def ranks(values: pd.Series, known: pd.Series) -> np.ndarray:
    """Return the share of the known values that lie below each value, in [0, 1]."""
    return np.searchsorted(np.sort(known.to_numpy()), values.to_numpy()) / len(known)


def steps(row: pd.Series, known: pd.DataFrame, feature: str, direction: int) -> np.ndarray:
    """Return the values to which a feature can be moved: every second percentile beyond its own.

    Only in the direction that can be acted upon; none where the value is at the end already.
    """
    grid = np.quantile(known[feature], np.linspace(0, 1, 51), method="nearest")
    return np.unique(grid[(grid - row[feature]) * direction > 0])


def recourse(
    model: Any,
    row: pd.Series,
    known: pd.DataFrame,
    *,
    together: Annotated[int, Interval(ge=1, le=2)] = 1,
    actionable: Mapping[str, int] = ACTIONABLE,
) -> pd.DataFrame:
    """Return the smallest changes of actionable features that flip a refusal, the smallest first.

    Parameters
    ----------
    model: see `booster`; it refuses where its log-odds are 0 or more
    row: the features of one applicant
    known: rows of other applicants, which say how far a change is
    together: how many features change at once
    actionable: feature to the direction in which it can be moved (1 up, -1 down)

    Returns
    -------
    features, to (their new values), cost (how many other applicants are passed on the way, as a
    share, summed over the features; NaN: no change of these alone flips it).

    Raises
    ------
    ValueError: a protected attribute among the actionable ones

    Source: Ustun, Spangher and Liu, Actionable recourse in linear classification (2019).
    """
    if barred := [name for name in actionable if name in PROTECTED]:
        raise ValueError(f"actionable: nobody can be asked to change {', '.join(barred)}")
    found = []
    for names in combinations(actionable, together):
        found.append(_smallest(model, row, known, {n: actionable[n] for n in names}))
    table = pd.DataFrame(found, columns=["features", "to", "cost"])
    return table.sort_values("cost", kind="stable", ignore_index=True)


def _smallest(
    model: Any, row: pd.Series, known: pd.DataFrame, moves: Mapping[str, int]
) -> tuple[str, str, float]:
    values = [steps(row, known, name, direction) for name, direction in moves.items()]
    grid = pd.DataFrame(np.array(np.meshgrid(*values)).reshape(len(moves), -1).T, columns=[*moves])
    name = " and ".join(moves)
    if grid.empty:
        return name, "", float("nan")
    tried = np.tile(row.to_numpy(float), (len(grid), 1))
    tried[:, row.index.get_indexer(list(moves))] = grid
    cost = sum(
        np.abs(ranks(grid[name], known[name]) - ranks(row[[name]], known[name])) for name in moves
    )
    flips = model.decision_function(tried) < 0
    if not flips.any():
        return name, "", float("nan")
    cost = np.round(cost, 9)  # equal ways are equal on any machine
    best = int(np.argmin(np.where(flips, cost, np.inf)))
    return name, ", ".join(f"{v:g}" for v in grid.iloc[best]), float(cost[best])


def against_reasons(
    model: Any, refused: pd.DataFrame, reasons: pd.Series, known: pd.DataFrame
) -> pd.DataFrame:
    """Return for each refused applicant the top reason, and what would really flip the decision.

    Returns
    -------
    reason (feature), actionable (bool), cost_of_reason (NaN: the reason alone flips nothing),
    cheapest (feature, missing: no single one flips), cost.
    """
    rows = []
    for person, row in refused.iterrows():
        ways = recourse(model, row, known).set_index("features")["cost"]
        best = ways.idxmin() if ways.notna().any() else None
        reason = reasons.loc[person]
        rows.append((reason, reason in ways, ways.get(reason, np.nan), best, ways.min()))
    columns = ["reason", "actionable", "cost_of_reason", "cheapest", "cost"]
    return pd.DataFrame(rows, columns=columns, index=refused.index)


def near(model: Any, X: pd.DataFrame, *, share: float = 0.1) -> pd.DataFrame:
    """Return the rows that were accepted with the least to spare: this share of the accepted."""
    raw = pd.Series(model.decision_function(X.to_numpy()), index=X.index)
    accepted = raw[raw < 0].sort_values(ascending=False, kind="stable")
    return X.loc[accepted.index[: max(1, round(share * len(accepted)))]]


def moved(one: pd.DataFrame, other: pd.DataFrame, *, columns: Sequence[int] = (1,)) -> float:
    """Return the share of rows whose reasons (in these columns, in order) differ in two tables."""
    left, right = (t[list(columns)].fillna("") for t in (one, other))
    return float((left != right).any(axis=1).mean())


def followed(model: Any, refused: pd.DataFrame, reasons: pd.Series, target: pd.Series) -> pd.Series:
    """Return who is accepted once the feature of the top reason takes the value of `target`."""
    told = refused.copy()
    for name in reasons.dropna().unique():
        told.loc[reasons == name, name] = target[name]
    return pd.Series(model.decision_function(told.to_numpy()) < 0, index=refused.index)
