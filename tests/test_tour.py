"""The tour: twelve cells, and of its four checks three pass, whatever the learner's seed."""

from pathlib import Path

import pytest

from mlkit.exercises.tour import CHECKS
from mlkit.notebooks import convert

ROOT = Path(__file__).parents[1]
CELLS = convert(ROOT / "notebooks/src/00_tour.py").cells
CODE = [cell.source for cell in CELLS if cell.cell_type == "code"]


def test_tour_has_twelve_cells():
    assert len(CELLS) == 12


@pytest.mark.parametrize("seed", [7, 1001, 1002])
def test_of_four_checks_three_pass(seed, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLKIT_SEED", str(seed))
    names: dict = {}
    make, _, _, run, *_ = CODE
    for source in (make, "", run):
        exec(compile(source, "00_tour", "exec"), names)
        names.setdefault("offline", names["skew"].score(names["broken"])["offline"])
        first = names["shop"]["offers"]["prediction_ts"].min()
        days = names["pd"].Timedelta(days=names["fault"]["start_day"])
        names["live_from"] = first + days
    assert list(names["found"]) == list(CHECKS)
    assert [check for check, fires in names["found"].items() if fires] == ["parity"]


def test_bet_offers_the_four_checks_of_the_text():
    text = "\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
    assert all(f"- **{check}**:" in text for check in CHECKS)


def test_map_names_ten_challenges_once():
    drawn = next(source for source in CODE if "places = {" in source)
    names: dict = {}
    exec(compile(drawn.split("ax =")[0], "00_tour", "exec"), names)
    words = [word for faults in names["places"].values() for word in faults]
    assert len(words) == len(set(words)) == 10
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{word}`" in readme for word in words)
