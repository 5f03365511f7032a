"""What the point-in-time join costs beside pandas.merge_asof, polars and DuckDB, in one run."""

import time

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from mlkit.leakage.join import point_in_time_join

LABELS, EVENTS, USERS, REPEATS = 100_000, 1_000_000, 20_000, 7
SECONDS = 300 * 86_400
LIMIT = 1.2  # times the CPU time of pandas.merge_asof, its sorts included


def cpu_seconds(work):
    """Return the CPU seconds of one call, all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def times(rng, n):
    start = pd.Timestamp("2025-01-01", tz="UTC")
    return start + pd.to_timedelta(rng.integers(0, SECONDS * 1_000_000, n), unit="us")


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    requests = pd.DataFrame(
        {"user_id": rng.integers(0, USERS, LABELS), "asked": times(rng, LABELS)}
    )
    history = pd.DataFrame({"user_id": rng.integers(0, USERS, EVENTS), "event": times(rng, EVENTS)})
    late = (rng.random(EVENTS) < 0.05) * rng.exponential(12 * 3600, EVENTS)
    history["known"] = history["event"] + pd.to_timedelta(late.astype("int64"), unit="s")
    return requests, history.assign(value=rng.normal(size=EVENTS))


@pytest.mark.slow
def test_join_costs_at_most_a_fifth_more_than_merge_asof(tables, capsys):
    requests, history = tables
    plain = history.drop(columns="known")
    names = {"entity": "user_id", "time": "asked", "event": "event"}
    lazy = pl.from_pandas(requests), pl.from_pandas(plain)
    ours = {"left_on": "asked", "right_on": "event", "by": "user_id"}
    sql = """SELECT r.user_id, r.asked, h.value FROM requests r ASOF LEFT JOIN plain h
             ON r.user_id = h.user_id AND r.asked > h.event"""
    work = {
        "pandas.merge_asof": lambda: pd.merge_asof(
            requests.sort_values("asked"),
            plain.sort_values("event"),
            allow_exact_matches=False,
            **ours,
        ),
        "one clock": lambda: point_in_time_join(requests, plain, **names),
        "two clocks": lambda: point_in_time_join(requests, history, **names, known="known"),
        "polars": lambda: (
            lazy[0].sort("asked").join_asof(lazy[1].sort("event"), check_sortedness=False, **ours)
        ),
        "DuckDB": lambda: duck.execute(sql).df(),
    }
    duck = duckdb.connect()
    duck.register("requests", requests)
    duck.register("plain", plain)
    taken = {name: [] for name in work}
    for _ in range(REPEATS):
        for name, call in work.items():
            taken[name].append(cpu_seconds(call))
    ratio = {name: min(t) / min(taken["pandas.merge_asof"]) for name, t in taken.items()}
    with capsys.disabled():
        told = ", ".join(f"{name} {value:.2f}" for name, value in ratio.items())
        print(f"\n{LABELS:,} labels by {EVENTS:,} events, CPU time over merge_asof: {told}")
    assert ratio["one clock"] <= LIMIT and ratio["two clocks"] <= LIMIT
