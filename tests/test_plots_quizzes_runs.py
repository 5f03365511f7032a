"""Quiz figures of versions and runs: one scale for all, the points and bars of the tables."""

import numpy as np
import pandas as pd

from mlkit.plots import quizzes

VERSIONS = {
    "A": pd.DataFrame({"before": [1.0, 2.0], "after": [1.0, 2.0]}),
    "B": pd.DataFrame({"before": [1.0, 2.0], "after": [2.0, 7.0]}),
}
RUNS = {
    "A": pd.DataFrame({"date": [1, 2], "start": [0.0, 5.0], "end": [3.0, 8.0]}),
    "B": pd.DataFrame({"date": [1, 1], "start": [0.0, 2.0], "end": [3.0, 9.0]}),
}


def test_pictures_have_letters_for_titles_and_one_scale():
    for ax in (quizzes.four_versions(VERSIONS), quizzes.four_runs(RUNS)):
        panels = ax.figure.axes
        assert [each.get_title() for each in panels] == ["A", "B"]
        assert panels[0].get_ylim() == panels[1].get_ylim()
        assert panels[0].get_xlim() == panels[1].get_xlim()


def test_points_are_the_pairs_of_the_table():
    points = quizzes.four_versions(VERSIONS).figure.axes[1].lines[-1]
    assert np.array_equal(points.get_xydata(), VERSIONS["B"])


def test_runs_of_one_date_lie_side_by_side_on_its_line():
    [bars] = quizzes.four_runs(RUNS).figure.axes[1].collections
    (left, low), (right, _) = bars.get_segments()[1]
    assert (left, right) == (2.0, 9.0)
    assert 1 < low < 1.5
