"""Figures of the gallery of scale: what they say comes from the data, and the data stays."""

import numpy as np
import pandas as pd
import pytest

from mlkit import plots
from mlkit.plots import scale_gallery as figures

RACE = pd.DataFrame(
    {
        "ended": ["out of memory", "finished", "finished"],
        "peak_mb": [300.0, 250.0, 180.0],
        "start_mb": [100.0, 100.0, 100.0],
        "stop": "limit",
    },
    index=["all", "some", "DuckDB"],
)


def test_race_counts_the_dead_and_names_the_limit():
    ax = figures.race(RACE, room_mb=220)
    assert ax.get_title() == "1 of 3 died with 220 MB of room"
    assert "address-space limit" in ax.get_xlabel()
    watched = figures.race(RACE.assign(stop="watch", ended="finished"), room_mb=220)
    assert watched.get_title().startswith("0 of 3") and "stopped itself" in watched.get_xlabel()


def test_small_files_tell_the_share_of_footers():
    sizes = pd.DataFrame({"bytes": [3e6, 3e6], "footers": [1e4, 1e6]}, index=[1, 300])
    assert figures.small_files(sizes).get_title().startswith("In 300 files, 25%")


def test_reducers_tell_how_much_longer():
    ax = figures.reducers(np.array([90, 10, 20]), np.array([40, 40, 40]))
    assert "2.2 times" in ax.get_title()
    assert ax.lines[0].get_ydata().tolist() == [90, 20, 10]


def test_medians_draw_the_share_above():
    off = {"wrong": ("broken", np.array([0.5, -0.1, np.nan])), "near": ("fixed", np.full(3, 0.01))}
    ax = figures.medians(off, limit=0.02)
    assert ax.lines[0].get_xdata().tolist() == [0.1, 0.5]
    assert ax.lines[0].get_ydata().tolist() == [1.0, 0.5]


@pytest.mark.parametrize("labels", [None, ["a", "b"]])
def test_bars_and_room_use_the_given_axes_and_draw(labels):
    values = pd.Series([1.0, 2.0], index=["x", "y"])
    ax = plots.axes()
    drawn = figures.bars(values, states=["broken", "fixed"], xlabel="MB", labels=labels, ax=ax)
    assert drawn is ax and len(plots.png(ax)) > 1000
    lines = {"all": ("broken", 700.0), "some": ("fixed", 100.0)}
    assert len(plots.png(figures.room(lines, memory_gb=[8, 64]))) > 1000
