"""The audit of fairness in words: what its findings say, and what no table of rates can know."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlkit.audit.report import share
from mlkit.compliance.fairness import RATES

SIZE = "size of group"
UNDECIDED = ("too few", "open")
LABELS = (
    "Whether the labels are right. Where the record itself is biased (good borrowers of one group "
    "written down as defaulted, arrests for offences), this very table lies: it can show a gap "
    "where there is none, and none where there is one. Audit how labels of each group come about."
)
MECHANISM = (
    "Why. Poorer measurement, another meaning of a feature, biased labels and too few rows give "
    "the same gap and need different repairs; weights by group mend no measurement and no label."
)
LAW = (
    "What the law says: which attributes, which measure and which gap matter depends on country "
    "and purpose, and so does whether the attribute may be used in a repair. Ask, with this table."
)
ENTITIES = (
    "Rows of the same person depend on each other and make intervals too narrow; keep one each."
)
CONFLICT = (
    "Where base rates differ and prediction is not perfect, calibration and equal error rates "
    "cannot all hold: which of these gaps matters is a decision, and no test takes it."
)
SELECTIVE = (
    "of the rows decided {no:d} {a} have no label, of those decided {yes:d} {b}: error rates are "
    "about those whose outcome was seen"
)
UPSIDE_DOWN = (
    "label and decision agree in {share} of rows: is 1 in one of them what 0 is in the other? Both "
    "must say the same, such as repaid and granted"
)
NOTHING = "no gap could be judged"
AFTER_FINDING = (
    "Look for the mechanism before a repair: compare base rates with a source outside the model, "
    "measurement error and the model's weights per group; afterwards look whether the gap closed "
    "because one side gained or because the other lost."
)
AFTER_OPEN = (
    "What is open or too few is not passed, though the exit status counts findings alone: it needs "
    "more rows, or a wider tolerance that somebody answers for."
)
AFTER_PASSING = "Run it on each period of decisions: the exit status is made for CI."


def percent(value: float) -> str:
    """Return a share in per cent, with one decimal."""
    return f"{100 * value:.1f}%"


def points(value: float) -> str:
    """Return a difference of shares in percentage points."""
    return f"{100 * value:.1f}".removesuffix(".0") + " points"


def in_words(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row of text for each finding."""
    rows = found.to_dict("records")
    return pd.DataFrame(
        {
            "of": found["subject"],
            "check": found["check"],
            "result": found["state"],
            "value": [_figure(row, "value") for row in rows],
            "interval": [
                "" if np.isnan(row["low"]) else f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
                for row in rows
            ],
            "limit": [_figure(row, "limit") for row in rows],
            "what it says": found["says"],
        }
    )


def _figure(row: dict[Any, Any], column: str) -> str:
    value = row[column]
    if not np.isfinite(value) or (row["check"] == "no label yet" and column == "limit"):
        return ""
    if row["check"] == SIZE:
        return f"{value:,.0f}"
    return share(value) if row["check"].startswith("no ") else points(value)


def groups(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row of text for each group: how many, and each rate with its interval."""
    lines = found[found["check"] == SIZE].to_dict("records")
    return pd.DataFrame(
        {
            "group": [line["subject"] for line in lines],
            "n": [f"{line['n']:,.0f}" for line in lines],
            **{RATE_WORDS[rate]: [_interval(line, rate) for line in lines] for rate in RATES},
        }
    )


RATE_WORDS = dict(zip(RATES, ["base rate", "selected", "accuracy", "FPR", "FNR"], strict=True))


def _interval(line: dict[Any, Any], rate: str) -> str:
    if np.isnan(line[rate]):
        return "none"
    middle, low, high = (100 * line[f"{rate}{end}"] for end in ("", "_low", "_high"))
    return f"{middle:.1f} ({low:.1f}-{high:.1f})"


def verdict(found: pd.DataFrame, limit: float) -> str:
    """Return in one sentence what failed, what is open and who is too few."""
    bad, waiting = found[found["failed"]], found[found["state"] == "open"]
    what = _listed(f"{row.check} by {row.subject}" for row in bad.itertuples())
    told = f"{len(bad)} findings beyond tolerance: {what}" if len(bad) > 1 else ""
    told = told or (f"1 finding beyond tolerance: {what}" if len(bad) else "")
    judged = found["low"].notna().any()
    told = told or (f"no gap is shown to be wider than {points(limit)}" if judged else NOTHING)
    if len(waiting):
        told += f"; {len(waiting)} cannot be told from so few rows"
    small = found[(found["state"] == "too few") & (found["check"] == SIZE)]
    return told + (f"; too few to say: {_listed(small['subject'])}" if len(small) else "")


def _listed(names: Iterable[str], most: int = 4) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def notes(found: pd.DataFrame, label: pd.Series, decision: pd.Series) -> dict[str, list[str]]:
    """Return how to read the table, what it cannot know, and what comes next."""
    states = set(found["state"])
    after = [AFTER_FINDING] if "failed" in states else []
    after += [AFTER_OPEN] if states & set(UNDECIDED) else []
    notes = {
        "A question, not a finding": _questions(label, decision),
        "How to read it": [
            "A gap fails when its whole interval is beyond the limit, passes when it is within, "
            "and is open otherwise. Intervals of gaps are widened for the number of comparisons.",
            "A selection ratio below 0.8 is a rule of thumb of US hiring, no test of this one.",
            CONFLICT,
        ],
        "What this table cannot know": [LABELS, MECHANISM, LAW, ENTITIES],
        "What to do next": after or [AFTER_PASSING],
    }
    return {title: lines for title, lines in notes.items() if lines}


def _questions(label: pd.Series, decision: pd.Series) -> list[str]:
    said, gone = decision.astype(bool), label.isna()
    agree = float((label == decision).mean())
    lines = [UPSIDE_DOWN.format(share=percent(agree))] if agree < 0.4 else []
    if said.any() and not said.all():
        no, yes = float(gone[~said].mean()), float(gone[said].mean())
        if abs(no - yes) > 0.05:
            lines.append(SELECTIVE.format(no=0, yes=1, a=share(no), b=share(yes)))
    return lines
