"""Notebooks: stable builds, rules that can fail, copies that lose nothing, an nbval that is red."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from mlkit import notebooks, workspace

PROJECT = Path(__file__).resolve().parents[1]
LESSON = """\
# %% [markdown] tags=["opening"]
# # 01 Does it add up?
# If the next cell fails, run `python kit.py doctor`.

# %%
import sys

total = 1 + 1
print("total", total)
total

# %% tags=["exercise"] mlkit={"exercise": "tiny.1"}
def answer():
    raise NotImplementedError
# %%
# the same picture every time
import matplotlib.pyplot as plt
from IPython.display import display

fig, ax = plt.subplots(figsize=(1, 1))
ax.plot([1, 2])
display(fig, metadata={"image/png": {"alt": "a rising line"}})
plt.close(fig)

# %% tags=["raises-exception"]
import json

json.loads("[")
"""
PNG = "iVBORw=="


def write_source(root: Path, text: str = LESSON, name: str = "01_tiny") -> Path:
    path = root / "notebooks/src" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text("seed: 7\n", encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    return path


def pretend_built(root: Path, text: str = LESSON, name: str = "01_tiny") -> Path:
    """A notebook that looks as if `build` had run it; no kernel is started."""
    notebook = notebooks.convert(write_source(root, text, name))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
    path = root / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def amend(path: Path, change: Callable[[Any], object]) -> None:
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def add_line(path: Path) -> None:
    amend(path, lambda notebook: notebook.cells[1].update(source="mine = 1"))


def first_code(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[1].source


# Build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one notebook, built; tests read it, or change a copy of it."""
    root = tmp_path_factory.mktemp("project")
    write_source(root)
    notebooks.build(root)
    return root


@pytest.fixture(scope="module")
def cells(built: Path) -> list[Any]:
    return nbformat.read(built / "notebooks/01_tiny.ipynb", as_version=4).cells


def copy_of(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def test_building_twice_gives_the_same_bytes(built, tmp_path):
    root = copy_of(built, tmp_path)
    path = root / "notebooks/01_tiny.ipynb"
    before = path.read_bytes()
    path.unlink()
    assert notebooks.build(root, ["01"]) == [path]
    assert path.read_bytes() == before


def test_a_built_notebook_passes_every_check(built):
    assert notebooks.check(built) == []


def test_cells_are_run_in_order(cells):
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, 3, 4]


def test_a_built_notebook_holds_its_outputs(cells):
    assert [output.get("text") or output.data["text/plain"] for output in cells[1].outputs] == [
        "total 2\n",
        "2",
    ]


def test_tags_and_exercise_names_survive_the_build(cells):
    assert cells[0].metadata == {"tags": ["opening"]}
    assert cells[2].metadata == {"tags": ["exercise"], "mlkit": {"exercise": "tiny.1"}}


def test_an_intended_error_keeps_no_frames_of_this_machine(cells):
    assert cells[4].outputs[0].traceback == [
        "JSONDecodeError: Expecting value: line 1 column 2 (char 1)"
    ]


def test_notebook_metadata_names_no_patch_version(built):
    metadata = nbformat.read(built / "notebooks/01_tiny.ipynb", as_version=4).metadata
    assert metadata == notebooks.METADATA


def test_cell_ids_depend_on_content_and_are_unique(tmp_path):
    text = "# %%\n1\n\n# %%\n1\n\n# %%\n2\n"
    source = write_source(tmp_path, text)
    first, second = ([cell.id for cell in notebooks.convert(source).cells] for _ in range(2))
    assert first == second
    assert len(set(first)) == 3


def test_a_notebook_is_written_with_unix_line_ends_and_one_at_its_end(built):
    data = (built / "notebooks/01_tiny.ipynb").read_bytes()
    assert b"\r" not in data
    assert data.endswith(b"}\n")


def test_a_failing_cell_leaves_the_old_notebook_untouched(built, tmp_path):
    root = copy_of(built, tmp_path)
    before = (root / "notebooks/01_tiny.ipynb").read_bytes()
    write_source(root, LESSON.replace("total = 1 + 1", "total = 1 / 0"))
    expected = r"src/01_tiny.py, cell 2, line 'total = 1 / 0': ZeroDivisionError: division by zero$"
    with pytest.raises(RuntimeError, match=expected):
        notebooks.build(root)
    assert (root / "notebooks/01_tiny.ipynb").read_bytes() == before
    assert not list(root.glob("notebooks/.*"))


def test_a_cell_that_never_ends_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "TIMEOUT_SECONDS", 1)
    write_source(tmp_path, "# %%\nwhile True:\n    pass\n")
    with pytest.raises(RuntimeError, match=r"01_tiny.py, cell 1: .*timed out"):
        notebooks.build(tmp_path)


def test_a_notebook_runs_in_its_own_folder_with_a_fresh_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLKIT_HOME", str(tmp_path / "mine"))
    lines = ["import os, pathlib", "assert pathlib.Path.cwd().name == 'exercises'"]
    lines += ["assert os.environ['OMP_NUM_THREADS'] == '1'", "home = os.environ['MLKIT_HOME']"]
    lines += ["assert not os.path.exists(home) and 'mine' not in home"]
    write_source(tmp_path, "# %%\n" + "\n".join(lines), "exercises/ex1_tiny")
    [path] = notebooks.build(tmp_path, ["ex1"])
    assert path == tmp_path / "notebooks/exercises/ex1_tiny.ipynb"


def test_building_an_unknown_name_lists_the_known_ones(tmp_path):
    write_source(tmp_path)
    with pytest.raises(ValueError, match=r"no notebook '02'.* is '01'; there are: 01_tiny$"):
        notebooks.build(tmp_path, ["02"])


# Check: every rule has a notebook that breaks it


def test_a_clean_notebook_has_no_problems(tmp_path):
    pretend_built(tmp_path)
    assert notebooks.check(tmp_path) == []


EXERCISE = '# %% tags=["exercise"]'
BAD_SOURCES = {
    "a_decimal": ("add up?", "add up to 0.84?", "cell 1: '0.84' in markdown"),
    "a_percentage": ("add up?", "add up in 30 % of cases?", "cell 1: '30 %' in markdown"),
    "sixteen_code_lines": ("total = 1 + 1", "x = 1\n" * 13, "cell 2: 16 code lines"),
    "a_function": ("total = 1 + 1", "def f(x):\n    return x", "cell 2: def or class"),
    "a_class": ("total = 1 + 1", "class A:\n    b = 1", "cell 2: def or class"),
    "an_untagged_answer": ('tags=["exercise"] ', "", "cell 3: def or class"),
    "no_way_out": ("kit.py doctor", "kit.py", "cell 2: no text beside the first code cell"),
    "too_many_cells": (EXERCISE, "# %%\n1\n\n" * 29 + EXERCISE, "has 33 cells to read"),
}


@pytest.mark.parametrize("fault", BAD_SOURCES)
def test_check_finds_in_a_source(tmp_path, fault):
    old, new, expected = BAD_SOURCES[fault]
    pretend_built(tmp_path, LESSON.replace(old, new))
    assert expected in notebooks.check(tmp_path)[0]


def put(number: int, kind: str, **content: Any) -> Callable[[Any], None]:
    """A change of a notebook: cell `number` (from 0) has one more output."""
    return lambda nb: nb.cells[number].outputs.append(new_output(kind, **content))


def show(metadata: dict[str, Any], kind: str = "image/png", data: str = PNG) -> Any:
    return put(1, "display_data", data={kind: data}, metadata=metadata)


def say(text: str, name: str = "stdout") -> Callable[[Any], None]:
    return put(1, "stream", name=name, text=text)


def fail(number: int) -> Callable[[Any], None]:
    return put(number, "error", ename="KeyError", evalue="'a'", traceback=[])


def count(number: int, value: int | None) -> Callable[[Any], None]:
    return lambda notebook: notebook.cells[number].update(execution_count=value)


BAD_NOTEBOOKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "another_source": (lambda nb: nb.cells[1].update(source="2"), "cell 2: differs from its"),
    "another_type": (lambda nb: nb.cells[0].update(cell_type="raw"), "cell 1: differs from its"),
    "a_missing_cell": (lambda nb: nb.cells.pop(), "cell 5: differs from its source"),
    "an_extra_cell": (lambda nb: nb.cells.append(new_code_cell("1")), "cell 6: differs from its"),
    "a_cell_never_run": (count(2, None), "cell 3: run as None, not as 2"),
    "cells_run_out_of_order": (count(2, 7), "cell 3: run as 7, not as 2"),
    "an_error": (fail(1), "cell 2: error output KeyError"),
    "a_warning": (say("careful", "stderr"), "cell 2: output on stderr"),
    "a_picture_without_alt_text": (show({}), "cell 2: picture without alt text"),
    "a_picture_with_blank_alt_text": (
        show({"image/png": {"alt": " "}}),
        "cell 2: picture without alt text",
    ),
    "a_drawing_without_alt_text": (
        show({}, "image/svg+xml", "<svg/>"),
        "cell 2: picture without alt text",
    ),
    "the_home_folder": (say(f"saved in {Path.home()}/x"), "cell 2: output names this machine"),
    "anybodys_home": (say("saved in /home/anna/kit"), "names this machine: '/home/anna'"),
    "a_windows_home": (say(r"saved in C:\Users\anna"), "cell 2: output names this machine"),
}


@pytest.mark.parametrize("fault", BAD_NOTEBOOKS)
def test_check_finds_in_a_notebook(tmp_path, fault):
    change, expected = BAD_NOTEBOOKS[fault]
    amend(pretend_built(tmp_path), change)
    assert expected in notebooks.check(tmp_path)[0]


def test_check_finds_the_root_in_a_table(tmp_path):
    table = show({}, "text/html", f"<td>{tmp_path}/data</td>")
    amend(pretend_built(tmp_path), table)
    assert f"output names this machine: '{tmp_path}'" in notebooks.check(tmp_path)[0]


def test_check_finds_the_name_of_the_host(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "box-7")
    amend(pretend_built(tmp_path), say("served by box-7"))
    assert "cell 2: output names this machine: 'box-7'" in notebooks.check(tmp_path)[0]


def test_a_host_named_by_a_plain_word_forbids_no_prose(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "shop")
    amend(pretend_built(tmp_path), say("the shop sells"))
    assert notebooks.check(tmp_path) == []


def test_a_notebook_that_is_not_json_is_named(tmp_path):
    pretend_built(tmp_path).write_text("{", encoding="utf-8")
    assert notebooks.check(tmp_path) == ["notebooks/01_tiny.ipynb: cannot be read; build it again"]


def test_a_source_without_a_notebook_is_a_problem(tmp_path):
    write_source(tmp_path, name="exercises/ex1")
    assert notebooks.check(tmp_path) == [
        "notebooks/src/exercises/ex1.py: has no notebook; build it"
    ]


def test_a_notebook_without_a_source_is_a_problem(tmp_path):
    pretend_built(tmp_path)
    pretend_built(tmp_path, name="02_lost")
    (tmp_path / "notebooks/src/02_lost.py").unlink()
    assert notebooks.check(tmp_path) == ["notebooks/02_lost.ipynb: has no source in notebooks/src"]


def test_a_project_without_sources_is_a_problem(tmp_path):
    assert notebooks.check(tmp_path) == ["notebooks/src: no sources"]


ALLOWED_TEXTS = {
    "a quoted line": "> we saw 0.84 and 30 %",
    "inline code": "the ratio `0.84`",
    "a code fence": "```\n# x = 0.84\n```",
    "a link": "[see 4.9](a/b-1.5.html)",
    "an address": "https://example.org/v1.2",
    "a lesson's number": "## 01 and 02",
}


@pytest.mark.parametrize("text", ALLOWED_TEXTS.values(), ids=ALLOWED_TEXTS)
def test_figures_are_allowed_in(tmp_path, text):
    lines = "".join(f"# {line}\n" for line in text.splitlines())
    pretend_built(tmp_path, LESSON.replace("# If", f"{lines}#\n# If"))
    assert notebooks.check(tmp_path) == []


@pytest.mark.parametrize("name", ["01b_tiny_gallery", "exercises/ex1", "tools/01_tiny_tools"])
def test_only_lessons_have_a_limit_of_cells(tmp_path, name):
    old, new, _ = BAD_SOURCES["too_many_cells"]
    pretend_built(tmp_path, LESSON.replace(old, new), name)
    assert notebooks.check(tmp_path) == []


def test_pages_that_notebooks_link_to_are_handed_out_with_them(tmp_path):
    pretend_built(tmp_path)
    for text in ("old", "new"):
        (tmp_path / "glossary.md").write_text(text, encoding="utf-8")
        workspace.work(tmp_path)
        assert (tmp_path / "work/glossary.md").read_text(encoding="utf-8") == text


def test_an_error_is_allowed_in_a_cell_tagged_for_it(tmp_path):
    amend(pretend_built(tmp_path), fail(4))
    assert notebooks.check(tmp_path) == []


@pytest.mark.parametrize("metadata", [{"alt": "a line"}, {"image/png": {"alt": "a line"}}])
def test_alt_text_counts_with_the_picture_or_its_output(tmp_path, metadata):
    amend(pretend_built(tmp_path), show(metadata))
    assert notebooks.check(tmp_path) == []


def test_fifteen_code_lines_are_allowed_and_comments_do_not_count(tmp_path):
    pretend_built(tmp_path, LESSON.replace("total = 1 + 1", "x = 1\n\n# so\n" * 12))
    assert notebooks.check(tmp_path) == []


def test_hidden_folders_hold_no_notebooks(tmp_path):
    path = pretend_built(tmp_path)
    hidden = path.parent / ".ipynb_checkpoints/01_tiny-checkpoint.ipynb"
    hidden.parent.mkdir()
    shutil.copy(path, hidden)
    assert notebooks.check(tmp_path) == []


def test_the_projects_own_notebooks_are_clean():
    assert notebooks.check(PROJECT) == []


# Copies to work in


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A project whose one notebook was handed out."""
    amend(pretend_built(tmp_path), say("hello"))
    workspace.work(tmp_path)
    return tmp_path


MINE, NEW = "work/notebooks/01_tiny.ipynb", "work/notebooks/01_tiny.new.ipynb"
NEWER = LESSON.replace("1 + 1", "1 + 2")
NEWEST = LESSON.replace("1 + 1", "1 + 3")


def test_copies_carry_no_outputs_and_the_same_cells(lab):
    copy = nbformat.read(lab / MINE, as_version=4)
    code = [cell for cell in copy.cells if cell.cell_type == "code"]
    assert all(cell.execution_count is None and not cell.outputs for cell in code)
    assert notebooks.fingerprint(lab / MINE) == notebooks.fingerprint(
        lab / "notebooks/01_tiny.ipynb"
    )


def test_copies_keep_the_folders_of_the_project(tmp_path):
    pretend_built(tmp_path, name="exercises/ex1")
    workspace.work(tmp_path)
    assert (tmp_path / "work/notebooks/exercises/ex1.ipynb").is_file()


def test_an_unchanged_copy_follows_the_project(lab):
    pretend_built(lab, NEWER)
    assert workspace.work(lab) == []
    assert "1 + 2" in first_code(lab / MINE)


def test_a_changed_copy_stays_and_the_newer_one_lands_beside_it(lab):
    add_line(lab / MINE)
    before = (lab / MINE).read_bytes()
    pretend_built(lab, NEWER)
    [message] = workspace.work(lab)
    assert (lab / MINE).read_bytes() == before
    assert "1 + 2" in first_code(lab / NEW)
    assert "01_tiny.new.ipynb" in message


def test_the_newer_version_is_announced_once(lab):
    add_line(lab / MINE)
    pretend_built(lab, NEWER)
    workspace.work(lab)
    (lab / NEW).unlink()
    assert workspace.work(lab) == []
    assert not (lab / NEW).exists()


def test_a_changed_copy_of_an_unchanged_notebook_is_left_alone(lab):
    add_line(lab / MINE)
    before = (lab / MINE).read_bytes()
    assert workspace.work(lab) == []
    assert (lab / MINE).read_bytes() == before
    assert not (lab / NEW).exists()


def test_an_untouched_newer_version_is_replaced_by_the_newest(lab):
    add_line(lab / MINE)
    for text in (NEWER, NEWEST):
        pretend_built(lab, text)
        workspace.work(lab)
    assert "1 + 3" in first_code(lab / NEW)
    assert len(list((lab / "work/notebooks").iterdir())) == 2


def test_a_newer_version_that_the_learner_changed_is_never_overwritten(lab):
    add_line(lab / MINE)
    pretend_built(lab, NEWER)
    workspace.work(lab)
    add_line(lab / NEW)
    pretend_built(lab, NEWEST)
    workspace.work(lab)
    assert first_code(lab / NEW) == "mine = 1"
    assert "1 + 3" in first_code(lab / "work/notebooks/01_tiny.new-2.ipynb")


def run_it(notebook: Any) -> None:
    """What running a notebook in JupyterLab leaves: outputs, counts, ids, one empty last cell."""
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11.4"}
    notebook.cells[1].update(execution_count=5, id="other", metadata={"scrolled": True})
    say("ran")(notebook)
    notebook.cells.append(new_code_cell(""))


def test_running_a_copy_does_not_change_it(lab):
    amend(lab / MINE, run_it)
    pretend_built(lab, NEWER)
    assert workspace.work(lab) == []
    assert "1 + 2" in first_code(lab / MINE)


def test_a_copy_that_was_only_run_keeps_its_outputs(lab):
    amend(lab / MINE, run_it)
    before = (lab / MINE).read_bytes()
    workspace.work(lab)
    assert (lab / MINE).read_bytes() == before


@pytest.mark.parametrize("manifest", ["kept", "lost"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": [1]}', b"\xff\xfe"])
def test_an_unreadable_copy_counts_as_changed(lab, content, manifest):
    (lab / MINE).write_bytes(content)
    if manifest == "lost":
        (lab / "work/.manifest.json").unlink()
    pretend_built(lab, NEWER)
    assert len(workspace.work(lab)) == 1
    assert (lab / MINE).read_bytes() == content
    assert (lab / NEW).is_file()


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_without_a_manifest_no_copy_is_overwritten(lab, content):
    (lab / "work/.manifest.json").write_text(content, encoding="utf-8")
    add_line(lab / MINE)
    assert len(workspace.work(lab)) == 1
    assert first_code(lab / MINE) == "mine = 1"


def test_a_deleted_copy_comes_back(lab):
    (lab / MINE).unlink()
    workspace.work(lab)
    assert "1 + 1" in first_code(lab / MINE)


def test_the_manifest_holds_the_hash_of_what_was_handed_out(lab):
    handed = json.loads((lab / "work/.manifest.json").read_text(encoding="utf-8"))
    assert handed == {"01_tiny.ipynb": notebooks.fingerprint(lab / MINE)}


@pytest.mark.parametrize("name", ["01", "01_tiny"])
def test_reset_restores_and_keeps_the_learners_version(lab, name):
    add_line(lab / MINE)
    assert "01_tiny.mine.ipynb" in workspace.reset(lab, name)
    assert "1 + 1" in first_code(lab / MINE)
    assert first_code(lab / "work/notebooks/01_tiny.mine.ipynb") == "mine = 1"


def test_reset_never_overwrites_an_earlier_version(lab):
    for text in ("first", "second"):
        amend(lab / MINE, lambda notebook, text=text: notebook.cells[1].update(source=text))
        workspace.reset(lab, "01")
    assert first_code(lab / "work/notebooks/01_tiny.mine.ipynb") == "first"
    assert first_code(lab / "work/notebooks/01_tiny.mine-2.ipynb") == "second"


def test_reset_of_a_copy_that_was_only_run_keeps_no_second_one(lab):
    amend(lab / MINE, run_it)
    workspace.reset(lab, "01")
    assert [path.name for path in (lab / "work/notebooks").iterdir()] == ["01_tiny.ipynb"]
    assert not nbformat.read(lab / MINE, as_version=4).cells[1].outputs


def test_reset_reaches_exercises_by_their_short_name(tmp_path):
    pretend_built(tmp_path, name="exercises/ex1_tiny")
    workspace.reset(tmp_path, "ex1")
    assert (tmp_path / "work/notebooks/exercises/ex1_tiny.ipynb").is_file()


def test_a_lesson_wins_over_its_namesake_among_the_tools(tmp_path):
    for name in ("01_tiny", "tools/01_tiny_tools"):
        pretend_built(tmp_path, name=name)
    assert "notebooks/01_tiny.ipynb" in workspace.reset(tmp_path, "01")


def test_resetting_an_unknown_name_names_the_nearest_and_the_list(lab):
    with pytest.raises(ValueError, match="'01_tinny'; the nearest is '01_tiny'; there are: 01_ti"):
        workspace.reset(lab, "01_tinny")


def test_after_reset_the_copy_follows_the_project_again(lab):
    add_line(lab / MINE)
    workspace.reset(lab, "01")
    pretend_built(lab, NEWER)
    assert workspace.work(lab) == []
    assert "1 + 2" in first_code(lab / MINE)


def git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_a_lab_copy_of_the_project_leaves_its_tracked_files_alone(tmp_path):
    shutil.copytree(PROJECT / "notebooks", tmp_path / "notebooks")
    for name in (".gitignore", "params.yaml"):
        shutil.copy(PROJECT / name, tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    before = git(tmp_path, "status", "--porcelain")
    workspace.work(tmp_path)
    copies = sorted(tmp_path.glob("work/notebooks/*.ipynb"))
    add_line(copies[0])
    workspace.work(tmp_path)
    assert first_code(copies[0]) == "mine = 1"
    assert git(tmp_path, "status", "--porcelain") == before
    assert notebooks.check(tmp_path) == []


# Command line


def test_the_root_is_found_from_a_working_copy(lab):
    assert notebooks.find_root(lab / "work/notebooks") == lab.resolve()


def test_outside_a_project_the_error_says_what_was_expected(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected a folder with params.yaml and notebooks/"
    ):
        notebooks.find_root(tmp_path)


def test_check_prints_problems_and_exits_with_1(tmp_path, monkeypatch, capsys):
    write_source(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert notebooks.main(["check"]) == 1
    assert capsys.readouterr().out == "notebooks/src/01_tiny.py: has no notebook; build it\n"


def test_a_clean_check_prints_nothing_and_exits_with_0(lab, monkeypatch, capsys):
    monkeypatch.chdir(lab)
    assert notebooks.main(["check"]) == 0
    assert capsys.readouterr().out == ""


def test_work_and_reset_say_what_they_kept(lab, monkeypatch, capsys):
    monkeypatch.chdir(lab / "notebooks")
    add_line(lab / MINE)
    pretend_built(lab, NEWER)
    assert notebooks.main(["work"]) == notebooks.main(["reset", "01"]) == 0
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "01_tiny.new.ipynb",
        "01_tiny.mine.ipynb",
    ]


def test_an_error_is_one_line_on_stderr_and_status_2(lab, monkeypatch, capsys):
    monkeypatch.chdir(lab)
    assert notebooks.main(["build", "99"]) == 2
    shown = capsys.readouterr()
    assert shown.err.splitlines()[0].startswith("mlkit.notebooks: no notebook '99'")
    assert (shown.out, shown.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("arguments", [[], ["bake"], ["reset"], ["check", "01"]])
def test_a_wrong_call_is_one_line_on_stderr_and_status_2(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        notebooks.main(arguments)
    shown = capsys.readouterr().err
    assert shown.startswith("python -m mlkit.notebooks")
    assert shown.count("\n") == 1


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit, match="0"):
        notebooks.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"\n    {verb} " in shown for verb in ("build", "check", "work", "reset"))


def test_importing_the_module_loads_nothing_heavy():
    code = "import mlkit.notebooks, sys; print({'nbformat', 'jupytext', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# nbval


def load_conftest() -> Any:
    path = PROJECT / "notebooks/conftest.py"
    spec = importlib.util.spec_from_file_location("notebooks_conftest", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOME = """\
# %%
import os, pathlib

home = pathlib.Path(os.environ["MLKIT_HOME"])
seen = home.exists()
home.mkdir(exist_ok=True)
(seen, os.environ["OMP_NUM_THREADS"])
"""


def at_home(notebook: Any) -> None:
    data, alt = {"text/plain": "(False, '1')"}, {"text/plain": {"alt": "not compared"}}
    put(0, "execute_result", data=data, metadata=alt)(notebook)


def doctor(notebook: Any) -> None:
    """Change the stored number of the first code cell and the picture of the third."""
    notebook.cells[1].outputs[1].data["text/plain"] = "3"
    notebook.cells[3].outputs[0].data["image/png"] = PNG


@pytest.fixture(scope="module")
def verdicts(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], bool]:
    """(notebook, cell) -> passed, of one strict nbval run over several notebooks."""
    root = tmp_path_factory.mktemp("strict")
    for name in ("same", "doctored"):
        shutil.copy(built / "notebooks/01_tiny.ipynb", root / f"{name}.ipynb")
    amend(root / "doctored.ipynb", doctor)
    for name in ("home_a", "home_b"):
        amend(pretend_built(root, HOME, name), at_home)
    return run_nbval(root)


def run_nbval(root: Path) -> dict[tuple[str, str], bool]:
    shutil.copy(PROJECT / "notebooks/conftest.py", root)
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=120", "--color=no"]
    options += [f"--nbval-sanitize-with={PROJECT / 'nbval.cfg'}", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, "--junitxml=report.xml", "."]
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=root, env=own, capture_output=True, text=True, check=False)
    assert "notebooks: pictures are " in done.stdout
    cases = ElementTree.parse(root / "report.xml").iter("testcase")
    return {(case.attrib["classname"], case.attrib["name"]): not len(case) for case in cases}


def failed_cells(verdicts: dict[tuple[str, str], bool], name: str) -> list[str]:
    mine = {cell: passed for (notebook, cell), passed in verdicts.items() if name in notebook}
    assert mine
    return [cell for cell, passed in mine.items() if not passed]


def test_nbval_is_green_on_an_untouched_notebook(verdicts):
    assert failed_cells(verdicts, "same") == []


def test_nbval_is_red_on_a_changed_number(verdicts):
    assert "Cell 0" in failed_cells(verdicts, "doctored")


def test_nbval_is_red_on_a_changed_picture_on_the_reference_platform(verdicts):
    assert ("Cell 2" in failed_cells(verdicts, "doctored")) == load_conftest().REFERENCE


@pytest.mark.parametrize("name", ["home_a", "home_b"])
def test_nbval_gives_each_notebook_an_empty_home_and_ignores_metadata(verdicts, name):
    assert failed_cells(verdicts, name) == []


@pytest.mark.parametrize(("reference", "left"), [(True, {"traceback"}), (False, None)])
def test_pictures_are_compared_on_the_reference_platform_only(reference, left):
    conftest, before = load_conftest(), ("traceback", "image/png", "image/jpeg")
    conftest.REFERENCE = reference
    collector = SimpleNamespace(skip_compare=before)
    conftest.pytest_collectstart(collector)
    assert set(collector.skip_compare) == (left or set(before))


def test_elsewhere_the_header_says_that_pictures_are_not_compared():
    conftest = load_conftest()
    conftest.REFERENCE = False
    assert "pictures are not compared on" in conftest.pytest_report_header()


def test_no_output_is_sanitized():
    lines = (PROJECT / "nbval.cfg").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == []
