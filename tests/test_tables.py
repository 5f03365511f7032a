"""Tables: what is written is read, a kill leaves no half folder, the hash sees what matters."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlkit.tables import (
    as_microseconds,
    as_time,
    content_hash,
    read,
    require,
    require_complete,
    require_tables,
    require_unique,
    without_truth,
    write,
    write_text,
)

OLD = {"a": pd.DataFrame({"x": [1, 2]}), "b": pd.DataFrame({"x": [3.0]})}
NEW = {"a": pd.DataFrame({"x": [5, 6]}), "b": pd.DataFrame({"x": [7.0]})}


def every_kind() -> pd.DataFrame:
    """Return three rows with a column of each dtype that the worlds use."""
    return pd.DataFrame(
        {
            "int64": [1, 2, 3],
            "int8": np.array([1, 2, 3], dtype="int8"),
            "float64": [0.1, np.nan, np.inf],
            "float32": np.array([0.1, 0.2, 0.3], dtype="float32"),
            "bool": [True, False, True],
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "text": ["a", None, "ü"],
            "category": pd.Categorical(["b", "a", None], categories=["b", "c", "a"]),
            "time": as_time([0, 1, -1]),
            "no_time": pd.Series(pd.NaT, index=range(3), dtype="datetime64[us, UTC]"),
        }
    )


# --- files ----------------------------------------------------------------------------------------


def test_round_trip_keeps_values_and_dtypes(tmp_path):
    write({"t": every_kind()}, tmp_path / "data")
    pd.testing.assert_frame_equal(read(tmp_path / "data")["t"], every_kind())


def test_round_trip_keeps_a_whole_world(tmp_path, shop):
    write(shop, tmp_path / "shop")
    again = read(tmp_path / "shop")
    assert content_hash(again) == content_hash(shop)
    for name, table in shop.items():
        pd.testing.assert_frame_equal(again[name], table)


def test_round_trip_keeps_a_table_without_rows(tmp_path):
    write({"t": every_kind().iloc[:0]}, tmp_path / "data")
    again = read(tmp_path / "data")["t"]
    assert again.dtypes.astype(str).to_dict() == every_kind().dtypes.astype(str).to_dict()


def test_same_tables_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write({"t": every_kind()}, tmp_path / name)
    one, two = ((tmp_path / name / "t.parquet").read_bytes() for name in ("one", "two"))
    assert one == two


def test_write_replaces_the_folder_as_a_whole(tmp_path):
    write({**OLD, "gone": OLD["a"]}, tmp_path / "data")
    write(NEW, tmp_path / "data")
    assert sorted(read(tmp_path / "data")) == ["a", "b"]


def test_write_leaves_nothing_beside_the_folder(tmp_path):
    write(OLD, tmp_path / "deep" / "data")
    write(NEW, tmp_path / "deep" / "data")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["data"]


def test_table_that_cannot_be_written_leaves_the_old_folder(tmp_path):
    write(OLD, tmp_path / "data")
    with pytest.raises(Exception, match=r"(?i)convert|complex"):
        write({**NEW, "c": pd.DataFrame({"x": [1j]})}, tmp_path / "data")
    assert content_hash(read(tmp_path / "data")) == content_hash(OLD)


def die(monkeypatch: pytest.MonkeyPatch, owner: object, step: str, nth: int) -> None:
    """Let the process be killed at the nth call of a step, a removal in the middle of its work."""
    right, calls = getattr(owner, step), []

    def killed(target, *arguments, **options):
        calls.append(step)
        if len(calls) < nth:
            return right(target, *arguments, **options)
        if step == "rmtree":
            for file in list(Path(target).glob("*"))[:1]:
                file.unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, step, killed)


STEPS = {
    "first table": (pd.DataFrame, "to_parquet", 1),
    "second table": (pd.DataFrame, "to_parquet", 2),
    "first rename": (Path, "replace", 1),
    "second rename": (Path, "replace", 2),
    "first removal": (shutil, "rmtree", 1),
    "last removal": (shutil, "rmtree", 3),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_killed_write_leaves_no_half_folder(tmp_path, monkeypatch, step):
    write(OLD, tmp_path / "data")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die(patch, *step)
        write(NEW, tmp_path / "data")
    with contextlib.suppress(FileNotFoundError):  # gone as a whole is fine: the next run makes it
        assert content_hash(read(tmp_path / "data")) in {content_hash(OLD), content_hash(NEW)}
    write(NEW, tmp_path / "data")
    assert content_hash(read(tmp_path / "data")) == content_hash(NEW)


@pytest.mark.parametrize("nth", [1, 2])
def test_killed_while_writing_tables_the_old_ones_stay(tmp_path, monkeypatch, nth):
    write(OLD, tmp_path / "data")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die(patch, pd.DataFrame, "to_parquet", nth)
        write(NEW, tmp_path / "data")
    assert content_hash(read(tmp_path / "data")) == content_hash(OLD)


def test_killed_text_file_is_the_old_one(tmp_path, monkeypatch):
    write_text("old", tmp_path / "x.txt")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die(patch, Path, "replace", 1)
        write_text("new", tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_bytes() == b"old"


def test_text_is_utf8_with_unix_line_ends(tmp_path):
    write_text("ü\n", tmp_path / "deep" / "x.txt")
    assert (tmp_path / "deep" / "x.txt").read_bytes() == b"\xc3\xbc\n"


def test_folder_without_tables_says_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="no parquet files; make them with `dvc repro`"):
        read(tmp_path)


# --- identity -------------------------------------------------------------------------------------


def test_hash_does_not_depend_on_the_order_of_rows_tables_or_on_the_index():
    table = every_kind()
    mixed = {"b": OLD["a"], "a": table.iloc[[2, 0, 1]].set_axis([7, 8, 9])}
    assert content_hash(mixed) == content_hash({"a": table, "b": OLD["a"]})


BASE = pd.DataFrame({"x": [0, 1, 1], "y": [0.0, np.nan, 2.0], "z": ["a", None, "c"]})
OTHERS = {
    "a value": BASE.assign(x=[0, 1, 2]),
    "a dtype": BASE.astype({"x": "int32"}),
    "a name of a column": BASE.rename(columns={"x": "w"}),
    "the order of columns": BASE[["y", "x", "z"]],
    "zero for missing": BASE.fillna({"y": 0.0}),
    "text for missing": BASE.fillna({"z": "nan"}),
    "a row more": pd.concat([BASE, BASE.iloc[:1]]),
    "a repeat of another row": BASE.iloc[[0, 1, 2, 2]],
    "two cells swapped": BASE.assign(x=[1, 0, 1]),
    "no rows": BASE.iloc[:0],
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_hash_sees(other):
    assert content_hash({"t": other}) != content_hash({"t": BASE})


def test_hash_sees_the_name_of_a_table():
    assert content_hash({"t": BASE}) != content_hash({"u": BASE})


def test_hash_tells_a_missing_answer_from_a_refusal():
    unknown, refused = (pd.array([True, x], dtype="boolean") for x in (None, False))
    assert content_hash({"t": pd.DataFrame({"x": unknown})}) != content_hash(
        {"t": pd.DataFrame({"x": refused})}
    )


def test_hash_sees_the_order_of_categories():
    one, two = (
        pd.DataFrame({"c": pd.Categorical(["a", "b"], list(order))}) for order in ("ab", "ba")
    )
    assert content_hash({"t": one}) != content_hash({"t": two})


def test_hash_is_the_one_that_it_always_was():
    numbers = every_kind()[["int64", "int8", "float64", "float32", "bool", "time"]]
    assert content_hash({"t": numbers}) == "f1a18643a3be04c7"


# --- what is required -----------------------------------------------------------------------------


def test_require_returns_the_table_as_it_came():
    frame = every_kind()
    kinds = {"int8": "int", "int64": "float", "boolean": "bool", "time": "time", "text": "any"}
    assert require(frame, "t", kinds) is frame


BAD = {
    "no frame": ([1], {"x": "int"}, TypeError, "t: expected a DataFrame, came list"),
    "missing": (BASE, {"amount": "any"}, KeyError, "t lacks 'amount'; has .'x', 'y', 'z'"),
    "renamed": (
        pd.DataFrame({"transaction_amount": [1], "user": [1]}),
        {"amount": "float"},
        KeyError,
        r"Closest: \['transaction_amount'\]",
    ),
    "empty": (BASE.iloc[:0], {"x": "int"}, ValueError, "expected at least one row, came an empty"),
    "twice": (
        pd.DataFrame([[1, 2]], columns=["x", "x"]),
        {"x": "int"},
        ValueError,
        r"column names must be unique; \['x'\]",
    ),
    "float for int": (BASE, {"y": "int"}, TypeError, r"t\.y: expected int, came float64; cast"),
    "text for float": (BASE, {"z": "float"}, TypeError, r"expected float, came .*pd.to_numeric"),
    "int for bool": (BASE, {"x": "bool"}, TypeError, "expected bool, came int64; cast"),
    "int for time": (BASE, {"x": "time"}, TypeError, "expected UTC time, came int64; convert"),
    "naive time": (
        pd.DataFrame({"x": pd.to_datetime(["2025-01-01"])}),
        {"x": "time"},
        TypeError,
        r"expected UTC time, came datetime64\[.*utc=True",
    ),
    "another zone": (
        pd.DataFrame({"x": as_time([0]).dt.tz_convert("Europe/Berlin")}),
        {"x": "time"},
        TypeError,
        "expected UTC time, came .*Europe/Berlin",
    ),
}


@pytest.mark.parametrize(("frame", "columns", "error", "says"), BAD.values(), ids=BAD)
def test_require_refuses(frame, columns, error, says):
    with pytest.raises(error, match=says):
        require(frame, "t", columns)


def test_repeated_keys_are_counted_and_shown():
    frame = pd.DataFrame({"k": [1, 2, 2, 2], "l": [1, 5, 5, 6]})
    with pytest.raises(ValueError, match=r"one row per k, l; 1 rows are repeats, first .*2.*5"):
        require_unique(frame, "t", ["k", "l"])


def test_keys_that_do_not_repeat_pass():
    require_unique(pd.DataFrame({"k": [1, 1], "l": [1, 2]}), "t", ["k", "l"])


def test_missing_values_are_counted():
    with pytest.raises(ValueError, match=r"t\.y: expected no missing values, came 1 in 3 rows"):
        require_complete(BASE, "t", ["x", "y"])


def test_missing_table_names_the_closest():
    with pytest.raises(KeyError, match=r"lacks 'offers'.*Closest: \['offer'\]"):
        require_tables({"offer": BASE}, "offers")


def test_tables_must_be_a_dictionary():
    with pytest.raises(TypeError, match="expected a dict of DataFrames, came DataFrame"):
        require_tables(BASE, "offers")


def test_without_truth_leaves_out_what_a_team_cannot_know():
    assert list(without_truth({"offers": BASE, "truth_offers": BASE})) == ["offers"]


def test_microseconds_and_times_are_inverse():
    micros = np.array([0, 1, -1, 1_735_689_600_000_000])
    assert np.array_equal(as_microseconds(as_time(micros)), micros)
    assert str(as_time(micros).dtype) == "datetime64[us, UTC]"
