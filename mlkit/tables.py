"""The currency of the kit: a dictionary of data frames, a folder of parquet files on disk.

`write` is safe to kill at any moment: tables are written beside the target folder and swapped in
by a rename. `content_hash` identifies what the tables say, whatever the order of their rows.
"""

import difflib
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]

KINDS = {
    "int": pd.api.types.is_integer_dtype,
    "float": lambda dtype: (
        pd.api.types.is_float_dtype(dtype) or pd.api.types.is_integer_dtype(dtype)
    ),
    "bool": pd.api.types.is_bool_dtype,
    "time": lambda dtype: isinstance(dtype, pd.DatetimeTZDtype) and str(dtype.tz) == "UTC",
}
ADVICE = {
    "int": "cast it with .astype('int64')",
    "float": "convert it with pd.to_numeric",
    "bool": "cast it with .astype('bool')",
    "time": "convert it with pd.to_datetime(..., utc=True)",
}


def require(frame: pd.DataFrame, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return `frame` when it has rows and every column with its kind of dtype.

    Parameters
    ----------
    frame: the table to look at; it is returned as it came
    name: how to call the table in the message
    columns: column name to kind: "int", "float" (integers pass), "bool", "time" (UTC), "any"

    Raises
    ------
    TypeError: not a data frame, or a column of another kind
    KeyError: a column is missing; the message shows the closest names that are there
    ValueError: no rows, or two columns of one name
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{name}: expected a DataFrame, came {type(frame).__name__}")
    twice = frame.columns[frame.columns.duplicated()].unique().tolist()
    if twice:
        raise ValueError(f"{name}: column names must be unique; {twice} come more than once")
    for column in columns:
        if column not in frame.columns:
            raise KeyError(_missing(name, column, [str(c) for c in frame.columns]))
    if frame.empty:
        raise ValueError(f"{name}: expected at least one row, came an empty table")
    for column, kind in columns.items():
        if kind != "any" and not KINDS[kind](frame[column].dtype):
            raise TypeError(
                f"{name}.{column}: expected {'UTC time' if kind == 'time' else kind}, "
                f"came {frame[column].dtype}; {ADVICE[kind]}"
            )
    return frame


def require_unique(frame: pd.DataFrame, name: str, keys: list[str]) -> None:
    """Return nothing when each combination of `keys` occurs once.

    Raises
    ------
    ValueError: duplicates; the message counts them and shows the first
    """
    twice = frame.duplicated(keys)
    if twice.any():
        first = frame.loc[twice, keys].iloc[0].to_dict()
        raise ValueError(
            f"{name}: expected one row per {', '.join(keys)}; {int(twice.sum())} rows are repeats, "
            f"first {first}. Remove them with drop_duplicates({keys}) once you know which to keep"
        )


def require_complete(frame: pd.DataFrame, name: str, columns: Iterable[str]) -> None:
    """Return nothing when none of the columns has a missing value.

    Raises
    ------
    ValueError: missing values; the message counts them
    """
    for column in columns:
        missing = int(frame[column].isna().sum())
        if missing:
            raise ValueError(
                f"{name}.{column}: expected no missing values, came {missing} in {len(frame)} "
                "rows; drop these rows or fill the values first"
            )


def require_tables(tables: Tables, *names: str) -> None:
    """Return nothing when `tables` holds every table of `names`.

    Raises
    ------
    TypeError: not a dictionary of tables
    KeyError: a table is missing; the message lists what is there
    """
    if not isinstance(tables, Mapping):
        raise TypeError(f"expected a dict of DataFrames, came {type(tables).__name__}")
    for name in names:
        if name not in tables:
            raise KeyError(_missing("tables", name, list(tables)))


def _missing(owner: str, wanted: str, present: list[str]) -> str:
    close = difflib.get_close_matches(wanted, present, n=2, cutoff=0.5)
    renamed = f" Renamed upstream? Closest: {close}." if close else ""
    return f"{owner} lacks {wanted!r}; has {present}.{renamed}"


def as_time(microseconds: np.ndarray) -> pd.Series:
    """Return UTC timestamps, shape (n,), for int64 microseconds since 1970."""
    stamps = pd.Series(np.asarray(microseconds, dtype="int64").view("datetime64[us]"))
    return stamps.dt.tz_localize("UTC")


def as_microseconds(times: pd.Series) -> np.ndarray:
    """Return int64 microseconds since 1970, shape (n,), for UTC timestamps without gaps."""
    return times.dt.tz_convert(None).to_numpy("datetime64[us]").astype("int64")


def without_truth(tables: Tables) -> Tables:
    """Return the tables that a team would have: all but those named `truth_*`."""
    return {name: table for name, table in tables.items() if not name.startswith("truth_")}


def content_hash(tables: Tables) -> str:
    """Return 16 hex digits that identify names, dtypes and rows, in any order of rows.

    Rows are hashed to 64 bits each and sorted: an identity for versions, no protection against
    somebody who builds collisions on purpose.
    """
    digest = hashlib.sha256()
    for name in sorted(tables):
        table = tables[name]
        digest.update(repr((name, [_column(table[c]) for c in table])).encode())
        digest.update(np.sort(pd.util.hash_pandas_object(table, index=False).to_numpy()).tobytes())
    return digest.hexdigest()[:16]


def _column(column: pd.Series) -> tuple:
    """Name, dtype and, because codes are features, the order of the categories."""
    dtype = column.dtype
    order = list(dtype.categories) if isinstance(dtype, pd.CategoricalDtype) else []
    return column.name, str(dtype), order


def read(folder: Path) -> Tables:
    """Return the tables of a folder, one per parquet file, in order of name.

    Raises
    ------
    FileNotFoundError: no parquet file there
    """
    files = sorted(Path(folder).glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"{folder}: no parquet files; make them with `dvc repro`")
    return {file.stem: pd.read_parquet(file) for file in files}


def write(tables: Tables, folder: Path) -> None:
    """Write one parquet file per table and swap the whole folder in by two renames."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, stale = (folder.parent / f".{folder.name}.{x}-{os.getpid()}" for x in ("tmp", "tmp-old"))
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir()
    for name, table in tables.items():
        table.to_parquet(fresh / f"{name}.parquet", index=False, compression="zstd")
    if folder.exists():
        folder.replace(stale)
    fresh.replace(folder)
    shutil.rmtree(stale, ignore_errors=True)


def write_text(text: str, file: Path) -> None:
    """Write a text file (UTF-8, Unix line ends) by way of a rename."""
    write_bytes(text.encode("utf-8"), file)


def write_bytes(content: bytes, file: Path) -> None:
    """Write a file by way of a rename, so that it is there whole or not at all."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.tmp-{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(file)
