"""The checks, the repair and the score of challenge 8.

The good check measures each avoidable driver of the bill on a sample of the customers, by what the
bill would be without it, and holds the features against their one definition.
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.contract import findings
from mlkit.cost import ledger as books
from mlkit.cost.jobs import Changes, plan, plan_of
from mlkit.cost.ledger import SHOPS, bill_of, features_of, history_days, ledger_on_disk
from mlkit.cost.prices import load
from mlkit.features import FEATURES, asof_features
from mlkit.model import log_decisions, performance
from mlkit.params import Share, checked
from mlkit.tables import Tables, require_tables

SAMPLE = 4  # one customer in so many
FEWEST = 400  # offers in a sample
MONTH = pd.Timedelta(days=30)
DRIVERS = {  # name: columns of `jobs` to set to the lean plan, and what to count, at which stage
    "text files": (["format", "compression"], "bytes_kept", ("land", "keep")),
    "columns read": (["columns"], "bytes_read", ("build",)),
    "rows read again": (["incremental"], "rows_read", ("build",)),
    "features computed again": (["cached"], "rows_read", ("train",)),
    "small files": (["partition"], "files_read", ("land", "keep", "train")),
    "machines": (["machine"], "hours", ("build", "train")),
    "work done twice": (["checkpoint_minutes"], "hours", ("build", "train")),
    "copies kept": (["incremental"], "bytes_kept", ("keep",)),
    "tier": (["tier", "retention_days"], "bytes_kept", ("land", "keep")),
    "sent again": (["incremental"], "bytes_sent", ("score",)),
}
PROMISES = {  # what the syllabus says a change leaves of some lines of the bill, as a constant
    ("land", "format", "csv"): (0.13, ["storage", "colder storage"]),
    ("keep", "incremental", "no"): (0.10, ["storage", "colder storage"]),
    ("train", "cached", "no"): (0.05, ["experiments"]),
    ("build", "machine", "always_on"): (0.025, ["pipeline", "experiments", "idle hours"]),
    ("build", "machine", "on_demand"): (0.25, ["pipeline", "experiments", "starts, lost hours"]),
}
CHEATING = {"columns", "late_rows", "sample", "refresh_hours"}  # of these the features depend


@checked
def naive_detect(
    reference: Tables,
    suspect: Tables,
    *,
    max_hours: Annotated[float, Interval(gt=0, le=24)] = 6.0,
    max_growth: Annotated[float, Interval(ge=0, le=10)] = 0.25,
) -> pd.DataFrame:
    """Return whether the jobs look healthy: in time, with as many rows as ever, no dearer.

    The usual check: every job is green, it ended before its deadline, the row counts are those
    of always, and the bill is about that of last month.

    Parameters
    ----------
    reference: tables with `served`, from before the suspicion
    suspect: tables with `served`, `transactions` and, where not lean, `jobs`
    max_hours: deadline of the daily work, in hours on the machines of the plan
    max_growth: largest growth of the bill since last month that passes, as a share

    Returns
    -------
    Rows "deadline" (hours), "rows" and "bill" (shares): check, subject, value, limit, failed.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing or not as expected
    """
    require_tables(reference, "served")
    require_tables(suspect, "served", "transactions")
    now = bill_of(suspect, features=suspect["served"])
    before = a_month_ago(suspect)
    then = bill_of(before, features=before["served"])["usd"].sum() if before else np.nan
    growth = max(0.0, float(now["usd"].sum() / then - 1)) if then > 0 else 0.0
    before_rows, now_rows = len(reference["served"]), len(suspect["served"])
    rows = abs(now_rows - before_rows) / max(before_rows, 1)
    night = books.longest_night(suspect, features=suspect["served"])
    tables = [
        findings("deadline", pd.Series({"daily work": night}), max_hours),
        findings("rows", pd.Series({"features": rows}), 0.01),
        findings("bill", pd.Series({"growth in a month": growth}), max_growth),
    ]
    return pd.concat(tables, ignore_index=True)


def a_month_ago(tables: Tables) -> Tables | None:
    """Return what the pipeline had thirty days before its end; None where that is nothing."""
    until = tables["transactions"]["ingest_ts"].max() - MONTH
    rows = tables["transactions"].loc[lambda t: t["ingest_ts"] < until]
    served = tables["served"].loc[lambda t: t["prediction_ts"] < until].reset_index(drop=True)
    jobs = {"jobs": tables["jobs"]} if "jobs" in tables else {}
    if rows.empty or served.empty:
        return None
    return {"transactions": rows.reset_index(drop=True), "served": served, **jobs}


def bill_by_month(tables: Tables, *, shops: int = SHOPS) -> pd.Series:
    """Return the bill of the tables' plan in each month from the first on, in USD, by month."""
    bills: list[float] = []
    past: Tables | None = tables
    while past is not None:
        bills.append(float(bill_of(past, features=past["served"], shops=shops)["usd"].sum()))
        past = a_month_ago(past)
    months = pd.RangeIndex(1, len(bills) + 1, name="month")
    return pd.Series(bills[::-1], index=months, name="usd")


@checked
def detect(
    reference: Tables,
    suspect: Tables,
    *,
    max_waste: Share = 0.05,
    max_wrong: Share = 0.01,
) -> pd.DataFrame:
    """Return what each driver of the bill wastes, and whether the features are right.

    Parameters
    ----------
    reference: not looked at: a plan is held to what the same rows would cost without a driver
    suspect: tables with `transactions`, `offers`, `served` and, where not lean, `jobs`
    max_waste: largest share of the bill that may be saved by doing without one driver
    max_wrong: largest share of wrong features

    Returns
    -------
    Rows "avoidable", one for each driver: value (share of the bill that the lean way of doing this
    one thing would save; below zero where it would cost), usd (that, a month, for the company),
    times (how much more is read, kept or sent than by the lean way). A row "features": share of
    the sampled offers with a feature that is not as defined. All on a sample of the customers:
    one in four, the counts multiplied, the files as many as they are.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or a column is missing or not as expected

    Source: challenge 8; measured instead of the constants of the syllabus.
    """
    require_tables(suspect, "transactions", "offers", "served")
    (few, size), jobs = sampled(suspect), plan_of(suspect)
    now, work = _sample_bill(few, jobs, times=size)
    rows = []
    for name, (columns, quantity, stages) in DRIVERS.items():
        lean = without(jobs, columns, stages)
        saved, times = 0.0, 1.0
        if lean.to_dict("list") != jobs.to_dict("list"):
            then, less = _sample_bill(few, lean, times=size)
            saved = now - then
            times = _amount(work, quantity, stages) / _amount(less, quantity, stages)
        row = {"subject": name, "value": saved / now, "usd": saved, "times": times}
        rows.append({"check": "avoidable", **row, "limit": max_waste})
    wrong = 1 - right(few)
    last = {"check": "features", "subject": "wrong", "value": wrong, "limit": max_wrong}
    table = pd.DataFrame([*rows, last])
    table["failed"] = table["value"] > table["limit"]
    return table[["check", "subject", "value", "limit", "failed", "usd", "times"]]


def without(jobs: pd.DataFrame, columns: list[str], stages: tuple[str, ...]) -> pd.DataFrame:
    """Return the plan with some columns of some jobs as in the lean plan."""
    lean = plan().set_index("job").loc[jobs["job"]].reset_index()
    at = jobs["job"].isin(stages).to_numpy()
    changed = jobs.reset_index(drop=True)
    return changed.assign(**{c: np.where(at, lean[c], changed[c]) for c in columns})


def _amount(work: pd.DataFrame, quantity: str, stages: tuple[str, ...]) -> float:
    counted = work.set_index("stage").loc[list(stages)]
    return max(float((counted[quantity] * counted["runs"]).sum()), 1e-9)


def sampled(tables: Tables) -> tuple[Tables, int]:
    """Return the rows of one customer in four, told by the scrambled number, and the four.

    A shop with few offers is looked at whole.
    """
    few: Tables = {}
    for name in ("transactions", "offers", "served"):
        table = tables[name]
        drawn = (table["user_id"].to_numpy("int64") * books.plans.SCRAMBLE) % 2**32
        few[name] = table[drawn < 2**32 // SAMPLE].reset_index(drop=True)
    if len(few["offers"]) < FEWEST or any(table.empty for table in few.values()):
        return {**{name: tables[name] for name in few}, "jobs": plan_of(tables)}, 1
    return {**few, "jobs": plan_of(tables)}, SAMPLE


def _sample_bill(few: Tables, jobs: pd.DataFrame, *, times: int) -> tuple[float, pd.DataFrame]:
    """Return the bill of a plan by its ledger on a sample, and that ledger, both scaled up."""
    prices = load()
    table = ledger_on_disk(few, jobs, few["served"])
    files = [c for c in table if c.startswith("files") or c in ("stage", "runs", "experiments")]
    table = table.assign(**{c: table[c] * times for c in table if c not in files})
    lines = books.bill(table, jobs, prices, days=history_days(few))
    return float(lines["usd"].sum()), table.assign(
        hours=books.hours(table, jobs, prices).to_numpy()
    )


def right(tables: Tables, *, rtol: float = 1e-9) -> float:
    """Return the share of offers whose served features are all as defined, in [0, 1].

    A missing row is wrong; numbers are right within `rtol` of the defined one.
    """
    names = list(FEATURES)
    truth = asof_features(tables["transactions"], tables["offers"]).set_index("offer_id")[names]
    served = tables["served"].drop_duplicates("offer_id").set_index("offer_id")[names]
    served = served.reindex(truth.index)
    there = truth.index.isin(tables["served"]["offer_id"])
    same = np.isclose(served, truth, rtol=rtol, atol=1e-9, equal_nan=True).all(axis=1)
    return float((same & there).mean())


@checked
def repair(suspect: Tables, *, how: Literal["lean", "features_only"] = "lean") -> Tables:
    """Return the tables with another plan, the features computed by it, and the decisions after.

    lean: the lean plan. features_only: whatever makes the features wrong is undone, and the
    waste stays.

    Raises
    ------
    KeyError: a table is missing
    ValueError: another `how`
    """
    require_tables(suspect, "transactions", "offers")
    jobs = plan()
    if how == "features_only":
        jobs = without(plan_of(suspect), sorted(CHEATING), ("land", "build"))
    features = features_of(suspect, jobs)
    return log_decisions({**suspect, "jobs": jobs, "training": features, "served": features})


def score(tables: Tables) -> dict[str, float]:
    """Return how lean and how right a plan is.

    Returns
    -------
    production: the bill of the lean plan over that of this one, at most 1, times the share of
    offers with right features: waste and cheating both cost. honest: the same from the ledger of
    a sample of the customers. offline: what is left to save if the constants of the syllabus held,
    features taken for right. usd: the bill of a month; right: share of offers in [0, 1]; accuracy:
    of the decisions, by the truth.

    Raises
    ------
    KeyError: a table is missing; `truth_offers` is needed for the accuracy
    """
    require_tables(tables, "transactions", "offers", "served", "decisions", "truth_offers")
    lines, (few, size) = bill_of(tables, features=tables["served"]), sampled(tables)
    lean = {name: table for name, table in tables.items() if name != "jobs"}
    usd = float(lines["usd"].sum())
    least = float(bill_of(lean, features=tables["served"])["usd"].sum())
    share = float(few["jobs"]["share"].iloc[0])
    now, small = (_sample_bill(few, jobs, times=size)[0] for jobs in (few["jobs"], plan()))
    now = share * now + (1 - share) * small
    correct = right(tables)
    return {
        "offline": min(1.0, promised(lines, plan_of(tables)) / usd),
        "honest": min(1.0, small / now) * right(few),
        "production": min(1.0, least / usd) * correct,
        "usd": usd,
        "right": correct,
        "accuracy": performance(tables)["production"],
    }


def promised(lines: pd.DataFrame, jobs: pd.DataFrame) -> float:
    """Return what the bill would be if each known waste had the saving of the syllabus."""
    usd, how = lines.set_index("line")["usd"].copy(), jobs.set_index("job")
    for (job, column, value), (left, names) in PROMISES.items():
        if how.loc[job, column] == value:
            usd[names] *= left
    return float(usd.sum())


def freshness(
    tables: Tables, *, hours: tuple[int, ...] = (0, 1, 24, 168), shops: int = SHOPS
) -> pd.DataFrame:
    """Return what features of some age cost, and what they get wrong.

    Parameters
    ----------
    tables: a shop in operation
    hours: between two refreshes; 0: current at each request

    Returns
    -------
    refresh_hours, usd (a month), wrong (share of offers with a feature more than one percent off),
    accuracy (of the decisions, when the model is trained on the same features).
    """
    rows = []
    for refresh in hours:
        changes: Changes = {"build": {"refresh_hours": refresh}}
        jobs = plan(changes)
        features = features_of(tables, jobs)
        now = log_decisions({**tables, "jobs": jobs, "training": features, "served": features})
        usd = float(bill_of(now, jobs, features=features, shops=shops)["usd"].sum())
        row = {
            "usd": usd,
            "wrong": 1 - right(now, rtol=0.01),
            "accuracy": performance(now)["production"],
        }
        rows.append({"refresh_hours": refresh, **row})
    return pd.DataFrame(rows)
