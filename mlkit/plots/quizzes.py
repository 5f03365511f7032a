"""Figures of quizzes: small pictures side by side, with a letter and no finding for a title."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS

GUIDE: dict[str, Any] = {"color": COLOURS["context"], "linewidth": 1, "zorder": 0}


def four_errors(tables: dict[str, pd.Series], *, unit: str) -> Axes:
    """Return an error day by day, one picture per name, all on the same scale.

    Parameters
    ----------
    tables: name to the error of each day, in `unit`
    """
    panels = _panels(len(tables))
    top = max(float(table.abs().max()) for table in tables.values()) or 1.0
    for ax, (name, error) in zip(panels, tables.items(), strict=True):
        ax.axhline(0, **GUIDE)
        ax.plot(error.index, error, "-", color=COLOURS["clean"], linewidth=1.8)
        ax.set(title=name, xticks=[], yticks=[], ylim=(-0.3 * top, 1.15 * top))
    panels[0].set(ylabel=f"error ({unit})", yticks=[0])
    panels[0].figure.get_figure(root=True).supxlabel("day", fontsize=9)
    return panels[0]


def four_versions(tables: dict[str, pd.DataFrame]) -> Axes:
    """Return each value of a column in two versions of a table, one picture per name.

    Parameters
    ----------
    tables: name to a table with one row per pair: before and after, in one unit
    """
    return _against(tables, "before", "after")


def four_runs(tables: dict[str, pd.DataFrame]) -> Axes:
    """Return runs as bars on the line of their logical date, one picture per name.

    Parameters
    ----------
    tables: name to a table with one row per run: date (a number), start and end, in one unit
    """
    panels = _panels(len(tables))
    every = pd.concat(tables.values())
    for ax, (name, table) in zip(panels, tables.items(), strict=True):
        for date in sorted(every["date"].unique()):
            ax.axhline(date, **GUIDE)
        place = table["date"] + 0.25 * (table.groupby("date").cumcount() % 2)
        ax.hlines(place, table["start"], table["end"], color=COLOURS["clean"], linewidth=4)
        limits = (every["date"].min() - 0.5, every["date"].max() + 0.9)
        ax.set(title=name, xticks=[], yticks=[], ylim=limits)
        ax.set_xlim(every["start"].min() - 1, every["end"].max() + 1)
    panels[0].set_ylabel("logical date")
    panels[0].figure.get_figure(root=True).supxlabel("time", fontsize=9)
    return panels[0]


def four_clocks(tables: dict[str, pd.DataFrame]) -> Axes:
    """Return when each event arrived against when it happened, one picture per name.

    Parameters
    ----------
    tables: name to a table with one row per event: happened and arrived, in one unit
    """
    return _against(tables, "happened", "arrived")


def _against(tables: dict[str, pd.DataFrame], x: str, y: str) -> Axes:
    panels = _panels(len(tables))
    every = pd.concat(tables.values())[[x, y]]
    low, high = float(every.min(axis=None)), float(every.max(axis=None))
    room = 0.05 * (high - low)
    for ax, (name, table) in zip(panels, tables.items(), strict=True):
        ax.plot([low, high], [low, high], "-", **GUIDE)
        ax.plot(table[x], table[y], ".", color=COLOURS["clean"], markersize=4)
        limits = (low - room, high + room)
        ax.set(title=name, xticks=[], yticks=[], xlim=limits, ylim=limits)
    panels[0].set_ylabel(y)
    panels[0].figure.get_figure(root=True).supxlabel(x, fontsize=9)
    return panels[0]


def _panels(n: int) -> list[Axes]:
    figure = Figure(figsize=(7.2, 2.1))
    return list(figure.subplots(1, n, sharex=True, sharey=True, squeeze=False)[0])


def four_bands(tables: dict[str, pd.DataFrame], *, unit: str) -> Axes:
    """Return a median and the band around it day by day, one picture per name, on a log scale.

    Parameters
    ----------
    tables: name to a table by day: low, middle and high above 0, in `unit`; gaps stay gaps
    """
    panels = _panels(len(tables))
    for ax, (name, table) in zip(panels, tables.items(), strict=True):
        ax.fill_between(table.index, table["low"], table["high"], color=COLOURS["context"], lw=0)
        ax.plot(table.index, table["middle"], "-", color=COLOURS["clean"], linewidth=1.8)
        ax.set(title=name, xticks=[], yscale="log")
    every = pd.concat(tables.values())
    low, high = float(every["low"].min()), float(every["high"].max())
    panels[0].set(ylabel=f"amount ({unit})", ylim=(low / 1.5, high * 1.5), yticks=[10, 100, 1000])
    panels[0].set_yticklabels(["10", "100", "1,000"])
    panels[0].minorticks_off()
    panels[0].figure.get_figure(root=True).supxlabel("day", fontsize=9)
    return panels[0]


def four_gaps(tables: dict[str, pd.DataFrame]) -> Axes:
    """Return differences with their intervals around a line at zero, one picture per name.

    Parameters
    ----------
    tables: name to a table with one row per region: low, middle and high, women less men
    """
    panels = _panels(len(tables))
    most = max(float(table.abs().max(axis=None)) for table in tables.values()) or 1.0
    for ax, (name, table) in zip(panels, tables.items(), strict=True):
        place = range(len(table))
        ax.axvline(0, **GUIDE)
        ax.hlines(place, table["low"], table["high"], color=COLOURS["clean"], linewidth=1.2)
        ax.plot(table["middle"], place, "o", color=COLOURS["clean"], markersize=3)
        ax.set(title=name, xticks=[], yticks=[], xlim=(-1.1 * most, 1.1 * most))
    panels[0].set_ylabel("region")
    panels[0].figure.get_figure(root=True).supxlabel(
        "share denied, women less men (line: no difference)", fontsize=9
    )
    return panels[0]
