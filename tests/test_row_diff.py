import datetime as dt

import numpy as np
import pandas as pd
import pytest

from mlkit.versioning.diff import diff_summary, row_diff, schema_diff, unequal

OLD = pd.DataFrame({"id": [1, 2, 3, 4], "x": [1.0, np.nan, 3.0, 4.0], "s": ["a", "b", None, "d"]})


def changed(before, after, **options):
    """The values of one column `v` that changed."""
    keyed = [pd.DataFrame({"id": range(len(v)), "v": v}) for v in (before, after)]
    return row_diff(*keyed, on=["id"], **options)["id"].tolist()


def by_hand(before, after, on):
    """An independent answer: dictionaries and loops."""
    old, new = (
        {tuple(row[key] for key in on): row for row in table.to_dict("records")}
        for table in (before, after)
    )
    said = {("removed", key) for key in old.keys() - new.keys()}
    said |= {("added", key) for key in new.keys() - old.keys()}
    for key in old.keys() & new.keys():
        for name in old[key]:
            a, b = old[key][name], new[key][name]
            if a != b and not (pd.isna(a) and pd.isna(b)):
                said.add((name, key))
    return said


def test_each_kind_of_change_is_one_row_and_order_is_none():
    new = OLD.iloc[[2, 1, 0]].assign(x=[3.0, np.nan, 9.0])
    new = pd.concat([new, pd.DataFrame({"id": [7], "x": [0.0], "s": ["z"]})])
    found = row_diff(OLD, new, on=["id"])
    assert list(found) == ["change", "id", "column", "before", "after"]
    assert found[["change", "id"]].to_numpy().tolist() == [
        ["removed", 4],
        ["added", 7],
        ["changed", 1],
    ]
    assert found.iloc[2][["column", "before", "after"]].tolist() == ["x", 1.0, 9.0]


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_a_diff_by_hand(seed):
    rng = np.random.default_rng(seed)
    tables = []
    for size in rng.integers(0, 40, 2):
        keys = rng.choice(60, size, replace=False)
        values = {"x": rng.choice([0.0, 1.0, np.nan], size), "s": rng.choice(["u", "v"], size)}
        tables.append(pd.DataFrame({"k": keys // 8, "j": (keys % 8).astype(str), **values}))
    found = row_diff(*tables, on=["k", "j"])
    said = {
        (row["column"] if row["change"] == "changed" else row["change"], (row["k"], row["j"]))
        for row in found.to_dict("records")
    }
    assert said == by_hand(*tables, ["k", "j"])


MOMENT = pd.Timestamp("2026-03-29 00:30", tz="UTC")
SAME = {
    "missing in another dtype": ([1.0, None], pd.array([1, None], dtype="Int64")),
    "missing text": (["a", None], pd.Categorical(["a", None])),
    "other order of categories": (
        pd.Categorical(["a", "b"]),
        pd.Categorical(["a", "b"], categories=["b", "a"]),
    ),
    "same moment elsewhere": ([MOMENT], [MOMENT.tz_convert("America/New_York")]),
    "time without a zone": ([MOMENT], [MOMENT.tz_localize(None)]),
    "other unit of time": (pd.Series([MOMENT]).dt.as_unit("ns"), pd.Series([MOMENT])),
    "text of a number": ([7, 8], ["7", "8"]),
    "infinity": ([np.inf, -np.inf], [np.inf, -np.inf]),
    "lists": ([[1], [2, 3]], [[1], [2, 3]]),
    "mixed": ([1, "a", None, pd.NA], [1, "a", np.nan, None]),
    "nothing but missing": ([None, None], [np.nan, np.nan]),
    "no rows": ([], []),
}


@pytest.mark.parametrize("sides", SAME.values(), ids=SAME.keys())
def test_equal_values_are_equal_in_any_dtype(sides):
    assert changed(*sides) == []


ODD = {
    "whole": [2**60, 2, 3],
    "float": [1.5, np.nan, np.inf],
    "yes": [True, False, True],
    "nullable": pd.array([1, None, 3], dtype="Int64"),
    "text": ["a", None, "1"],
    "mixed": pd.Series([1, "a", (1, 2)], dtype=object),
    "unhashable": pd.Series([[1], {}, np.array([1, 2])], dtype=object),
    "category": pd.Categorical([1, None, 3]),
    "naive": pd.Series([MOMENT.tz_localize(None), None, MOMENT.tz_localize(None)]),
    "aware": pd.Series([MOMENT, None, MOMENT]),
    "moments of two zones": pd.Series([MOMENT, MOMENT.tz_convert("Asia/Tokyo"), "x"], dtype=object),
    "duration": pd.to_timedelta([1, None, 3], unit="h"),
    "period": pd.period_range("2026-01", periods=3, freq="M"),
    "complex": [1j, 2, 3],
    "empty": pd.Series([None] * 3, dtype=object),
    "sparse": pd.arrays.SparseArray([0, 0, 1]),
    "arrow": pd.array([1, None, 2], dtype="int64[pyarrow]"),
    "arrow time": pd.array([MOMENT] * 3, dtype="timestamp[us, UTC][pyarrow]"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_column_meets_every_other(kind):
    old = pd.DataFrame({"id": range(3), "v": ODD[kind]})
    assert diff_summary(old, old.copy(), on=[]).empty
    assert row_diff(old, old.copy(), on=["id"]).empty
    for other in ODD.values():
        new = pd.DataFrame({"id": range(3), "v": other})
        assert set(diff_summary(old, new, on=["id"], rtol=0.1)["change"]) <= {"dtype", "changed"}
        assert set(row_diff(old, new, on=["id", "v"])["change"]) <= {"removed", "added"}


OTHER = {
    "leading zeros": ([1, 2], ["01", "2"]),
    "text in a column of mixed types": ([1, "a"], ["1", "a"]),
    "sign of infinity": ([np.inf, 1], [-np.inf, 1]),
    "large whole numbers": ([2**53 + 1, 0], [2**53, 0]),
    "unsigned": (np.array([2**63 + 1, 0], "uint64"), np.array([1, 0], "int64")),
    "a list": ([[1], 0], [[2], 0]),
    "filled": ([np.nan, 1.0], [0.0, 1.0]),
    "emptied": (["a", "b"], [None, "b"]),
    "category": (pd.Categorical(["a", "b"]), pd.Categorical(["b", "b"])),
    "hour": ([MOMENT, MOMENT], [MOMENT + pd.Timedelta(hours=1), MOMENT]),
    "yes": ([True, False], [False, False]),
    "date": ([dt.date(2026, 1, 1), None], [dt.date(2026, 1, 2), None]),
}


@pytest.mark.parametrize("sides", OTHER.values(), ids=OTHER.keys())
def test_the_first_value_differs_and_the_second_does_not(sides):
    assert changed(*sides) == [0]


def test_tolerance_is_relative_to_the_old_value():
    assert changed([100.0, 0.0], [101.0, 1e-9]) == [0, 1]
    assert changed([100.0, 0.0], [101.0, 1e-9], rtol=0.01) == [1]
    assert changed([100.0, 0.0], [101.0, 1e-9], rtol=0.01, atol=1e-6) == []
    assert changed([100.0], [101.005], rtol=0.01) == [0]  # within a hundredth of the new one only
    assert changed([np.nan, np.inf], [0.0, 1.0], rtol=0.5) == [0, 1]


def test_keys_pair_across_dtypes_zones_and_missing_values():
    old = pd.DataFrame({"k": [1.0, np.nan], "t": [MOMENT] * 2, "x": [1, 2]})
    new = pd.DataFrame({"k": pd.array([None, 1], dtype="Int64"), "x": [2, 5]})
    new["t"] = MOMENT.tz_convert("Asia/Tokyo")
    found = row_diff(old, new, on=["k", "t"])
    assert found[["change", "before", "after"]].to_numpy().tolist() == [["changed", 1, 5]]


def test_large_ids_of_two_dtypes_are_not_mixed_up():
    ids = [2**53, 2**53 + 1]
    old, new = pd.DataFrame({"id": ids}), pd.DataFrame({"id": np.array(ids, "uint64")})
    assert row_diff(old, new, on=["id"]).empty


def test_without_a_key_rows_are_counted():
    old = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "x", None]})
    new = pd.DataFrame({"a": [2, 1, 3], "b": [None, "x", "x"]})
    found = row_diff(old, new, on=[])
    assert found[["change", "a", "b"]].to_numpy().tolist() == [
        ["removed", 1, "x"],
        ["added", 3, "x"],
    ]
    assert row_diff(old, old.iloc[::-1], on=[]).empty


def test_an_emptied_table_has_lost_every_row():
    assert row_diff(OLD, OLD.iloc[:0], on=["id"])["change"].tolist() == ["removed"] * 4
    assert row_diff(OLD.iloc[:0], OLD, on=[])["change"].tolist() == ["added"] * 4
    assert diff_summary(OLD, OLD.iloc[:0], on=["id"])["share"].tolist() == [1.0]


def test_summary_counts_and_shows_two():
    new = OLD.assign(x=OLD["x"] * 2, s=["a", "b", "c", "d"])
    found = diff_summary(OLD, new, on=["id"]).set_index("column")
    assert found["rows"].to_dict() == {"x": 3, "s": 1}
    assert found["share"].to_dict() == {"x": 0.75, "s": 0.25}
    assert found.loc["x", "examples"] == [
        {"id": 1, "before": 1.0, "after": 2.0},
        {"id": 3, "before": 3.0, "after": 6.0},
    ]


def test_nothing_changed_is_no_row():
    assert diff_summary(OLD, OLD.sample(frac=1, random_state=1), on=["id"]).empty
    assert schema_diff(OLD, OLD).empty
    assert row_diff(OLD, OLD, on=["id"]).columns.tolist()[0] == "change"


def test_schema_names_every_change_of_columns():
    old = OLD.assign(c=pd.Categorical(list("aabb")), gone=0.5, n=[1, 2, 3, 4])
    new = OLD.rename(columns={"s": "text"}).assign(c=pd.Categorical(list("aabb"), list("ba")))
    new = new.assign(came=True, n=["1", "2", "3", "4"])[["x", "id", "text", "c", "came", "n"]]
    found = schema_diff(old, new, on=["id"])
    assert found[["change", "column"]].fillna("").to_numpy().tolist() == [
        ["renamed", "s"],
        ["column removed", "gone"],
        ["categories", "c"],
        ["column added", "came"],
        ["dtype", "n"],
        ["order", ""],
    ]
    assert found.loc[0, ["before", "after", "share"]].tolist() == ["s", "text", 1.0]
    assert diff_summary(old, new, on=["id"])["change"].tolist() == found["change"].tolist()


@pytest.mark.parametrize("on", [["id"], None])
def test_rename_is_found_by_content_not_by_place(on):
    old = pd.DataFrame({"id": range(50), "a": np.arange(50.0), "b": np.arange(50.0)[::-1]})
    new = old.rename(columns={"a": "b2", "b": "a2"}).sample(frac=1, random_state=3)
    found = schema_diff(old, new.iloc[:40], on=on).set_index("column")["after"]
    assert found.to_dict() == {"a": "b2", "b": "a2"}


def test_a_new_column_of_other_values_is_no_rename():
    old = pd.DataFrame({"id": range(50), "a": np.arange(50.0)})
    new = old[["id"]].assign(b=old["a"] + (old["id"] > 40))
    found = schema_diff(old, new, on=["id"])["change"].tolist()
    assert found == ["column removed", "column added"]
    nothing = schema_diff(old.assign(a=np.nan), new.assign(b=np.nan), on=["id"])
    assert nothing["change"].tolist() == found  # two empty columns have nothing in common


def test_the_most_alike_columns_are_a_rename():
    old = pd.DataFrame({"id": range(500), "a": np.arange(500.0)})
    new = old[["id"]].assign(near=old["a"] + (old["id"] == 9), same=old["a"])
    found = schema_diff(old, new, on=["id"]).set_index("change")["after"]
    assert found["renamed"] == "same"


def test_a_column_that_went_is_counted_in_old_rows():
    found = diff_summary(OLD, OLD.drop(columns="x").head(1), on=["id"]).set_index("change")["rows"]
    assert found.to_dict() == {"column removed": 4, "removed": 3}


@pytest.mark.parametrize(
    ("table", "on", "error", "words"),
    [
        (
            pd.concat([OLD, OLD.head(1)]),
            ["id"],
            ValueError,
            "after: expected one row per id; 1 rows",
        ),
        (OLD.drop(columns="id"), ["id"], KeyError, "after lacks 'id'"),
        (OLD["x"], ["id"], TypeError, "after: expected a DataFrame, came Series"),
        (OLD.set_axis(["id", "x", "x"], axis=1), ["id"], ValueError, "must be unique"),
        (OLD.add_prefix("n_"), [], ValueError, "none is in both"),
    ],
    ids=["repeated key", "no key", "no table", "column twice", "nothing shared"],
)
def test_each_bad_input_gets_one_clear_line(table, on, error, words):
    for function in (row_diff, diff_summary):
        with pytest.raises(error, match=words):
            function(OLD, table, on=on)


def test_a_key_named_like_the_result_is_refused():
    odd = OLD.rename(columns={"id": "before"})
    with pytest.raises(ValueError, match=r"\['before'\] are names of the result"):
        row_diff(odd, odd, on=["before"])
    assert row_diff(odd.assign(k=range(4)), odd.assign(k=range(4)), on=["k"]).empty


def test_inputs_stay_as_they_were():
    old, new = OLD.copy(), OLD.assign(x="1")
    copies = old.copy(), new.copy()
    row_diff(old, new, on=["id"])
    diff_summary(old, new, on=[])
    pd.testing.assert_frame_equal(old, copies[0])
    pd.testing.assert_frame_equal(new, copies[1])


def test_indexes_of_the_columns_do_not_matter():
    a = pd.Series([1, 2], index=[5, 6])
    assert unequal(a, pd.Series([1, 3])).tolist() == [False, True]
