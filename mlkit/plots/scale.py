"""Figures of lesson 03: what a merged state says beside what all rows say, and what both read."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlkit.plots import COLOURS, LINES, axes

BOLD: dict[str, Any] = {"fontsize": 9, "fontweight": "bold"}
MERGED = {  # colour, line and marker of each rule
    "weighted average": (COLOURS["broken"], "--", "s"),
    "sums": (COLOURS["broken"], ":", "^"),
    "sums, each batch once": (COLOURS["broken"], "-.", "o"),
    "cells": (COLOURS["fixed"], "-", ""),
}
READERS = {
    "history": "all history",
    "window": "the last 30 days",
    "whole_days": "new rows,\nand days with a change",
    "job": "new rows,\nand cells with a change",
}


def one_customer(nights: pd.DataFrame, bought: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return one customer along the nights: purchases, the merged average and the recomputed one.

    Parameters
    ----------
    nights: prediction_ts UTC, merged and recomputed in USD, one row per night
    bought: event_ts UTC and amount_usd of the customer
    """
    ax = axes(ax, figsize=(7.2, 3.4))
    at = nights["prediction_ts"]
    ax.vlines(bought["event_ts"], 0, bought["amount_usd"], color=COLOURS["context"], linewidth=1)
    ax.plot(bought["event_ts"], bought["amount_usd"], "o", color=COLOURS["context"], markersize=4)
    lines = {"broken": ("merged", "merged"), "fixed": ("recomputed", "last 30 days")}
    for state, (name, words) in lines.items():
        ax.step(at, nights[name], LINES[state], where="post", color=COLOURS[state], linewidth=2)
        last = nights[name].iloc[-1]
        ax.text(at.iloc[-1], last, f"  {words}", va="center", color=COLOURS[state], **BOLD)
    ax.set_xlim(at.iloc[0], at.iloc[-1] + (at.iloc[-1] - at.iloc[0]) * 0.2)
    top = max(bought["amount_usd"].max(), nights[["merged", "recomputed"]].max(axis=None))
    ax.set_ylim(0, float(top) * 1.1)
    ax.set_ylabel("USD (points: purchases)")
    ax.tick_params(axis="x", labelsize=8)
    merged, right = nights["merged"].iloc[-1], nights["recomputed"].iloc[-1]
    ax.set_title(f"The job says {merged:.0f}; the last 30 days say {right:.0f}")
    return ax


def merge_errors(errors: pd.DataFrame) -> Axes:
    """Return how far four rules stray over the nights, for the window and for everything so far.

    Parameters
    ----------
    errors: rule, window ("30 days", "ever"), night and error, see `mlkit.scale.rules.rule_errors`
    """
    figure = Figure(figsize=(8.0, 3.7))
    panels = figure.subplots(1, 2)
    titles = {"30 days": "the average of 30 days", "ever": "the average of all purchases so far"}
    for ax, (window, title) in zip(panels, titles.items(), strict=True):
        part = errors[errors["window"] == window]
        for rule, (colour, line, mark) in MERGED.items():
            mine = part[part["rule"] == rule]
            ax.plot(
                mine["night"],
                mine["error"],
                line,
                color=colour,
                marker=mark,
                markevery=(5, 30),
                markersize=5,
            )
        _label_ends(ax, part)
        ax.set(xlabel="nights since the state was exact", ylim=(-0.04 * part["error"].max(), None))
        ax.set_title(title, fontsize=10)
    panels[0].set_ylabel("mean relative error")
    last = errors[errors["night"] == errors["night"].max()].set_index(["window", "rule"])["error"]
    worst = last.drop("cells", level="rule").groupby("window").max()
    figure.suptitle(
        f"Totals are {worst['30 days']:.0%} off for a month's average, up to {worst['ever']:.1%} "
        "for that of all; cells are exact",
        fontsize=11,
    )
    return panels[0]


def _label_ends(ax: Axes, part: pd.DataFrame) -> None:
    """Write each rule beside its last point; rules that end together share a label."""
    night, top = float(part["night"].max()), float(part["error"].max())
    last = part[part["night"] == night].set_index("rule")["error"].sort_values()
    groups: list[list[str]] = []
    for rule in last.index:
        if len(groups) > 1 and last[rule] - last[groups[-1][-1]] < 0.06 * top:
            groups[-1].append(rule)
        else:
            groups.append([rule])
    lowest = -np.inf
    for rules in groups:
        words = rules[0].replace(", ", ",\n") if len(rules) == 1 else f"all {len(rules)} totals"
        lowest = max(float(last[rules].mean()), lowest + 0.12 * top)
        ax.text(night * 1.03, lowest, words, va="center", color=MERGED[rules[0]][0], **BOLD)
    ax.set_xlim(0, night * 1.55)
    ax.set_xticks(range(0, int(night) + 1, 30))


def rows_read(read: dict[str, float], *, ax: Axes | None = None) -> Axes:
    """Return bars, on a log scale, of the rows that four ways to keep features read.

    Parameters
    ----------
    read: rows by way, see `mlkit.scale.nightly.reading`
    """
    ax = axes(ax, figsize=(7.2, 2.8))
    for y, way in enumerate(READERS):
        state = "fixed" if way == "job" else "context"
        ax.barh(y, read[way], 0.6, color=COLOURS[state])
        ax.text(read[way] * 1.08, y, f"{read[way]:,.0f}", va="center", fontsize=9)
    ax.set_yticks(np.arange(len(READERS)), list(READERS.values()))
    ax.invert_yaxis()
    ax.set(xscale="log", xlim=(read["job"] / 8, read["history"] * 4))
    ax.set_xlabel("rows read over 60 nights (log scale)")
    ax.set_title(
        f"Cells read {read['history'] / read['job']:.0f} times fewer rows than all history, "
        f"{read['window'] / read['job']:.0f} times fewer than 30 days",
        loc="right",
    )
    return ax
