"""Figures of challenge 2: what was known when, and how much each type of leak promises too much."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS, LINES, axes

ANSWERS = {False: ("clean", ".", 2.5), True: ("broken", "^", 3.5)}  # colour, marker, its size


def time_strip(purchases: pd.DataFrame, *, asked: pd.Timestamp, ax: Axes | None = None) -> Axes:
    """Return one customer's purchases along time, and which of them a request could know.

    Parameters
    ----------
    purchases: event_ts UTC and amount_usd of one customer
    asked: the moment of the request
    """
    ax = axes(ax, figsize=(7.2, 3.4))
    known = purchases["event_ts"] < asked
    for state, rows, mark in (("fixed", known, "o"), ("broken", ~known, "s")):
        at, amount = purchases.loc[rows, "event_ts"], purchases.loc[rows, "amount_usd"]
        ax.vlines(at, 0, amount, color=COLOURS[state], linestyle=LINES[state], linewidth=1)
        ax.plot(at, amount, mark, color=COLOURS[state], markersize=5)
    whole, past = purchases["amount_usd"].mean(), purchases.loc[known, "amount_usd"].mean()
    top = float(purchases["amount_usd"].max()) * 1.3
    ax.axvline(asked, color="#222222", linewidth=1.2)
    ax.text(asked, top, " the request ", va="top", ha="left", fontsize=9)
    bold: dict[str, Any] = {"fontsize": 9, "va": "top", "fontweight": "bold"}
    first, last = purchases["event_ts"].min(), purchases["event_ts"].max()
    ax.text(first, top, f"known by then: mean {past:.0f}", color=COLOURS["fixed"], **bold)
    future = f"of the future: {(~known).sum()}"
    ax.text(last, top, future, color=COLOURS["broken"], ha="right", **bold)
    ax.set_ylim(0, top * 1.02)
    ax.set_ylabel("purchase (USD)")
    ax.tick_params(axis="x", labelsize=8)
    ax.set_title(f"The table says {whole:.0f}; at the request anybody could know {past:.0f}")
    return ax


def splits(table: pd.DataFrame, *, production: float, ax: Axes | None = None) -> Axes:
    """Return a column's score under two splits, with the leak and without, beside production.

    Parameters
    ----------
    table: index "random split" and "split in time", columns "broken" and "fixed": scores in [0, 1]
    production: what production gets with the leaky model, in [0, 1]
    """
    ax = axes(ax)
    x, width = np.arange(len(table)), 0.38
    for place, (state, name) in enumerate((("broken", "whole table"), ("fixed", "as of request"))):
        at = x + (place - 0.5) * width
        bars = ax.bar(
            at,
            table[state],
            width * 0.94,
            color=COLOURS[state],
            hatch="///" if state == "broken" else "",
            edgecolor="white",
        )
        ax.bar_label(bars, [f"{value:.2f}" for value in table[state]], fontsize=8, padding=2)
        box = {"facecolor": COLOURS[state], "edgecolor": "none", "pad": 1.5}
        for left in at:
            ax.text(left, 0.03, name, rotation=90, ha="center", fontsize=8, color="white", bbox=box)
    ax.axhline(production, color="#222222", linewidth=1)
    ax.text(len(table) - 0.1, production + 0.01, "production", ha="right", fontsize=9)
    ax.set_xticks(x, table.index)
    ax.set_xlim(-0.6, len(table) - 0.1)
    ax.set_ylim(0, 1)
    ax.set_ylabel("share of right decisions")
    gap = float(table["broken"].iloc[-1]) - production
    ax.set_title(f"The split in time still promises {gap:.2f} too much")
    return ax


def ladder(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return how much each type of leak promises too much, a dot for each world, largest on top.

    Parameters
    ----------
    table: columns kind (text) and inflation (points of the score, in [-1, 1]), a row per world
    """
    order = table.groupby("kind")["inflation"].mean().sort_values(kind="stable").index
    ax = axes(ax, figsize=(7.2, 0.36 * len(order) + 1.2))
    for row, kind in enumerate(order):
        values = table.loc[table["kind"] == kind, "inflation"].to_numpy()
        large = values.mean() > 0.01
        state = "broken" if large else "clean"
        ax.barh(row, values.mean(), 0.55, color=COLOURS[state], alpha=0.35)
        ax.plot(
            values, [row] * len(values), "s" if large else "o", color=COLOURS[state], markersize=4
        )
        ax.text(max(values.max(), 0) + 0.008, row, f"{values.mean():+.3f}", va="center", fontsize=9)
    ax.axvline(0, color="#222222", linewidth=0.8)
    ax.set_yticks(range(len(order)), order)
    ax.set_xlabel("promised too much (points of the score; a dot is a world)")
    ax.margins(x=0.12)
    return ax


def then_and_now(columns: dict[str, pd.DataFrame]) -> Axes:
    """Return small unlabelled pictures side by side: a column as served against as it is today.

    Grey points are rows whose answer is no, triangles those whose answer is yes. What lies on the
    diagonal has not changed since the decision.

    Parameters
    ----------
    columns: for each picture one row per decision: then and now float64 in one unit, answer bool
    """
    figure = Figure(figsize=(7.2, 2.5))
    panels = figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
    values = pd.concat([rows[["then", "now"]] for rows in columns.values()]).stack()
    low, top = values.quantile([0.002, 0.998])
    for ax, (name, rows) in zip(panels, columns.items(), strict=True):
        ax.plot([low, top], [low, top], color="#222222", linewidth=0.6, zorder=3)
        for answer, (colour, marker, size) in ANSWERS.items():
            part = rows[rows["answer"] == answer]
            ax.plot(
                part["then"], part["now"], marker, color=COLOURS[colour], markersize=size, alpha=0.6
            )
        ax.set(xlim=(low, top), ylim=(low, top), title=name, xticks=[], yticks=[])
    panels[0].set_ylabel("today, in the table")
    figure.supxlabel("as served at the decision (triangles: the answer is yes)", fontsize=9)
    return panels[0]
