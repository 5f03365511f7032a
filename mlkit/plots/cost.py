"""Figures of challenge 8: how a bill grew, what drives it, what a step saves, what fresh costs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlkit.plots import COLOURS, HATCHES, LINES, axes


def growth(bills: pd.Series, *, ax: Axes | None = None) -> Axes:
    """Return the bill of each month since the beginning.

    Parameters
    ----------
    bills: USD, index the month (1 is the first)
    """
    ax = axes(ax, figsize=(7.2, 3.2))
    ax.plot(bills.index, bills, LINES["broken"], color=COLOURS["broken"], marker="s", markersize=4)
    for at in (bills.index[0], bills.index[-1]):
        ax.annotate(f"{bills[at]:,.0f}", (at, bills[at]), (0, 7), textcoords="offset points",
                    ha="center", fontsize=9)  # fmt: skip
    ax.set_ylim(0, float(bills.max()) * 1.18)
    ax.set_xticks(bills.index)
    ax.set_xlabel("month")
    ax.set_ylabel("bill (USD a month)")
    steepest = bills.pct_change().tail(6).max()
    ax.set_title(f"In half a year no month was more than {steepest:.0%} dearer than the last")
    return ax


def lines_of(bill: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return the lines of a bill as bars, the largest on top, with where each comes from.

    Parameters
    ----------
    bill: see `mlkit.cost.ledger.bill`; lines of nothing are left out
    """
    rows = bill[bill["share"] >= 0.0005].sort_values("usd", kind="stable")
    ax = axes(ax, figsize=(7.2, 0.38 * len(rows) + 1.1))
    ax.barh(rows["line"], rows["usd"], 0.62, color=COLOURS["broken"], hatch=HATCHES["broken"],
            edgecolor="white")  # fmt: skip
    for row, (usd, share, basis) in enumerate(rows[["usd", "share", "basis"]].to_numpy()):
        ax.text(usd, row, f"  {share:.1%}, {basis}", va="center", fontsize=9)
    ax.set_xlim(0, float(rows["usd"].max()) * 1.32)
    ax.set_xlabel("USD a month")
    top = rows.iloc[-1]
    ax.set_title(f"{top['share']:.0%} of the bill: {top['line']}")
    return ax


def drivers(found: pd.DataFrame, *, limit: float, ax: Axes | None = None) -> Axes:
    """Return what each driver alone would save, as a share of the bill, the largest on top.

    Parameters
    ----------
    found: rows "avoidable" of `mlkit.cost.detect`
    limit: share from which a driver fails
    """
    rows = found.sort_values("value", kind="stable").reset_index(drop=True)
    ax = axes(ax, figsize=(7.2, 0.34 * len(rows) + 1.1))
    for row, (name, value, failed) in enumerate(rows[["subject", "value", "failed"]].to_numpy()):
        state = "broken" if failed else "clean"
        ax.barh(row, value, 0.6, color=COLOURS[state], hatch=HATCHES[state], edgecolor="white")
        side = "left" if value >= 0 else "right"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        said = f"{value:+.1%}" if abs(value) >= 0.0005 else "0"
        ax.annotate(said, (value, row), (5 if value >= 0 else -5, 0), textcoords="offset points",
                    va="center", ha=side, fontsize=9, bbox=box, zorder=3)  # fmt: skip
        rows.loc[row, "name"] = name
    ax.axvline(limit, color="#222222", linewidth=0.8)
    ax.axvline(0, color="#8C8C8C", linewidth=0.8)
    ax.text(limit, -0.9, " limit", fontsize=9, va="center")
    ax.set_yticks(range(len(rows)), rows["name"])
    ax.set_ylim(-1.3, len(rows) - 0.4)
    ax.margins(x=0.14)
    ax.set_xlabel("share of the bill that the lean way of this one thing would save")
    ax.set_title(f"{int(rows['failed'].sum())} of {len(rows)} drivers are worth a step")
    return ax


def waterfall(steps: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return what each step takes off the bill, from the plan as it is to the lean one.

    Parameters
    ----------
    steps: see `mlkit.cost.ledger.waterfall`
    """
    ax = axes(ax, figsize=(7.6, 4.2))
    first, last = steps["usd"].iloc[0], steps["usd"].iloc[-1]
    names = [*steps["step"], "lean"]
    ax.bar(0, first, 0.7, color=COLOURS["broken"], hatch=HATCHES["broken"], edgecolor="white")
    ax.bar(len(steps), last, 0.7, color=COLOURS["fixed"])
    for x, (usd, saved) in enumerate(steps[["usd", "saved"]].to_numpy()[1:], start=1):
        state = "fixed" if saved >= 0 else "broken"
        ax.bar(x, abs(saved), 0.7, bottom=min(usd, usd + saved), color=COLOURS[state],
               hatch=HATCHES[state], edgecolor="white")  # fmt: skip
        ax.plot([x - 1.35, x + 0.35], [usd + saved] * 2, color="#8C8C8C", linewidth=0.8)
        said = f"{-saved:+,.0f}" if abs(saved) >= 0.5 else "0"
        ax.text(x, max(usd, usd + saved) + first * 0.015, said, ha="center", fontsize=8.5)
    for x, usd in ((0, first), (len(steps), last)):
        ax.text(x, usd + first * 0.015, f"{usd:,.0f}", ha="center", fontsize=9, fontweight="bold")
    ax.set_xticks(range(len(names)), names, rotation=38, ha="right", fontsize=9)
    ax.set_ylabel("bill (USD a month)")
    dearer = steps.loc[steps["saved"] < -0.5, "step"]
    ax.set_title(f"{last / first:.1%} of the bill is left; {len(dearer)} steps made it dearer"
                 " where they stand")  # fmt: skip
    return ax


def fresh(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return cost against error, one point for each age of the features.

    Parameters
    ----------
    table: see `mlkit.cost.checks.freshness`
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    beaten = [((table["usd"] <= u) & (table["wrong"] < w)).any()
              for u, w in table[["usd", "wrong"]].to_numpy()]  # fmt: skip
    edge = table[~np.array(beaten)].sort_values("usd", kind="stable")
    ax.plot(edge["usd"], edge["wrong"], color=COLOURS["context"], linewidth=1, zorder=1)
    said: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9}
    for (hours, usd, wrong, accuracy), lost in zip(table.to_numpy(), beaten, strict=True):
        name = {0: "at each request", 1: "hourly", 24: "daily", 168: "weekly"}.get(
            int(hours), f"every {hours:.0f} h"
        )
        state = "broken" if lost else "fixed"
        ax.plot(usd, wrong, "s" if lost else "o", color=COLOURS[state], markersize=8)
        text = f"{name}, accuracy {accuracy:.3f}"
        ax.annotate(text, (usd, wrong), (9, 5), color=COLOURS[state], **said)
    ax.set_xlim(0, float(table["usd"].max()) * 1.45)
    ax.set_ylim(-0.06, 1.1)
    ax.set_xlabel("bill (USD a month)")
    ax.set_ylabel("offers with a feature more than 1% off")
    fall = float(table["accuracy"].iloc[0] - table["accuracy"].iloc[-1])
    share = np.round(table["wrong"].iloc[-1] * 100)
    ax.set_title(f"Weekly: {share:.0f}% of the offers are off, the accuracy moves by {-fall:+.3f}")
    return ax
