"""What every challenge shares: what a kind of fault is, and the columns of a check's findings."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import pandas as pd


class Kind(NamedTuple):
    """A kind of fault: its code, whether it harms, whether the usual check sees it, its cause."""

    path: Callable
    harm: Literal["yes", "no", "depends"]
    loud: bool
    cause: str


def findings(check: str, values: pd.Series, limit: float) -> pd.DataFrame:
    """Return one row per value: check, subject (the index), value, limit, failed (above it)."""
    table = pd.DataFrame({"check": check, "subject": values.index, "value": values.to_numpy()})
    return table.assign(limit=limit, failed=table["value"] > limit)
