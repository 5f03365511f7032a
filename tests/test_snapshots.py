import json
import subprocess

import numpy as np
import pandas as pd
import pytest

from mlkit.versioning import snapshots, storage

TABLE = pd.DataFrame(
    {"id": [1, 2], "at": pd.to_datetime(["2026-01-01", "2026-02-01"], utc=True), "x": [0.5, None]}
)
MADE = {"commit": "c0ffee", "dirty": False, "environment": "e1"}


def files(folder):
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def test_a_manifest_says_what_the_version_is(tmp_path):
    made = snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)
    facts = made["tables"]["t"]
    assert facts["rows"] == 2
    assert list(facts["schema"]) == ["id", "at", "x"]
    assert facts["dates"] == {"at": ["2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"]}
    assert json.loads((tmp_path / f"{made['id']}.json").read_text()) == made
    pd.testing.assert_frame_equal(snapshots.load(tmp_path, made["id"])["t"], TABLE)


def test_the_same_twice_is_stored_once(tmp_path):
    first = snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)
    before = files(tmp_path)
    assert snapshots.snapshot({"t": TABLE.copy()}, tmp_path, **MADE) == first
    assert files(tmp_path) == before
    other = snapshots.snapshot({"t": TABLE, "copy": TABLE}, tmp_path, **{**MADE, "dirty": True})
    assert len(files(tmp_path)) == 3
    assert snapshots.verify(tmp_path) == sorted([first["id"], other["id"]])


@pytest.mark.parametrize("part", ["value", "order", "commit", "dirty", "environment"])
def test_each_part_of_a_version_gives_another_id(tmp_path, part):
    first = snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)["id"]
    table = {"value": TABLE.assign(x=1.0), "order": TABLE.iloc[::-1]}.get(part, TABLE)
    changes = {"commit": {"commit": "bad"}, "dirty": {"dirty": True}}
    changes["environment"] = {"environment": "e2"}
    made = {**MADE, **changes.get(part, {})}
    assert snapshots.snapshot({"t": table}, tmp_path, **made)["id"] != first


def test_content_is_the_same_in_another_order(tmp_path):
    contents = {
        snapshots.snapshot({"t": table}, tmp_path, **MADE)["tables"]["t"]["content"]
        for table in (TABLE, TABLE.iloc[::-1])
    }
    assert len(contents) == 1


def spoil_file(folder):
    file = next((folder / "objects").iterdir())
    file.write_bytes(file.read_bytes()[:-1] + b"x")


def lose_file(folder):
    next((folder / "objects").iterdir()).unlink()


def edit_manifest(folder):
    file = next(folder.glob("*.json"))
    file.write_text(file.read_text().replace("c0ffee", "decaf0"))


def spoil_manifest(folder):
    next(folder.glob("*.json")).write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            spoil_file,
            r"1 stored file is not as written; objects/.*table 't' .* is changed; restore",
        ),
        (lose_file, r"is missing; restore"),
        (edit_manifest, r"was edited: its content has another id"),
        (spoil_manifest, r"is no manifest of a snapshot any more"),
    ],
    ids=["changed", "missing", "edited", "no manifest"],
)
def test_damage_is_found_and_named(tmp_path, spoil, words):
    made = snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)
    spoil(tmp_path)
    for look in (snapshots.verify, lambda folder: snapshots.load(folder, made["id"])):
        with pytest.raises(ValueError, match=words):
            look(tmp_path)


def test_one_bad_file_of_two_versions_is_one_file(tmp_path):
    for commit in ("c0ffee", "decaf0"):
        snapshots.snapshot({"t": TABLE}, tmp_path, **{**MADE, "commit": commit})
    lose_file(tmp_path)
    with pytest.raises(ValueError, match="^1 stored file is not as written"):
        snapshots.verify(tmp_path)


def test_a_manifest_under_another_name_is_refused(tmp_path):
    made = snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)
    (tmp_path / f"{made['id']}.json").rename(tmp_path / "v1.json")
    with pytest.raises(ValueError, match=r"v1.json was edited"):
        snapshots.load(tmp_path, "v1")


def test_writing_again_mends_a_damaged_file(tmp_path):
    snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)
    spoil_file(tmp_path)
    made = snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)
    assert snapshots.verify(tmp_path) == [made["id"]]


def test_a_crash_leaves_no_half_version(tmp_path, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    first = snapshots.snapshot({"t": TABLE}, tmp_path, **MADE)
    monkeypatch.setattr(snapshots, "write_text", crash)
    with pytest.raises(KeyboardInterrupt):
        snapshots.snapshot({"t": TABLE.head(1)}, tmp_path, **MADE)
    assert snapshots.verify(tmp_path) == [first["id"]]


def test_what_cannot_be_kept_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one table"):
        snapshots.snapshot({}, tmp_path, **MADE)
    mixed = pd.DataFrame({"x": pd.Series([1, "a", b"b"], dtype=object)})
    with pytest.raises(ValueError, match="m: parquet cannot hold it"):
        snapshots.snapshot({"m": mixed}, tmp_path, **MADE)
    with pytest.raises(ValueError, match="l: it holds values that have no hash"):
        snapshots.snapshot({"l": pd.DataFrame({"x": [[1], [2]]})}, tmp_path, **MADE)
    with pytest.raises(ValueError, match="a commit and an environment"):
        snapshots.snapshot({"t": TABLE}, tmp_path, **{**MADE, "environment": ""})
    assert files(tmp_path) == []
    with pytest.raises(FileNotFoundError, match="no manifest"):
        snapshots.verify(tmp_path)
    with pytest.raises(FileNotFoundError, match="no version 'v1'"):
        snapshots.load(tmp_path, "v1")


def test_a_name_by_the_second_loses_a_version_and_repeats_another(tmp_path):
    moment = pd.Timestamp("2026-01-01 12:00:00.1", tz="UTC")
    later = [moment, moment + pd.Timedelta(milliseconds=700), moment + pd.Timedelta(seconds=2)]
    tables = [TABLE, TABLE.head(1), TABLE.head(1)]
    for table, at in zip(tables, later, strict=True):
        snapshots.naive_snapshot(table, tmp_path, moment=at, commit="c0ffee")
    kept = [pd.read_parquet(file) for file in sorted(tmp_path.glob("v_*/data.parquet"))]
    assert [len(table) for table in kept] == [1, 1]


def test_a_lock_is_a_set_of_lines():
    assert snapshots.lock_hash(["b==1", "a==2\n", ""]) == snapshots.lock_hash(["a==2", "b==1"])
    assert snapshots.lock_hash(["a==2"]) != snapshots.lock_hash(["a==3"])
    assert any(line.startswith("numpy==") for line in snapshots.installed())


def test_git_state_sees_an_edited_tree(tmp_path):
    with pytest.raises(ValueError, match="git rev-parse says"):
        snapshots.git_state(tmp_path)
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert snapshots.git_state(tmp_path)[1] is False
    (tmp_path / "train.py").write_text("seed = None")
    assert snapshots.git_state(tmp_path)[1] is True


def test_versions_grow_by_a_week():
    at = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(28), unit="D")
    grown = storage.grown(pd.DataFrame({"event_ts": at}), 3)
    assert [len(version) for version in grown] == [14, 21, 28]


def test_parts_save_where_files_do_not():
    rng = np.random.default_rng(0)
    at = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(rng.random(5_000) * 300, unit="D")
    bought = pd.DataFrame({"event_ts": at, "amount_usd": rng.random(5_000).round(2)})
    held = storage.stored(bought, versions=5)
    share = held.div(held["copies"], axis=0).round(2)
    assert share.loc["as it was", "files by hash"] == 0.2
    assert (share.loc["grows":, "files by hash"] == 1).all()
    assert share.loc["grows", "parts by hash"] < 0.5
    assert share.loc["one row corrected", "parts by hash"] < 0.5
    assert share.loc["one row a month corrected", "parts by hash"] > 0.9
    with pytest.raises(KeyError, match="event_ts"):
        storage.stored(bought[["amount_usd"]])
