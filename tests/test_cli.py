"""The command line: it helps, and a mistake is one line and status 2."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlkit import check
from mlkit.cli import app

ROOT = Path(__file__).parent.parent


def mlkit(*words, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "mlkit", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words", [[], ["claims"], ["scores"], ["reset"], ["fill"], ["audit", "skew"]]
)
def test_help_says_what_a_command_does(words):
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0 and "Usage" in result.output and len(result.output) > 200


def test_scores_prints_a_row_for_each_state(tmp_path, monkeypatch):
    row = {"offline": 0.8, "honest": 0.7, "production": 0.6, "naive_found": False, "found": True}
    (tmp_path / "data/skew").mkdir(parents=True)
    (tmp_path / "data/skew/score.json").write_text(json.dumps({"broken": row}))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["scores"])
    assert "broken" in result.output and "0.600" in result.output
    assert "passes" in result.output and "fires" in result.output


def test_scores_without_scores_says_how_to_make_them(tmp_path):
    result = mlkit("scores", cwd=tmp_path)
    assert (
        result.returncode == 2 and result.stderr.count("\n") == 1 and "make repro" in result.stderr
    )


def test_an_unknown_challenge_is_one_line(tmp_path):
    result = mlkit("claims", "--only", "scew")
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "skew" in result.stderr


def test_reset_of_an_unknown_notebook_is_one_line():
    result = mlkit("reset", "99_nothing")
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "01_skew" in result.stderr


def copy_of_the_tour(folder):
    """Lay a project with one notebook into a folder."""
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copy(ROOT / "notebooks/00_tour.ipynb", folder / "notebooks")


def test_fill_writes_solved_copies(tmp_path, monkeypatch):
    copy_of_the_tour(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["fill", "notebooks", "out"])
    assert result.output == "1 notebooks with solutions in out\n"
    assert 'q1=\\"b\\"' in (tmp_path / "out/00_tour.ipynb").read_text(encoding="utf-8")


def test_fill_of_a_folder_that_is_not_there_is_one_line(tmp_path):
    result = mlkit("fill", "nothing", "out", cwd=tmp_path)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "no notebooks here" in result.stderr


def test_reset_forgets_answers_only_when_asked(tmp_path, monkeypatch):
    copy_of_the_tour(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLKIT_HOME", str(tmp_path / "home"))
    check.predict("tour.b1", "schema")
    CliRunner().invoke(app, ["reset", "00"])
    assert "schema" in (tmp_path / "home/progress.json").read_text(encoding="utf-8")
    result = CliRunner().invoke(app, ["reset", "00", "--answers"])
    assert result.output.splitlines()[-1] == "forgotten: 1 bets, attempts and answers"
    assert "schema" not in (tmp_path / "home/progress.json").read_text(encoding="utf-8")
