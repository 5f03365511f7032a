"""Figures of the gallery of versioning say in their titles what is in the data."""

import pandas as pd
import pytest

from mlkit import plots
from mlkit.plots import versioning_gallery as figures

HELD = pd.DataFrame(
    {"copies": [10, 10], "files by hash": [1, 10], "parts by hash": [1, 2]}, ["as it was", "grows"]
)
FIGURES = {
    "partings": (
        lambda: figures.partings(
            pd.DataFrame({"rows": [False, False], "split": [True, False]}, ["seed", "none"])
        ),
        "1 faults, 1 steps",
    ),
    "strips": (
        lambda: figures.strips({"settled": pd.Series([0.7, 0.7]), "not": pd.Series([0.6, 0.9])}),
        "score 0.600 to 0.900",
    ),
    "digits": (lambda: figures.digits(pd.Series({2: 3e-14, 4: 1e-14})), "up to 3e-14"),
    "later": (
        lambda: figures.later(pd.DataFrame({"now": [0.0, 0.002], "as_of": [0.0, 0.0]}, [1, 30])),
        "at most 20 in 10,000",
    ),
    "stored": (lambda: figures.stored(HELD), "files save 0%, parts 80%"),
    "months": (
        lambda: figures.months(pd.DataFrame({"added": [0, 9], "changed": [4, 0]}, ["03", "09"])),
        "9 rows came, as expected; 4 rows of month 03 changed",
    ),
}


@pytest.mark.parametrize(("draw", "title"), FIGURES.values(), ids=FIGURES.keys())
def test_title_says_the_finding(draw, title):
    ax = draw()
    assert title in ax.get_title() + ax.get_title(loc="left")
    assert plots.png(ax)


def test_the_first_difference_is_hatched_and_later_ones_are_not():
    unlike = pd.DataFrame({"rows": [False], "split": [True], "model": [True]}, ["seed"])
    assert [bool(cell.get_hatch()) for cell in figures.partings(unlike).patches] == [0, 1, 0]


def test_bars_are_the_shares_of_copies():
    widths = [bar.get_width() for bar in figures.stored(HELD).patches]
    assert widths == [0.1, 1.0, 0.1, 0.2]
