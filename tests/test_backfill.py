"""Backfills: by which date, racing whom, in which order: counted as wrong partitions and rows."""

import numpy as np
import pandas as pd
import pytest

from mlkit.orchestration import backfill
from mlkit.orchestration.backfill import DAY
from mlkit.params import maker, stream

DATES = range(3)


@pytest.fixture(scope="module")
def source():
    """Three days with four rows each: three at once, and one two hours past midnight."""
    rows = []
    for day in range(60):
        for place, arrived in enumerate((100.0, 200.0, 1300.0, DAY + 105)):
            rows.append((len(rows), day, day * DAY + arrived, "grocery", 10.0 + place))
    return pd.DataFrame(rows, columns=["row", "day", "arrived", "category", "amount_usd"])


def test_web_orders_arrive_as_a_file_and_late_rows_stay_late():
    start = pd.Timestamp("2025-01-01", tz="UTC")
    times = [start, *[start + pd.Timedelta(hours=9)] * 3]
    table = pd.DataFrame({
        "txn_id": [0, 1, 2, 3], "event_ts": times, "channel": ["app", "web", "web", "web"],
        "ingest_ts": [*times[:2], *(start + pd.Timedelta(hours=h) for h in (24.5, 40))],
        "category": "grocery", "amount_usd": 1.0,
    })  # fmt: skip
    assert backfill.source_of(table)["arrived"].tolist() == [0, DAY + 105, DAY + 105, 40 * 60]


def test_a_missing_column_is_named():
    with pytest.raises(KeyError, match="txn_id"):
        backfill.source_of(pd.DataFrame({"event_ts": [1]}))


def test_by_the_clock_all_partitions_but_yesterdays_are_wrong(source):
    now = 10 * DAY + 600
    jobs = pd.DataFrame({"date": range(5, 10), "start": now, "end": now + 20})
    by_date = backfill.wrong(backfill.store_of(jobs, source), source, range(5, 10), now)
    store = backfill.store_of(jobs, source, read=backfill.naive_partition)
    clock = backfill.wrong(store, source, range(5, 10), now)
    assert by_date.tolist() == [0, 0, 0]
    assert clock.tolist() == [4, 16, 16]


def test_every_night_the_clock_is_right(source):
    jobs = pd.DataFrame({"date": DATES})
    jobs = jobs.assign(start=(jobs["date"] + 1) * DAY + 120, end=(jobs["date"] + 1) * DAY + 125)
    store = backfill.store_of(jobs, source, read=backfill.naive_partition)
    assert backfill.wrong(store, source, DATES, 3 * DAY + 120).tolist() == [0, 0, 0]


def test_a_missing_partition_is_wrong(source):
    store = backfill.store_of(pd.DataFrame({"date": [0], "start": DAY * 9, "end": DAY * 9}), source)
    assert backfill.wrong(store, source, DATES, DAY * 9).tolist() == [2, 8, 0]


def test_the_last_writer_wins(source):
    jobs = pd.DataFrame(
        {"date": [0, 0], "start": [DAY + 90, DAY + 120], "end": [DAY + 150, DAY + 125]}
    )
    assert len(backfill.store_of(jobs, source)) == 3
    assert len(backfill.store_of(jobs.iloc[::-1].assign(end=[DAY + 151, DAY + 150]), source)) == 4


@pytest.mark.parametrize("seed", [0, 11, 1025])
def test_the_gallery_holds_in_other_shops(seed, params):
    """Clock and logical date; the one start that loses the file, and that no guarded one does."""
    knobs = {**params["worlds"]["shop"], "n_users": 300, "n_days": 90}
    shop = maker("shop")(rng=stream(seed, "shop", "make"), **knobs)
    rows, dates, now = backfill.source_of(shop["transactions"]), range(46, 60), 60 * DAY + 600
    jobs = pd.DataFrame({"date": dates, "start": now, "end": now + 20})
    clock, by_date = (
        backfill.wrong(backfill.store_of(jobs, rows, read=read), rows, dates, now)
        for read in (backfill.naive_partition, backfill.partition)
    )
    assert clock["wrong_partitions"] == 13 and by_date.tolist() == [0, 0, 0]
    starts = range(-720, -660, 15)
    free = backfill.sweep(rows, starts, guard="none")["rows"]
    assert (free > 0).sum() == 1 and free.max() >= 3
    assert not backfill.sweep(rows, starts, guard="lock by partition")["rows"].any()
    assert not backfill.sweep(rows, starts, guard="one writer")["rows"].any()


def brute_lost(jobs, source):
    kept = set(backfill.store_of(jobs, source)["row"])
    ever = {row for job in jobs.itertuples()
            for row in backfill.partition(source, job.date, job.start)["row"]}  # fmt: skip
    return ever - kept


@pytest.mark.parametrize("starts", [-750, -690, -600, 60])
def test_lost_rows_are_those_once_written_and_gone(source, starts):
    jobs = backfill.race(starts=starts)
    assert set(backfill.lost(jobs, source)["row"]) == brute_lost(jobs, source)


def test_one_start_loses_the_file_and_a_guard_ends_it(source):
    free = backfill.sweep(source, [-690, -400], guard="none")
    assert free["rows"].tolist() == [1, 0]
    for guard in ("lock by partition", "one writer"):
        assert backfill.sweep(source, range(-750, -600, 15), guard=guard)["rows"].sum() == 0


def test_with_one_writer_the_daily_run_waits_for_one_task_at_most(source):
    delays = backfill.sweep(source, range(-750, -600, 10), guard="one writer")["delay"]
    assert 0 < delays.max() <= 60
    assert backfill.sweep(source, [200], guard="none")["delay"].tolist() == [0]


@pytest.mark.parametrize("guard", ["lock by partition", "one writer"])
def test_a_guard_lets_no_two_write_at_once(guard):
    jobs = backfill.race(starts=-700, guard=guard).sort_values("start", kind="stable")
    groups = [jobs] if guard == "one writer" else [part for _, part in jobs.groupby("date")]
    for part in groups:
        assert (part["start"].to_numpy()[1:] >= part["end"].to_numpy()[:-1]).all()


@pytest.mark.parametrize(
    ("order", "slots", "depends", "bad", "minutes"),
    [("forward", 1, False, 0, 120), ("reverse", 1, False, 5, 120), ("forward", 4, False, 5, 40),
     ("forward", 4, True, 0, 120), ("reverse", 4, True, 0, 120)],
)  # fmt: skip
def test_a_running_total_needs_the_day_before(order, slots, depends, bad, minutes):
    amounts = pd.Series(np.arange(1.0, 7.0), index=range(10, 16))
    totals, took = backfill.catch_up(amounts, amounts.cumsum() * 0.9, order=order, slots=slots,
                                     depends_on_past=depends)  # fmt: skip
    assert (~np.isclose(totals, amounts.cumsum())).sum() == bad
    assert took == minutes


def test_rates_are_those_of_the_rows_own_day():
    rows = pd.DataFrame({"category": ["a", "a", "b", "a"], "day": [9, 4, 9, 5]}, index=[3, 1, 7, 1])
    rates = pd.DataFrame({"category": ["a", "b", "a"], "valid_from": [0, 10, 5],
                          "rate": [1.0, 3.0, 2.0]})  # fmt: skip
    found = backfill.rate_asof(rows, rates)
    assert found.index.tolist() == [3, 1, 7, 1]
    assert found.fillna(-1).tolist() == [2, 1, -1, 2]  # b has no rate yet
    assert backfill.naive_rate(rows, rates).tolist() == [2, 2, 3, 2]
