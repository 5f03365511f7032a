"""The training data as one table, its identity, and what one change of it alone does to a model."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlkit.features import FEATURES
from mlkit.model import fit, labelled, periods
from mlkit.tables import Tables, content_hash, require, require_tables, require_unique
from mlkit.tasks import TASKS
from mlkit.versioning.diff import diff_summary, row_diff

KEY = "offer_id"
TOGETHER = "all together"


def past(tables: Tables) -> pd.DataFrame:
    """Return what a model is trained and validated on: one row per answered offer before go-live.

    Returns
    -------
    Columns offer_id, period (train, validate or gap), the features, accepted (bool); by offer_id.

    Raises
    ------
    KeyError, TypeError, ValueError: `training` or `offers` is missing or not as expected, or a
        feature is infinite: no model can learn from it
    """
    require_tables(tables, "training", "offers")
    columns = {KEY: "int", **dict.fromkeys(FEATURES, "float")}
    features = require(tables["training"], "training", columns)[list(columns)]
    require_finite(features, "training", FEATURES)
    offers = tables["offers"]
    period = periods(offers, TASKS["shop"])
    known = offers.assign(period=period)[(period != "production") & offers["accepted"].notna()]
    for table, name in ((features, "training"), (offers, "offers")):
        require_unique(table, name, [KEY])
    rows = known[[KEY, "period", "accepted"]].merge(features, on=KEY, validate="1:1")
    rows = rows[[KEY, "period", *FEATURES, "accepted"]].astype({"accepted": "bool"})
    return rows.sort_values(KEY, kind="stable").reset_index(drop=True)


def require_finite(table: pd.DataFrame, name: str, columns: Iterable[str]) -> None:
    """Return nothing when no number of the columns is infinite.

    Raises
    ------
    ValueError: an infinite number; the message counts them
    """
    for column in columns:
        odd = int(np.isinf(table[column].to_numpy("float64", na_value=np.nan)).sum())
        if odd:
            raise ValueError(
                f"{name}.{column}: {odd} of {len(table)} values are infinite; no model can learn "
                "from them. Repair them, or leave them empty"
            )


def with_past(tables: Tables, rows: pd.DataFrame) -> Tables:
    """Return the tables with the features and answers of `rows` (see `past`) in their place."""
    changed = dict(tables)
    values = rows.set_index(KEY)
    for name, columns in (("training", list(FEATURES)), ("offers", ["accepted"])):
        table = tables[name].copy()
        hit = table[KEY].isin(values.index)
        for column in columns:
            new = values.loc[table.loc[hit, KEY], column]
            table.loc[hit, column] = new.astype(table[column].dtype).array
        changed[name] = table
    return changed


def data_hash(rows: pd.DataFrame) -> str:
    """Return the identity of a version of the data, whatever the order of its rows."""
    return content_hash({"rows": rows})


def model_hash(model: Any) -> str:
    """Return the identity of a fitted plain model: a hash of its numbers."""
    names = ("statistics_", "mean_", "scale_", "coef_", "intercept_")
    parts = [np.ravel(getattr(step, n)) for _, step in model.steps for n in names
             if hasattr(step, n)]  # fmt: skip
    numbers = pd.DataFrame({"value": np.concatenate(parts)}).reset_index(names="place")
    return content_hash({"model": numbers})


def offline(tables: Tables) -> float:
    """Return the accuracy that the team reports: on the validation rows of the training path."""
    X, y = labelled(tables, "training", "validate")
    return float((fit(tables).predict(X) == y).mean())


def with_change(before: pd.DataFrame, after: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows of one version with one column of another: one change, and no other.

    Raises
    ------
    KeyError: a version lacks the column
    """
    for rows, name in ((before, "before"), (after, "after")):
        if column not in rows:
            raise KeyError(f"{name} lacks {column!r}; has {list(rows)}")
    new = before[KEY].map(after.set_index(KEY)[column])
    gone = ~before[KEY].isin(after[KEY])
    return before.assign(**{column: new.where(~gone, before[column]).astype(before[column].dtype)})


def matured(tables: Tables) -> float:
    """Return the accuracy of a model trained on the tables, on decisions whose answer is known.

    The features are those that were served, so no model is asked about what only training knew.

    Raises
    ------
    KeyError, TypeError, ValueError: `decisions` is missing, odd, or nothing is known yet
    """
    require_tables(tables, "decisions")
    columns = {"label": "any", **dict.fromkeys(FEATURES, "float")}
    decisions = require(tables["decisions"], "decisions", columns).dropna(subset=["label"])
    if decisions.empty:
        raise ValueError("decisions: no answer is known yet; wait until some have matured")
    answers = fit(tables).predict(decisions[list(FEATURES)])
    return float((answers == decisions["label"].astype(bool)).mean())


def told_apart(tables: Tables, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return what each change between two versions does alone: retrain with it and no other.

    Parameters
    ----------
    tables: the shop, with `decisions` to be judged by
    before, after: two versions of the data (see `past`)

    Returns
    -------
    One row per changed column, the last "all together": change, rows (changed), share of the rows,
    accuracy (on matured decisions), loss (against the old version). Empty without a changed value.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing or not as expected
    """
    summary = diff_summary(before, after, on=[KEY])
    changed = summary[(summary["change"] == "changed") & summary["column"].isin(before.columns)]
    if changed.empty:
        return pd.DataFrame(columns=["change", "rows", "share", "accuracy", "loss"])
    healthy = matured(with_past(tables, before))
    sets = {c: with_change(before, after, c) for c in changed["column"]} | {TOGETHER: after}
    accuracy = [matured(with_past(tables, rows)) for rows in sets.values()]
    touched = row_diff(before, after, on=[KEY])
    touched = touched.loc[touched["change"] == "changed", KEY].nunique()
    rows = [*changed["rows"], touched]
    table = pd.DataFrame({"change": list(sets), "rows": rows, "accuracy": accuracy})
    table.insert(2, "share", table["rows"] / before[KEY].isin(after[KEY]).sum())
    return table.assign(loss=healthy - table["accuracy"])
