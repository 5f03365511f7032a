"""Formats: bytes that are really written; what the syllabus states as constants is measured."""

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlkit.cost import formats
from mlkit.params import stream


@pytest.fixture(scope="module", params=range(3))
def shares(request):
    made = formats.kinds(rng=stream(request.param, "test", "formats"), rows=10_000)
    return pd.DataFrame({name: formats.over_csv(table) for name, table in made.items()})


@pytest.fixture(scope="module")
def transactions():
    return formats.kinds(rng=stream(0, "test", "formats"), rows=5_000)["transactions"]


def test_parquet_over_csv_is_no_constant(shares):
    snappy = shares.loc["parquet, snappy"]
    assert snappy["low cardinality"] < 0.07
    assert 0.2 < snappy["transactions"] < 0.4
    assert 0.4 < snappy["floats"] < 0.6
    assert snappy["random ids"] > 0.9


def test_parquet_without_codec_may_be_larger_than_csv(shares):
    plain = shares.loc["parquet, no codec"]
    assert plain["random ids"] > 1
    assert plain["text logs"] > 1


def test_the_dictionary_makes_the_difference_and_hurts_noise(shares):
    with_one, without = (
        shares.loc["parquet, no codec"],
        shares.loc["parquet, no codec, no dictionary"],
    )
    assert with_one["transactions"] < 0.5 * without["transactions"]
    assert with_one["floats"] > without["floats"]


def test_zstd_is_no_larger_than_snappy(shares):
    assert (shares.loc["parquet, zstd"] < shares.loc["parquet, snappy"] + 0.001).all()


def test_csv_in_gzip_may_beat_parquet_with_snappy(shares):
    gzip, snappy = shares.loc["csv.gz"], shares.loc["parquet, snappy"]
    assert (gzip < snappy)[["transactions", "text logs", "floats", "random ids"]].all()
    assert gzip["low cardinality"] > snappy["low cardinality"]


def test_short_partitions_cost_more_than_they_hold(transactions):
    bytes_by = {
        by: formats.partitioned(transactions, by=by)["bytes"]
        for by in ("none", "month", "day", "hour")
    }
    assert list(bytes_by.values()) == sorted(bytes_by.values())
    assert bytes_by["hour"] > formats.csv_bytes(transactions) > bytes_by["none"]


def test_partitions_are_counted(transactions):
    months = formats.partitioned(transactions, by="month")
    assert months["files"] == transactions["event_ts"].dt.month.nunique()
    assert months["per_file"] == months["bytes"] / months["files"]


def test_bytes_are_those_of_a_file_that_reads_back(transactions):
    sink = io.BytesIO()
    transactions.to_parquet(sink, compression="snappy", index=False)
    back = pq.read_table(io.BytesIO(sink.getvalue())).to_pandas()
    pd.testing.assert_frame_equal(back, transactions)
    assert formats.parquet_bytes(transactions) == pytest.approx(len(sink.getvalue()), rel=0.01)


def test_nothing_is_changed_in_the_table(transactions):
    before = transactions.copy()
    formats.sizes(transactions)
    formats.partitioned(transactions)
    pd.testing.assert_frame_equal(transactions, before)


def test_bytes_repeat(transactions):
    assert formats.sizes(transactions).equals(formats.sizes(transactions))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [np.nan, np.inf, 1.0]}),
        pd.DataFrame({"a": [None, None]}),
        pd.DataFrame({"a": [1]}),
        pd.DataFrame({1: ["x", None], "b": pd.to_datetime(["2025-01-01", None])}),
    ],
)
def test_odd_tables_have_sizes(table):
    assert (formats.sizes(table) > 0).all()


def test_an_empty_table_has_none():
    with pytest.raises(ValueError, match="came an empty one"):
        formats.sizes(pd.DataFrame({"a": []}))


def test_an_unknown_time_column_is_named(transactions):
    with pytest.raises(KeyError, match="'when': no such column; there are event_ts"):
        formats.partitioned(transactions, time="when")


def test_an_unknown_codec_is_refused(transactions):
    with pytest.raises(ValueError, match="one of 'none', 'snappy'"):
        formats.parquet_bytes(transactions, codec="snapy")
