"""The checks, the repair and the score of challenge 7."""

from typing import Literal

import numpy as np
import pandas as pd

from mlkit.contract import findings
from mlkit.features import FEATURES, asof_features
from mlkit.model import log_decisions, performance
from mlkit.orchestration.crashes import keyless, run_twice
from mlkit.orchestration.designs import DESIGNS
from mlkit.orchestration.faults import ROWS, as_run, dates_of, deaths
from mlkit.params import NotNegative, Positive, Share, checked
from mlkit.tables import Tables, require, require_tables

KEY = "txn_id"
BLOCK = pd.Timedelta(days=30)


@checked
def naive_detect(
    reference: Tables,
    suspect: Tables,
    *,
    max_attempts: Positive = 2.0,
    max_gap: NotNegative = 0.25,
) -> pd.DataFrame:
    """Return what the dashboard of an orchestrator shows: states, attempts, a count of rows.

    The usual check. It asks whether the runs ended well and whether there is about as much in the
    table as ever, not whether it is the right rows.

    Parameters
    ----------
    reference: tables with `transactions`, from before the suspicion
    suspect: tables with `transactions` and, where runs were kept, `attempts`
    max_attempts: largest mean number of attempts per date that passes
    max_gap: largest gap of a month to the usual one that passes, as a share of rows

    Returns
    -------
    Rows "runs" (dates whose last state is failed), "attempts" (mean per date) and "rows" (worst
    full month): check, subject, value, limit, failed.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing or not as expected
    """
    require_tables(reference, "transactions")
    require_tables(suspect, "transactions")
    runs = attempts_of(suspect)
    runs = pd.DataFrame(columns=["logical_date", "state"]) if runs is None else runs
    last = runs.groupby("logical_date")["state"].last()
    mean = len(runs) / len(last) if len(last) else 1.0
    usual, now = (_by_month(tables["transactions"]) for tables in (reference, suspect))
    gap = ((now - usual.median()) / usual.median()).abs().max()
    red = (last == "failed").mean() if len(last) else 0.0
    tables = [
        findings("runs", pd.Series({"last state failed": red}), 0.0),
        findings("attempts", pd.Series({"mean per date": mean}), max_attempts),
        findings("rows", pd.Series({"worst month": np.inf if np.isnan(gap) else gap}), max_gap),
    ]
    return pd.concat(tables, ignore_index=True)


def _by_month(transactions: pd.DataFrame) -> pd.Series:
    """Return the rows of each full block of thirty days; all of them where there is none."""
    at = require(transactions, "transactions", ROWS)["ingest_ts"].sort_values()
    first = at.iloc[0].floor("D")
    block = (at - first) // BLOCK
    full = block < (at.iloc[-1] - first) // BLOCK
    return block[full | ~full.any()].value_counts()


def attempts_of(tables: Tables) -> pd.DataFrame | None:
    """Return the attempts in the order of their dates and numbers; None where they are not kept."""
    if "attempts" not in tables:
        return None
    need = {"logical_date": "time", "attempt": "int", "state": "any", "design": "any"}
    return require(tables["attempts"], "attempts", need).sort_values(["logical_date", "attempt"])


def source_of(tables: Tables, reference: Tables | None = None) -> pd.DataFrame:
    """Return what arrived: `landing`, or where that is not kept, the rows of a trusted table."""
    if "landing" in tables:
        return tables["landing"]
    return (reference or tables)["transactions"]


@checked
def detect(reference: Tables, suspect: Tables, *, max_share: Share = 0.001) -> pd.DataFrame:
    """Return the warehouse against its source, its key, its features, and its design run twice.

    Parameters
    ----------
    reference: tables with `transactions`: the source, where `suspect` does not keep `landing`
    suspect: tables with `transactions`, `offers`, `served` and, where they are kept, `landing`
        and `attempts`
    max_share: largest share that passes

    Returns
    -------
    check, subject, value (share), limit, failed. "rows": source rows that are missing, and rows
    beyond the source; "dates": logical dates with other rows than the source, and without a
    success; "key": rows whose key is repeated; "served": offers with a feature other than the one
    from the source as of its moment; "run twice": 1 where a second run of one date changes it.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing or not as expected

    Source: challenge 7; reconciliation against the source.
    """
    require_tables(reference, "transactions")
    require_tables(suspect, "transactions", "offers", "served")
    source, held = source_of(suspect, reference), suspect["transactions"]
    rows = reconcile(held, source)
    gap = {
        "missing": rows["missing"].sum() / rows["due"].sum(),
        "doubled": rows["doubled"].sum() / rows["due"].sum(),
    }
    other = {"other rows": (rows[["missing", "doubled"]] > 0).any(axis=1).mean()}
    runs = attempts_of(suspect)
    if runs is not None:
        good = runs.loc[runs["state"] == "success", "logical_date"]
        other["without a success"] = (~rows.index.isin(good)).mean()
    tables = [
        findings("rows", pd.Series(gap), max_share),
        findings("dates", pd.Series(other), max_share),
        findings("served", pd.Series({"offers": wrong(suspect, source).mean()}), max_share),
    ]
    if KEY in held:
        again = {KEY: held[KEY].duplicated().mean()}
        tables.insert(2, findings("key", pd.Series(again), max_share))
    if runs is not None:
        tables.append(findings("run twice", idempotence(runs, source), 0.0))
    return pd.concat(tables, ignore_index=True)


def reconcile(held: pd.DataFrame, source: pd.DataFrame) -> pd.DataFrame:
    """Return per logical date how many rows are due, missing and doubled in the warehouse.

    Whole rows are compared, in the columns that both tables have, each as often as it comes.

    Raises
    ------
    KeyError, TypeError, ValueError: a column is missing or not as expected
    """
    counted = []
    tables = [require(source, "landing", ROWS), require(held, "transactions", ROWS)]
    names = [name for name in source if name in held]
    for table in tables:
        row = pd.util.hash_pandas_object(table[names], index=False).rename("row")
        counted.append(pd.concat([dates_of(table), row], axis=1).value_counts(dropna=False))
    both = pd.concat(counted, axis=1, keys=["due", "held"]).fillna(0).astype("int64")
    gap = both["due"] - both["held"]
    both = both.assign(missing=gap.clip(lower=0), doubled=-gap.clip(upper=0)).drop(columns="held")
    return both.groupby(level="logical_date", dropna=False).sum()


def wrong(tables: Tables, source: pd.DataFrame) -> pd.Series:
    """Return whether any served feature of each offer is not the one from the source, bool."""
    names = list(FEATURES)
    served = require(
        tables["served"], "served", {"offer_id": "int", **dict.fromkeys(names, "float")}
    )
    due = asof_features(source, tables["offers"]).set_index("offer_id")[names]
    mine = served.drop_duplicates("offer_id").set_index("offer_id")[names].reindex(due.index)
    same = np.isclose(mine, due, rtol=1e-9, atol=1e-9, equal_nan=True).all(axis=1)
    return pd.Series(~same, index=due.index)  # a count is never missing, so neither is an offer


def idempotence(attempts: pd.DataFrame, source: pd.DataFrame) -> pd.Series:
    """Return for each design that was used whether a second run of a date changes the table."""
    dates = dates_of(source)
    rows = keyless(source[dates == dates.iloc[0]]).reset_index(drop=True)
    used = [name for name in attempts["design"].unique() if name in DESIGNS]
    changed = {}
    for name in used:
        first, second = run_twice(DESIGNS[name], rows)
        changed[name] = float(first != second)
    return pd.Series(changed, dtype="float64")


@checked
def repair(suspect: Tables, *, how: Literal["rebuild", "drop_by_key"] = "rebuild") -> Tables:
    """Return the tables with the warehouse put right, and the features and decisions that follow.

    rebuild: every logical date is loaded again from what arrived, by a design that swaps it in
    whole. drop_by_key: rows whose key is repeated are dropped; what is missing stays missing.

    Raises
    ------
    KeyError: a table or the key is missing
    ValueError: another `how`
    """
    require_tables(suspect, "transactions", "offers")
    rows, held = source_of(suspect), dict(suspect)
    if how == "drop_by_key":
        rows = require(suspect["transactions"], "transactions", {KEY: "any"})
        rows = rows.drop_duplicates(KEY).reset_index(drop=True)
    elif "attempts" in suspect:
        dates = pd.Index(np.sort(dates_of(rows).unique()))
        runs = deaths(dates, rng=np.random.default_rng(0), p_crash=0.0, retries=0)
        held["attempts"] = as_run(runs, "write_audit_publish")
    features = asof_features(rows, suspect["offers"])
    return log_decisions({**held, "transactions": rows, "training": features, "served": features})


def score(tables: Tables) -> dict[str, float]:
    """Return what the model is worth, and whether rows and features are right.

    Returns
    -------
    offline, honest, production (accuracy) and auc: see `model.performance`. right: share of offers
    in [0, 1] whose served features are all those from the source; rows_ratio, revenue_ratio:
    warehouse over source; users_wrong: share of users with another number of purchases.

    Raises
    ------
    KeyError: a table is missing; `truth_offers` is needed for production
    """
    require_tables(tables, "transactions", "offers", "served", "truth_offers")
    source, held = source_of(tables), tables["transactions"]
    due, have = (table.groupby("user_id").size() for table in (source, held))
    return {
        **performance(tables),
        "right": float(1 - wrong(tables, source).mean()),
        "rows_ratio": len(held) / len(source),
        "revenue_ratio": float(held["amount_usd"].sum() / source["amount_usd"].sum()),
        "users_wrong": float((have.reindex(due.index, fill_value=0) != due).mean()),
    }
