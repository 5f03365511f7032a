"""Figures of quizzes: a letter for a title, one scale for all, the same bytes twice."""

import numpy as np
import pandas as pd
import pytest

from mlkit import plots
from mlkit.plots import quizzes

ERRORS = {"A": pd.Series([0.0, 1.0, 4.0]), "B": pd.Series([0.0, 0.0, 0.0])}
CLOCKS = {
    "A": pd.DataFrame({"happened": [1.0, 2.0], "arrived": [1.5, 2.5]}),
    "B": pd.DataFrame({"happened": [9.0, 2.0], "arrived": [1.5, 2.5]}),
}
GAPS = {
    "A": pd.DataFrame({"low": [-0.2, 0.1], "middle": [0.1, 0.2], "high": [0.4, 0.3]}),
    "B": pd.DataFrame({"low": [-0.9], "middle": [-0.5], "high": [-0.1]}),
}


def drawn():
    """Return one Axes of each function."""
    return {
        "errors": quizzes.four_errors(ERRORS, unit="USD"),
        "clocks": quizzes.four_clocks(CLOCKS),
        "gaps": quizzes.four_gaps(GAPS),
    }


@pytest.mark.parametrize("name", drawn())
def test_a_picture_has_a_letter_for_a_title_and_the_scale_of_its_neighbour(name):
    panels = drawn()[name].figure.axes
    assert [ax.get_title() for ax in panels] == ["A", "B"]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert panels[0].get_xlim() == panels[1].get_xlim()


@pytest.mark.parametrize("name", drawn())
def test_the_same_bytes_twice(name):
    assert plots.png(drawn()[name]) == plots.png(drawn()[name])


def test_lines_and_points_are_those_of_the_tables():
    line = quizzes.four_errors(ERRORS, unit="USD").lines[-1]
    assert line.get_ydata().tolist() == ERRORS["A"].tolist()
    points = quizzes.four_clocks(CLOCKS).figure.axes[1].lines[-1]
    assert np.array_equal(points.get_xydata(), CLOCKS["B"][["happened", "arrived"]])


def test_errors_that_are_all_zero_are_drawn():
    assert quizzes.four_errors({"D": ERRORS["B"]}, unit="USD").get_ylim() == (-0.3, 1.15)


def test_each_gap_is_a_point_on_its_interval():
    panel = quizzes.four_gaps(GAPS).figure.axes[0]
    [bars] = panel.collections
    assert [bar[:, 0].tolist() for bar in bars.get_segments()] == [[-0.2, 0.4], [0.1, 0.3]]
    assert panel.lines[-1].get_xydata().tolist() == [[0.1, 0.0], [0.2, 1.0]]
