"""Pieces of data files: read from several places, a megabyte each, never a large file whole.

A piece is rows together with the bytes that they take now. `look` reads what a file says about
itself (names, rows, codec), `piece` reads rows. Whatever cannot be read is an `Unreadable`.
"""

import gzip
import io
import json
import warnings
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
import pandas as pd
from pyarrow import ArrowException

from mlkit.audit.files import TIME, WHOLE

BLOCK = 1 << 20  # bytes of a piece, at most
REACH = 32  # blocks of a gzip stream that are unpacked to get away from its head
PACKED = 4  # times that text is packed by gzip, about
SIPS = 100_000  # portions of a gzip stream, at most; `REACH` blocks take a tenth of them
CELLS = 2_000_000  # rows times columns of a piece of parquet or ORC, at most
BROKEN = (
    ValueError,
    OSError,
    EOFError,
    zlib.error,
    ArrowException,
    KeyError,
    TypeError,
    OverflowError,
    RecursionError,
)


class Unreadable(ValueError):
    """A file that is not what its name says, or is broken; the message says why."""


class Look(NamedTuple):
    """What a file says about itself."""

    columns: tuple[str, ...]
    types: tuple[str, ...]  # empty where the format knows none
    rows: int | None  # None where one would have to read it all
    codec: str
    column_bytes: dict[str, int]  # by column, where the format tells


class Piece(NamedTuple):
    """Some rows, and the bytes that they take now."""

    frame: pd.DataFrame
    now: float


def look(file: Path, kind: str) -> Look:
    """Return what a file says about itself, from its footer or its first lines.

    Raises
    ------
    Unreadable: broken, empty, or another format than its name says
    FileNotFoundError: gone
    """
    return _guarded(_LOOKS.get(kind, _look_text), file, kind)


def piece(file: Path, kind: str, *, at: float = 0.0, block: int = BLOCK) -> Piece:
    """Return rows from a place of a file; a file of at most `block` bytes is read whole.

    Parameters
    ----------
    at: where, as a share of the file, in [0, 1); of a gzip stream only the first `REACH` blocks
        are unpacked, and of a row group of parquet the first ten batches
    block: bytes to read, about

    Raises
    ------
    Unreadable: broken, or another format than its name says
    FileNotFoundError: gone
    """
    return _guarded(_PIECES.get(kind, _text_piece), file, kind, at, block)


def _guarded(read: Any, file: Path, *args: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lines that are too long: they are cut
            return read(file, *args)
    except (FileNotFoundError, Unreadable):
        raise
    except BROKEN as error:
        said = " ".join(str(error).replace(str(file), "the file").split())
        raise Unreadable(said or type(error).__name__) from error


# Parquet and ORC


def _parquet(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, pre_buffer=False, buffer_size=BLOCK, memory_map=False)


def _look_parquet(file: Path, kind: str) -> Look:
    with _parquet(file) as opened:
        schema, meta = opened.schema_arrow, opened.metadata
        sizes: dict[str, int] = dict.fromkeys(schema.names, 0)
        codecs = set()
        for group in range(meta.num_row_groups):
            for at in range(meta.num_columns):
                chunk = meta.row_group(group).column(at)
                top = chunk.path_in_schema.partition(".")[0]
                name = chunk.path_in_schema if chunk.path_in_schema in sizes else top
                sizes[name] = sizes.get(name, 0) + chunk.total_compressed_size
                codecs.add(chunk.compression.lower().replace("uncompressed", "none"))
        types = tuple(map(str, schema.types))
        said = ", ".join(sorted(codecs))
        return Look(tuple(schema.names), types, meta.num_rows, said, sizes)


def _parquet_piece(file: Path, kind: str, at: float, block: int) -> Piece:
    with _parquet(file) as opened:
        meta, size = opened.metadata, file.stat().st_size
        most = max(CELLS // max(meta.num_columns, 1), 1)
        if size <= block and meta.num_rows <= most:
            return Piece(opened.read().to_pandas(), size)
        ends = np.cumsum([meta.row_group(n).num_rows for n in range(meta.num_row_groups)])
        place = int(np.searchsorted(ends, int(at * ends[-1]), side="right"))
        group = meta.row_group(place)
        taken = sum(group.column(n).total_compressed_size for n in range(meta.num_columns))
        wanted = max(int(min(most, block * group.num_rows / max(taken, 1))), 1)
        skip = int((at * ends[-1] - ends[place] + group.num_rows) / wanted)
        last = min(max(group.num_rows // wanted - 1, 0), 9)
        for n, batch in enumerate(opened.iter_batches(wanted, row_groups=[place])):
            if n == min(skip, last):
                frame = batch.to_pandas()
                return Piece(frame, taken * len(frame) / group.num_rows)
    raise Unreadable("no rows where its footer promises some")


def _look_orc(file: Path, kind: str) -> Look:
    from pyarrow import orc

    opened = orc.ORCFile(file)
    schema = opened.schema
    codec = opened.compression.lower().replace("uncompressed", "none")
    return Look(tuple(schema.names), tuple(map(str, schema.types)), opened.nrows, codec, {})


def _orc_piece(file: Path, kind: str, at: float, block: int) -> Piece:
    from pyarrow import orc

    opened, size = orc.ORCFile(file), file.stat().st_size
    if size <= block or not opened.nstripes:
        return Piece(opened.read().to_pandas(), size)
    place = at * opened.nstripes
    stripe = opened.read_stripe(int(place))
    most = max(CELLS // max(stripe.num_columns, 1), 1)
    wanted = min(most, int(block * opened.nrows / size) + 1, stripe.num_rows)
    frame = stripe.slice(int((place % 1) * (stripe.num_rows - wanted)), wanted).to_pandas()
    return Piece(frame, size * len(frame) / max(opened.nrows, 1))


# Text


def _open(file: Path, kind: str) -> IO[bytes]:
    raw = file.open("rb")
    return cast(IO[bytes], gzip.GzipFile(fileobj=_Sips(raw))) if kind.endswith(".gz") else raw


def _look_text(file: Path, kind: str) -> Look:
    with _open(file, kind) as stream:
        head = stream.readline(BLOCK)
    if not head.strip():
        raise Unreadable("is empty")
    names = _header(head)[0] if kind.startswith("csv") else _keys(head)
    codec = "gzip" if kind.endswith(".gz") else "none"
    return Look(tuple(names), (), None, codec, {})


def _keys(line: bytes) -> list[str]:
    first = json.loads(line)
    if not isinstance(first, dict):
        raise Unreadable("its first line is no JSON object")
    return list(first)


def _header(line: bytes) -> tuple[list[str], str]:
    """Return the names in the first line of a CSV file, and what separates them."""
    text = _decoded(line).rstrip("\r\n")
    separator = max(",;\t|", key=text.count)
    row = pd.read_csv(io.StringIO(text), sep=separator, header=None, dtype="str", na_filter=False)
    return [str(name) for name in row.iloc[0]], separator


def _decoded(data: bytes) -> str:
    if b"\0" in data:
        raise Unreadable("is no text in UTF-8: it holds zero bytes")
    return data.decode("utf-8-sig")


def _text_piece(file: Path, kind: str, at: float, block: int) -> Piece:
    read = _packed_block if kind.endswith(".gz") else _plain_block
    (start, lines), share = read(file, at, block)
    head = _look_first(file, kind)
    if start:  # the first line is cut, or was read already
        lines = lines[lines.find(b"\n") + 1 :]
    elif kind.startswith("csv"):
        lines = lines[len(head) :]
    frame = _rows(lines, head) if kind.startswith("csv") else _objects(lines)
    return Piece(frame, (len(lines) + (0 if start else len(head))) * share)


def _look_first(file: Path, kind: str) -> bytes:
    if not kind.startswith("csv"):
        return b""
    with _open(file, kind) as stream:
        return stream.readline(BLOCK)


def _plain_block(file: Path, at: float, block: int) -> tuple[tuple[int, bytes], float]:
    size = file.stat().st_size
    start = min(int(at * size), size - block) if size > block else 0
    with file.open("rb") as stream:
        stream.seek(start)
        data = stream.read(block)
    return (start, _whole_lines(data, ended=start + block >= size)), 1.0


def _packed_block(file: Path, at: float, block: int) -> tuple[tuple[int, bytes], float]:
    """Return a block of a gzip stream, and packed bytes per byte of it."""
    size = file.stat().st_size
    with file.open("rb") as raw, gzip.GzipFile(fileobj=_Sips(raw)) as stream:
        start, data, following = 0, stream.read(block), b"?"
        for _ in range(int(at * min(REACH, PACKED * size / block))):
            following = stream.read(block)
            if len(following) < block:
                break
            start, data = start + len(data), following
        else:
            following = stream.read(1)
        packed = raw.tell() if following else size
    unpacked = max(start + len(data) + len(following), 1)
    return (start, _whole_lines(data, ended=not following)), packed / unpacked


class _Sips(io.RawIOBase):
    """A file that is read in small portions, so that its position says what was unpacked.

    The zeros behind a gzip stream are read one by one: of very many the rest is left alone.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw
        self.sips = 0

    def read(self, size: int = -1) -> bytes:
        self.sips += 1
        if self.sips > SIPS:
            raise OSError("holds more padding than a gzip stream needs")
        return self.raw.read(min(size, 4096) if size >= 0 else size)


def _whole_lines(data: bytes, *, ended: bool) -> bytes:
    """Return data up to its last line end, where the file goes on after it."""
    cut = data if ended else data[: data.rfind(b"\n") + 1]
    if data and not cut:
        raise Unreadable("no line ends within a megabyte")
    return cut


def _rows(lines: bytes, head: bytes) -> pd.DataFrame:
    names, separator = _header(head)
    if not lines.strip():
        return pd.DataFrame(columns=names)
    frame = pd.read_csv(
        io.StringIO(_decoded_middle(lines)),
        sep=separator,
        header=None,
        names=range(len(names)),
        dtype="str",
        keep_default_na=False,
        na_values=[""],
        on_bad_lines="skip",
        index_col=False,
    )
    frame.columns = pd.Index(names)
    return pd.concat([_typed(frame.iloc[:, at]) for at in range(len(names))], axis=1)


def _decoded_middle(lines: bytes) -> str:
    if b"\0" in lines:
        raise Unreadable("is no text in UTF-8: it holds zero bytes")
    return lines.decode("utf-8")


def _typed(column: pd.Series) -> pd.Series:
    """Return numbers or times where nothing is lost by it, such as leading zeros; else text."""
    text = column.dropna()
    if text.empty:
        return column
    if text.str.fullmatch(WHOLE).all():
        return column.astype("float64") if column.isna().any() else column.astype("int64")
    if not text.str.match(r"-?0\d").any():
        try:
            numbers = pd.to_numeric(column)
            return column if numbers.dtype == "object" else numbers
        except (ValueError, TypeError):
            pass
    if text.str.fullmatch(TIME.pattern).all():
        times = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
        return column if times.isna().sum() > column.isna().sum() else times
    return column


def _objects(lines: bytes) -> pd.DataFrame:
    rows = [json.loads(line) for line in _decoded(lines).split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise Unreadable("a line is no JSON object")
    return pd.DataFrame(rows)


_LOOKS: dict[str, Any] = {"parquet": _look_parquet, "orc": _look_orc}
_PIECES: dict[str, Any] = {"parquet": _parquet_piece, "orc": _orc_piece}
