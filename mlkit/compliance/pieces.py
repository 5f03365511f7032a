"""Pieces of which a search can match persons: what a text, a list or a table of numbers says."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

KEY = re.compile(r"(?:^|[^a-z])(user|application)_?ids?(?:_[xy])?$", re.IGNORECASE)
NAMED = re.compile(  # user_id=7, "user_id": 7, <user_id>7, user_id: [7, 8], and as a list of YAML
    r"(user|application)_?ids?[\"'\\]*(?:[ \t]*[:=>]\s*|[ \t]+)"
    r"(\[[\d\s,.\"'-]*\]|(?:-\s+\d+\s*)+|[\"'\\]*\d{1,18}\b)",
    re.IGNORECASE,
)
HEAD = re.compile("(?:user|application)_?id", re.IGNORECASE)
ROW = 4  # numbers side by side from which a row can be told
LARGEST = 2**25  # bytes that a file may have, and again what is packed in it
MOST_CELLS, WIDEST = 2**22, 2**13  # of a table, columns of a text
REAL = (int, float, np.number)
NESTED = (dict, list, tuple, np.ndarray)
TOO_MUCH = f"more than {LARGEST >> 20} MiB when unpacked"


class Piece(NamedTuple):
    """One thing that a file says.

    `inner` is the place within the file. `content` is, by kind: user_id or application_id: the
    integers of a column of this name; text: decoded text; raw: all bytes of what is no text, for
    what stands between its parts (names, comments, free pages); numbers: a matrix, and the vectors
    beside it by which its columns may have been shifted and scaled; unreadable: why.
    """

    inner: str
    kind: Literal["user_id", "application_id", "text", "raw", "numbers", "unreadable"]
    content: Any


def as_text(data: bytes) -> str | None:
    """Return the text of bytes in UTF-8 or, with its mark, UTF-16; None when they are none."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def in_text(text: str, inner: str) -> Iterator[Piece]:
    """Yield what a text says: JSON, JSON lines, a table, and everything else as words."""
    good, bad = _json_values(text) if text.lstrip()[:1] in ("{", "[") else ([], [])
    if not good:
        yield from words(text, inner)
        yield from _csv(text, inner)
    yield from in_json(good, inner)
    if good and bad:
        yield Piece(inner, "unreadable", f"{len(bad)} lines are not JSON")
        yield from words("\n".join(bad), inner)


def _json_values(text: str) -> tuple[list[Any], list[str]]:
    """Return the values of a text, or of its lines, that are JSON, and the other lines."""
    with suppress(json.JSONDecodeError):
        return [json.loads(text, object_pairs_hook=_object)], []
    return _json_lines(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary in which a name that comes twice has both values."""
    if len(found := dict(pairs)) == len(pairs):
        return found
    return {name: [value for other, value in pairs if other == name] for name in found}


def _json_lines(text: str) -> tuple[list[Any], list[str]]:
    """Return the values of the lines that are JSON, and the other lines."""
    good, bad = [], []
    for line in filter(str.strip, text.splitlines()):
        try:
            good.append(json.loads(line, object_pairs_hook=_object))
        except json.JSONDecodeError:
            bad.append(line)
    return good, bad


def in_json(values: list[Any], inner: str) -> Iterator[Piece]:
    """Yield keys, texts and rows of numbers of any nesting of dictionaries and lists."""
    keys: dict[str, list[Any]] = {}
    texts: list[str] = []
    rows: dict[int, list[list[Any]]] = {}
    todo = list(values)
    while todo:
        value = todo.pop()
        if isinstance(value, str | bytes):
            texts.append(value if isinstance(value, str) else value.decode("latin-1"))
        if not isinstance(value, NESTED):
            continue
        below = list(value.values()) if isinstance(value, dict) else list(value)
        numbers = [x for x in below if isinstance(x, REAL) and not isinstance(x, bool)]
        rows.setdefault(len(numbers), []).append(numbers)
        todo += below
        for name, under in value.items() if isinstance(value, dict) else ():
            texts.append(str(name))
            if key := key_of(name):
                keys.setdefault(key, []).append(under)
    yield from words(joined(texts), inner)
    yield from (integers(inner, key, found) for key, found in keys.items())
    found = [np.array(r, "float64") for numbers, r in rows.items() if numbers >= ROW]
    yield from (Piece(inner, "numbers", (table, [])) for table in found)


def joined(texts: list[str]) -> str:
    """Return texts one below the other; an error when a few long ones come too often."""
    if sum(map(len, texts)) > LARGEST:
        raise ValueError(TOO_MUCH)
    return "\n".join(texts)


def _csv(text: str, inner: str) -> Iterator[Piece]:
    """Yield keys and rows of numbers of a table; its line of names need not be the first."""
    lines = text.splitlines()
    heads = [line for line in lines if HEAD.search(line)] or text.strip().splitlines()[:1]
    comma = max(",;\t|", key="".join(heads).count)
    if not any(comma in line or key_of(line.strip(' "')) for line in heads):
        return
    widest = 1 + max(line.count(comma) for line in lines)
    if widest > WIDEST or widest * len(lines) > MOST_CELLS:
        raise ValueError(f"{len(lines)} rows, {widest} columns: too many for a table")
    rows = list(csv.reader(lines, delimiter=comma))
    columns = [pd.Series(cells) for cells in zip_longest(*rows)]
    named = {i: cell for row in rows for i, cell in enumerate(row) if HEAD.search(cell)}
    for number, name in named.items():
        if key := key_of(name):
            yield integers(f"{inner}!{name}", key, columns[number])
    numbers = [pd.to_numeric(column, errors="coerce") for column in columns]
    yield from side_by_side(inner, [c.to_numpy("float64") for c in numbers if c.notna().any()])


def words(text: str, inner: str) -> Iterator[Piece]:
    """Yield a text, and ids that stand beside their name in it, as in user_id=7."""
    yield Piece(inner, "text", text)
    found: dict[str, list[str]] = {}
    for kind, ids in NAMED.findall(text):
        found.setdefault(f"{kind.lower()}_id", []).extend(re.findall(r"\d+", ids))
    yield from (integers(inner, key, ids) for key, ids in found.items())


def key_of(name: Any) -> str | None:
    """Return the kind of key that a column is by its name."""
    found = KEY.search(str(name).strip())
    return f"{found[1].lower()}_id" if found else None


def integers(inner: str, key: str, values: Any) -> Piece:
    """Return the whole numbers among values of any type and nesting (7, 7.0, "7", [7])."""
    numbers = pd.Series(values)
    if not pd.api.types.is_integer_dtype(numbers.dtype):
        numbers = pd.Series([str(x).strip() for x in _flat(list(values))], dtype=object)
        numbers = pd.to_numeric(numbers, errors="coerce").astype("float64")
        numbers = numbers[np.isfinite(numbers) & (numbers % 1 == 0) & (numbers.abs() < 2**62)]
    numbers = numbers.dropna()
    return Piece(inner, key, numbers.to_numpy("int64"))  # type: ignore[arg-type]


def _flat(value: Any) -> list[Any]:
    if not isinstance(value, NESTED):
        return [value]
    under = value.values() if isinstance(value, dict) else value
    return [x for y in under for x in (_flat(y) if isinstance(y, NESTED) else (y,))]


def side_by_side(inner: str, columns: list[np.ndarray]) -> list[Piece]:
    """Return the matrix of columns of numbers, if a row can be told from so many."""
    wide = len(columns) >= ROW
    return [Piece(inner, "numbers", (np.column_stack(columns), []))] if wide else []
