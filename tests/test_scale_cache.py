"""A cache by content: found when nothing that counts has changed, never wrong, never a crash."""

import numpy as np
import pandas as pd
import pytest

from mlkit.params import stream
from mlkit.scale import cache


def doubled(tables, *, by=2.0):
    """Return amounts times a number, ordered by id."""
    rows = tables["t"].sort_values("id", ignore_index=True)
    return rows.assign(x=rows["x"] * by)


@pytest.fixture
def tables():
    return {"t": pd.DataFrame({"id": [1, 2, 3], "x": [1.0, 2.0, np.nan]})}


def changed(tables, **columns):
    return {"t": tables["t"].assign(**columns)}


def test_found_again_and_in_any_order_of_rows(tables, tmp_path):
    first, found = cache.cached(doubled, tables, folder=tmp_path)
    assert not found
    again, found = cache.cached(doubled, tables, folder=tmp_path)
    assert found
    pd.testing.assert_frame_equal(first, again)
    mixed = {"t": tables["t"].iloc[::-1]}
    assert cache.cached(doubled, mixed, folder=tmp_path)[1]


@pytest.mark.parametrize(
    "change", ["value", "type", "name", "row less", "row twice", "option", "code", "library"]
)
def test_any_change_that_counts_gives_another_key(tables, change):
    call = {"tables": tables, "code": "x", "options": {"by": 2.0}}
    rows = tables["t"]
    other = {
        "value": {"tables": changed(tables, x=[1.0, 2.0, 3.0])},
        "type": {"tables": changed(tables, id=rows["id"].astype("int32"))},
        "name": {"tables": {"u": rows}},
        "row less": {"tables": {"t": rows.iloc[1:]}},
        "row twice": {"tables": {"t": pd.concat([rows, rows.iloc[:1]])}},
        "option": {"options": {"by": 2.5}},
        "code": {"code": "y"},
        "library": {"libraries": ("networkx",)},
    }[change]
    one, two = (cache.key(x.pop("tables"), **x) for x in (dict(call), {**call, **other}))
    assert one != two


def test_order_of_options_does_not_count(tables):
    one, two = (
        cache.key(tables, code="x", options=options)
        for options in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert one == two


def test_option_that_json_cannot_carry_is_refused(tables, tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        cache.cached(doubled, tables, folder=tmp_path, by=np.array([1.0]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["a bit", "cut", "empty", "text", "swapped"])
def test_damaged_file_is_computed_anew_with_a_line(tables, tmp_path, damage):
    right, _ = cache.cached(doubled, tables, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= damage == "a bit"
    kept = {"cut": content[:-9], "empty": b"", "text": b"hello", "swapped": content[::-1]}
    file.write_bytes(bytes(kept.get(damage, content)))
    lines = []
    table, found = cache.cached(doubled, tables, folder=tmp_path, tell=lines.append)
    assert not found and lines == ["cache: a file of doubled is damaged; computed anew"]
    pd.testing.assert_frame_equal(table, right)
    assert cache.cached(doubled, tables, folder=tmp_path)[1]


def test_damage_warns_when_nobody_listens(tables, tmp_path):
    cache.cached(doubled, tables, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"):
        cache.cached(doubled, tables, folder=tmp_path)


def test_crash_while_writing_leaves_no_file_that_counts(tables, tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        cache.cached(doubled, tables, folder=tmp_path)
    monkeypatch.undo()
    assert not cache.cached(doubled, tables, folder=tmp_path)[1]


def test_naive_cache_is_stale_and_cannot_know(tables, tmp_path):
    cache.naive_cached(doubled, tables, folder=tmp_path)
    more = changed(tables, x=[9.0, 9.0, 9.0])
    stale, found = cache.naive_cached(doubled, more, folder=tmp_path)
    assert found and not stale.equals(doubled(more))
    right, found = cache.cached(doubled, more, folder=tmp_path / "content")
    assert not found and right.equals(doubled(more))


# --- page rank ------------------------------------------------------------------------------------


def test_page_rank_of_a_star_by_hand():
    rows = pd.DataFrame(
        {
            "user_id": [1, 2, 2, 3],
            "event_ts": pd.to_datetime(["2025-01-01"] * 2 + ["2025-01-02"] * 2, utc=True),
            "category": ["toys", "toys", "books", "books"],
        }
    )
    rank = cache.page_rank({"transactions": rows}).set_index("user_id")["page_rank"]
    assert rank[2] > 1.5 * rank[1] and rank[1] == pytest.approx(rank[3], rel=1e-6)


def at(*pairs):
    """Return purchases of users in an hour of one day, all of toys."""
    rows = pd.DataFrame(pairs, columns=["user_id", "hour"])
    start = pd.Timestamp("2025-01-01", tz="UTC")
    rows["event_ts"] = start + pd.to_timedelta(rows.pop("hour"), unit="h")
    return {"transactions": rows.assign(category="toys")}


def test_page_rank_of_a_crowd_is_no_higher_than_of_who_buys_alone():
    rank = cache.page_rank(at((1, 0), (2, 0), (3, 0), (4, 1))).set_index("user_id")["page_rank"]
    assert rank[1] == pytest.approx(rank[3]) and rank[4] > rank[1]


def test_page_rank_gets_there_with_hardly_any_restart_and_refuses_gaps():
    tables = at(*[(user, hour) for user in range(30) for hour in (user, user + 1)])
    assert np.isfinite(cache.page_rank(tables, damping=0.9999)["page_rank"]).all()
    rows = tables["transactions"]
    gap = rows.assign(event_ts=rows["event_ts"].where(rows.index > 0))
    with pytest.raises(ValueError, match="transactions.event_ts: expected no missing"):
        cache.page_rank({"transactions": gap})


def test_page_rank_gives_the_same_bits_in_any_order(shop):
    few = shop["transactions"].iloc[:3000]
    one = cache.page_rank({"transactions": few})
    mixed = few.sample(frac=1, random_state=stream(7, "mix").integers(1000))
    assert cache.page_rank({"transactions": mixed}).equals(one)
    assert one["user_id"].tolist() == sorted(few["user_id"].unique())
    assert not cache.page_rank({"transactions": few}, damping=0.5).equals(one)


def test_page_rank_refuses_in_one_line(shop):
    with pytest.raises(KeyError, match="lacks 'category'"):
        cache.page_rank({"transactions": shop["transactions"].drop(columns="category")})
    with pytest.raises(ValueError, match="page_rank.damping = 1.5"):
        cache.page_rank(shop, damping=1.5)
