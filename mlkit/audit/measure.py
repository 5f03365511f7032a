"""One table of files, measured on samples: what is in it, and what a rewrite would take.

Places are drawn with chances in proportion to bytes, so that the mean over places of new bytes by
old bytes is an unbiased estimate for the table, up to what a sample cannot have: see `Measured`.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pyarrow import ArrowException

from mlkit.audit.folder import Entry, Table, partition_keys
from mlkit.audit.samples import BLOCK, Look, Piece, Unreadable, look, piece
from mlkit.cost.formats import parquet_bytes

RUN = 500  # files of a run, at most: small files are rewritten together


class Measured(NamedTuple):
    """What samples of a table say.

    A sample ends where a file would go on: dictionaries pay less than in a large file, and every
    sample has a footer of its own. So a rewrite of the whole may be a little smaller.
    """

    table: Table
    looks: list[Look]
    broken: dict[str, str]  # path to reason, of the files that were looked at
    empty: list[str]  # files without rows, of those that were looked at
    tried: int  # files that were looked at
    ratios: list[float]  # new bytes by old bytes, a number per place
    old: list[float]  # old bytes of each place
    rows: int  # in all places
    whole: bool  # every file was read to its end
    text: dict[str, int]  # letters by column, in all places
    gone: int

    @property
    def saving(self) -> float:
        """Return the share of the bytes that a rewrite saves, negative for a loss, NaN unknown."""
        if not self.ratios:
            return float("nan")
        weights = self.old if self.whole else None
        return 1 - float(np.average(self.ratios, weights=weights))

    @property
    def all_rows(self) -> tuple[int, bool] | None:
        """Return the rows of the table and whether they were counted; None when nobody knows."""
        counted = [item.rows for item in self.looks if item.rows is not None]
        if len(counted) == len(self.table.files):
            return sum(counted), True
        if self.whole:
            return self.rows, True
        return (round(self.rows / sum(self.old) * self.table.size), False) if self.old else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names that most of the files have."""
        names = Counter(item.columns for item in self.looks)
        return names.most_common(1)[0][0] if names else ()

    @property
    def codec(self) -> str:
        """Return the codecs that the files name."""
        return ", ".join(sorted({item.codec for item in self.looks if item.codec}))

    @property
    def mixed(self) -> float:
        """Return the share of looked at files with other columns or types than the commonest."""
        kinds = Counter((item.columns, item.types) for item in self.looks)
        return 1 - kinds.most_common(1)[0][1] / len(self.looks) if kinds else 0.0


def measure(
    folder: Path, table: Table, *, rng: np.random.Generator, places: int, most_looks: int = 60
) -> Measured:
    """Return what a table holds and what a rewrite would take, from samples.

    Parameters
    ----------
    folder: where the table lies
    places: pieces that are rewritten, at most
    most_looks: files whose heads or footers are read, at most, spread over the table
    """
    broken: dict[str, str] = {}
    gone: set[str] = set()
    looks, empty, tried = _looks(folder, table, most_looks, (broken, gone))
    done: list[tuple[float, int, int, dict[str, int]]] = []
    runs, all_drawn = _drawn(table, places, rng)
    block = BLOCK if all_drawn else int(np.clip(table.size / places, 1 << 16, BLOCK))
    taken = 0.0
    for run, at in runs:
        read = _read(folder, run, table.format, (at, block), (broken, gone))
        taken += sum(part.now for _, part in read)
        empty += [path for path, part in read if not len(part.frame) and path not in empty]
        if sum(len(part.frame) for _, part in read):
            done.append(_rewrite([part for _, part in read]))
    return Measured(
        table=table,
        looks=looks,
        broken=broken,
        empty=empty,
        tried=max(tried, len(set(broken) | set(empty))),
        ratios=[new / old for old, new, _, _ in done],
        old=[old for old, *_ in done],
        rows=sum(rows for *_, rows, _ in done),
        whole=all_drawn and not broken and not gone and taken >= table.size - 1,
        text=dict(sum((Counter(letters) for *_, letters in done), Counter())),
        gone=len(gone),
    )


def _looks(
    folder: Path, table: Table, most: int, failed: tuple[dict[str, str], set[str]]
) -> tuple[list[Look], list[str], int]:
    """Return looks at files spread over a table, those without rows, and how many were tried."""
    broken, gone = failed
    found, empty = [], []
    spread = np.unique(np.linspace(0, len(table.files) - 1, most).astype(int))
    for entry in [table.files[at] for at in spread]:
        try:
            one = look(folder / entry.path, table.format)
        except FileNotFoundError:
            gone.add(entry.path)
        except Unreadable as error:
            broken[entry.path] = str(error)
        else:
            found.append(one)
            empty += [entry.path] if one.rows == 0 else []
    return found, empty, len(spread)


def _drawn(
    table: Table, places: int, rng: np.random.Generator
) -> tuple[list[tuple[list[Entry], float]], bool]:
    """Return runs of neighbouring files, each with a place in it, and whether they are all.

    Places are at equal distances in bytes, the first drawn at random.
    """
    runs = _runs(table)
    if not runs:
        return [], True
    small = [len(run) > 1 or run[0].size <= BLOCK for run in runs]
    if len(runs) <= places and all(small) and "gz" not in table.format:
        return [(run, 0.0) for run in runs], True
    sizes = np.array([sum(entry.size for entry in run) for run in runs])
    ends = np.cumsum(sizes)
    hits = (np.arange(places) + rng.random()) / places * ends[-1]
    at = np.minimum(np.searchsorted(ends, hits, side="right"), len(runs) - 1)
    inside = 1 - (ends[at] - hits) / sizes[at]
    large = [len(run) == 1 and ("gz" in table.format or not small[n]) for n, run in enumerate(runs)]
    return [
        (runs[where], float(inside[n]))
        for n, where in enumerate(at)
        if large[where] or where not in at[:n]
    ], False


def _runs(table: Table) -> list[list[Entry]]:
    """Return files in their order, small neighbours together."""
    runs: list[list[Entry]] = []
    room = 0
    for entry in table.files:
        if not entry.size:
            continue
        if not runs or room + entry.size > BLOCK or len(runs[-1]) == RUN:
            runs.append([])
            room = 0
        runs[-1].append(entry)
        room += entry.size
    return runs


def _read(
    folder: Path,
    run: list[Entry],
    kind: str,
    where: tuple[float, int],
    failed: tuple[dict[str, str], set[str]],
) -> list[tuple[str, Piece]]:
    """Return the pieces of a run that can be read; notes down what is broken and what is gone."""
    broken, gone = failed
    at, block = where if len(run) == 1 else (0.0, BLOCK)
    parts = []
    for entry in run:
        if entry.path in broken or entry.path in gone:
            continue
        try:
            parts.append((entry.path, piece(folder / entry.path, kind, at=at, block=block)))
        except FileNotFoundError:
            gone.add(entry.path)
        except Unreadable as error:
            broken[entry.path] = str(error)
    return parts


def _rewrite(parts: list[Piece]) -> tuple[float, int, int, dict[str, int]]:
    """Return old bytes, new bytes, rows, and letters by column of some pieces together."""
    frames = [part.frame for part in parts if len(part.frame)]
    names = frames[0].columns.map(str)
    frame = frames[0] if len(frames) == 1 else pd.concat(_alike(frames), ignore_index=True)
    letters = {
        str(name): int(_as_text(frame.iloc[:, at]).str.len().sum() + len(frame))
        for at, name in enumerate(names)
        if at < frame.shape[1]
    }
    return sum(part.now for part in parts), _as_parquet(frame), len(frame), letters


def _alike(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return frames whose columns can be put below one another: without repeated names."""
    return [
        frame if frame.columns.is_unique else frame.set_axis(range(frame.shape[1]), axis=1)
        for frame in frames
    ]


def _as_parquet(frame: pd.DataFrame) -> int:
    """Return the bytes of a frame as parquet with zstd, with or without dictionaries.

    What has no type of its own is text.
    """
    frame = frame.set_axis([f"c{at}" for at in range(frame.shape[1])], axis=1)
    try:
        return _smaller(frame)
    except (ArrowException, TypeError, ValueError, OverflowError):
        text = {
            name: _as_text(column) for name, column in frame.items() if column.dtype == "object"
        }
        return _smaller(frame.assign(**text))


def _as_text(column: pd.Series) -> pd.Series:
    try:
        return column.astype("str")
    except ValueError:  # bytes that are no UTF-8
        return column.map(repr).astype("str")


def _smaller(frame: pd.DataFrame) -> int:
    return min(parquet_bytes(frame, codec="zstd", dictionary=choice) for choice in (True, False))


def known_columns(measured: list[Measured]) -> set[str]:
    """Return the columns of all tables, those that stand in the names of folders too."""
    inside = {name for item in measured for found in item.looks for name in found.columns}
    return inside | {name for item in measured for name in partition_keys(item.table.files[0].path)}


def unneeded(item: Measured, needed: list[str]) -> tuple[float, list[str]]:
    """Return the share of a table's bytes in columns that nobody needs, and these columns.

    Parquet says how many bytes a column has. Of other formats letters are counted, which is right
    for text and about right for what is packed.
    """
    stored: Counter[str] = Counter()
    for found in item.looks:
        stored.update(found.column_bytes)
    sizes = stored if sum(stored.values()) else Counter(item.text)
    rest = [name for name in sizes if name not in needed]
    total = sum(sizes.values())
    return (sum(sizes[name] for name in rest) / total if total else 0.0), rest
