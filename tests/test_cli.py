"""The command line: it helps, and a mistake is one line and status 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

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


@pytest.mark.parametrize("words", [[], ["claims"], ["scores"], ["reset"], ["audit", "skew"]])
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
