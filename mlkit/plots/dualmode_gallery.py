"""Figures of the gallery of challenge 5: architectures, watermarks, vectors, milliseconds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter

from mlkit.plots import COLOURS, HATCHES, LINES, ON_BAR, axes


def architectures(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return how right the short and the long windows of each architecture are.

    Parameters
    ----------
    table: see `mlkit.dualmode.architectures.compare`
    """
    ax = axes(ax)
    x, width = np.arange(len(table)), 0.4
    for place, (name, state) in enumerate((("short", "fixed"), ("long", "clean"))):
        at = x + (place - 0.5) * width
        bars = ax.bar(at, table[name], width * 0.94, color=COLOURS[state], edgecolor="white")
        ax.bar_label(bars, [f"{v:.2f}" for v in table[name]], fontsize=8, padding=2)
        ax.text(at[-1], 0.04, f"{name} windows", **ON_BAR)
    paths = table["code_paths"].map(lambda n: f"{n} code path" + "s" * (n > 1))
    ax.set_xticks(x, [f"{name}\n{text}" for name, text in zip(table.index, paths, strict=True)])
    ax.set_ylim(0, 1.12)
    ax.set_ylabel("share of charges with the right values")
    whole = [name for name in table.index if table.loc[name, ["short", "long"]].min() == 1]
    seam = table.loc["Lambda", "long"]
    ax.set_title(f"All right: {', '.join(whole) or 'none'}; Lambda's long windows: {seam:.2f}")
    return ax


def behind(waiting: pd.DataFrame, timed: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return how far the watermark is behind while a partition is silent, with and without timeout.

    Parameters
    ----------
    waiting, timed: see `mlkit.dualmode.watermarks.joint_watermark`, the second with a timeout
    """
    ax = axes(ax)
    names = {"broken": (waiting, "no timeout"), "fixed": (timed, "idle timeout")}
    for state, (rows, name) in names.items():
        hours = rows["behind_seconds"] / 3600
        ax.plot(rows["arrival_ts"], hours, LINES[state], color=COLOURS[state], linewidth=1.5)
        top = int(hours.to_numpy().argmax())
        ax.text(
            rows["arrival_ts"].iloc[top],
            hours.iloc[top] + 0.1,
            f"{name}: up to {hours.max():.1f} hours ",
            color=COLOURS[state],
            va="bottom",
            ha="right" if top > len(rows) / 2 else "left",
            fontsize=9,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    most = waiting["behind_seconds"].max() / 3600
    ax.set_ylim(0, most * 1.15)
    ax.set_ylabel("watermark behind the clock (hours)")
    ax.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    ax.set_xlabel("arrival (UTC)")
    ax.set_title(f"One silent partition of four holds up all windows for {most:.0f} hours")
    return ax


def freshness(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Return hit rates of weekly and of online vectors along how fast a mean forgets.

    Parameters
    ----------
    table: index memory in [0, 1]; columns weekly, online, popular: hit rates in [0, 1]
    """
    ax = axes(ax)
    styles = {"weekly": "broken", "online": "fixed", "popular": "clean"}
    for name, state in styles.items():
        ax.plot(
            table.index, table[name], LINES[state], color=COLOURS[state], marker="o", markersize=4
        )
    ends = table.iloc[-1].sort_values()
    spread = ends.to_numpy() + 0.01 * np.arange(len(ends))
    for (name, _), y in zip(ends.items(), spread, strict=True):
        text = "popularity" if name == "popular" else f"{name} vectors"
        ax.text(table.index[-1] + 0.01, y, text, color=COLOURS[styles[str(name)]], va="center")
    ax.set_xlim(-0.02, table.index[-1] * 1.35)
    ax.set_ylim(0, table.to_numpy().max() * 1.2)
    ax.set_xlabel("least weight of the newest purchase in the mean (0: the plain mean)")
    ax.set_ylabel("hit rate in the first five")
    fresh = (table["online"] - table["weekly"]).max()
    forget = table["weekly"].max() - table["weekly"].iloc[0]
    ax.set_title(f"Fresh vectors gain up to {fresh:.3f}, a mean that forgets {forget:.3f}")
    return ax


def milliseconds(table: pd.DataFrame, *, limit_ms: float, ax: Axes | None = None) -> Axes:
    """Return p50 and p99 of the parts of an answer, on a log scale. Its title has no number.

    Parameters
    ----------
    table: index the part, columns p50 and p99 in milliseconds
    limit_ms: what the syllabus allows for the whole answer
    """
    ax = axes(ax, figsize=(7.2, 3.8))
    y = np.arange(len(table))[::-1]
    names = table.index.tolist()
    states = ["broken" if "trees" in name else "fixed" for name in names]
    ax.barh(
        y,
        table["p50"],
        color=[COLOURS[state] for state in states],
        hatch=[HATCHES[state] for state in states],
        edgecolor="white",
    )
    ax.hlines(y, table["p50"], table["p99"], color="#222222", linewidth=1)
    ax.plot(table["p99"], y, "|", color="#222222", markersize=8)
    for place, (p50, p99) in zip(y, table[["p50", "p99"]].to_numpy(), strict=True):
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(p99 * 1.15, place, f"{p50:.3g}", va="center", fontsize=8, bbox=white)
    ax.axvline(limit_ms, color="#222222", linewidth=1, linestyle=":", zorder=0)
    ax.text(limit_ms * 0.95, y[0] + 0.5, f"allowed: {limit_ms:g} ms", ha="right", fontsize=8)
    ax.set_xscale("log")
    ax.set_yticks(y, names)
    ax.set_ylim(-0.6, len(table) - 0.2)
    ax.set_xlabel("milliseconds on this machine (bar: p50, line: to p99)")
    ax.set_title("Not the features: the disk, HTTP and the model take the time")
    return ax
