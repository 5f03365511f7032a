"""Six designs of a load, killed at every point: what readers see, and what a retry leaves."""

import json

import pandas as pd
import pytest

from mlkit.orchestration import crashes, designs
from mlkit.orchestration.crashes import DATE, crash_table, difference, kill_table, run_twice
from mlkit.orchestration.designs import DESIGNS, Crash, crash_at, visible

SAFE = ["overwrite partition", "write-audit-publish"]
DUE = 7
WAP = {"write-audit-publish": DESIGNS["write-audit-publish"]}
ROWS = pd.DataFrame(  # user 2 bought the same twice, in all honesty
    {"user_id": [1, 2, 2, 3, 4, 5, 6], "price_usd": [10.0, 5.0, 5.0, 20.0, 5.0, 15.0, 10.0]}
)
WRONG = {  # design: wrong rows after a retry, at the points where there are any
    "append": {"half written": 3, "all written": DUE, "committed": DUE},
    "drop_duplicates": dict.fromkeys(designs.POINTS, 1),
}
AGAIN = {  # the same where an earlier version of the date is published
    "append": dict.fromkeys(designs.POINTS, DUE - 1)
    | {"half written": DUE + 2, "all written": 2 * DUE - 1, "committed": 2 * DUE - 1},
    "drop_duplicates": dict.fromkeys(designs.POINTS, 1),
}
PARTIAL = {  # design: rows that readers see meanwhile, where they see neither state
    "overwrite in place": {"old rows gone": 0, "half written": 3},
    "swap folders": {"in the swap": 0},
}


@pytest.fixture(scope="module")
def first():
    """Return the crash table of a date that is loaded for the first time."""
    return crash_table(ROWS)


@pytest.fixture(scope="module")
def again():
    """Return the crash table of a date that was there already, without its last row."""
    return crash_table(ROWS, earlier=ROWS[:-1])


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
def test_every_kill_point_ends_as_the_design_claims(design, first):
    rows = first[first["design"] == design].set_index("point")
    assert {"before read", "half written", "all written", "committed"} <= set(rows.index)
    expected = {point: WRONG.get(design, {}).get(point, 0) for point in rows.index}
    assert rows["wrong"].to_dict() == expected
    assert (rows["missing"] + rows["doubled"] == rows["wrong"]).all()
    died_dirty = [point for point in expected if design == "append" and expected[point]]
    assert rows.index[~rows["clean"]].tolist() == died_dirty


@pytest.mark.parametrize("design", DESIGNS)
def test_every_kill_point_of_a_second_load_ends_as_the_design_claims(design, again):
    rows = again[again["design"] == design].set_index("point")
    assert rows["wrong"].to_dict() == {p: AGAIN.get(design, {}).get(p, 0) for p in rows.index}
    died_dirty = [p for p in rows.index if design == "append" and rows["wrong"][p] > DUE - 1]
    assert rows.index[~rows["clean"]].tolist() == died_dirty


def test_every_design_passes_the_points_that_it_has(first, again):
    has = {"append": 5, "drop_duplicates": 5, "overwrite in place": 6, "swap folders": 6,
           "overwrite partition": 5, "write-audit-publish": 6}  # fmt: skip
    assert first.groupby("design").size().to_dict() == has
    assert again.groupby("design").size().to_dict() == has


@pytest.mark.parametrize("design", [name for name in DESIGNS if name not in WRONG])
def test_readers_see_a_part_only_where_the_design_shows_it(design, again):
    rows = again[again["design"] == design].set_index("point")
    assert rows.loc[rows["partial"], "seen"].to_dict() == PARTIAL.get(design, {})
    whole = rows.loc[~rows["partial"], "seen"]
    assert set(whole) == {DUE - 1, DUE} and rows["clean"].all()


@pytest.mark.parametrize("design", DESIGNS)
def test_first_load_shows_a_part_only_where_rows_are_added_in_place(design, first):
    partial = first[(first["design"] == design) & first["partial"]]
    in_place = design in ("append", "overwrite in place")
    assert partial["point"].tolist() == ["half written"] * in_place


def test_first_load_in_place_shows_half_of_the_date(first):
    rows = first[first["design"] == "overwrite in place"].set_index("point")
    assert rows.loc[rows["partial"], ["seen", "due"]].to_numpy().tolist() == [[3, DUE]]


def test_killed_process_leaves_what_the_exception_leaves(first, capfd):
    killed = kill_table(ROWS)
    assert capfd.readouterr() == ("", "")
    same = first[first["point"] == "half written"].reset_index(drop=True)
    pd.testing.assert_frame_equal(killed, same)


def test_process_killed_in_the_swap_leaves_what_the_exception_leaves(first):
    killed = kill_table(ROWS, point="in the swap", designs=["write-audit-publish"])
    row = first.query("design == 'write-audit-publish' and point == 'in the swap'")
    pd.testing.assert_frame_equal(killed, row.reset_index(drop=True))


def test_child_that_ends_by_an_error_is_not_taken_for_killed(monkeypatch):
    monkeypatch.setattr(crashes, "DATE", "../elsewhere")  # refused, so it ends with 1
    with pytest.raises(RuntimeError, match="swap folders: expected .* it ended: 1"):
        kill_table(ROWS, designs=["swap folders"])


def test_child_that_hangs_is_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(crashes, "SECONDS", 0.01)
    started, popen = [], crashes.subprocess.Popen
    monkeypatch.setattr(crashes.subprocess, "Popen", lambda words: started.append(popen(words)) or
                        started[-1])  # fmt: skip
    with pytest.raises(RuntimeError, match="append: the child was not killed"):
        kill_table(ROWS, designs=["append", "swap folders"])
    assert len(started) == 2 and all(child.returncode is not None for child in started)


def test_difference_counts_each_row_as_often_as_it_comes():
    seen = pd.concat([ROWS[:2], ROWS[3:], ROWS[-1:]])
    assert difference(seen, ROWS) == {"missing": 1, "doubled": 1}
    assert difference(pd.DataFrame(), ROWS) == {"missing": DUE, "doubled": 0}
    gaps = ROWS.assign(price_usd=ROWS["price_usd"].where(ROWS.index > 0))
    assert difference(gaps[1:], gaps) == {"missing": 1, "doubled": 0}


def test_heat_table_keeps_the_order_and_leaves_gaps(first):
    wide = crashes.heat_table(first)
    assert list(wide.index) == list(DESIGNS) and list(wide) == list(designs.POINTS)
    assert wide.isna().sum().sum() == len(DESIGNS) * len(designs.POINTS) - len(first)


def test_figures_count_the_designs_that_are_clean_and_those_that_show_a_part(first, again):
    from mlkit.plots import orchestration as figures

    drawn = figures.crash_map(crashes.heat_table(first), due=DUE)
    assert drawn.get_title() == f"Wrong rows after a retry, of {DUE}: 4 of 6 designs have none"
    filled = [patch for patch in drawn.patches if patch.get_hatch()]
    assert len(filled) == int((first["wrong"] > 0).sum())
    shown = figures.readers(again[~again["design"].isin(WRONG)])
    assert shown.get_title().endswith("2 of 4 designs show a part")


# --- twice the same -------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
def test_second_run_changes_only_what_appends(design):
    one, two = run_twice(DESIGNS[design], ROWS)
    assert (one == two) == (design != "append")


@pytest.mark.parametrize("design", SAFE)
def test_run_is_not_reproduced_when_its_source_has_changed(design):
    corrected = ROWS.assign(price_usd=ROWS["price_usd"].where(ROWS["user_id"] != 3, 25.0))
    one, two = run_twice(DESIGNS[design], ROWS, corrected)
    assert one != two


@pytest.mark.parametrize("design", SAFE)
def test_run_that_stamps_the_wall_clock_is_not_reproduced(design):
    stamped = (ROWS.assign(loaded_at=pd.Timestamp(f"2025-03-0{day}")) for day in (1, 2))
    one, two = run_twice(DESIGNS[design], *stamped)
    assert one != two


# --- what a dead writer leaves --------------------------------------------------------------------


@pytest.mark.parametrize("point", ["half written", "all written", "in the swap"])
def test_readers_ignore_and_the_next_run_clears_what_a_dead_writer_left(point, tmp_path):
    load = DESIGNS["write-audit-publish"]
    versions = tmp_path / "versions" / f"day={DATE}"
    load(lambda: ROWS[:4], tmp_path, date=DATE)
    with pytest.raises(Crash, match=point):
        load(lambda: ROWS, tmp_path, date=DATE, reach=crash_at(point))
    assert len(list(versions.iterdir())) == 2 and len(visible(tmp_path)) == 4
    load(lambda: ROWS[:5], tmp_path, date=DATE)  # other rows: the dead one's version is of no use
    assert len(visible(tmp_path)) == 5
    load(lambda: ROWS, tmp_path, date=DATE)
    published = json.loads((tmp_path / designs.MANIFEST).read_text(encoding="utf-8"))
    left = {path.name for path in versions.iterdir()}
    assert published[DATE] in left and len(left) == 2  # and the one that readers may still hold


def test_half_a_file_of_a_dead_writer_is_no_part_of_the_table(tmp_path):
    load = DESIGNS["overwrite partition"]
    load(lambda: ROWS, tmp_path, date=DATE)
    leftover = tmp_path / f"day={DATE}" / ".part-000.parquet.tmp"
    leftover.write_bytes(b"PAR1 half of a file")
    assert len(visible(tmp_path)) == DUE
    load(lambda: ROWS[:3], tmp_path, date=DATE)
    assert len(visible(tmp_path)) == 3 and not leftover.exists()


def test_other_dates_stay(tmp_path):
    for name, load in DESIGNS.items():
        for date, rows in (("2025-03-01", ROWS[:3]), ("2025-03-02", ROWS[3:]), (DATE, ROWS[:3])):
            load(lambda rows=rows: rows, tmp_path / name, date=date)
        gap = difference(visible(tmp_path / name), ROWS)
        assert gap == {
            "missing": int(name == "drop_duplicates"),
            "doubled": 3 * (name == "append"),
        }


@pytest.mark.parametrize("design", SAFE)
def test_a_date_that_begins_like_another_leaves_it_alone(design, tmp_path):
    load = DESIGNS[design]
    for date, rows in (("2025-03-01", ROWS[:3]), ("2025-03", ROWS[3:5]), ("2025-03", ROWS[5:])):
        load(lambda rows=rows: rows, tmp_path, date=date)
    assert difference(visible(tmp_path), pd.concat([ROWS[:3], ROWS[5:]])) == {
        "missing": 0, "doubled": 0}  # fmt: skip


@pytest.mark.parametrize("date", ["../elsewhere", "2025/03", "*", "", None])
@pytest.mark.parametrize("design", SAFE)
def test_a_date_that_is_no_name_is_refused(design, date, tmp_path):
    with pytest.raises(ValueError, match="expected a text such as '2025-03-01'"):
        DESIGNS[design](lambda: ROWS, tmp_path / "warehouse", date=date)
    assert not list(tmp_path.iterdir())


# --- the audit ------------------------------------------------------------------------------------


BAD = {
    "missing": (ROWS.assign(price_usd=ROWS["price_usd"].where(ROWS.index > 0)), "1 missing values"),
    "negative": (ROWS.assign(price_usd=-ROWS["price_usd"]), "7 negative numbers"),
    "empty": (ROWS[:0], "no rows"),
}


@pytest.mark.parametrize(("rows", "says"), BAD.values(), ids=BAD)
def test_audit_that_fails_blocks_publication_and_the_old_partition_stays(rows, says, tmp_path):
    load = DESIGNS["write-audit-publish"]
    load(lambda: ROWS, tmp_path, date=DATE)
    with pytest.raises(designs.AuditError, match=f"came {says}; not published"):
        load(lambda: rows, tmp_path, date=DATE)
    pd.testing.assert_frame_equal(visible(tmp_path), ROWS)


def test_audit_counts_rows_that_were_not_staged():
    with pytest.raises(designs.AuditError, match="2 rows that were read and not staged"):
        designs.audit(ROWS[:-2], expected=DUE)


# --- small things ---------------------------------------------------------------------------------


def test_keyless_rows_are_alike_where_two_purchases_are():
    at = pd.to_datetime(["2025-03-01 08:00", "2025-03-01 19:00", "2025-03-02 08:00"], utc=True)
    bought = pd.DataFrame({"user_id": 1, "event_ts": at, "amount_usd": [9.8, 10.3, 9.8]})
    assert crashes.keyless(bought).duplicated().tolist() == [False, True, False]
    assert not crashes.keyless(bought, step_usd=0.1).duplicated().any()


@pytest.mark.parametrize(
    ("do", "says"),
    {
        "point": (lambda: crash_at("halfway"), "kill point 'halfway': expected one of"),
        "child": (lambda: kill_table(ROWS, designs=["upsert"]), "design 'upsert': expected one of"),
        "step": (lambda: crashes.keyless(ROWS, step_usd=0.0), "step_usd = 0.0: expected"),
        "same": (lambda: crash_table(ROWS, designs=WAP, earlier=ROWS), "never came to"),
    }.values(),
    ids=["point", "child", "step", "same"],
)
def test_bad_input_is_named(do, says):
    with pytest.raises((ValueError, KeyError), match=says):
        do()
