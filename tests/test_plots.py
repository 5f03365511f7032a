"""Figures: a finding as title, the kit's colours, the same bytes, a text for each picture."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mlkit import plots

SCORES = {
    "clean": {"offline": 0.8, "honest": 0.8, "production": 0.8},
    "broken": {"offline": 0.8, "honest": 0.61, "production": 0.6},
    "fixed": {"offline": 0.8, "honest": 0.79, "production": 0.79},
}
ONE = pd.Series([10.0, 20.0, 30.0, None], name="amount")
TWO = pd.Series([10.0, 25.0, 30.0, 5.0], name="amount")


def figures():
    """Return one Axes of every plotting function."""
    table = pd.DataFrame({"parity": [0.5, 0.0]}, index=["unit", "rounding"])
    losses = pd.DataFrame({"world": ["a", "a", "b"], "loss": [0.1, 0.2, -0.1]})
    return {
        "three_scores": plots.three_scores(SCORES),
        "marginals": plots.marginals(TWO, ONE, unit="USD"),
        "paired": plots.paired(TWO, ONE, unit="USD"),
        "sweep": plots.sweep([0, 1], {"broken": [1, 2]}, xlabel="days", ylabel="loss"),
        "worlds": plots.worlds(losses),
        "heat": plots.heat(table, fired=table > 0.1),
    }


@pytest.mark.parametrize("name", figures())
def test_a_figure_gives_the_same_bytes_twice(name):
    assert plots.png(figures()[name]) == plots.png(figures()[name])


@pytest.mark.parametrize("name", figures())
def test_a_figure_leaves_the_global_state_alone(name):
    before = dict(plt.rcParams)
    plots.png(figures()[name])
    assert dict(plt.rcParams) == before and not plt.get_fignums()


def test_titles_state_what_the_data_say():
    made = figures()
    assert made["three_scores"].get_title(loc="left") or made["three_scores"].get_title()
    title = made["three_scores"].get_title() + made["three_scores"].get_title(loc="left")
    assert "0.80" in title and "0.60" in title and "0.79" in title
    paired = made["paired"].get_title() + made["paired"].get_title(loc="left")
    assert paired.startswith("50%")  # one value differs, one is missing on one side


def test_a_figure_is_drawn_on_the_axes_it_is_given():
    _, ax = plt.subplots()
    assert plots.three_scores(SCORES, ax=ax) is ax
    plt.close("all")


def test_broken_and_fixed_differ_without_colour():
    patches = plots.three_scores(SCORES).patches
    assert {patch.get_hatch() for patch in patches} == {"", "///"}
    assert plots.LINES["broken"] != plots.LINES["fixed"]


def test_further_scores_stand_beside_the_three():
    states = {"clean": 1.0, "broken": 0.4, "fixed": 1.0}
    scores = {name: {**SCORES[name], "right": share} for name, share in states.items()}
    drawn = plots.three_scores(scores, also={"right": "offers that are right"})
    assert drawn.get_xticklabels()[-1].get_text() == "right\noffers that are right"
    assert [bars[-1].get_height() for bars in drawn.containers] == list(states.values())


def test_a_picture_needs_a_text():
    with pytest.raises(ValueError, match="alt: expected a sentence"):
        plots.show(plots.three_scores(SCORES), alt=" ")


def test_save_writes_a_png(tmp_path):
    plots.save(plots.three_scores(SCORES), tmp_path / "a/b.png")
    assert (tmp_path / "a/b.png").read_bytes().startswith(b"\x89PNG")
