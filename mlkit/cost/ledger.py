"""The bill: what a plan reads, writes and keeps, times what that costs.

Every line says where it comes from. `measured`: counted bytes, files and requests times a price.
`simulated`: hours that follow from counted work and the rates of the price file, or from a model
of interruptions. `list price`: a fixed thing, such as a service that is always on.

A month has thirty days of work, and 730 hours for what is always on, as it is billed.

One shop is a small table. `shops` multiplies it to the size of a company: so many shops with
tables of their own, each as small as this one, so that what small files cost stays true.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlkit.cost import jobs as plans
from mlkit.cost.jobs import Changes, merged
from mlkit.cost.lifecycle import DAYS_PER_MONTH, Rules
from mlkit.cost.lifecycle import bill as lifecycle_bill
from mlkit.cost.prices import Prices, load, storage_classes
from mlkit.cost.spot import expected_hours
from mlkit.params import Count, checked
from mlkit.tables import Tables, content_hash

SHOPS = 100_000
HOURS_A_MONTH = 730.0
COLD_FROM_DAY = 90
GB, MB = 1e9, 1e6
LINES = {  # each line of the bill, and where its number comes from
    "storage": "measured",
    "colder storage": "measured",
    "retrieval, early deletion": "simulated",
    "requests": "measured",
    "pipeline": "simulated",
    "experiments": "simulated",
    "starts, lost hours": "simulated",
    "idle hours": "simulated",
    "service": "list price",
    "egress": "measured",
}


@checked
def bill(
    ledger: pd.DataFrame,
    jobs: pd.DataFrame,
    prices: Prices,
    *,
    days: Count = 300,
    shops: Count = SHOPS,
) -> pd.DataFrame:
    """Return what a month of a plan costs, line by line.

    Parameters
    ----------
    ledger: see `mlkit.cost.jobs.run`
    jobs: the plan that the ledger is of
    prices: see `mlkit.cost.prices.load`
    days: length of the history that is kept
    shops: how many shops with tables of this size the company has

    Returns
    -------
    One row per line of `LINES`: line, usd (a month), share (of the bill), basis.

    Raises
    ------
    ValueError: a plan that is not as expected, or an option out of range
    """
    how = {row["job"]: row for row in plans.require_jobs(jobs).to_dict("records")}
    stages = ledger.set_index("stage")
    usd = dict.fromkeys(LINES, 0.0)
    for job in ("land", "keep"):
        for line, cost in _storage(stages.loc[job], how[job], prices, days=days).items():
            usd[line] += cost * shops
    usd["retrieval, early deletion"] += _retrieval(stages, how, prices, days=days) * shops
    usd["requests"] = _requests(stages, prices) * shops
    usd["egress"] = float((stages["runs"] * stages["bytes_sent"]).sum()) / GB * shops
    usd["egress"] *= prices["egress_gb"]
    usd |= _machines(hours(ledger, jobs, prices) * shops, how, prices)
    current = how["build"]["refresh_hours"] == 0
    usd["service"] = HOURS_A_MONTH * (prices["serving_hour"] + current * prices["stream_hour"])
    table = pd.DataFrame({"line": list(LINES), "usd": [usd[line] for line in LINES]})
    share = table["usd"] / table["usd"].sum()
    return table.assign(share=share, basis=list(LINES.values()))


def hours(ledger: pd.DataFrame, jobs: pd.DataFrame, prices: Prices) -> pd.Series:
    """Return the machine hours of work a month, by stage, of one shop: no start, nothing idle."""
    rate, form = prices["work"], jobs.set_index("job")["format"]
    learns_from = "keep" if jobs.set_index("job")["cached"]["train"] == "yes" else "land"
    source = [form[job] for job in ("land", "land", "keep", learns_from, "keep")]
    mb_a_second = np.array([rate[f"{name}_mb"] for name in source])
    stages = ledger.set_index("stage")
    seconds = (stages["bytes_read"] + stages["bytes_written"]) / MB / mb_a_second
    seconds += stages["rows_read"] / rate["rows"] + stages["pairs"] / rate["pairs"]
    seconds += stages["fitted"] / rate["fitted"]
    seconds += (stages["files_read"] + stages["files_written"]) / rate["files"]
    return seconds * stages["runs"] / 3600


def bill_of(
    tables: Tables,
    jobs: pd.DataFrame | None = None,
    *,
    features: pd.DataFrame | None = None,
    prices: Prices | None = None,
    shops: int = SHOPS,
) -> pd.DataFrame:
    """Return the bill of a plan, its files written to a folder that is removed again.

    Shops that do not follow the plan (`share` below one) pay the bill of the lean plan.

    Parameters
    ----------
    tables: `transactions`, and `offers` or features
    jobs: the plan; None: the one in the tables, or the lean one
    features: as computed by the plan; None: they are computed first
    prices, shops: see `bill`
    """
    jobs = plans.plan_of(tables) if jobs is None else plans.require_jobs(jobs)
    prices, share = prices or load(), float(jobs["share"].iloc[0])
    features = features_of(tables, jobs) if features is None else features
    table = _of_plan(tables, jobs, features, prices, shops=shops)
    if share < 1:
        lean = _of_plan(tables, plans.plan(), features, prices, shops=shops)
        table["usd"] = share * table["usd"] + (1 - share) * lean["usd"]
        table["share"] = table["usd"] / table["usd"].sum()
    return table


def _of_plan(
    tables: Tables, jobs: pd.DataFrame, features: pd.DataFrame, prices: Prices, *, shops: int
) -> pd.DataFrame:
    ledger = ledger_on_disk(tables, jobs, features)
    return bill(ledger, jobs, prices, days=history_days(tables), shops=shops)


def ledger_on_disk(tables: Tables, jobs: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Return the ledger of a plan, its files in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        return plans.ledger_of(tables, jobs, Path(folder), features=features)


def longest_night(
    tables: Tables, *, features: pd.DataFrame, shops: int = SHOPS, prices: Prices | None = None
) -> float:
    """Return the hours from the start of the daily work to its end, on the machines of the plan."""
    jobs, prices = plans.plan_of(tables), prices or load()
    work = hours(ledger_on_disk(tables, jobs, features), jobs, prices) * shops
    how = {row["job"]: row for row in jobs.to_dict("records")}
    groups = {"train": float(work["train"]), "build": float(work.drop("train").sum())}
    ends = []
    for job, month in groups.items():
        _, extra, _ = _cluster(month, how[job], prices)
        nodes = _nodes(month, prices)
        ends.append((month + extra) / plans.MONTH_DAYS / nodes)
    return max(ends)


def features_of(tables: Tables, jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the features that a plan computes, its files in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        return plans.run(tables, jobs, Path(folder))[0]


def history_days(tables: Tables) -> int:
    """Return the days from the first purchase to the last that arrived, at least one."""
    raw = tables["transactions"]
    return max(
        1, int(np.ceil((raw["ingest_ts"].max() - raw["event_ts"].min()).total_seconds() / 86400))
    )


def per_thousand(table: pd.DataFrame, tables: Tables, *, shops: int = SHOPS) -> float:
    """Return what a thousand predictions cost, in USD: the whole bill over all of them."""
    asked = tables["offers"]["prediction_ts"]
    days = max(1.0, (asked.max() - asked.min()).total_seconds() / 86400)
    month = len(asked) / days * plans.MONTH_DAYS * shops
    return float(table["usd"].sum() / month * 1000)


def waterfall(
    tables: Tables,
    start: Changes,
    steps: Mapping[str, Changes],
    *,
    prices: Prices | None = None,
    shops: int = SHOPS,
) -> pd.DataFrame:
    """Return the bill after each step from a wasteful plan on, in the order given.

    The saving of a step depends on the steps before it: what is not kept any more need not be
    kept more cheaply. The sum over all steps does not.

    Parameters
    ----------
    tables: `transactions` and `offers`
    start: changes from the lean plan, by job and column: see `mlkit.cost.jobs.plan`
    steps: name to further changes, each on top of those before
    prices, shops: see `bill`

    Returns
    -------
    step, usd (the bill after it), saved (by it), features (their hash).
    """
    rows, changes = [], start
    for step in ["as it is", *steps]:
        changes = merged(changes, steps.get(step, {}))
        jobs = plans.plan(changes)
        features = features_of(tables, jobs)
        usd = bill_of(tables, jobs, features=features, prices=prices, shops=shops)["usd"].sum()
        rows.append({"step": step, "usd": usd, "features": content_hash({"features": features})})
    table = pd.DataFrame(rows)
    table.insert(2, "saved", -table["usd"].diff().fillna(0.0))
    return table


# --- lines of the bill ----------------------------------------------------------------------------


def _storage(
    stage: pd.Series, how: dict[str, Any], prices: Prices, *, days: int
) -> dict[str, float]:
    """Return what one shop's files of a job cost in the last month of the history."""
    ends, kept = how["retention_days"], max(float(stage["bytes_kept"]), 1.0)
    moves = () if young_share(how, days=days) == 1 else ((how["tier"], COLD_FROM_DAY),)
    month = lifecycle_bill(
        Rules((("hot", 0), *moves), ends or None),
        storage_classes(prices),
        gb_per_day=kept / GB / _kept_days(how, days=days),
        object_mb=kept / MB / max(float(stage["files_kept"]), 1.0),
        months=max(1, round(days / DAYS_PER_MONTH)),
    ).iloc[-1]
    hot = kept / GB * young_share(how, days=days) * prices["tiers"]["hot"]["gb_month"]
    hot = min(hot, float(month["storage"])) if moves else float(month["storage"])
    colder = float(month["storage"] - hot + month["transition"])
    lines = ("storage", "colder storage", "retrieval, early deletion")
    return dict(zip(lines, (hot, colder, float(month["early"])), strict=True))


def _kept_days(how: dict[str, Any], *, days: int) -> int:
    return min(days, how["retention_days"] or days)


def young_share(how: dict[str, Any], *, days: int) -> float:
    """Return the share of a job's files that lies in the hot tier.

    A single file that is written again each day never grows old.
    """
    again = how["partition"] == "none" and (how["job"] == "land" or how["incremental"] == "yes")
    if how["tier"] == "hot" or again:
        return 1.0
    return min(1.0, COLD_FROM_DAY / _kept_days(how, days=days))


def _retrieval(stages: pd.DataFrame, how: dict[str, Any], prices: Prices, *, days: int) -> float:
    """Return what reading old files back from a colder tier costs one shop in a month.

    Whoever reads everything, reads the old files too: a full build, experiments without a cache
    (raw rows), experiments with one (features, unless each day has a whole copy of its own).
    Their requests are counted here as far as they cost more than those to the hot tier.
    """
    usd, hot = 0.0, prices["tiers"]["hot"]["read_thousand"]
    from_raw = {
        "build": how["build"]["incremental"] == "no",
        "train": how["train"]["cached"] == "no",
    }
    from_kept = {"train": not from_raw["train"] and how["keep"]["incremental"] == "yes"}
    for job, readers in (("land", from_raw), ("keep", from_kept)):
        old, tier = 1 - young_share(how[job], days=days), prices["tiers"][how[job]["tier"]]
        for stage in [stage for stage, reads in readers.items() if reads]:
            runs, size, files = stages.loc[stage, ["runs", "bytes_read", "files_read"]]
            each = size / GB * tier["retrieval_gb"] + files / 1000 * (tier["read_thousand"] - hot)
            usd += old * float(runs * each)
    return usd


def _requests(stages: pd.DataFrame, prices: Prices) -> float:
    hot = prices["tiers"]["hot"]
    writes = float((stages["runs"] * stages["files_written"]).sum())
    reads = float((stages["runs"] * stages["files_read"]).sum())
    return (writes * hot["write_thousand"] + reads * hot["read_thousand"]) / 1000


def _machines(work: pd.Series, how: dict[str, Any], prices: Prices) -> dict[str, float]:
    """Return the lines for machines: work, starts and lost hours, idle hours."""
    usd = dict.fromkeys(("pipeline", "experiments", "starts, lost hours", "idle hours"), 0.0)
    if work.sum() / plans.MONTH_DAYS <= prices["work"]["spare_hours"]:
        return usd  # runs on the serving machine
    groups = {"experiments": ("train", work[["train"]].sum())}
    groups["pipeline"] = ("build", work.drop("train").sum())
    for line, (job, month) in groups.items():
        price, extra, idle = _cluster(float(month), how[job], prices)
        usd[line] += float(month) * price
        usd["starts, lost hours"] += extra * price
        usd["idle hours"] += idle * price
    return usd


def _cluster(month: float, how: dict[str, Any], prices: Prices) -> tuple[float, float, float]:
    """Return the price of an hour, the hours of starts and lost work, and the idle hours."""
    rate, price = prices["work"], prices["compute_hour"]
    daily = month / plans.MONTH_DAYS
    nodes = _nodes(month, prices)
    if how["machine"] == "always_on":
        return price, 0.0, nodes * HOURS_A_MONTH - month
    spot = how["machine"] == "spot"
    paid = expected_hours(
        work_hours=max(daily / nodes, 1e-6),
        interruptions_per_hour=prices["spot_interruptions_hour"] if spot else 0.0,
        checkpoint_minutes=float(how["checkpoint_minutes"]) or None if spot else None,
        start_minutes=rate["start_minutes"],
    )
    price *= 1 - prices["spot_discount"] * spot
    return price, nodes * plans.MONTH_DAYS * paid - month, 0.0


def _nodes(month: float, prices: Prices) -> int:
    """Return how many machines do the work of a day within the window."""
    return max(1, int(np.ceil(month / plans.MONTH_DAYS / prices["work"]["window_hours"])))
