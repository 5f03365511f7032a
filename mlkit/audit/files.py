"""Anybody's files: read with clear errors, and two of them brought to one form for comparison."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from pandas.api.types import (
    infer_dtype,
    is_datetime64_any_dtype,
    is_float_dtype,
    is_numeric_dtype,
    is_object_dtype,
)
from pyarrow import ArrowException

SUFFIXES = (".parquet", ".csv", ".csv.gz")
TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d(?::?\d\d)?))?)?"
)
ZONE = r":\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
WHOLE = r"0|-?[1-9]\d{0,17}"  # text that a whole number gives back as it was

Sides = tuple[pd.Series, pd.Series]
SIDES = ("served", "recomputed")


def read_table(file: Path, *, text: Iterable[str] = ()) -> pd.DataFrame:
    """Return the table in a parquet or CSV file.

    Parameters
    ----------
    file: its name ends in .parquet, .csv or .csv.gz
    text: columns of a CSV file to leave as they are written, so that 007 stays 007

    Raises
    ------
    FileNotFoundError: no such file
    ValueError: another suffix, a file that cannot be read, a CSV header that names a column twice
        or has fewer names than the rows have values (pandas would rename, and move, columns)
    """
    suffix = next((end for end in SUFFIXES if file.name.lower().endswith(end)), None)
    if suffix is None:
        raise ValueError(f"{file}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file")
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            table = _read_csv(file, dict.fromkeys(text, "str"))
    except (ValueError, OSError, EOFError, ArrowException) as error:
        raise ValueError(f"{file}: cannot be read as {suffix[1:]}: {error}") from error
    return table.reset_index(drop=not any(table.index.names))


def _read_csv(file: Path, types: dict[str, str]) -> pd.DataFrame:
    header = pd.read_csv(file, header=None, nrows=1, dtype="str").iloc[0].dropna()
    if header.duplicated().any():
        raise ValueError(f"the header has {header[header.duplicated()].iloc[0]!r} twice")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(file, dtype=types, low_memory=False, index_col=False)
        except pd.errors.ParserWarning:
            raise ValueError("rows have more values than the header has names") from None


def is_typed(file: Path) -> bool:
    """Return whether a file says of which type its columns are: Parquet does, CSV does not."""
    return file.name.lower().endswith(".parquet")


def names(values: Iterable[str] | None) -> list[str]:
    """Return column names from a repeated option, from comma separated text, or both.

    Examples
    --------
    >>> names(["user_id, ts", "shop", "ts"])
    ['user_id', 'ts', 'shop']
    """
    parts = (part.strip() for value in values or () for part in value.split(","))
    return list(dict.fromkeys(part for part in parts if part))


def require_keys(frame: pd.DataFrame, name: str, on: list[str]) -> None:
    """Return nothing when every row has its key.

    Raises
    ------
    ValueError: a key is missing; the message counts the rows
    """
    for column in on:
        gone = int(frame[column].isna().sum())
        if gone:
            raise ValueError(
                f"{name}: expected a key in every row, came {gone} of {len(frame)} rows without "
                f"{column}; find out why they lack it, or drop them"
            )


def alike(sides: Sides, name: str, *, key: bool) -> Sides:
    """Return a column of both files in one dtype where both mean the same.

    Times written as text are parsed and brought to UTC. Keys that are text on one side and whole
    numbers on the other become numbers when nothing is lost. Booleans, whole numbers and decimals
    that are no keys become floats, and a column without a single value takes the other's dtype.

    Raises
    ------
    ValueError: times on one side only, a time zone on one side only, or ids that never match
    """
    left, right = (_plain(side, key) for side in sides)
    left = _typed_like(left, right)
    sides = _times((left, _typed_like(right, left)), name)
    return _ids(sides, name) if key else sides


def _plain(column: pd.Series, key: bool) -> pd.Series:
    kind = infer_dtype(column, skipna=True) if is_object_dtype(column.dtype) else ""
    if kind == "date":
        return pd.to_datetime(column)
    whole = is_numeric_dtype(column.dtype) and not is_float_dtype(column.dtype)
    as_float = kind in ("boolean", "decimal") or (whole and not key)
    return column.astype("float64") if as_float else column


def _typed_like(column: pd.Series, other: pd.Series) -> pd.Series:
    return pd.Series(index=column.index, dtype=other.dtype) if column.isna().all() else column


def _times(sides: Sides, name: str) -> Sides:
    ready = [is_datetime64_any_dtype(side.dtype) for side in sides]
    readable = [done or _reads_as_time(side) for done, side in zip(ready, sides, strict=True)]
    if not any(ready) and not all(readable):
        return sides
    if not all(readable):
        odd = readable.index(False)
        raise ValueError(
            f"{SIDES[odd]}.{name}: expected times such as 2025-01-31T12:00:00Z, as in "
            f"{SIDES[1 - odd]}; came {sides[odd].dropna().iloc[0]!r}"
        )
    left, right = (as_times(side, f"{SIDES[at]}.{name}") for at, side in enumerate(sides))
    _require_one_zone(left, right, name)
    return left, right


def _require_one_zone(left: pd.Series, right: pd.Series, name: str) -> None:
    if (left.dt.tz is None) == (right.dt.tz is None):
        return
    bare, aware = SIDES if left.dt.tz is None else SIDES[::-1]
    raise ValueError(
        f"{bare}.{name} has no time zone, {aware}.{name} is UTC: the same moment would not match. "
        f"Write {bare} with its zone, for example by .dt.tz_localize('UTC')"
    )


def _reads_as_time(column: pd.Series) -> bool:
    text = column.dropna()
    first = text.iloc[0] if len(text) else None
    if not (isinstance(first, str) and TIME.fullmatch(first)):
        return False
    return bool(text.str.fullmatch(TIME.pattern).eq(True).all())


def as_times(column: pd.Series, name: str) -> pd.Series:
    """Return times, in UTC where they have a zone, from times or from text in ISO 8601.

    Raises
    ------
    ValueError: no times, or some with and some without a zone
    """
    if not is_datetime64_any_dtype(column.dtype):
        zoned = column.dropna().astype("str").str.contains(ZONE)
        if zoned.any() and not zoned.all():
            raise ValueError(
                f"{name}: {int((~zoned).sum())} of {len(zoned)} times have no time zone, the "
                "others have one; write all of them with their zone"
            )
        try:
            column = pd.to_datetime(column, format="ISO8601", utc=bool(zoned.any()))
        except (ValueError, TypeError) as error:
            reason = str(error).split(". ")[0]
            raise ValueError(
                f"{name}: expected times such as 2025-01-31T12:00:00Z; {reason}"
            ) from error
    return column if column.dt.tz is None else column.dt.tz_convert("UTC")


def with_times(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with times for columns of text that are all times in ISO 8601.

    Raises
    ------
    ValueError: a column in which some times have a zone and others have none
    """
    names = [name for name in table if _reads_as_time(table[name])]
    return table.assign(**{name: as_times(table[name], name) for name in names})


def _ids(sides: Sides, name: str) -> Sides:
    numeric = [is_numeric_dtype(side.dtype) for side in sides]
    if numeric[0] == numeric[1]:
        return sides
    at = numeric.index(False)
    text, number = sides[at].astype("str"), sides[1 - at]
    strange = text[~text.str.fullmatch(WHOLE)]
    if len(strange):
        raise ValueError(
            f"{name}: {SIDES[at]} has text such as {strange.iloc[0]!r}, {SIDES[1 - at]} has "
            f"numbers such as {number.iloc[0]}: they never match. Write the ids the same way on "
            "both sides, as text where leading zeros count"
        )
    whole = text.astype("int64")
    return (number, whole) if at else (whole, number)
