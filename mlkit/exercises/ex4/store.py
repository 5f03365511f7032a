"""A small object store in memory that writes down what is done to it, and what that costs.

It behaves as the large ones do where it matters for a bill: a file is replaced as a whole, a
listing tells names and content hashes, of a Parquet file only some columns can be read.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

PRICES = {  # USD; those of the hot tier of mlkit/cost/prices.yaml, and a query service's by bytes
    # read. Numbers of their own: an edited price file must not change what the exercise asks.
    "storage_gb_month": 0.023,
    "scan_tb": 5.0,
    "read_1000": 0.0004,
    "write_1000": 0.005,
}
GB, TB, MONTH = 1e9, 1e12, 30
SCALE = 100  # each byte stands for a hundred: the ratio is that of a pipeline, the size is not
ITEMS = ["storage", "scan", "requests"]
LONGEST = 1024  # bytes of a name; contents belong into files, where they are billed
SOURCE = "raw/"  # the files of the source team: to be read, not to be written
TRACE = ["day", "op", "name", "bytes"]


class Store:
    """Names and contents of files, and a trace of every request since it was made.

    It is handed on as it is and never copied: what a pipeline writes on one day it finds there on
    the next.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self._files = dict(files or {})
        self._trace: list[tuple[int, str, str, int]] = []
        self._day = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "Store":
        """Return the store itself: it is a place, and a copy would be another one."""
        return self

    def list(self, prefix: str = "") -> dict[str, str]:
        """Return name to content hash of every file whose name begins with `prefix`, sorted."""
        self._note("list", prefix, 0)
        found = sorted(name for name in self._files if name.startswith(prefix))
        return {name: hashlib.sha256(self._files[name]).hexdigest()[:16] for name in found}

    def read(self, name: str) -> bytes:
        """Return the content of a file; all of it is billed.

        Raises
        ------
        FileNotFoundError: no such file
        """
        content = self._content(name)
        self._note("read", name, len(content))
        return content

    def read_table(self, name: str, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """Return a CSV or Parquet file as a table: of Parquet only these columns are billed.

        Raises
        ------
        FileNotFoundError: no such file
        ValueError: the name ends in neither .csv nor .parquet
        """
        content, wanted = self._content(name), None if columns is None else list(columns)
        self._note("read", name, _billed(name, content, wanted))
        if name.endswith(".csv"):
            return pd.read_csv(io.BytesIO(content), usecols=wanted)
        return pd.read_parquet(io.BytesIO(content), columns=wanted)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, or make it.

        Raises
        ------
        PermissionError: the file belongs to the source
        TypeError: the content is no bytes
        ValueError: the name is longer than a store takes
        """
        _own(name)
        if len(name.encode()) > LONGEST:
            raise ValueError(f"{name[:20]}...: expected a name of at most {LONGEST} bytes")
        if not isinstance(content, bytes):
            raise TypeError(f"{name}: expected bytes, got {type(content).__name__}; encode it")
        self._files[name] = content
        self._note("write", name, len(content))

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Replace a file by a table, as CSV or Parquet by the end of its name (zstd inside).

        Raises
        ------
        PermissionError: the file belongs to the source
        ValueError: the name ends in neither .csv nor .parquet
        """
        self.write(name, encoded(name, table))

    def delete(self, name: str) -> None:
        """Remove a file.

        Raises
        ------
        PermissionError: the file belongs to the source
        FileNotFoundError: no such file
        """
        _own(name)
        self._content(name)
        del self._files[name]
        self._note("delete", name, 0)

    def forget(self) -> None:
        """Lose everything but the files of the source, as a cleaning job does. Nobody is billed."""
        self._files = {n: held for n, held in self._files.items() if n.startswith(SOURCE)}

    def deliver(self, day: int, files: Mapping[str, bytes]) -> None:
        """Begin a day: the source puts its files there. This is on nobody's bill here."""
        self._day = day
        self._files.update(files)

    def trace(self) -> pd.DataFrame:
        """Return every request: columns day int64, op, name, bytes int64 (a hundredfold)."""
        kinds = {"day": "int64", "bytes": "int64"}
        return pd.DataFrame(self._trace, columns=TRACE).astype(kinds)

    def _content(self, name: str) -> bytes:
        if name not in self._files:
            raise FileNotFoundError(f"{name}: no such file; `store.list()` tells what there is")
        return self._files[name]

    def _note(self, op: str, name: str, size: int) -> None:
        self._trace.append((self._day, op, name, size * SCALE))


def _own(name: str) -> None:
    if name.startswith(SOURCE):
        raise PermissionError(f"{name}: belongs to the source; write beside it, as in 'work/...'")


def encoded(name: str, table: pd.DataFrame) -> bytes:
    """Return a table as the bytes of a CSV or Parquet file, by the end of its name.

    Raises
    ------
    ValueError: the name ends in neither .csv nor .parquet
    """
    if name.endswith(".csv"):
        return table.to_csv(index=False, lineterminator="\n").encode()
    if name.endswith(".parquet"):
        return table.to_parquet(None, index=False, compression="zstd")
    raise ValueError(f"{name}: expected a name that ends in .csv or .parquet")


def _billed(name: str, content: bytes, columns: "list[str] | None") -> int:
    """Return the bytes that a reader needs: a CSV whole; of Parquet the footer and the columns."""
    if name.endswith(".csv") or columns is None:
        return len(content)
    import pyarrow.parquet as pq

    footer = pq.ParquetFile(io.BytesIO(content)).metadata
    groups = (footer.row_group(i) for i in range(footer.num_row_groups))
    chunks = (group.column(i) for group in groups for i in range(group.num_columns))
    return footer.serialized_size + sum(
        chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns
    )


# What it costs


def bill(trace: pd.DataFrame, prices: Mapping[str, float], days: Iterable[int]) -> dict[str, float]:
    """Return the bill of a trace over some days in USD: storage, scan, requests.

    Storage is what lies there at the end of each day, for a thirtieth of the monthly price.
    """
    of_day = dict(iter(trace.groupby("day")))
    held: dict[str, int] = {}
    gb_days = 0.0
    for day in days:
        for op in of_day.get(day, trace[:0]).itertuples():
            if op.op == "write":
                held[op.name] = op.bytes
            elif op.op == "delete":
                held.pop(op.name, None)
        gb_days += sum(held.values()) / GB
    within = trace[trace["day"].isin(list(days))]
    count = within["op"].value_counts()
    writes = count.get("write", 0) + count.get("list", 0)
    return {
        "storage": gb_days / MONTH * prices["storage_gb_month"],
        "scan": within.loc[within["op"] == "read", "bytes"].sum() / TB * prices["scan_tb"],
        "requests": float(
            count.get("read", 0) * prices["read_1000"] + writes * prices["write_1000"]
        )
        / 1000,
    }
