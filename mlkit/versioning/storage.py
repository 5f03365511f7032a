"""What a store of versions holds: whole copies, files by their hash, or parts by their hash."""

import hashlib
import io
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import checked
from mlkit.tables import require

Versions = Annotated[int, Interval(ge=2, le=365)]


def grown(table: pd.DataFrame, versions: int) -> list[pd.DataFrame]:
    """Return versions of a table that grows: the last one whole, each before it a week shorter."""
    end = table["event_ts"].max()
    ends = [end - pd.Timedelta(days=7 * left) for left in reversed(range(versions))]
    return [table[table["event_ts"] <= moment] for moment in ends]


def corrected(table: pd.DataFrame, versions: int) -> list[pd.DataFrame]:
    """Return versions in each of which one amount more has been corrected, each in the middle."""
    middle = len(table) // 2
    return [_with_cents_more(table, np.arange(middle, middle + n) % len(table))
            for n in range(versions)]  # fmt: skip


def scattered(table: pd.DataFrame, versions: int) -> list[pd.DataFrame]:
    """Return versions in each of which the first amount of every month is corrected once more."""
    first = np.flatnonzero(~_months(table).duplicated().to_numpy())
    return [_with_cents_more(table, first, cents=n) for n in range(versions)]


CHANGES: dict[str, Callable[[pd.DataFrame, int], list[pd.DataFrame]]] = {
    "as it was": lambda table, versions: [table] * versions,
    "grows": grown,
    "one row corrected": corrected,
    "one row a month corrected": scattered,
}


@checked
def stored(transactions: pd.DataFrame, *, versions: Versions = 10) -> pd.DataFrame:
    """Return the bytes that versions of a table take up, by what changes and by how it is stored.

    Parameters
    ----------
    transactions: event_ts UTC, amount_usd float USD
    versions: how many there are

    Returns
    -------
    One row per kind of change, columns "copies" (each version a file), "files by hash" (equal files
    once) and "parts by hash" (a file per month, equal ones once): bytes of parquet.

    Raises
    ------
    KeyError, TypeError, ValueError: not such a table
    """
    require(transactions, "transactions", {"event_ts": "time", "amount_usd": "float"})
    table = transactions.sort_values("event_ts", kind="stable").reset_index(drop=True)
    rows = {}
    for change, make in CHANGES.items():
        made = make(table, versions)
        whole = [[_parquet(version)] for version in made]
        parts = [
            [_parquet(part) for _, part in version.groupby(_months(version))] for version in made
        ]
        rows[change] = {
            "copies": sum(len(file) for files in whole for file in files),
            "files by hash": _once(whole),
            "parts by hash": _once(parts),
        }
    return pd.DataFrame(rows).T


def _once(versions: Sequence[Sequence[bytes]]) -> int:
    """Bytes when each file is kept once, whatever version it is of."""
    sizes = {hashlib.sha256(file).hexdigest(): len(file) for files in versions for file in files}
    return sum(sizes.values())


def _with_cents_more(table: pd.DataFrame, at: np.ndarray, cents: int = 1) -> pd.DataFrame:
    amounts = table["amount_usd"].to_numpy(copy=True)
    amounts[at] = np.round(amounts[at] + cents / 100, 2)
    return table.assign(amount_usd=amounts)


def _months(table: pd.DataFrame) -> pd.Series:
    return table["event_ts"].dt.strftime("%Y-%m")


def _parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file, index=False, compression="zstd")
    return file.getvalue()
