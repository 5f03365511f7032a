"""Figures of the gallery of cost: every value is drawn, no label over another, nothing mutated."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from mlkit import plots
from mlkit.plots.cost_gallery import bars, curves, shares

STATES = {"csv.gz": "clean", "parquet, no codec": "broken", "parquet, snappy": "fixed"}


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_shares_says_the_range_and_names_the_formats_in_their_colours():
    table = pd.DataFrame([[0.2, 0.3, 0.25], [0.6, 1.1, 1.02]], ["a", "b"], list(STATES))
    ax = shares(table, STATES)
    assert "takes 0.25 to 1.02 of CSV" in ax.get_title() + ax.get_title(loc="left")
    labels = {
        text.get_text(): to_hex(text.get_color()).upper() for text in ax.get_legend().get_texts()
    }
    assert labels == {name: plots.COLOURS[state] for name, state in STATES.items()}
    assert ax.get_xlim()[1] > 1.1


def test_curves_label_each_line_at_its_end_and_none_over_another():
    table = pd.DataFrame({"one": [1.0, 2.0], "two": [1.0, 2.001], "three": [0.0, 2.002]}, [1, 2])
    before = table.copy()
    ax = curves(table, {"one": "clean", "two": "broken", "three": "fixed"}, xlabel="x", ylabel="y")
    assert sorted(texts(ax)) == ["one", "three", "two"]
    heights = sorted(text.xy[1] for text in ax.texts)
    assert all(b - a > 0.07 for a, b in itertools.pairwise(heights))
    assert heights[-1] <= 1.0
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("log", ["", "x", "y", "xy"])
def test_curves_take_any_scale(log):
    table = pd.DataFrame({"one": [1.0, 20.0]}, [1, 1000])
    ax = curves(table, {"one": "fixed"}, xlabel="x", ylabel="y", log=log)
    assert (ax.get_xscale() == "log", ax.get_yscale() == "log") == ("x" in log, "y" in log)
    assert plots.png(ax)


def test_bars_say_their_values_or_notes():
    values = pd.Series({"a": 1259.2, "b": 33.14})
    states = {"a": "broken", "b": "fixed"}
    assert texts(bars(values, states, xlabel="x")) == ["1,259", "33.1"]
    assert texts(bars(values, states, xlabel="x", notes={"a": "6 files", "b": "1"})) == [
        "6 files",
        "1",
    ]


def test_broken_is_hatched_and_dashed():
    ax = bars(pd.Series({"a": 1.0, "b": 2.0}), {"a": "broken", "b": "fixed"}, xlabel="x", limit=1)
    assert [bar.get_hatch() or "" for bar in ax.patches] == ["///", ""]
    ax = curves(pd.DataFrame({"a": np.arange(3.0)}), {"a": "broken"}, xlabel="x", ylabel="y")
    assert ax.lines[0].get_linestyle() == "--"
