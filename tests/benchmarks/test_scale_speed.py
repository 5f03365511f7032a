"""Twenty million rows: what DuckDB takes in memory and time, how that grows, and pandas beside it.

Every measurement is of a process of its own, on the same parquet files, reading included.
The users are few beside the rows: what depends on users alone, such as handing over the result,
would flatten the line.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlkit.scale.child import in_child
from mlkit.scale.engines import NEEDED, _shaped, aggregate, duckdb_features, pandas_features, same

MILLIONS, USERS, REPEATS, SECONDS = (2, 5, 10, 20), 50_000, 5, 300 * 86_400
MEMORY_MB, THREADS, LIMIT_MB = 256, 1, 1024  # one thread, as in lessons
SLOPE = (0.8, 1.2)


def polars_features(source):
    """Return what `duckdb_features` returns, from polars' streaming engine."""
    import polars as pl

    amount = pl.col("amount_usd")
    ways = {"n": "count", "sum": "sum", "mean": "mean", "std": "std", "min": "min", "max": "max"}
    last = amount.sort_by("event_ts", "txn_id").last().alias("last")
    features = [*(getattr(amount, way)().alias(name) for name, way in ways.items()), last]
    rows = pl.scan_parquet(Path(source) / "*.parquet").group_by("user_id").agg(features)
    return _shaped(rows.sort("user_id").collect(engine="streaming").to_pandas())


def pandas_in_order(source):
    """Return the same from pandas without a sort: right only where rows lie in order of time."""
    rows = pd.read_parquet(source, columns=list(NEEDED))
    amount = rows.groupby("user_id")["amount_usd"]
    return amount.agg(["count", "sum", "mean", "std", "min", "max", "last"])


def million(rng, number):
    """Return the million rows of one file, some of the same second; later files are later."""
    n = 1_000_000
    at = np.sort(rng.integers(0, SECONDS, n)) // MILLIONS[-1] + number * SECONDS // MILLIONS[-1]
    return pd.DataFrame(
        {
            "txn_id": np.arange(n) + number * n,
            "user_id": rng.permutation(np.arange(n) % USERS).astype("int32"),
            "event_ts": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(at, unit="s"),
            "amount_usd": rng.lognormal(3.7, 0.9, n).round(2),
            "category": rng.integers(0, 8, n).astype("int8"),
        }
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a folder of parquet files for each number of millions, the files shared by links."""
    base, rng = tmp_path_factory.mktemp("scale"), np.random.default_rng(0)
    folders = {size: base / f"{size}" for size in MILLIONS}
    folders[0] = base / "few"
    for folder in folders.values():
        folder.mkdir()
    million(rng, 0).head(1000).to_parquet(folders[0] / "000.parquet", index=False)
    for number in range(MILLIONS[-1]):
        file = folders[MILLIONS[-1]] / f"{number:03d}.parquet"
        million(rng, number).to_parquet(file, index=False, compression="zstd")
        for size in MILLIONS[:-1]:
            if number < size:
                os.link(file, folders[size] / file.name)
    return folders


def measured(work, folders, size, **options):
    """Return one run's seconds, cpu_seconds and peak_mb, after a call on few rows."""
    asked = {"options": {"source": folders[size], **options}}
    warm = {"before": {"source": folders[0], **options}}
    told = in_child(work, **asked, **warm, timeout_s=600.0)
    assert told["ended"] == "finished" and told["rows"] == USERS
    return {"engine": work.__name__, "millions": size, **told}


@pytest.mark.slow
def test_20_million_rows_in_a_gibibyte_in_linear_time_and_faster_than_pandas(folders, capsys):
    runs, most = [], MILLIONS[-1]
    for _ in range(REPEATS):  # in turn, so that a busy minute of the machine hits all alike
        for size in MILLIONS:
            limits = {"memory_mb": MEMORY_MB, "threads": THREADS}
            runs.append(measured(duckdb_features, folders, size, **limits))
        for work in (polars_features, pandas_in_order, pandas_features):
            runs.append(measured(work, folders, most))
    kept = ["seconds", "cpu_seconds", "peak_mb"]
    table = pd.DataFrame(runs).groupby(["engine", "millions"])[kept].median()
    mine, pandas = table.loc["duckdb_features"], table.loc["pandas_features", most]
    x = np.log(mine.index.to_numpy(dtype=float))
    slopes = {name: np.polyfit(x, np.log(mine[name]), 1)[0] for name in ("seconds", "cpu_seconds")}
    with capsys.disabled():
        print(f"\n{USERS:,} users, medians of {REPEATS} runs\n{table.round(2).to_string()}")
        told = ", ".join(f"{name} {slope:.3f}" for name, slope in slopes.items())
        print(f"slope of log time over log rows: {told}")
    top = mine.loc[most]
    assert top["peak_mb"] < LIMIT_MB
    assert all(SLOPE[0] <= slope <= SLOPE[1] for slope in slopes.values())
    assert top["cpu_seconds"] < pandas["cpu_seconds"] and top["seconds"] < pandas["seconds"]


@pytest.mark.slow
def test_engines_agree_on_two_million_rows(folders):
    mine = duckdb_features(folders[2], memory_mb=MEMORY_MB, threads=THREADS)
    assert same(mine, aggregate(pd.read_parquet(folders[2])))
    assert same(mine, polars_features(folders[2]))
