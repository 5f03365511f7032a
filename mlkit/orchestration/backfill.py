"""Backfills on the virtual clock: by which date they read, and who else writes the partition.

A partition is a day of events. Its daily run comes two hours after midnight, when the file of last
night's web orders is in; a backfill computes the same partitions again. Minutes are counted from
the midnight before the first event. Every outcome is a number of wrong partitions or rows.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.orchestration.history import final
from mlkit.orchestration.plan import Arrives, Pool
from mlkit.orchestration.policy import Policy
from mlkit.orchestration.simulate import simulate
from mlkit.params import Count, Days, NotNegative, Positive, checked
from mlkit.tables import require

DAY = 1440.0
DAILY, LENGTH = 120.0, 5.0  # the daily run: minutes after midnight, and for each partition
COLUMNS = {"txn_id": "int", "event_ts": "time", "ingest_ts": "time", "channel": "any"}
Start = Annotated[float, Interval(ge=-1_000_000, le=1_000_000)]
Guard = Literal["none", "lock by partition", "one writer"]
Order = Literal["forward", "reverse"]


@checked
def source_of(transactions: pd.DataFrame, *, delivered: NotNegative = 105.0) -> pd.DataFrame:
    """Return what the pipeline reads: one row per purchase, its day, and when it arrived.

    Parameters
    ----------
    transactions: the shop's; txn_id, event_ts, ingest_ts, channel, category, amount_usd
    delivered: web orders come as one file, so many minutes after the midnight that ends their day

    Returns
    -------
    columns row, day (0 is the first), arrived (minutes), category, amount_usd

    Raises
    ------
    KeyError, TypeError, ValueError: a column that is missing or of another kind, or no rows
    """
    need = {**COLUMNS, "category": "any", "amount_usd": "float"}
    known = require(transactions, "transactions", need).dropna(subset=["event_ts", "ingest_ts"])
    since = known["event_ts"].min().floor("D")
    day = (known["event_ts"] - since).dt.days
    arrived = (known["ingest_ts"] - since).dt.total_seconds() / 60
    web = known["channel"].eq("web") & (arrived < (day + 1) * DAY + delivered)
    arrived = arrived.mask(web, (day + 1) * DAY + delivered)
    own = known[["category", "amount_usd"]]
    return own.assign(row=known["txn_id"], day=day, arrived=arrived).reset_index(drop=True)


def partition(source: pd.DataFrame, date: int, now: float) -> pd.DataFrame:
    """Return the rows of a logical date that had arrived at the minute `now`."""
    return source[(source["day"] == date) & (source["arrived"] <= now)]


def naive_partition(source: pd.DataFrame, date: int, now: float) -> pd.DataFrame:
    """Return the rows of the day before the clock's: right every night, wrong in a backfill."""
    return partition(source, int(now // DAY) - 1, now)


Read = Callable[[pd.DataFrame, int, float], pd.DataFrame]


def store_of(jobs: pd.DataFrame, source: pd.DataFrame, *, read: Read = partition) -> pd.DataFrame:
    """Return the table after all jobs: each reads when it starts and replaces its partition at end.

    Parameters
    ----------
    jobs: date, start, end (minutes); of two jobs that end together the later row writes last
    source: see `source_of`
    read: which rows a job reads, by source, date and minute

    Returns
    -------
    the rows that are left, as in the source, with the column `partition`
    """
    order = np.argsort(jobs["end"].to_numpy(), kind="stable")
    last = {int(job.date): job for job in jobs.iloc[order].itertuples()}
    parts = [
        read(source, date, job.start).assign(partition=date) for date, job in sorted(last.items())
    ]
    return pd.concat(parts) if parts else source.iloc[:0].assign(partition=0)


def wrong(store: pd.DataFrame, source: pd.DataFrame, dates: Iterable[int], now: float) -> pd.Series:
    """Return how many partitions are wrong, and how many rows are missing or of another date.

    Parameters
    ----------
    store: see `store_of`
    dates, now: the partitions that should be there, with what had arrived at this minute
    """
    wanted = source[source["day"].isin(list(dates)) & (source["arrived"] <= now)]
    key = pd.MultiIndex.from_frame(store[["partition", "row"]])
    right = pd.MultiIndex.from_frame(wanted[["day", "row"]])
    missing, foreign = right.difference(key), key.difference(right)
    bad = set(missing.get_level_values(0)) | set(foreign.get_level_values(0))
    found = {"wrong_partitions": len(bad), "missing": len(missing), "foreign": len(foreign)}
    return pd.Series(found)


@checked
def race(
    *,
    starts: Start,
    guard: Guard = "none",
    today: Days = 60,
    days: Count = 14,
    again: Count = 3,
    takes: Positive = 60.0,
) -> pd.DataFrame:
    """Return the jobs of a backfill and of the daily run of the same night, on the virtual clock.

    Parameters
    ----------
    starts: minutes from midnight to the start of the backfill; negative is the evening before
    guard: none; one slot for each partition; or one slot for the table, daily run first
    today: the day that begins at this midnight; the daily run is for the day before
    days: how many days before today the backfill computes, oldest first
    again: how many days the daily run computes, oldest first, because rows come late
    takes: minutes per partition of the backfill

    Returns
    -------
    one row per job: who (backfill or daily), date, start, end (minutes)
    """
    first = min(starts, DAILY)
    dag: dict[str, list[str]] = {"backfill": [], "daily": []}
    minutes = {"backfill": Arrives(starts - first), "daily": Arrives(DAILY - first)}
    durations: dict[str, float | Callable | Arrives] = {**minutes}
    policies = {name: Policy(poll=1.0, slots=0) for name in dag}
    for who, count, length in (("backfill", days, takes), ("daily", again, LENGTH)):
        before = who
        for date in range(today - count, today):
            task = f"{who} {date:05d}"
            dag[task], durations[task], before = [before], length, task
            policies[task] = Policy(pool=_pool(guard, date), priority=int(who == "daily"))
    pools = {policy.pool: Pool(slots=np.inf if guard == "none" else 1) for policy in
             policies.values()}  # fmt: skip
    attempts = simulate(
        dag, durations, rng=np.random.default_rng(0), policies=policies, pools=pools
    )
    return _jobs(attempts, today * DAY + first)


def _pool(guard: str, date: int) -> str:
    return f"partition {date}" if guard == "lock by partition" else "table"


def _jobs(attempts: pd.DataFrame, midnight: float) -> pd.DataFrame:
    ran = attempts[attempts["task"].str.contains(" ")]
    names = ran["task"].str.split(" ", expand=True)
    jobs = pd.DataFrame({"who": names[0], "date": names[1].astype("int64")})
    return jobs.assign(start=ran["start"] + midnight, end=ran["end"] + midnight)


def lost(jobs: pd.DataFrame, source: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of lost updates: a job had read and written them, and they are gone again.

    A job replaces its partition by what had arrived when it started. So what is lost arrived after
    the start of the last to write, and before the start of another.
    """
    starts = jobs.sort_values("end", kind="stable").groupby("date")["start"]
    known = pd.DataFrame({"kept": starts.last(), "newest": starts.max()})
    rows = source[source["day"].isin(known.index)].merge(known, left_on="day", right_index=True)
    gone = (rows["arrived"] > rows["kept"]) & (rows["arrived"] <= rows["newest"])
    return rows.loc[gone, list(source.columns)]


def sweep(source: pd.DataFrame, starts: Iterable[float], *, guard: Guard) -> pd.DataFrame:
    """Return for each start of a backfill what the race loses, and how late the daily run ends.

    Returns
    -------
    index starts; columns partitions and rows lost, delay (minutes of the daily run)
    """
    rows, moments = [], list(starts)
    for start in moments:
        jobs = race(starts=float(start), guard=guard)
        gone, daily = lost(jobs, source), jobs[jobs["who"] == "daily"]
        due = (daily["date"].max() + 1) * DAY + DAILY + LENGTH * len(daily)
        rows.append((gone["day"].nunique(), len(gone), daily["end"].max() - due))
    index = pd.Index(moments, name="starts")
    return pd.DataFrame(rows, columns=["partitions", "rows", "delay"], index=index)


@checked
def catch_up(
    amounts: pd.Series,
    stored: pd.Series,
    *,
    order: Order = "forward",
    slots: Count = 1,
    depends_on_past: bool = False,
    takes: Positive = 20.0,
) -> tuple[pd.Series, float]:
    """Return the running total of each day after a backfill, and how many minutes that took.

    Each day's task reads the total of the day before when it starts, and writes its own at its end.

    Parameters
    ----------
    amounts: what each day adds, by day, in rising order
    stored: the totals before the backfill, for the same days
    order: which days are first in the queue
    slots: how many run at once
    depends_on_past: a day waits until the day before has succeeded
    """
    days = [int(day) for day in amounts.index]
    names = {day: f"day {day:05d}" for day in days}
    dag = {
        names[day]: [names[day - 1]] if depends_on_past and day - 1 in names else [] for day in days
    }
    sign = 1 if order == "reverse" else -1
    attempts = simulate(
        dag,
        dict.fromkeys(dag, takes),
        rng=np.random.default_rng(0),
        policies={names[day]: Policy(priority=sign * day) for day in days},
        pools={"default": Pool(slots=slots)},
    )
    return _totals(amounts, stored, _jobs(attempts, 0.0)), float(final(attempts)["end"].max())


def _totals(amounts: pd.Series, stored: pd.Series, jobs: pd.DataFrame) -> pd.Series:
    """Running totals when each job reads yesterday's at its start; writes come before reads."""
    moments = [(job.start, 1, int(job.date)) for job in jobs.itertuples()]
    moments += [(job.end, 0, int(job.date)) for job in jobs.itertuples()]
    totals, read = stored.astype(float).to_dict(), dict[int, float]()
    for _, reads, day in sorted(moments):
        if reads:
            read[day] = totals.get(day - 1, 0.0)
        else:
            totals[day] = read[day] + float(amounts[day])
    return pd.Series(totals).reindex(amounts.index)


def rate_asof(rows: pd.DataFrame, rates: pd.DataFrame) -> pd.Series:
    """Return for each row the rate that was valid on its own day.

    Parameters
    ----------
    rows: category, day
    rates: category, valid_from (day), rate: a new row whenever the rate changes
    """
    left = rows[["category", "day"]].astype({"category": str})
    left = left.assign(place=range(len(left))).sort_values("day", kind="stable")
    right = rates.astype({"valid_from": left["day"].dtype, "category": str})
    right = right.sort_values("valid_from", kind="stable")
    joined = pd.merge_asof(
        left, right, left_on="day", right_on="valid_from", by="category", direction="backward"
    )
    return joined.sort_values("place", kind="stable").set_index(rows.index)["rate"]


def naive_rate(rows: pd.DataFrame, rates: pd.DataFrame) -> pd.Series:
    """Return for each row the rate that the dimension table holds today."""
    today = rates.sort_values("valid_from").groupby("category")["rate"].last()
    return rows["category"].astype(str).map(today)
