"""What is read and what is moved, counted and compared with counts made by hand."""

import numpy as np
import pandas as pd
import pytest

from mlkit.scale import layout, shuffle, sketches

START = pd.Timestamp("2025-01-01", tz="UTC")


@pytest.fixture(scope="module")
def rows():
    """Return 6,000 purchases of 200 users over 30 days, in order of time."""
    rng, n = np.random.default_rng(0), 6000
    seconds = np.sort(rng.integers(0, 30 * 86_400, n))
    return pd.DataFrame(
        {
            "txn_id": np.arange(n),
            "user_id": rng.integers(0, 200, n).astype("int32"),
            "event_ts": START + pd.to_timedelta(seconds, unit="s").as_unit("us"),
            "amount_usd": rng.lognormal(3.7, 0.9, n).round(2),
            "category": pd.Categorical(rng.choice(["toys", "books"], n)),
        }
    )


# --- files ----------------------------------------------------------------------------------------


def test_parts_cover_all_rows_and_keep_days_and_users_together(rows):
    day = layout.part_of(rows, by="day", parts=30)
    assert set(day) == set(range(30)) and (np.diff(day) >= 0).all()
    user = layout.part_of(rows, by="user", parts=7)
    assert pd.Series(user).groupby(rows["user_id"]).nunique().eq(1).all()
    sizes = np.bincount(layout.part_of(rows, by="slice", parts=8))
    assert len(sizes) == 8 and np.ptp(sizes) <= 1


def test_bucket_is_the_same_for_any_width_of_integer(rows):
    ids = rows["user_id"]
    assert np.array_equal(layout.bucket(ids, 9), layout.bucket(ids.astype("int64"), 9))


def test_written_parts_hold_the_rows(rows, tmp_path):
    day = layout.part_of(rows, by="day", parts=5)
    folder = layout.write_parts(rows, tmp_path, part=day)
    files = sorted(folder.rglob("*.parquet"))
    back = pd.concat([pd.read_parquet(file, partitioning=None) for file in files])
    pd.testing.assert_frame_equal(back.reset_index(drop=True), rows)


def test_footprint_counts_columns_groups_and_files(rows, tmp_path):
    day = layout.part_of(rows, by="day", parts=30)
    folder = layout.write_parts(rows, tmp_path, part=day, group_rows=50)
    whole = layout.footprint(folder)
    assert whole["files"] == 30 and whole["rows"] == len(rows)
    some = [layout.footprint(folder, columns=[name])["bytes"] for name in rows]
    assert sum(some) == whole["bytes"]
    one = layout.footprint(folder, parts=[4])
    assert one["files"] == 1 and one["rows"] == (day == 4).sum()


@pytest.mark.parametrize("order", ["time", "shuffled"])
def test_statistics_skip_groups_that_cannot_hold_the_answer(rows, tmp_path, order):
    table = rows if order == "time" else rows.sample(frac=1, random_state=0)
    folder = layout.write_parts(table, tmp_path, part=np.zeros(len(rows)), group_rows=100)
    low, high = START + pd.Timedelta(days=9), START + pd.Timedelta(days=12)
    found = layout.footprint(folder, columns=["amount_usd"], within=("event_ts", low, high))
    groups = [table.iloc[i : i + 100] for i in range(0, len(table), 100)]
    held = [g for g in groups if g["event_ts"].min() <= high and g["event_ts"].max() >= low]
    assert found["groups"] == len(held) and found["rows"] == sum(map(len, held))
    assert (found["groups"] < 10) == (order == "time")


def test_groups_without_statistics_are_read(rows, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(rows, preserve_index=False)
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1000, write_statistics=False)
    assert layout.footprint(tmp_path, within=("user_id", -5, -1))["groups"] == 6


def test_footprint_and_parts_refuse_in_one_line(rows, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected parquet files"):
        layout.footprint(tmp_path)
    layout.write_parts(rows, tmp_path, part=np.zeros(len(rows)))
    with pytest.raises(KeyError, match="'cost' is not in the files"):
        layout.footprint(tmp_path, columns=["cost"])
    with pytest.raises(ValueError, match="expected one for each of 6000 rows, came 3"):
        layout.write_parts(rows, tmp_path, part=np.zeros(3))
    with pytest.raises(ValueError, match="no missing times"):
        layout.part_of(rows.assign(event_ts=rows["event_ts"].shift(1)), by="day", parts=3)
    with pytest.raises(ValueError, match="part_of.parts = 0"):
        layout.part_of(rows, by="user", parts=0)


def test_formats_fetch_less_where_columns_lie_apart(rows, tmp_path):
    many = pd.concat([rows.sample(frac=1, random_state=i) for i in range(12)], ignore_index=True)
    found = layout.formats(many, tmp_path, columns=["user_id", "amount_usd"])
    assert found.loc["CSV", "fetched"] == found.loc["CSV", "bytes"]
    for name in ("Parquet", "ORC"):
        assert found.loc[name, "fetched"] < 0.6 * found.loc[name, "bytes"]
    assert found["same_types"].tolist() == [False, True, True]
    back = layout.read_orc(tmp_path / "rows.orc", ["user_id", "amount_usd"])
    pd.testing.assert_frame_equal(back, many[["user_id", "amount_usd"]])


# --- shuffles -------------------------------------------------------------------------------------


def test_plans_agree_with_pandas_and_their_counts_with_counts_by_hand(rows):
    truth = rows.groupby("user_id")["amount_usd"].agg(["size", "sum", "mean"])
    by = {"day": layout.part_of(rows, by="day", parts=30)}
    by["user"] = layout.part_of(rows, by="user", parts=30)
    told = {}
    for plan in shuffle.PLANS:
        part = by["user" if plan == "stored by user" else "day"]
        answer, told[plan] = shuffle.group_by_user(rows, part=part, plan=plan, salts=4)
        assert answer["user_id"].tolist() == truth.index.tolist()
        assert np.allclose(answer[["n", "sum", "mean"]], truth, rtol=1e-9)
    pairs = len(set(zip(by["day"], rows["user_id"], strict=True)))
    assert told["partial sums"]["moved"] == pairs < len(rows)
    assert told["repartition(user)"] == {
        "shuffles": 1,
        "moved": len(rows),
        "largest": shuffle.loads(rows, reducers=16).max(),
    }
    assert told["repartition(date)"]["shuffles"] == 2
    assert told["repartition(date)"]["moved"] > len(rows)
    assert told["stored by user"] == {"shuffles": 0, "moved": 0, "largest": 0}


def test_a_file_for_each_row_spares_nothing(rows):
    _, told = shuffle.group_by_user(rows, part=np.arange(len(rows)), plan="partial sums")
    assert told["moved"] == len(rows)


def test_salt_levels_a_hot_key_and_partial_sums_do_not_mind_it(rows):
    hot = layout.inject_hot_key(rows, share=0.5, rng=np.random.default_rng(1))
    part = layout.part_of(hot, by="day", parts=10)
    plans = ("repartition(user)", "salt", "partial sums")
    told = {plan: shuffle.group_by_user(hot, part=part, plan=plan)[1] for plan in plans}
    assert told["repartition(user)"]["largest"] > 0.5 * len(hot)
    assert told["salt"]["largest"] < 0.1 * len(hot)
    assert told["partial sums"]["largest"] < 0.1 * len(hot)
    assert (hot["user_id"] != rows["user_id"]).mean() == pytest.approx(0.5, abs=0.03)


def test_hot_key_of_no_rows_is_refused(rows):
    with pytest.raises(ValueError, match="rows: expected at least one row"):
        layout.inject_hot_key(rows.iloc[:0], share=0.5, rng=np.random.default_rng(1))


def test_missing_amounts_and_users_are_left_out(rows):
    gaps = rows.astype({"user_id": "float64"})
    gaps.loc[::5, "amount_usd"] = np.nan
    gaps.loc[1::5, "user_id"] = np.nan
    answer, _ = shuffle.group_by_user(gaps, part=np.zeros(len(rows)), plan="partial sums")
    assert answer["n"].sum() == 0.6 * len(rows)


def test_shuffles_refuse_in_one_line(rows):
    with pytest.raises(ValueError, match="plan = 'magic': expected one of partial sums"):
        shuffle.group_by_user(rows, part=np.zeros(len(rows)), plan="magic")
    with pytest.raises(ValueError, match="expected each user in one part, 200 are in more"):
        part = np.arange(len(rows)) % 2
        twice = rows.assign(user_id=np.arange(len(rows)) // 2 % 200)
        shuffle.group_by_user(twice, part=part, plan="stored by user")
    with pytest.raises(ValueError, match="expected one for each of 6000 rows"):
        shuffle.group_by_user(rows, part=np.zeros(2), plan="salt")


# --- sketches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [0.001, 0.01, 0.2])
@pytest.mark.parametrize("values", ["amounts", "tiny", "equal"])
def test_histogram_keeps_its_declared_error_and_merges(rows, error, values):
    x = {
        "amounts": rows["amount_usd"],
        "tiny": rows["amount_usd"] * 1e-9,
        "equal": rows["amount_usd"] * 0 + 3.0,
    }[values]
    whole = sketches.histogram(x, error=error)
    parts = [sketches.histogram(x.iloc[i::7], error=error) for i in range(7)]
    assert sketches.merge(*parts).equals(whole)
    for q in np.linspace(0, 1, 51):
        exact = x.quantile(q, interpolation="lower")
        assert sketches.quantile(whole, q, error=error) == pytest.approx(
            exact, rel=error * (1 + 1e-9)
        )


def test_histogram_refuses_what_it_cannot_hold(rows):
    for odd in (0.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="expected positive finite numbers"):
            sketches.histogram(pd.Series([1.0, odd]), error=0.1)
    empty = sketches.histogram(pd.Series([np.nan]), error=0.1)
    assert empty.empty and np.isnan(sketches.quantile(empty, 0.5, error=0.1))
    with pytest.raises(ValueError, match="q = 2"):
        sketches.quantile(empty, 2, error=0.1)


def test_naive_merges_are_wrong_and_right_where_one_part_holds_all(rows):
    day, once = layout.part_of(rows, by="day", parts=30), np.zeros(len(rows))
    true = rows.groupby("user_id")["amount_usd"].median()
    wrong = sketches.naive_merged_median(rows, part=day)
    assert (wrong / true - 1).abs().median() > 0.05
    assert sketches.naive_merged_median(rows, part=once).equals(true)
    assert sketches.naive_distinct(rows["user_id"], part=once) == 200
    assert sketches.naive_distinct(rows["user_id"], part=day) > 2000


def test_approximations_are_near(rows):
    day = layout.part_of(rows, by="day", parts=30)
    table = sketches.approximations(rows, part=day, error=0.01)
    quantiles = table.iloc[:3]
    assert (quantiles["merged days"] / quantiles["exact"] - 1).abs().max() <= 0.01 * (1 + 1e-9)
    assert (quantiles["DuckDB"] / quantiles["exact"] - 1).abs().max() < 0.05
    assert table.loc["different users", "DuckDB"] == pytest.approx(200, rel=0.3)
