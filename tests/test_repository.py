"""The throw-away repository: one real one for all tests, its isolation, and its errors."""

import hashlib
import json

import pytest

from mlkit import repository
from mlkit.repository import environment
from mlkit.tables import write_text
from mlkit.versioning.repository import TRAIN, begin, history, remove, shell

ROWS = "offer_id,period,a,accepted\n" + "".join(
    f"{i},train,{i % 7},{i % 7 > 3}\n" for i in range(40)
)
COUNTS = """from pathlib import Path

rows = Path("data/train.csv").read_text()
Path("model.json").write_text(str(rows.count("True")), newline="")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder in which a model was trained in September, and again on a changed file."""
    place = tmp_path_factory.mktemp("versions") / "shop"
    project = begin(place, {"data/train.csv": ROWS, "train.py": COUNTS})
    shell(place, "git init -q", "dvc init -q", "dvc remote add -q -d store ../store",
          "dvc add -q data/train.csv", "dvc repro -q", "git add .", "git commit -q -m First",
          "git tag v1.0", "dvc push -q")  # fmt: skip
    write_text(ROWS.replace("True", "False", 5), project / "data/train.csv")
    shell(place, "dvc add -q data/train.csv", "dvc repro -q", "git add -u",
          "git commit -q -m Second", on="2025-10-01")  # fmt: skip
    return place


def test_model_in_production_leads_to_its_commit(folder):
    md5 = hashlib.md5((folder / "project/model.json").read_bytes()).hexdigest()
    known = history(folder)
    assert known["subject"].tolist() == ["Second", "First"]
    assert known["date"].tolist() == ["2025-10-01", "2025-09-01"]
    assert known["tag"].tolist() == ["", "v1.0"]
    assert known.loc[known["model"] == md5, "subject"].tolist() == ["Second"]


def test_script_of_the_repository_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(begin(tmp_path / "x", {"data/train.csv": ROWS}))
    exec(compile(TRAIN, "train.py", "exec"), {})
    weights = json.loads((tmp_path / "x/project/model.json").read_text())
    assert list(weights) == ["a"] and weights["a"] > 1


def test_lock_says_that_data_changed_and_code_did_not(folder):
    known = history(folder)
    differ = known.nunique().loc[["data", "code", "params", "model"]]
    assert differ.to_dict() == {"data": 2, "code": 1, "params": 1, "model": 2}


def test_commit_of_the_same_file_has_the_same_id_everywhere(tmp_path):
    begin(tmp_path / "a", {"a.txt": "a\n"})
    said = shell(tmp_path / "a", "git init -q", "git add a.txt", "git commit -m One")
    assert "[main (root-commit) 5cdda7e] One" in said


def test_rows_of_a_tag_come_back_in_a_clone(folder):
    shell(folder, "git clone -q project clone", where=".")
    shell(folder, "git checkout -q v1.0", "dvc pull -q", where="clone")
    assert (folder / "clone/data/train.csv").read_text() == ROWS


def test_settings_of_the_user_are_not_read(folder, tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Somebody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    said = shell(folder, "git log -1 --format=%an", "git config --get-all user.name", may_fail=True)
    assert "Somebody" not in said and "Shop team" in said
    assert {k for k in environment(folder) if k.startswith("GIT_")}.isdisjoint({"GIT_DIR"})


def test_transcript_holds_no_path_of_this_machine(folder):
    said = shell(folder, "git rev-parse --show-toplevel", "dvc config --show-origin core.remote",
                 may_fail=True)  # fmt: skip
    assert str(folder) not in said


def test_failure_is_told_or_raised(folder):
    said = shell(folder, "git checkout v9", "git status -s", may_fail=True)
    assert "pathspec 'v9'" in said and "[exit 1]" in said and "$ git status -s" in said
    with pytest.raises(RuntimeError, match=r"`git checkout v9` ended with status 1: .*pathspec"):
        shell(folder, "git checkout v9")


@pytest.mark.parametrize("command", ["", "rm -rf .", "python -c 1"])
def test_only_git_and_dvc_are_run(folder, command):
    with pytest.raises(ValueError, match="expected a command of git or dvc"):
        shell(folder, command)


def test_wrong_places_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="where = 'nowhere': no such folder"):
        shell(folder, "git status", where="nowhere")
    with pytest.raises(ValueError, match="expected an empty folder"):
        begin(folder)
    with pytest.raises(ValueError, match=r"'\.\.': expected a place within shop, not outside"):
        shell(folder, "git status", where="..")
    with pytest.raises(ValueError, match=r"'\.\./\.\./x': expected a place within"):
        begin(tmp_path / "evil", {"../../x": ""})
    assert not (tmp_path / "x").exists() and not (tmp_path / "evil").exists()
    begin(tmp_path / "bare")
    with pytest.raises(RuntimeError, match="git log .* ended with status 128"):
        history(tmp_path / "bare")
    shell(tmp_path / "bare", "git init -q", "git add .", "git commit -q -m one")
    with pytest.raises(ValueError, match="no commit holds a dvc.lock"):
        history(tmp_path / "bare")


def test_missing_git_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(repository.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="git: not found"):
        begin(tmp_path / "x")


def test_read_only_files_are_removed(tmp_path):
    begin(tmp_path / "gone", {"a.txt": "a"})
    (tmp_path / "gone/project/a.txt").chmod(0o444)
    remove(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
