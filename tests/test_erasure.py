"""Erasure: nothing of the person anywhere, everything of everybody else, killed or not."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlkit import params as parameters
from mlkit.cli import app
from mlkit.compliance import erasure, identity, lender, records, stores, survey, versions
from mlkit.compliance.identity import Listed
from mlkit.compliance.pseudonyms import naive_token
from mlkit.compliance.search import find, naive_delete, needles
from mlkit.repository import output, remove, shell

DAY = "2026-09-01"
KEY = bytes(range(32))
NO_ROWS = {"model"}  # coefficients: nobody can be read in them
VERSIONED = {
    "users",
    "applications",
    "payments",
    "features",
    "neighbours",
    "predictions",
    "vectors",
}
LOOSE = {"crm", "export", "log", "marketing"}
ALL = VERSIONED | LOOSE | {"cache", "remote", "git"}


def subjects_of(folder, count=3):
    """Return the canary and others, spread over the users of the newest version."""
    users = lender.read_raw(folder / "project")["users"]["user_id"]
    return [lender.CANARY, *users[users != lender.CANARY].iloc[:: len(users) // count][: count - 1]]


def copy_of(folder, target):
    """Return a copy whose key is known, so that two erasures can be compared."""
    shutil.copytree(folder, target)
    records.write(KEY.hex().encode(), target / "erasure" / "key", mode=0o600)
    return target


def tree(folder):
    """Return path to hash of every file; of the log what does not tell the time."""
    found = {}
    for file in sorted(Path(folder).rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and not name.endswith((".git/index", "erasure/log.jsonl")):
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    timeless = [{k: v for k, v in e.items() if k not in {"at", "previous", "hash"}}
                for e in records.log(folder)]  # fmt: skip
    return found | {"log": timeless}


def tables_of(content, name):
    """Return the tables of a file, by readers of their own."""
    if name.endswith(".parquet"):
        return [pd.read_parquet(io.BytesIO(content))]
    if name.endswith(".csv"):
        return [pd.read_csv(io.BytesIO(content))]
    if name.endswith(".gz"):
        return [pd.json_normalize([json.loads(x) for x in gzip.decompress(content).splitlines()])]
    if name.endswith(".npz"):
        arrays = np.load(io.BytesIO(content))
        return [pd.DataFrame(arrays["matrix"]).assign(user_id=arrays["user_id"])]
    if name.endswith(".sqlite"):
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(content)
            return [pd.read_sql("SELECT * FROM customers", database)]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [pd.read_csv(archive.open(n)) for n in archive.namelist() if n.endswith(".csv")]


def rows_of(folder, into):
    """Return place to tables: what stands beside the project, its workspace, every version."""
    files = {s.path: folder / s.path for s in survey.register(folder).values()}
    tags = output(folder, "git tag").split()
    for tag in tags:
        for file in erasure.old_version(folder, tag, into / tag):
            files[f"{tag} {file.relative_to(into / tag).as_posix()}"] = file
    return {
        name: tables_of(file.read_bytes(), name)
        for name, file in files.items()
        if file.is_file() and not name.endswith(".skops")
    }


def others(table, people):
    """Return the rows of everybody but some people (their keys by column), in their order."""
    mine = np.zeros(len(table), dtype=bool)
    for column, values in people.items():
        if column in table:
            mine |= table[column].isin(values).to_numpy()
    return table[~mine].reset_index(drop=True)


def people_of(sought):
    """Return column to values that rows of some needles have."""
    return {
        "user_id": {n.user_id for n in sought},
        "application_id": {a for n in sought for a in n.application_ids},
        "email": {n.email for n in sought},
        "email_sha256": {n.email_sha256 for n in sought},
    }


def check_others(before, after, sought):
    """Others have the same rows in the same order; their scores move, as a model does."""
    people = people_of(sought)
    assert before.keys() == after.keys()
    moved = 0.0
    for name, tables in before.items():
        for old, new in zip(tables, after[name], strict=True):
            kept = others(old, people)
            assert len(others(new, people)) == len(new), name
            if "predictions" in name:
                moved = max(moved, (kept["score"] - new["score"]).abs().max())
                kept, new = (t.drop(columns=["score", "decision"]) for t in (kept, new))
            pd.testing.assert_frame_equal(kept, new, obj=name)
    return moved


def check_gone(folder, sought, old):
    """Nobody is found, no old object is in cache or store, and each version has a replacement."""
    assert find(folder, sought).empty
    names = {file.parent.name + file.name for file in folder.rglob("*")}
    entries = {entry["commit"]: entry for entry in versions.load_map(folder)["versions"]}
    for tag, commit in old.items():
        told = output(folder, f"git show {tag}:dvc.lock {tag}:data/raw.dvc")
        hashes = set(re.findall(r"md5: (\w+(?:\.dir)?)", told))
        assert len(hashes) > 6 and not hashes & names, "an old hash leads to something"
        assert entries[commit]["version"] == tag
        assert len(entries[commit]["outs"]) == 6
        assert entries[commit]["moved"]["max_same_rows"] == 0


def tags_of(folder):
    """Return tag to commit."""
    return {
        t: output(folder, f"git rev-parse {t}").strip() for t in output(folder, "git tag").split()
    }


def check_history(folder, old, requests):
    """Tags stand where they stood, and each request with changes added one commit on top."""
    assert tags_of(folder) == old, "a tag was moved"
    commits = output(folder, "git rev-list --reverse main").split()
    assert commits[:-requests] == list(old.values()), "git history was rewritten"


@pytest.fixture(scope="module", autouse=True)
def no_power_failure():
    """Do not wait for the disk: a killed process, unlike a power failure, loses nothing by that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="module")
def erased(lender_folder, tmp_path_factory):
    """Return what was before and is after an erasure of three people, in a copy."""
    place = tmp_path_factory.mktemp("erased")
    folder = copy_of(lender_folder, place / "lender")
    people = subjects_of(folder)
    sought = [needles(folder, person) for person in people]
    before = {"found": find(folder, sought), "rows": rows_of(folder, place / "before")}
    before["tags"], before["planned"] = tags_of(folder), erasure.plan(folder, people)
    certificate = erasure.erase(folder, people, on=DAY)
    return {"folder": folder, "people": people, "sought": sought, "certificate": certificate,
            "place": place, **before}  # fmt: skip


@pytest.fixture
def copy(lender_folder, tmp_path):
    """Return a copy of the lender, to be changed."""
    return copy_of(lender_folder, tmp_path / "copy")


# --- the proof, small -----------------------------------------------------------------------------


def test_the_canary_is_in_every_store_before(erased):
    found = erased["found"]
    assert set(found.loc[found["user_id"] == lender.CANARY, "store"]) == ALL
    assert set(found["user_id"]) == set(erased["people"])


def test_nobody_is_found_after_and_old_objects_are_gone(erased):
    check_gone(erased["folder"], erased["sought"], erased["tags"])
    check_history(erased["folder"], erased["tags"], 1)
    assert erased["certificate"]["left"] == []


def test_rows_of_everybody_else_are_as_they_were(erased):
    after = rows_of(erased["folder"], erased["place"] / "after")
    moved = check_others(erased["rows"], after, erased["sought"])
    told = max(v["moved"]["max"] for v in erased["certificate"]["versions"])
    assert 0 < moved == pytest.approx(told)


def test_dvc_finds_the_project_whole(erased):
    shown = shell(erased["folder"], "dvc repro", "dvc status -c", "git status --short")
    assert "Data and pipelines are up to date" in shown and "are in sync" in shown
    assert shown.endswith("$ git status --short")
    lock = (erased["folder"] / "project/dvc.lock").read_text()
    told = re.findall(r"path: (\S+\.\w+)\n.*\n.*\n\s+size: (\d+)", lock)
    assert len(told) > 6
    for path, size in told:
        assert (erased["folder"] / "project" / path).stat().st_size == int(size)


def test_the_plan_counts_what_the_certificate_says(erased):
    planned = erased["planned"].groupby("store")["rows"].sum().to_dict()
    assert planned == erased["certificate"]["removed"]
    assert set(planned) == ALL | NO_ROWS
    raw = erased["rows"]["project/data/raw/payments.parquet"][0]
    assert planned["payments"] == raw["user_id"].isin(erased["people"]).sum()


def test_records_hold_digests_only_and_the_key_is_private(erased):
    place = erased["folder"] / "erasure"
    text = "".join(f.read_text() for f in place.iterdir() if f.is_file())
    for needle in erased["sought"]:
        assert needle.email not in text and needle.email_sha256 not in text
    assert f'"{lender.CANARY}"' not in text and f" {lender.CANARY}" not in text
    assert (place / "key").stat().st_mode & 0o777 == 0o600 or sys.platform == "win32"
    assert not (place / "open.json").exists() and not (place / "work").exists()


def test_a_second_erasure_finds_nothing_and_a_restored_backup_is_swept(erased, lender_folder):
    folder = erased["folder"]
    clean = tree(folder)
    again = erasure.erase(folder, erased["people"], on="2026-09-02")
    assert again["removed"] == {} and again["left"] == [] and again["versions"] == []
    files = {name: value for name, value in tree(folder).items() if name in clean and name != "log"}
    assert files == {name: value for name, value in clean.items() if name != "log"}
    for name in ("crm.sqlite", "project/data/raw/users.parquet", "project/model.skops"):
        shutil.copyfile(lender_folder / name, folder / name)
    shutil.copytree(lender_folder / "store", folder / "store", dirs_exist_ok=True)
    swept = erasure.sweep(folder, on="2026-09-03")
    assert set(swept["removed"]) == {"crm", "users", "model", "remote"}
    assert find(folder, erased["sought"]).empty and swept["left"] == []
    assert {n: v for n, v in tree(folder).items() if n in clean and n != "log"} == files


@pytest.mark.parametrize("skipped", ["log", "git", "remote"])
def test_a_store_that_is_skipped_is_where_the_person_is_found(copy, skipped):
    check_skipped(copy, skipped)


def check_skipped(folder, skipped):
    sought = needles(folder, lender.CANARY)
    names = set(survey.register(folder)) - {skipped}
    certificate = erasure.erase(folder, [lender.CANARY], on=DAY, only=sorted(names))
    assert {item["store"] for item in certificate["left"]} == {skipped}
    found = set(find(folder, sought)["store"])
    assert found == (set() if skipped in NO_ROWS else {skipped})


# --- killed ---------------------------------------------------------------------------------------


def killed(folder, people, call):
    """Erase in a child that kills itself at a call to a primitive; say whether it came so far."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == signal.SIGKILL
    left = iter(range(call))

    def counted(function):
        def wrapper(*args, **kwargs):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapper

    os.replace, os.unlink = counted(os.replace), counted(os.unlink)
    subprocess.run = counted(subprocess.run)
    try:
        erasure.erase(folder, people, on=DAY)
    finally:
        os._exit(0)


def check_killed(lender_folder, place, calls, people):
    whole = copy_of(lender_folder, place / "whole")
    erasure.erase(whole, people, on=DAY)
    expected = tree(whole)
    states = set()
    for call in calls:
        folder = copy_of(lender_folder, place / f"killed {call}")
        if not killed(folder, people, call):
            break
        states.add(json.dumps(tree(folder)))
        erasure.erase(folder, people, on=DAY)
        assert tree(folder) == expected, call
        remove(folder)
    return len(states)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_anywhere_and_run_again_is_the_same(lender_folder, tmp_path):
    people = subjects_of(lender_folder)
    assert (
        check_killed(lender_folder, tmp_path, [140, 190], people) == 2
    )  # in the workspace, in the store


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_at_every_eighth_step(lender_folder, tmp_path):
    assert check_killed(lender_folder, tmp_path, range(0, 10_000, 8), [lender.CANARY]) > 20


@pytest.mark.slow
@pytest.mark.parametrize("skipped", sorted(ALL | NO_ROWS))
def test_every_store_that_is_skipped_is_where_the_person_is_found(copy, skipped):
    check_skipped(copy, skipped)


@pytest.mark.slow
def test_200_people_in_ten_versions(params, tmp_path):
    world = parameters.maker("loans")(
        rng=parameters.stream(7, "loans", "make"), **params["worlds"]["loans"]
    )
    folder = lender.build(tmp_path / "lender", world, versions=10, canary=True)
    users = lender.read_raw(folder / "project")["users"]["user_id"]
    drawn = np.random.default_rng(3000).choice(users[users != lender.CANARY], 199, replace=False)
    people = [lender.CANARY, *map(int, drawn)]
    sought = [needles(folder, person) for person in people]
    found, tags, before = find(folder, sought), tags_of(folder), rows_of(folder, tmp_path / "old")
    assert set(found["user_id"]) == set(people)
    assert set(found.loc[found["user_id"] == lender.CANARY, "store"]) == ALL
    others_of = set(before["v10 data/raw/users.parquet"][0]["user_id"])
    newcomer = max(others_of - set(before["v9 data/raw/users.parquet"][0]["user_id"]))
    sought.append(needles(folder, newcomer))
    told = erasure.erase(folder, [newcomer], on=DAY)["versions"]
    assert [entry["version"] for entry in told] == ["v10"]
    for some in (people[:1], people[1:10], people[10:]):
        certificate = erasure.erase(folder, some, on=DAY)
        assert certificate["left"] == [] and len(certificate["subjects"]) == len(some)
    check_gone(folder, sought, tags)
    check_history(folder, dict(sorted(tags.items(), key=lambda tag: int(tag[0][1:]))), 4)
    assert len(tags) == 10
    moved = check_others(before, rows_of(folder, tmp_path / "new"), sought)
    assert 0 < moved < 0.1
    shown = shell(folder, "dvc repro", "dvc repro -f", "dvc status -c", "git status --short")
    assert "Data and pipelines are up to date" in shown and "are in sync" in shown
    assert shown.endswith("$ git status --short"), "made again, the outputs are other ones"
    shell(folder, "git clone -q project clone", where=".")
    for tag in ("v1", "v10"):
        pulled = shell(folder, f"git checkout -q {tag}", "dvc pull", where="clone", may_fail=True)
        assert "failed to pull data" in pulled and pulled.endswith("[exit 1]")
    shell(folder, "git checkout -q main", "dvc pull -q", where="clone")
    print(len(found), moved, erasure.replaced(certificate), sep="\n")


# --- safety ---------------------------------------------------------------------------------------


def test_a_dry_run_touches_no_byte(lender_folder):
    def state():
        return {f: (f.stat().st_mtime_ns, hashlib.md5(f.read_bytes()).digest())
                for f in Path(lender_folder).rglob("*") if f.is_file()}  # fmt: skip

    before = state()
    result = CliRunner().invoke(
        app, ["erase", str(lender.CANARY), "--folder", str(lender_folder), "--dry-run"]
    )
    assert result.exit_code == 0 and "dangling" in result.output
    assert state() == before


def pack(folder, members):
    with zipfile.ZipFile(folder / "exports/2025-06.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def damage(folder, name):
    """Make one kind of bad input, and return subjects."""
    register = folder / "project" / "stores.yaml"
    if name == "unknown subject":
        return [lender.CANARY, 77_777_777]
    if name == "everybody":
        return lender.read_raw(folder / "project")["users"]["user_id"].tolist()
    if name == "no register":
        register.unlink()
    elif name == "unreadable":
        (folder / "logs/served.jsonl.gz").write_bytes(b"no gzip")
    elif name == "missing":
        (folder / "marketing.csv").unlink()
    elif name == "path out":
        register.write_text(register.read_text().replace("path: marketing.csv", "path: ../x.csv"))
    elif name == "no keys":
        register.write_text(register.read_text().replace("{email_sha256: email_sha256}", "{}"))
    elif name == "no column":
        register.write_text(register.read_text().replace("{email_sha256: email", "{mail: email"))
    elif name == "link":
        (folder / "marketing.csv").rename(folder / "other.csv")
        (folder / "marketing.csv").symlink_to("other.csv")
    elif name == "linked object":
        file = next((folder / "store/files/md5").glob("??/*"))
        file.rename(folder / "object")
        file.symlink_to(folder / "object")
    elif name == "objects of DVC 2":
        (folder / "store/00").mkdir()
        (folder / "store/00/ff").write_bytes(b"old")
    elif name == "git is locked":
        (folder / "project/.git/index.lock").touch()
    elif name == "in a merge":
        (folder / "project/.git/MERGE_HEAD").touch()
    elif name == "semicolons":
        pack(folder, {"a.csv": b"user_id;email\n424242;x@y.z\n", "b.csv": b"user_id\n1\n"})
    elif name == "member without keys":
        pack(folder, {"a.csv": b"client,x\n424242,1\n", "b.csv": b"user_id\n1\n"})
    elif name == "odd keys":
        register.write_text(register.read_text().replace("{email_sha256: email_sha256}", "[a]"))
    elif name == "text as subjects":
        return str(lender.CANARY)
    elif name == "no whole numbers":
        return [True]
    elif name == "nobody":
        return []
    elif name == "detached":
        shell(folder, "git checkout -q --detach")
    elif name == "no repository":
        remove(folder / "project/.git")
    elif name == "unregistered":
        register.write_text(register.read_text().replace("data/vectors.npz", "data/other.npz"))
    elif name == "lock changed":
        lock = folder / "project" / "dvc.lock"
        lock.write_text(lock.read_text().replace("python train.py", "python trained.py"))
    elif name == "wrong object":
        file = next((folder / "store/files/md5").glob("??/*"))
        file.chmod(0o644)
        file.write_bytes(b"damaged")
    elif name == "key lost":
        records.begin(folder, Listed(KEY, frozenset("a")), {"digests": []})
        (folder / "erasure/key").unlink()
    return [lender.CANARY]


BAD = {
    "unknown subject": "user_id 77777777: unknown in every store",
    "everybody": "v1 without them: .*nothing was touched",
    "no register": "no register of stores",
    "unreadable": "served.jsonl.gz: not readable as jsonl.gz",
    "missing": "marketing.csv: no such file",
    "path out": "leads out of",
    "no keys": "marketing: expected a column",
    "no column": "marketing.csv: has none of the columns mail",
    "detached": "HEAD is on no branch",
    "no repository": "not a git repository",
    "unregistered": "data/vectors.npz: a version names it and stores.yaml does not",
    "lock changed": "dvc.lock: has changes that are not committed",
    "wrong object": "content and name differ",
    "key lost": "key is lost",
    "link": "marketing.csv: is a link; name other.csv",
    "linked object": "is a link; put the file",
    "objects of DVC 2": "store/00: objects of DVC 2",
    "git is locked": "index.lock: git is at work, or was killed",
    "in a merge": "MERGE_HEAD: git waits",
    "semicolons": "expected commas between fields, came ';'",
    "member without keys": "has none of the columns",
    "odd keys": "stores.yaml: expected name, path",
    "text as subjects": "expected a list of user ids",
    "no whole numbers": "expected whole numbers",
    "nobody": "at least one user id",
}


@pytest.fixture(scope="module")
def damaged(lender_folder, tmp_path_factory):
    return copy_of(lender_folder, tmp_path_factory.mktemp("damaged") / "lender")


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_error_before_anything_is_touched(damaged, tmp_path, name):
    folder = shutil.copytree(damaged, tmp_path / "bad")
    people = damage(folder, name)
    (folder / "erasure/lock").touch()
    before = tree(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=BAD[name]):
        erasure.erase(folder, people, on=DAY)
    assert tree(folder) == before


def test_one_erasure_at_a_time(copy):
    with records.locked(copy), pytest.raises(ValueError, match="another erasure is at work"):
        erasure.erase(copy, [lender.CANARY], on=DAY)


def test_what_git_history_holds_is_reported_and_the_command_ends_with_1(copy, tmp_path):
    sought = needles(copy, lender.CANARY)
    (copy / "project/note.md").write_text(f"Call {sought.email} back.\n")
    with closing(sqlite3.connect(copy / "crm.sqlite")) as crm, crm:
        crm.execute(
            "INSERT INTO customers VALUES (1, 'x@mail.example', ?)", [f"see {sought.email}"]
        )
    shell(copy, "git add note.md", "git commit -q -m note")
    naive_delete(copy, lender.CANARY)
    file = tmp_path / "certificate.json"
    words = ["erase", str(lender.CANARY), "--folder", str(copy), "--json", str(file)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "git history is not rewritten" in result.output and "free text" in result.output
    left = json.loads(file.read_text())["left"]
    assert {item["store"] for item in left} == {"git", "crm"}
    assert set(find(copy, sought)["store"]) == {"git", "crm", "project"}
    assert date.fromisoformat(json.loads(file.read_text())["on"]) <= date.today()


def test_the_certificate_claims_no_more_than_is_gone(copy):
    """Git history, two stashes, packed files, a model without its rows: told, and left alone."""
    sought, project = needles(copy, lender.CANARY), copy / "project"
    (project / "taken back.txt").write_text(f"by {sought.email}")
    shell(copy, "git add .", "git commit -q -m back", "git reset -q --hard HEAD~1")
    rows = f"user_id,note\n1,{sought.email}\n{lender.CANARY},x\n"
    (project / "note.csv").write_text(rows)
    pack(copy, {"a.csv": rows.encode()})
    shutil.move(copy / "exports/2025-06.zip", project / "sheet.xlsx")
    (project / "sheet.csv.gz").write_bytes(gzip.compress(rows.encode()))
    (project / "wide.txt").write_bytes(sought.email.encode("utf-16"))
    shell(copy, "git add .", "git commit -q -m notes")
    pack(copy, {"a.csv": b"user_id\n1\n"})
    for text in (sought.email, "other"):
        (project / "features.py").write_text(text)
        shell(copy, "git stash -q")
    first = versions.commits(copy)[0]
    files = versions.files_of(first, {}, [copy / "store"])
    for path, name in {**first.outs, **files}.items():
        if path != "neighbours.skops":
            for root in ("project/.dvc/cache", "store"):
                versions.object_file(copy / root, name).unlink()
    certificate = erasure.erase(copy, [lender.CANARY], on=DAY)
    left = pd.DataFrame(certificate["left"])
    assert left["store"].value_counts().to_dict() == {"git": 5, "cache": 1, "remote": 1}
    assert left.loc[left["store"] == "git", "rows"].tolist().count(0) == 1, "not to be opened"
    assert "rows that it was fitted on" in left.loc[left["store"] == "cache", "why"].item()
    assert certificate["removed"]["git"] == 2, "what nothing or only the reflog reaches"
    assert len(output(copy, "git stash list").splitlines()) == 2
    assert set(find(copy, sought)["store"]) == {"git", "cache", "remote", "project"}


def test_versions_of_raw_tables_alone_and_files_that_head_has_no_more(copy):
    sought, lock = needles(copy, lender.CANARY), copy / "project" / "dvc.lock"
    text = lock.read_text()
    (copy / "project/dvc.yaml").write_text("stages: {}\n")
    lock.write_text("<<<<<<< ours\n" + text + ">>>>>>> theirs\n: :\n")
    shell(copy, "git commit -q -am 'A merge gone wrong'")
    lock.unlink()
    shell(copy, "git add -A", "git commit -q -m 'No pipeline'", "git tag raw", "git tag again")
    certificate = erasure.erase(copy, [lender.CANARY], on=DAY)
    assert certificate["left"] == [] and find(copy, sought).empty
    assert erasure.replaced(certificate)["version"].tolist()[:2] == ["v1", "v2"]
    for tag in ("raw", "again"):
        assert len(erasure.old_version(copy, tag, copy.parent / tag)) == 3
    with pytest.raises(ValueError, match="version 'v9': expected one of v1"):
        erasure.old_version(copy, "v9", copy.parent / "v9")


def test_a_full_disk_ends_in_a_state_that_says_so(copy, monkeypatch):
    calls, replace = iter(range(30)), os.replace

    def full(*names):
        if next(calls, None) is None:
            raise OSError(28, "No space left on device")
        replace(*names)

    words = ["erase", str(lender.CANARY), "--folder", str(copy)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 1 and "begun and not ended" in result.stderr
    assert CliRunner().invoke(app, ["erase", "--resume", *words[2:]]).exit_code == 0
    assert not list(copy.rglob("*.erasing")) and not (copy / "erasure/open.json").exists()


def test_what_somebody_changed_in_the_workspace_stays_and_is_cleaned(copy):
    file = copy / "project/data/raw/users.parquet"
    users = pd.read_parquet(file)
    own = pd.concat([users.iloc[[0]].assign(user_id=999_999, email="new@mail.example"), users])
    own.to_parquet(file, index=False)
    erasure.erase(copy, [lender.CANARY], on=DAY)
    kept = own[own["user_id"] != lender.CANARY].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(file).reset_index(drop=True), kept)


def test_the_log_shows_that_a_line_was_changed(tmp_path):
    told = {"on": DAY, "subjects": [], "removed": {"crm": 1}, "left": []}
    for name in "ab":
        records.place(tmp_path).mkdir(exist_ok=True)
        records.end(tmp_path, {"request": name, **told}, event="erased")
        records.end(tmp_path, {"request": name, **told}, event="erased")
    assert [entry["request"] for entry in records.log(tmp_path)] == ["a", "b"]
    file, text = (
        tmp_path / "erasure/certificate-b.json",
        (tmp_path / "erasure/certificate-b.json").read_text(),
    )
    file.write_text("{}")
    with pytest.raises(ValueError, match="certificate-b.json and .* differ"):
        records.log(tmp_path)
    file.write_text(text)
    file = tmp_path / "erasure/log.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0])
    with pytest.raises(ValueError, match="certificate-b.json and .* differ"):
        records.log(tmp_path)
    file.write_text("".join(lines))
    file.write_text(file.read_text().replace('{"crm": 1}', '{"crm": 0}', 1))
    for text in (file.read_text(), "[]\n", "no JSON\n", "{}\n"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"line 1: was changed"):
            records.log(tmp_path)


# --- who a row is about ---------------------------------------------------------------------------


def listed(*pairs):
    return Listed(KEY, frozenset(identity.digest(kind, v, key=KEY) for kind, v in pairs))


def test_the_strongest_key_decides_and_kinds_do_not_mix():
    rows = pd.DataFrame(
        {"user_id": [7, 8, None, 9], "application_id": [1, 2, 3, 7], "email": ["A@x ", "a@x"] * 2}
    )
    keys = {"user_id": "user_id", "application_id": "application_id", "email": "email"}
    some = listed(("user_id", 7), ("email", "a@x"), ("application_id", "3"))
    assert identity.holds(rows, some, keys).tolist() == [True, False, True, False]
    assert identity.without(rows, some, keys).index.tolist() == [1, 3]


def test_keys_of_a_person_leave_out_what_others_share():
    table = pd.DataFrame({"user_id": [7, 7, 8], "email": ["a@x", "b@x", "b@x"]})
    keys = {"user_id": "user_id", "email": "email"}
    found = identity.keys_of([(table, keys)], listed(("user_id", 7)))
    mine = listed(("user_id", 7), ("email", "a@x"), ("email_sha256", naive_token("a@x")))
    assert found.digests == mine.digests
    assert found.shared == 2


# --- formats --------------------------------------------------------------------------------------


def drop_two(table):
    return (table["key"].astype(str) == "2").to_numpy()


def database(path):
    with closing(sqlite3.connect(path)) as made, made:
        made.execute('CREATE TABLE "odd ""name" (key INTEGER, note TEXT)')
        notes = [(i, f"secret{i} " * 20) for i in range(40)]
        made.executemany('INSERT INTO "odd ""name" VALUES (?, ?)', notes)
    return path.read_bytes()


def test_text_formats_keep_the_bytes_of_what_stays():
    text = b'\xef\xbb\xbfkey,note\r\n1,"two\nlines"\r\n2,x\r\n3,\xe2\x80\xa8"q"" "\n'
    kept = text.replace(b"2,x\r\n", b"")
    assert stores.rewrite(text, "csv", drop_two) == kept
    lines = b'{"key": 1,  "f": {"a": 2}}\n{"key": 2}\n\n{"key": 3}'
    packed = stores.rewrite(gzip.compress(lines), "jsonl.gz", drop_two)
    assert gzip.decompress(packed) == lines.replace(b'{"key": 2}\n', b"")
    assert stores.rewrite(text, "csv", lambda t: np.zeros(len(t), dtype=bool)) is text


def test_parquet_forgets_categories_and_statistics_and_keeps_types():
    table = pd.DataFrame({"key": pd.array([1, 2, 3], "Int8"), "word": ["b", "gone", "a"]})
    table["word"] = pd.Categorical(table["word"], categories=["gone", "b", "unused", "a"])
    packed = io.BytesIO()
    table.to_parquet(packed)
    content = stores.rewrite(packed.getvalue(), "parquet", drop_two)
    read = pd.read_parquet(io.BytesIO(content))
    assert read["word"].cat.categories.tolist() == ["b", "unused", "a"] and b"gone" not in content
    assert read["key"].dtype == table["key"].dtype and read["word"].tolist() == ["b", "a"]


def test_sqlite_keeps_nothing_in_free_pages_and_is_left_alone_when_clean(tmp_path):
    content = database(tmp_path / "a.sqlite")
    clean = stores.rewrite(content, "sqlite", drop_two)
    assert b"secret2 " not in clean and b"secret3 " in clean
    assert stores.rewrite(clean, "sqlite", drop_two) is clean
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as made:
        made.execute("PRAGMA secure_delete = OFF")
        with made:
            made.execute('DELETE FROM "odd ""name" WHERE key = 2')
        made.execute("PRAGMA journal_mode = WAL")
    left = (tmp_path / "a.sqlite").read_bytes()
    tidy = stores.rewrite(left, "sqlite", drop_two)
    assert b"secret2 " in left and b"secret2 " not in tidy and tidy[18:20] == b"\x02\x02"


def test_no_trigger_copies_what_is_deleted_or_forbids_it():
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript("""CREATE TABLE copies (key, word); CREATE TABLE t (key, word);
            INSERT INTO t VALUES (1, 'a'), (2, 'gone');
            CREATE TRIGGER x AFTER DELETE ON t BEGIN INSERT INTO copies VALUES (9, old.word); END;
            CREATE TRIGGER y BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'never'); END""")
        clean = stores.rewrite(made.serialize(), "sqlite", drop_two)
        made.deserialize(clean)
        kept = made.execute("SELECT word FROM copies UNION SELECT word FROM t").fetchall()
        triggers = made.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    assert kept == [("a",)] and triggers == [("x",), ("y",)] and b"gone" not in clean


def test_a_key_is_found_as_an_index_and_beside_longer_arrays():
    packed, arrays = io.BytesIO(), io.BytesIO()
    pd.DataFrame({"key": [1, 2, 9], "word": ["b", "gone", "c"]}).set_index("key").to_parquet(packed)
    content = stores.rewrite(packed.getvalue(), "parquet", drop_two)
    assert pd.read_parquet(io.BytesIO(content)).index.tolist() == [1, 9]
    np.savez(arrays, key=np.arange(3), a=np.zeros(9), b=np.ones(9))

    def drop(table):
        return (table["key"] == 2).to_numpy() if "key" in table else np.zeros(len(table), bool)

    kept = np.load(io.BytesIO(stores.rewrite(arrays.getvalue(), "npz", drop)))
    assert kept["key"].tolist() == [0, 1] and len(kept["a"]) == len(kept["b"]) == 9


def test_nested_archives_and_arrays_lose_the_row():
    inner, outer, arrays = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(arrays, key=np.arange(4), matrix=np.eye(4), name=np.array("x"))
    for target, members in ((inner, {"a.csv": b"key\n1\n2\n"}), (outer, {"d/": b""})):
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            if target is outer:
                archive.writestr("inner.zip", inner.getvalue())
                archive.writestr("arrays.npz", arrays.getvalue())
    content = stores.rewrite(outer.getvalue(), "zip", drop_two)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        nested = zipfile.ZipFile(io.BytesIO(archive.read("inner.zip"))).read("a.csv")
        kept = np.load(io.BytesIO(archive.read("arrays.npz")))
        assert nested == b"key\n1\n" and kept["key"].tolist() == [0, 1, 3]
        assert kept["matrix"].shape == (3, 4) and archive.namelist()[0] == "d/"


@pytest.mark.parametrize("form", stores.FORMATS)
def test_what_is_not_of_its_format_is_a_clear_error(form):
    with pytest.raises(ValueError, match=f"not readable as {form}"):
        stores.read(b'"\x00\xff', form)
