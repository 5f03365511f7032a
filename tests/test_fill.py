"""Solved copies: what is filled, what is kept, and a strict run that is red for a wrong answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mlkit.fill import IGNORE, Block, blocks, fill, filled, reference
from mlkit.notebooks import convert, environment

sys.path.insert(0, str(Path(__file__).parent))
import gate

ROOT = Path(__file__).parents[1]
SOURCE = """\
# %%
import numpy as np
import pandas as pd

from mlkit.check import answer, check, predict

# %% tags=["exercise"]
predict("skew.b1", ...)

# %% tags=["exercise"] mlkit={"exercise": "skew.1"}
def share_by_release(log, rtol):
    raise NotImplementedError

check("skew.1", share_by_release)

# %% tags=["exercise"] mlkit={"exercise": "skew.quiz"}
answer("skew", q1=..., q2=..., q3=...)

# %%
print("the end")
"""


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "source.py"
    path.write_text(SOURCE, encoding="utf-8")
    return convert(path)


@pytest.fixture
def folder(tmp_path, notebook):
    (tmp_path / "in").mkdir()
    nbformat.write(notebook, tmp_path / "in/01_tiny.ipynb")
    (tmp_path / "in/conftest.py").write_text("# rules\n", encoding="utf-8")
    return tmp_path / "in"


def test_blocks_know_their_exercise_and_the_words_they_must_earn(tmp_path):
    file = tmp_path / "w.py"
    text = "# %% a.1\nx = 1\n\n# %% a.1 also\nx = 2\n# %% b.2 says: the mean\ndef f():\n    pass\n"
    file.write_text(text, encoding="utf-8")
    found = blocks(file)
    assert [b.id for b in found] == ["a.1", "a.1", "b.2"]
    assert found[2] == Block("b.2", "the mean", "def f():\n    pass")


def test_reference_is_the_first_block():
    assert reference("skew.1").startswith("def share_by_release(log, rtol):\n    differs = ~np")


def test_exercise_without_a_solution_is_named():
    with pytest.raises(ValueError, match=r"skew\.9: no block '# %% skew\.9' in .*skew\.py"):
        reference("skew.9")


def test_filled_cell_holds_the_solution_and_its_check(notebook):
    cell = filled(notebook).cells[2]
    assert cell.source == reference("skew.1") + '\n\ncheck("skew.1", share_by_release)'
    assert IGNORE in cell.metadata.tags


def test_quiz_is_answered_and_bets_are_left_open(notebook):
    cells = filled(notebook).cells
    assert cells[3].source == 'answer("skew", q1="b", q2="c", q3="d")'
    assert cells[1].source == 'predict("skew.b1", ...)' and IGNORE in cells[1].metadata.tags


def test_cells_outside_of_exercises_are_left_alone(notebook):
    before = [
        cell.source for cell in notebook.cells if "exercise" not in cell.metadata.get("tags", [])
    ]
    after = [c for c in filled(notebook).cells if "exercise" not in c.metadata.get("tags", [])]
    assert [cell.source for cell in after] == before
    assert not any(IGNORE in cell.metadata.get("tags", []) for cell in after)


def test_folder_is_copied_with_its_rules(folder, tmp_path):
    assert fill(folder, tmp_path / "out") == [tmp_path / "out/01_tiny.ipynb"]
    assert (tmp_path / "out/conftest.py").read_text(encoding="utf-8") == "# rules\n"
    assert fill(folder, tmp_path / "out"), "a second time over its own copies"


def test_folder_of_origin_is_never_written(folder):
    for target in (folder, folder / "below"):
        with pytest.raises(ValueError, match="expected a folder outside of"):
            fill(folder, target)


def test_foreign_notebooks_are_not_overwritten(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "mine")
    with pytest.raises(ValueError, match=r"01_tiny\.ipynb was not made by `mlkit fill`"):
        fill(folder, tmp_path / "mine")


def test_folder_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no notebooks here"):
        fill(tmp_path, tmp_path / "out")


def strict_run(tmp_path, notebook, answers):
    """Return the exit status and report of nbval on a notebook with these answers."""
    from mlkit.notebooks import _execute

    variables = {**os.environ, **environment(tmp_path / "home")}
    _execute(notebook, ROOT, variables, "tiny")
    path = ROOT / ".mlkit" / f"{tmp_path.name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    try:
        nbformat.write(filled(notebook, answers), path)
        command = "-m pytest --nbval --nbval-current-env -p no:xdist -p no:cacheprovider -q"
        done = subprocess.run(
            [sys.executable, *command.split(), str(path)],
            env={**variables, "MLKIT_STRICT": "1", "MLKIT_HOME": str(tmp_path / "strict")},
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    finally:
        path.unlink()
    return done.returncode, done.stdout


def test_strict_run_is_green_with_the_solutions(tmp_path, notebook):
    status, report = strict_run(tmp_path, notebook, None)
    assert status == 0, report


def test_strict_run_is_red_with_a_wrong_answer(tmp_path, notebook):
    wrong = next(b for b in gate.wrong("skew") if b.id == "skew.1")
    answers = {"skew.1": wrong.code, "skew.quiz": reference("skew.quiz")}
    status, report = strict_run(tmp_path, notebook, answers)
    assert status == 1
    assert wrong.says in report
