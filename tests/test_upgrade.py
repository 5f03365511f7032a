"""The report after an upgrade: what moved is named, what did not is not."""

import base64
import io
import json
import subprocess

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from mlkit import upgrade
from mlkit.upgrade import Moved


def output(text="", png=None, alt="a line"):
    data = {"text/plain": text} | ({"image/png": png} if png else {})
    return {"data": data, "metadata": {"image/png": {"alt": alt}}}


def book(*outputs):
    return {"cells": [{"outputs": list(outputs)}]}


def picture(*heights, title=""):
    figure = Figure(figsize=(2, 2))
    ax = figure.subplots()
    ax.plot(heights, linewidth=6)
    ax.set_title(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close("all")
    return base64.b64encode(buffer.getvalue()).decode()


def test_version_that_moved_is_named_with_both():
    old = "numpy==2.4.0 \\\n    --hash=sha256:1\nrich==15.0 ; x\ngone==1\n"
    new = "numpy==2.5.0 \\\n    --hash=sha256:2\nrich==15.0 ; y\ncame==3\n"
    assert list(upgrade.versions(old, new)) == [
        Moved("version", "came", "-", "3"),
        Moved("version", "gone", "1", "-"),
        Moved("version", "numpy", "2.4.0", "2.5.0"),
    ]


def test_score_that_moved_is_named_by_its_path():
    old, new = {"clean": {"auc": 0.8, "n": 1}}, {"clean": {"auc": 0.81, "n": 1}}
    assert list(upgrade.scores(old, new, "skew")) == [
        Moved("number", "skew clean auc", "0.8", "0.81")
    ]


def test_number_in_an_output_is_named_with_its_cell():
    old, new = book(output("accuracy 0.803 of 13")), book(output("accuracy 0.811 of 13"))
    assert list(upgrade.notebook(old, new, "01")) == [
        Moved("number", "01, cell 1", "0.803", "0.811")
    ]


def test_number_that_grows_and_shifts_its_column_is_still_a_number():
    old, new = book(output("n\n99")), book(output("  n\n100"))
    assert list(upgrade.notebook(old, new, "01")) == [Moved("number", "01, cell 1", "99", "100")]


def test_number_that_moved_in_html_and_text_is_reported_once():
    old, new = (
        book({"data": {"text/plain": f"a {x}", "text/html": [f"<td>{x}</td>"]}}) for x in (1, 2)
    )
    assert list(upgrade.notebook(old, new, "01")) == [Moved("number", "01, cell 1", "1", "2")]


def test_number_that_moved_in_html_alone_is_reported():
    old, new = (book({"data": {"text/plain": "t", "text/html": [f"<td>{x}</td>"]}}) for x in "12")
    assert list(upgrade.notebook(old, new, "01")) == [Moved("number", "01, cell 1", "1", "2")]


def test_other_text_is_shown_by_its_first_line_that_differs():
    old, new = book(output("same\nold words")), book(output("same\nnew words, more"))
    assert list(upgrade.notebook(old, new, "01")) == [
        Moved("text", "01, cell 1", "old words", "new words, more")
    ]


def test_picture_that_moved_is_named_by_its_text_with_the_share_of_pixels():
    old, new = book(output(png=picture(1, 2))), book(output(png=picture(2, 1)))
    (moved,) = upgrade.notebook(old, new, "01")
    assert moved.kind == "picture" and moved.where == "01, cell 1: a line"
    assert 0 < float(moved.after.split("%")[0]) < 60


@pytest.mark.parametrize(("old", "new"), [("there", "-"), ("-", "there")])
def test_picture_that_came_or_went_is_named(old, new):
    outputs = {"there": output(png=picture(1, 2)), "-": output()}
    moved = upgrade.notebook(book(outputs[old]), book(outputs[new]), "01")
    assert list(moved) == [Moved("picture", "01, cell 1", old, new)]


def test_same_picture_has_no_pixel_that_differs():
    assert upgrade.different(picture(1, 2), picture(1, 2)) == 0.0


def test_picture_of_another_size_differs_in_all():
    buffer = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(buffer, format="png")
    assert upgrade.different(picture(1, 2), base64.b64encode(buffer.getvalue()).decode()) == 1.0


def test_cells_and_outputs_that_came_or_went_are_counted():
    kinds = [m.kind for m in upgrade.notebook(book(output()), book(output(), output()), "01")]
    assert kinds == ["output"]
    more = {"cells": [*book(output())["cells"], {}]}
    assert [m.kind for m in upgrade.notebook(book(output()), more, "01")] == ["cells"]


def test_claims_that_do_not_hold_are_listed():
    verdicts = [
        {"id": "a", "status": "ok", "required": 0.9, "hold_rate": 1.0},
        {"id": "b", "status": "failed", "required": 0.95, "hold_rate": 0.5},
    ]
    assert list(upgrade.claims(verdicts)) == [Moved("claim failed", "b", "0.95", "0.50")]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project with one commit."""
    (tmp_path / "data/skew").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params.yaml").write_text("seed: 7\n", encoding="utf-8")
    (tmp_path / "requirements.txt").write_text("a==1\n", encoding="utf-8")
    (tmp_path / "data/skew/score.json").write_text('{"auc": 1}', encoding="utf-8")
    (tmp_path / "notebooks/01.ipynb").write_text(json.dumps(book(output("1"))), encoding="utf-8")
    for words in ("init -q", "add -A", "-c user.name=t -c user.email=t@t commit -qm start"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    (tmp_path / "proof").mkdir()
    (tmp_path / "proof/claims.json").write_text("[]", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_report_says_when_nothing_moved(project, capsys):
    assert upgrade.main() == 0
    assert "Nothing moved" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["proof/claims.json", "data/skew/score.json"])
def test_report_says_what_a_failed_step_did_not_make(project, capsys, file):
    (project / file).unlink()
    assert upgrade.main() == 1
    assert capsys.readouterr().out.splitlines()[2:3] == [
        f"| missing | {file} |  | its step failed |"
    ]


def test_report_has_all_that_moved_and_is_stored(project, capsys):
    (project / "requirements.txt").write_text("a==2\n", encoding="utf-8")
    (project / "data/skew/score.json").write_text('{"auc": 2}', encoding="utf-8")
    (project / "notebooks/01.ipynb").write_text(json.dumps(book(output("3"))), encoding="utf-8")
    failed = {"id": "x", "status": "failed", "required": 1.0, "hold_rate": 0.0}
    (project / "proof/claims.json").write_text(json.dumps([failed]), encoding="utf-8")
    assert upgrade.main() == 1
    rows = (project / "proof/upgrade.md").read_text(encoding="utf-8").splitlines()[2:]
    assert rows == [
        "| claim failed | x | 1.00 | 0.00 |",
        "| number | data/skew/score.json auc | 1 | 2 |",
        "| number | 01, cell 1 | 1 | 3 |",
        "| version | a | 1 | 2 |",
    ]
    assert capsys.readouterr().out.splitlines()[2:6] == rows


def test_bar_in_a_cell_does_not_break_the_table():
    assert "a\\|b" in upgrade.table([Moved("text", "01", "a|b", "c")])
