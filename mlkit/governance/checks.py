"""Five checks of a delivery, the repair that a contract allows, and the score of challenge 9.

A check looks at the first days of a delivery, at the months before it, and at what finance was
paid. It never sees the rows as they should have been. A value that cannot be computed, because
a column is missing or there are no rows, is infinite: a check that cannot run has not passed.
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import findings
from mlkit.governance.faults import DAY, books, change_day, loaded, naive_load, serve
from mlkit.model import performance
from mlkit.params import Days, NotNegative, Share, checked
from mlkit.stats import ks
from mlkit.tables import KINDS as TYPES
from mlkit.tables import Tables, require, require_tables

CHECKS = ["schema", "range", "distribution", "reconciliation", "semantic"]
COLUMNS = {
    "txn_id": "int",
    "user_id": "int",
    "event_ts": "time",
    "ingest_ts": "time",
    "amount_usd": "float",
    "category": "any",
    "channel": "any",
}
MOST_USD = 100_000  # the bound of the syllabus, wide enough for everybody
BEFORE_DAYS = 56  # what a delivery is compared with
Weeks = Annotated[int, Interval(ge=1, le=1000)]


@checked
def naive_detect(reference: Tables, suspect: Tables) -> pd.DataFrame:
    """Return whether each column of the delivery is there, with its type.

    The usual check: a schema check. It says nothing about what the values mean.

    Parameters
    ----------
    reference: tables with `offers`, which tell when production began
    suspect: tables with `transactions` and, after a change, `delivery`

    Returns
    -------
    Columns check ("schema"), subject (the column), value (1: missing or of another type), limit,
    failed.

    Raises
    ------
    KeyError: a table is missing
    """
    delivery, _ = delivered(reference, suspect)
    return schema(delivery)


@checked
def detect(
    reference: Tables,
    suspect: Tables,
    *,
    days: Weeks = 7,
    max_shift: Share = 0.15,
    max_gap: NotNegative = 0.1,
    min_rank: Share = 0.4,
) -> pd.DataFrame:
    """Return the findings of the five checks on a delivery.

    Parameters
    ----------
    reference: tables with `transactions` and `offers`: the months before, and what was paid
    suspect: tables with `transactions` and, after a change, `delivery`
    days, max_shift, max_gap, min_rank: see `audit`

    Returns
    -------
    Columns check (one of `CHECKS`), subject, value, limit, failed.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column of the reference is not as expected

    Source: challenge 9, data contracts; the checks are this kit's.
    """
    delivery, since = delivered(reference, suspect)
    rows = require(reference["transactions"], "transactions", COLUMNS)
    paid = suspect["finance"] if "finance" in suspect else books(rows)
    before = rows[rows["event_ts"] < since]
    limits = {"max_shift": max_shift, "max_gap": max_gap, "min_rank": min_rank}
    return audit(delivery, before, paid, since=since, days=days, **limits)


def delivered(reference: Tables, suspect: Tables) -> tuple[pd.DataFrame, pd.Timestamp]:
    """Return the rows in question and the midnight from which they were delivered.

    Raises
    ------
    KeyError: a table is missing
    """
    require_tables(reference, "transactions", "offers")
    require_tables(suspect, "transactions")
    if "delivery" in suspect:
        return suspect["delivery"], suspect["changes"]["from_ts"].iloc[0]
    since = change_day(reference["offers"])
    rows = require(suspect["transactions"], "transactions", {"event_ts": "time"})
    return rows[rows["event_ts"] >= since], since


@checked
def audit(
    delivery: pd.DataFrame,
    before: pd.DataFrame,
    paid: pd.DataFrame,
    *,
    since: pd.Timestamp,
    days: Weeks = 7,
    max_shift: Share = 0.15,
    max_gap: NotNegative = 0.1,
    min_rank: Share = 0.4,
) -> pd.DataFrame:
    """Return the findings of the five checks on the first days of a delivery.

    Parameters
    ----------
    delivery: purchases as they came
    before: purchases of the months before, which are believed
    paid: what finance knows: day UTC, channel, paid_usd
    since: the first day of the delivery
    days: how many days are looked at
    max_shift: largest distance (Kolmogorov-Smirnov, or difference of shares) from the weeks before
    max_gap: largest difference from what finance was paid, as a share of it
    min_rank: smallest rank correlation of what users spend with what the same users spent before

    Returns
    -------
    Columns check (one of `CHECKS`), subject, value, limit, failed.
    """
    until = since + days * DAY
    paid = paid[paid["day"].between(since, until, inclusive="left")]
    recent = before[before["event_ts"] >= since - BEFORE_DAYS * DAY]
    now = _first(delivery, until)
    parts = [
        schema(delivery),
        range_(now),
        distribution(now, recent, max_shift=max_shift),
        reconciliation(now, paid, max_gap=max_gap),
        semantic(now, recent, days=days, max_shift=max_shift, min_rank=min_rank),
    ]
    return pd.concat(parts, ignore_index=True)


def _first(delivery: pd.DataFrame, until: pd.Timestamp) -> pd.DataFrame:
    """Return the first days of a delivery, with an empty column where one is of no use."""
    usable = {c: delivery[c] for c in COLUMNS if _typed(delivery, c)}
    rows = pd.DataFrame(usable, index=delivery.index).reindex(columns=list(COLUMNS))
    if "event_ts" not in usable:
        return rows.head(0)
    return rows[~(rows["event_ts"] >= until)]  # rows without a time stay in


def _typed(table: pd.DataFrame, column: str) -> bool:
    if list(table.columns).count(column) != 1:
        return False
    kind = COLUMNS[column]
    return kind == "any" or bool(TYPES[kind](table[column].dtype))


def verdicts(found: pd.DataFrame) -> pd.Series:
    """Return for each of `CHECKS` "sees", "cannot run" (where nothing else failed) or nothing."""
    failed = found[found["failed"]]
    sees = failed.loc[np.isfinite(failed["value"]), "check"].unique()
    words = ["sees" if c in sees else "cannot run" * (c in set(failed["check"])) for c in CHECKS]
    return pd.Series(words, index=CHECKS)


def schema(delivery: pd.DataFrame) -> pd.DataFrame:
    """Return whether each promised column is there with its type; more columns are welcome."""
    wrong = {column: float(not _typed(delivery, column)) for column in COLUMNS}
    return findings("schema", pd.Series(wrong), 0.0)


def range_(now: pd.DataFrame) -> pd.DataFrame:
    """Return for each column the share of rows without a value, for amounts also out of bounds.

    And the share of rows whose id has come before, and whether there is any row.
    """
    if now.empty:
        return findings("range", pd.Series({"rows, none": 1.0}), 0.0)
    bad = now[list(COLUMNS)].isna()
    amount = now["amount_usd"].astype("float64")
    bad["amount_usd"] |= ~amount.between(0, MOST_USD)
    repeated = {"txn_id, repeated": float(now["txn_id"].duplicated().mean())}
    return findings("range", pd.Series({**bad.mean().to_dict(), **repeated}), 0.001)


def distribution(now: pd.DataFrame, before: pd.DataFrame, *, max_shift: float) -> pd.DataFrame:
    """Return how far amounts, categories and channels are from those of the weeks before."""
    values = {"amount_usd": _ks(now["amount_usd"], before["amount_usd"])}
    for column in ("category", "channel"):
        words = [t[column].dropna().astype(str) for t in (now, before)]
        shares = [column_.value_counts(normalize=True) for column_ in words]
        gap = shares[0].sub(shares[1], fill_value=0.0).abs().max()
        values[column] = np.inf if any(column_.empty for column_ in words) else float(gap)
    return findings("distribution", pd.Series(values), max_shift)


def _ks(now: pd.Series, before: pd.Series) -> float:
    """Return the distance of two samples; infinite where one of them has no number."""
    a, b = (s.astype("float64").replace([np.inf, -np.inf], np.nan) for s in (now, before))
    return ks(b, a)[0] if a.notna().any() and b.notna().any() else np.inf


def reconciliation(now: pd.DataFrame, paid: pd.DataFrame, *, max_gap: float) -> pd.DataFrame:
    """Return for each channel how far the amounts delivered are from what finance was paid."""
    theirs = paid.groupby("channel", observed=True)["paid_usd"].sum()
    ours = now["amount_usd"].astype("float64").groupby(now["channel"].astype(str)).sum()
    ours = ours.reindex(theirs.index.astype("object")).fillna(0.0).to_numpy()
    if not len(theirs):
        return findings("reconciliation", pd.Series({"finance": np.inf}), max_gap)
    gap = np.abs(ours - theirs.to_numpy()) / np.maximum(theirs.to_numpy(), 0.01)
    return findings("reconciliation", pd.Series(gap, index=theirs.index.astype("object")), max_gap)


def semantic(
    now: pd.DataFrame, before: pd.DataFrame, *, days: int, max_shift: float, min_rank: float
) -> pd.DataFrame:
    """Return whether users, their spending and their hours are still what they were.

    "own spending": 1 minus the rank correlation of each user's mean amount with the same user's
    before. "users": difference of distinct users from the weeks before, as a share. "hour of day":
    distance of the hours of purchase from those before.
    """
    hour_now, hour_before = (_hour(t["event_ts"]) for t in (now, before))
    age = (before["event_ts"].max() - before["event_ts"]) // (days * DAY)
    full = age[age < BEFORE_DAYS // days] if days <= BEFORE_DAYS else age
    usual = before.loc[full.index, "user_id"].groupby(full).nunique().median()
    users = abs(now["user_id"].nunique() / usual - 1) if usual > 0 else np.inf
    values = {"users": float(users), "hour of day": _ks(hour_now, hour_before)}
    lost = pd.Series({"own spending": 1 - own_rank(now, before)})
    parts = [("semantic", lost, 1 - min_rank), ("semantic", pd.Series(values), max_shift)]
    return pd.concat([findings(*part) for part in parts], ignore_index=True)


def _hour(times: pd.Series) -> pd.Series:
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        return pd.Series(dtype="float64")
    return times.dt.hour + times.dt.minute / 60


def own_rank(now: pd.DataFrame, before: pd.DataFrame) -> float:
    """Return the rank correlation of users' mean amounts with their own before, in [-1, 1].

    Minus infinity where fewer than three users are in both, or all spend the same.
    """
    means = [t.assign(amount=t["amount_usd"].astype("float64")) for t in (now, before)]
    both = [t.groupby("user_id")["amount"].mean().rename(str(i)) for i, t in enumerate(means)]
    pairs = pd.concat(both, axis=1, join="inner").dropna().rank()
    if len(pairs) < 3 or (pairs.nunique() < 2).any():
        return -np.inf
    return float(np.corrcoef(pairs["0"], pairs["1"])[0, 1])


@checked
def repair(
    suspect: Tables,
    *,
    how: Literal["quarantine", "translate"] = "quarantine",
    days: Weeks = 7,
    wait_days: Days = 7,
) -> Tables:
    """Return the tables as a pipeline with an executed contract leaves them.

    quarantine: the first `days` are served as they come, then audited. If a check fails, the
    delivery is blocked: features come from the last good rows, until the producer has delivered
    again, from the record, `wait_days` later. What no check sees is not blocked.
    translate: a change that was announced with a rule is undone by it from its first row on;
    any other is quarantined.

    Parameters
    ----------
    suspect: tables with `transactions`, `offers`, `served` and, after a change, `delivery`,
        `changes`, `record` and `finance`
    how: see above
    days: days until the audit
    wait_days: days from the audit until the second delivery

    Raises
    ------
    KeyError: a table is missing
    ValueError: another `how`, or an option out of range

    Source: challenge 9, data contracts, change management.
    """
    require_tables(suspect, "transactions", "offers", "served")
    if "delivery" not in suspect:
        return dict(suspect)
    require_tables(suspect, "changes", "record", "finance")
    told = suspect["changes"].iloc[0]
    if how == "translate" and told["undo"]:
        rows = translate(suspect["delivery"], told["undo"], size=float(told["size"]))
        return loaded({**suspect, "delivery": rows}, naive_load(rows), since=told["from_ts"])
    return quarantine(suspect, since=told["from_ts"], days=days, wait_days=wait_days)


def translate(delivery: pd.DataFrame, undo: str, *, size: float) -> pd.DataFrame:
    """Return a delivery as the old version had it, by the rule that came with the new one.

    Raises
    ------
    ValueError: another rule than divide, rename or shift
    """
    if undo == "divide":
        return delivery.assign(amount_usd=(delivery["amount_usd"] / size).round(2))
    if undo == "rename":
        return delivery.rename(columns={"amount": "amount_usd"})
    if undo == "shift":
        return delivery.assign(event_ts=delivery["event_ts"] + pd.Timedelta(hours=size))
    raise ValueError(f"undo = {undo!r}: expected one of 'divide', 'rename', 'shift'")


def quarantine(suspect: Tables, *, since: pd.Timestamp, days: int, wait_days: int) -> Tables:
    """Return the tables after the audit has blocked what it sees, or as they came."""
    record, bought = suspect["record"], suspect["transactions"]
    good = bought[~bought["txn_id"].isin(record["txn_id"])]
    good = good[good["event_ts"] < since]
    found = audit(suspect["delivery"], good, suspect["finance"], since=since, days=days)
    if not found["failed"].any():
        return dict(suspect)
    blocked = since + days * DAY
    again = record["ingest_ts"].clip(lower=blocked + wait_days * DAY)
    rows = pd.concat([good, record.assign(ingest_ts=again)])
    rows = rows.sort_values(["event_ts", "txn_id"], ignore_index=True)
    return serve({**suspect, "delivery": record, "transactions": rows}, since=blocked)


def score(tables: Tables) -> dict[str, float]:
    """Return offline, honest and production accuracy, the AUC, and the revenue reported.

    revenue: what the warehouse says was sold since the change over what the tills took, 1 where
    they agree.

    Raises
    ------
    KeyError: a table is missing; `truth_offers` is needed for production
    """
    if "record" not in tables:
        return {**performance(tables), "revenue": 1.0}
    rows, record = tables["transactions"], tables["record"]
    sold = rows.loc[rows["txn_id"] >= record["txn_id"].min(), "amount_usd"].sum()
    return {**performance(tables), "revenue": float(sold / record["amount_usd"].sum())}
