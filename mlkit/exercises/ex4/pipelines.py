"""Two daily pipelines, as it grew and tidy, and a run of either through days of deliveries."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from mlkit.exercises.ex4.store import PRICES, Store, bill
from mlkit.exercises.ex4.world import (
    FEATURES,
    HOME,
    NEEDED,
    WINDOW,
    Deliveries,
    contents,
    features,
    month,
)

Daily = Callable[[Store, int], pd.DataFrame]
STATE, SEEN = "work/state.parquet", "work/seen.json"


def naive_daily(store: Store, day: int) -> pd.DataFrame:
    """Return the features of a day as the pipeline grew: CSV, all columns, everything, twice.

    It reads every file there is, writes one large file of all of it, reads that again, computes
    all features, and keeps the result of every day in one file per hundred users.
    """
    files = [store.read_table(name) for name in store.list("raw/")]
    store.write_table("work/all.csv", pd.concat(files, ignore_index=True))
    table = features(store.read_table("work/all.csv"), day)
    for hundred, part in table.groupby(table["user_id"] // 100):
        store.write_table(f"features/{day:03d}/{hundred}.csv", part)
    return table


def parquet_daily(store: Store, day: int) -> pd.DataFrame:
    """Return the same features when nothing is changed but the format of the large file."""
    files = [store.read_table(name) for name in store.list("raw/")]
    store.write_table("work/all.parquet", pd.concat(files, ignore_index=True))
    table = features(store.read_table("work/all.parquet", NEEDED), day)
    for hundred, part in table.groupby(table["user_id"] // 100):
        store.write_table(f"features/{day:03d}/{hundred}.parquet", part)
    return table


def tidy_daily(store: Store, day: int) -> pd.DataFrame:
    """Return the same features from a small state: only files that are new or changed are read.

    The state holds counts by file, user and day of charge, so that a file that comes again
    replaces what it had brought, and a late row falls on the day of its charge.
    """
    listed = store.list()
    seen = json.loads(store.read(SEEN)) if SEEN in listed else {}
    raw = {name: tag for name, tag in listed.items() if name.startswith("raw/")}
    news = [name for name, tag in raw.items() if seen.get(name) != tag]
    parts = [] if STATE not in listed else [store.read_table(STATE)]
    parts = [part[~part["file"].isin(news)] for part in parts]
    parts += [_counts(store.read_table(name)[NEEDED]).assign(file=name) for name in news]
    state = pd.concat(parts, ignore_index=True).astype({"file": "category"})
    if news:
        store.write_table(STATE, _small(state))
        store.write(SEEN, json.dumps(raw).encode())
    return _from_counts(state, day)


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    abroad = rows["country"].ne(HOME)
    groups = rows.assign(abroad=abroad).groupby(["user_id", "day"])
    table = groups.agg(
        n=("amount", "size"),
        spent=("amount", "sum"),
        largest=("amount", "max"),
        abroad=("abroad", "sum"),
    )
    return table.reset_index()


def _small(state: pd.DataFrame) -> pd.DataFrame:
    return state.sort_values(["user_id", "day"], kind="stable").astype({"file": "str"})


def _from_counts(state: pd.DataFrame, day: int) -> pd.DataFrame:
    recent = state[(state["day"] > day - WINDOW) & (state["day"] <= day)].groupby("user_id")
    table = pd.DataFrame({"purchases": state.groupby("user_id")["n"].sum()})
    sums = recent[["n", "spent", "abroad"]].sum()
    table["purchases_28"], table["spent_28"] = sums["n"], sums["spent"]
    table["largest_28"], table["abroad_28"] = recent["largest"].max(), sums["abroad"]
    return table[FEATURES].fillna(0).astype("int64").reset_index()


# A run through days of deliveries


class Run(NamedTuple):
    """The features of each day, and the trace of the store."""

    tables: dict[int, pd.DataFrame]
    trace: pd.DataFrame


def run(daily: Any, deliveries: Deliveries, *, times: int = 1, lost: int = 0) -> Run:
    """Return what a pipeline makes of deliveries, and what it did for it.

    Parameters
    ----------
    times: how often it runs on each day (a retry after it had ended well)
    lost: the day before whose run everything but the files of the source is lost
    """
    store, tables = Store(), {}
    for day, files in deliveries.files.items():
        store.deliver(day, contents(files))
        if day == lost:
            store.forget()
        for _ in range(times * (day in deliveries.days)):
            tables[day] = daily(store, day)
    return Run(tables, store.trace())


def feature_hash(table: pd.DataFrame) -> str:
    """Return a hash of the content of a feature table, whatever the order of rows and columns.

    Raises
    ------
    KeyError: a feature, or the user, is missing
    """
    whole = table[["user_id", *FEATURES]].reset_index(drop=True)
    whole = whole.apply(pd.to_numeric, errors="coerce").astype("float64")
    whole = whole.sort_values("user_id", kind="stable")
    text = whole.to_csv(index=False, lineterminator="\n", float_format="%.3f")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


STEPS = {"before": naive_daily, "only Parquet": parquet_daily, "after": tidy_daily}


@cache
def kit_run(seed: int, daily: Daily) -> Run:
    """Return the run of a pipeline of the kit through the month of a learner."""
    return run(daily, month(seed))


def bills(seed: int) -> pd.DataFrame:
    """Return the bills of the month in USD: index item, a column for each of `STEPS`."""
    days = month(seed).days
    found = {name: bill(kit_run(seed, daily).trace, PRICES, days) for name, daily in STEPS.items()}
    return pd.DataFrame(found).rename_axis("item")


def beside(daily: Any, seed: int) -> pd.DataFrame:
    """Return the bills of `bills`, and that of a learner's pipeline when there is one, in dollars.

    Columns: the items, total, and left: the share of the old bill.
    """
    table = bills(seed).T
    with contextlib.suppress(NotImplementedError):
        table.loc["yours"] = bill(run(daily, month(seed)).trace, PRICES, month(seed).days)
    table["total"] = table.sum(axis=1)
    return table.assign(left=table["total"] / table.loc["before", "total"]).round(4)
