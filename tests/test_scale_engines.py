"""The engines of scale agree, and a child without memory says so instead of hanging."""

import sys
import time

import numpy as np
import pandas as pd
import pytest

from mlkit.scale import child, engines
from mlkit.scale.child import in_child

START = pd.Timestamp("2025-01-01", tz="UTC")


def make(n=4000, users=300, seed=0):
    """Return purchases out of order, with ties in time, lone buyers and missing amounts."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 2000, n)
    rows = pd.DataFrame(
        {
            "txn_id": rng.permutation(n),
            "user_id": np.minimum(rng.geometric(5 / users, n), users).astype("int32"),
            "event_ts": START + pd.to_timedelta(seconds, unit="s").as_unit("us"),
            "amount_usd": rng.lognormal(3.7, 0.9, n).round(2),
        }
    )
    rows.loc[rng.random(n) < 0.05, "amount_usd"] = np.nan
    return rows


def brute(rows):
    """Return the features user by user, in plain Python."""
    table = []
    for user, some in rows.groupby("user_id"):
        known = some.dropna(subset=["amount_usd"])
        x = known["amount_usd"]
        last = max(zip(known["event_ts"], known["txn_id"], x, strict=True), default=[np.nan])[-1]
        row = {"user_id": user, "n": len(x), "sum": x.sum(), "mean": x.mean(), "std": x.std()}
        table.append({**row, "min": x.min(), "max": x.max(), "last": last})
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def rows():
    return make()


@pytest.fixture(scope="module")
def files(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    rows.to_parquet(folder / "rows.parquet", index=False)
    (folder / "parts").mkdir()
    for number in range(3):
        some = rows.iloc[number::3]
        some.to_parquet(folder / "parts" / f"{number}.parquet", index=False)
    engines.write_log(rows, folder / "it's a log.csv")
    return {
        "parquet": folder / "rows.parquet",
        "folder": folder / "parts",
        "csv": folder / "it's a log.csv",
    }


@pytest.mark.parametrize("kind", ["parquet", "folder", "csv"])
@pytest.mark.parametrize("threads", [1, 2])
def test_engines_agree_with_plain_python(rows, files, kind, threads):
    truth = brute(rows)
    assert engines.same(engines.duckdb_features(files[kind], threads=threads), truth)
    assert engines.same(engines.pandas_features(files[kind]), truth)
    assert engines.same(engines.naive_features(files[kind]), truth)


def test_same_sees_a_billionth_more_and_another_user(rows):
    table = engines.aggregate(rows)
    assert not engines.same(table, table.assign(mean=table["mean"] * (1 + 1e-7)))
    assert not engines.same(table, table.assign(user_id=table["user_id"] + 1))
    assert not engines.same(table, table.iloc[1:])


def test_order_of_rows_does_not_matter_and_input_stays(rows):
    before = rows.copy()
    mixed = engines.aggregate(rows.sample(frac=1, random_state=1))
    assert engines.same(mixed, engines.aggregate(rows))
    pd.testing.assert_frame_equal(rows, before)


@pytest.mark.parametrize("odd", ["unknown time", "infinite", "all missing", "one row", "whole"])
def test_odd_rows_are_counted_alike(rows, tmp_path, odd):
    rows = rows.copy()
    if odd == "unknown time":
        rows.loc[rows.index[::7], "event_ts"] = pd.NaT
        some = rows["user_id"] == rows["user_id"].iloc[1]
        rows.loc[some, "event_ts"] = pd.NaT
    if odd == "infinite":
        rows.loc[5, "amount_usd"] = np.inf
    if odd == "all missing":
        rows["amount_usd"] = np.nan
    if odd == "one row":
        rows = rows.iloc[:1]
    if odd == "whole":
        rows["amount_usd"] = rows["amount_usd"].fillna(0).astype("int64")
    rows.to_parquet(tmp_path / "odd.parquet", index=False)
    table = engines.duckdb_features(tmp_path / "odd.parquet")
    assert engines.same(table, engines.pandas_features(tmp_path / "odd.parquet"))
    assert len(table) == rows["user_id"].nunique()


def test_what_cannot_be_read_is_refused_in_one_line(rows, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is none"):
        engines.duckdb_features(tmp_path / "no.parquet")
    (tmp_path / "rows.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected \.csv or \.parquet, came '\.txt'"):
        engines.pandas_features(tmp_path / "rows.txt")
    rows.drop(columns="amount_usd").to_parquet(tmp_path / "rows.parquet")
    for read in (engines.duckdb_features, engines.pandas_features, engines.naive_features):
        with pytest.raises(KeyError, match="lacks 'amount_usd'"):
            read(tmp_path / "rows.parquet")
    rows.assign(txn_id="a").to_parquet(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="whole numbers in txn_id"):
        engines.duckdb_features(tmp_path / "text.parquet")
    with pytest.raises(TypeError, match=r"rows\.txn_id: expected int"):
        engines.pandas_features(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="memory_mb = 1: expected a whole number"):
        engines.duckdb_features(tmp_path / "rows.parquet", memory_mb=1)


def test_folder_without_files_or_a_column_is_refused_in_one_line(rows, tmp_path):
    (tmp_path / "few").mkdir()
    rows.drop(columns="amount_usd").to_parquet(tmp_path / "few" / "a.parquet")
    (tmp_path / "none").mkdir()
    for read in (engines.duckdb_features, engines.pandas_features, engines.naive_features):
        with pytest.raises(FileNotFoundError, match="none: expected parquet files, there are none"):
            read(tmp_path / "none")
        with pytest.raises(KeyError, match="lacks 'amount_usd'"):
            read(tmp_path / "few")


def test_a_file_without_rows_is_refused_by_all(rows, tmp_path):
    rows.iloc[:0].to_parquet(tmp_path / "no rows.parquet")
    for read in (engines.duckdb_features, engines.pandas_features, engines.naive_features):
        with pytest.raises(ValueError, match="expected at least one row"):
            read(tmp_path / "no rows.parquet")


# --- fits -----------------------------------------------------------------------------------------


def test_fits_names_the_column_that_is_too_much(rows):
    wide = rows.assign(note="x" * 500)
    found = engines.fits(wide, rows=1_000_000, memory_mb=1000.0).set_index("subject")
    assert list(found.columns) == ["check", "value", "limit", "failed"]
    assert found.index[found["failed"]].tolist() == ["note", "all columns"]
    assert not engines.fits(rows, rows=1_000_000, memory_mb=1000.0)["failed"].any()


def test_largest_is_the_last_that_fits(rows):
    most = engines.largest(rows, memory_mb=500.0)
    assert not engines.fits(rows, rows=most, memory_mb=500.0)["failed"].any()
    assert engines.fits(rows, rows=most + 2, memory_mb=500.0)["failed"].any()


def test_fits_refuses_no_rows(rows):
    with pytest.raises(ValueError, match="at least one row"):
        engines.fits(rows.iloc[:0], rows=10, memory_mb=1.0)


def test_estimate_is_near_what_a_child_takes(tmp_path):
    rows = make(600_000, 5000)
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    told = in_child(engines.pandas_features, options={"source": tmp_path / "rows.parquet"})
    estimate = engines.fits(rows, rows=len(rows), memory_mb=1e6)["value"].iloc[-1]
    assert 0.4 < estimate / (told["peak_mb"] - told["start_mb"]) < 2.5


# --- children -------------------------------------------------------------------------------------


def hungry(mb):
    """Take memory piece by piece, each written to."""
    return [np.ones(2**17) for _ in range(mb)]


def odd_words(mb):
    """Fail for lack of memory with words that do not say so, as libraries do."""
    try:
        return hungry(mb)
    except MemoryError:
        raise RuntimeError("wrapping failed") from None


def broken():
    """Fail of its own."""
    raise RuntimeError("a bug")


def asleep():
    """Never end."""
    time.sleep(60)


def slowly(seconds):
    """Take a while."""
    time.sleep(seconds)
    return [seconds]


def chatty():
    """Leave half a line on stdout, as a progress bar does."""
    print("99 %", end="", flush=True)
    return [1]


def gone():
    """End the process without a word."""
    import os

    os._exit(3)


@pytest.mark.parametrize("stop", ["limit", "watch"])
def test_child_runs_out_of_memory_and_says_so(stop):
    told = in_child(hungry, options={"mb": 2000}, room_mb=200, stop=stop, timeout_s=60.0)
    assert told["ended"] == "out of memory" and told["rows"] == 0
    assert 100 < told["peak_mb"] - told["start_mb"] < 600
    assert told["stop"] == (stop if sys.platform == "linux" else "watch")


@pytest.mark.parametrize("stop", ["limit", "watch"])
def test_child_with_room_finishes(stop):
    told = in_child(hungry, options={"mb": 50}, room_mb=200, stop=stop)
    assert told["ended"] == "finished" and told["rows"] == 50


def test_report_is_found_behind_what_a_library_prints():
    assert in_child(chatty, options={})["rows"] == 1


def test_first_call_is_not_measured():
    cold = in_child(slowly, options={"seconds": 0.1}, before={"seconds": 1.0})
    assert 0.1 <= cold["seconds"] < 1.0 and cold["rows"] == 1


def test_child_without_limit_reports_its_own_peak_not_its_parents():
    ballast = np.ones(2**26)  # 512 MB here, in the parent
    told = in_child(hungry, options={"mb": 100})
    assert told["stop"] == "none"
    assert 90 < told["peak_mb"] - told["start_mb"] < 200
    assert told["seconds"] > 0 and len(ballast)


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of the address space")
def test_error_that_goes_with_the_limit_is_out_of_memory():
    told = in_child(odd_words, options={"mb": 300}, room_mb=100, timeout_s=60.0)
    assert told["ended"] == "out of memory" and told["peak_mb"] - told["start_mb"] < 150


def test_other_failures_are_errors_of_one_line():
    for room in (None, 100):
        with pytest.raises(RuntimeError, match="broken: .* ended with 1: RuntimeError: a bug$"):
            in_child(broken, options={}, room_mb=room)
    with pytest.raises(RuntimeError, match="gone: .* ended with 3: nothing on stderr$"):
        in_child(gone, options={})
    with pytest.raises(TimeoutError, match="asleep: expected an answer within 3 s"):
        in_child(asleep, options={}, timeout_s=3.0)


def test_ran_out_knows_the_words_of_libraries():
    assert child.ran_out(MemoryError())
    assert child.ran_out(ValueError("Error tokenizing data. C error: out of memory"))
    assert not child.ran_out(ValueError("no such column"))


@pytest.mark.parametrize("work", [engines.naive_features, engines.duckdb_features])
def test_pandas_dies_where_duckdb_finishes(work, tmp_path):
    file = engines.write_log(make(1_200_000, 20_000), tmp_path / "log.csv")
    told = in_child(work, options={"source": file}, room_mb=260)
    died = work is engines.naive_features
    assert told["ended"] == ("out of memory" if died else "finished")
