"""Six ways to load one logical date into a folder of parquet files, each with its kill points.

A design is `load(rows, folder, *, date, reach)`. `rows` reads the source of the date; `reach` is
called by name at each point where the process may die, and a test lets it raise there, or kills
the process. A process that dies is what is tried here, not a machine that loses power: for that
each file would have to be synced before its rename. Each design expects to be the only writer.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mlkit.tables import content_hash

Rows = Callable[[], pd.DataFrame]
Reach = Callable[[str], None]
POINTS = (
    "before read",
    "after read",
    "old rows gone",
    "half written",
    "all written",
    "in the swap",
    "committed",
)
MANIFEST = "manifest.json"  # of write_audit_publish: which version of each date is published


class Crash(RuntimeError):
    """A task that dies at a kill point."""


class AuditError(ValueError):
    """Rows that must not be published."""


def nowhere(point: str) -> None:
    """Do nothing at a kill point: the clean run."""


def crash_at(wanted: str) -> Reach:
    """Return what to call at kill points: it raises at one of them.

    Raises
    ------
    ValueError: no such point
    """
    if wanted not in POINTS:
        raise ValueError(f"kill point {wanted!r}: expected one of {', '.join(POINTS)}")

    def reach(point: str) -> None:
        if point == wanted:
            raise Crash(f"killed at {point!r}")

    return reach


def naive_append(rows: Rows, folder: Path, *, date: str, reach: Reach = nowhere) -> None:
    """Add the rows of the date to what is there: new files, every time."""
    reach("before read")
    fresh = rows()
    reach("after read")
    home = _home(folder, date)
    for point, part in zip(("half written", "all written"), halves(fresh), strict=True):
        part.to_parquet(home / f"part-{len(list(home.iterdir())):03d}.parquet", index=False)
        reach(point)
    _mark(folder, date)
    reach("committed")


def naive_drop_duplicates(rows: Rows, folder: Path, *, date: str, reach: Reach = nowhere) -> None:
    """Read the whole table, add the rows, drop those that are alike, save the whole table."""
    reach("before read")
    table = pd.concat([visible(folder), rows()], ignore_index=True).drop_duplicates()
    reach("after read")
    home = _home(folder, "all")
    fresh = home / ".part-000.parquet.tmp"
    for point, rows_so_far in (("half written", halves(table)[0]), ("all written", table)):
        rows_so_far.to_parquet(fresh, index=False)
        reach(point)
    fresh.replace(home / "part-000.parquet")
    reach("committed")


def naive_overwrite(rows: Rows, folder: Path, *, date: str, reach: Reach = nowhere) -> None:
    """Empty the partition of the date and fill it again where readers look."""
    reach("before read")
    fresh = rows()
    reach("after read")
    home = _home(folder, date)
    for old in home.iterdir():
        old.unlink()
    reach("old rows gone")
    for number, part in enumerate(halves(fresh)):
        part.to_parquet(home / f"part-{number:03d}.parquet", index=False)
        reach(("half written", "all written")[number])
    _mark(folder, date)
    reach("committed")


def naive_swap_folders(rows: Rows, folder: Path, *, date: str, reach: Reach = nowhere) -> None:
    """Write beside the partition, move the old folder away, then the new one in: two renames."""
    reach("before read")
    fresh = rows()
    reach("after read")
    home, beside, old = (
        _home(folder, date),
        *(Path(folder) / f".{date}.{x}" for x in ("new", "old")),
    )
    for leftover in (beside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    _write_parts(fresh, beside, reach)
    home.rename(old)
    reach("in the swap")
    beside.rename(home)
    reach("committed")


def overwrite_partition(rows: Rows, folder: Path, *, date: str, reach: Reach = nowhere) -> None:
    """Write the partition to a file that readers ignore, then rename it over the old one."""
    reach("before read")
    fresh = rows()
    reach("after read")
    home = _home(folder, date)
    beside = home / ".part-000.parquet.tmp"  # the next run writes over what a dead one left
    for point, rows_so_far in (("half written", halves(fresh)[0]), ("all written", fresh)):
        rows_so_far.to_parquet(beside, index=False)
        reach(point)
    beside.replace(home / "part-000.parquet")
    reach("committed")


def write_audit_publish(rows: Rows, folder: Path, *, date: str, reach: Reach = nowhere) -> None:
    """Stage a version of the date, audit what was staged, then point the manifest at it.

    Readers see what the manifest names, and nothing else; it is replaced by one rename.

    Raises
    ------
    AuditError: the staged rows fail the audit; what was published before stays
    """
    reach("before read")
    fresh = rows()
    reach("after read")
    published = _manifest(folder)
    versions = _home(Path(folder) / "versions", date)
    for old in versions.iterdir():  # left by a writer that died
        if old.name != published.get(date):
            shutil.rmtree(old)
    staged = versions / content_hash({"rows": fresh})
    if staged.name == published.get(date):
        return  # the same rows are published already
    _write_parts(fresh, staged, reach)
    audit(_read(sorted(staged.glob("part-*.parquet"))), expected=len(fresh))
    beside = Path(folder) / f".{MANIFEST}.tmp"
    beside.write_text(json.dumps({**published, date: staged.name}), encoding="utf-8")
    reach("in the swap")
    beside.replace(Path(folder) / MANIFEST)
    reach("committed")


def audit(staged: pd.DataFrame, *, expected: int) -> None:
    """Return nothing when staged rows may be published.

    Raises
    ------
    AuditError: no rows, not as many as were read, a missing value, or a negative number
    """
    wrong = {
        "rows that were read and not staged": expected - len(staged),
        "missing values": int(staged.isna().sum().sum()),
        "negative numbers": int((staged.select_dtypes("number") < 0).sum().sum()),
    }
    if staged.empty or any(wrong.values()):
        found = ", ".join(f"{n} {what}" for what, n in wrong.items() if n) or "no rows"
        raise AuditError(
            f"audit: expected a whole date without faults, came {found}; not published"
        )


DESIGNS = {
    "append": naive_append,
    "drop_duplicates": naive_drop_duplicates,
    "overwrite in place": naive_overwrite,
    "swap folders": naive_swap_folders,
    "overwrite partition": overwrite_partition,
    "write-audit-publish": write_audit_publish,
}


def visible(folder: Path) -> pd.DataFrame:
    """Return the rows that a reader of the warehouse sees now; none when nothing is published."""
    if (Path(folder) / MANIFEST).is_file():
        versions = Path(folder) / "versions"
        homes = [versions / f"day={date}" / name for date, name in _manifest(folder).items()]
    else:
        homes = sorted(Path(folder).glob("day=*"))
    return _read([file for home in homes for file in sorted(home.glob("part-*.parquet"))])


def halves(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the first half of the rows and the rest."""
    return rows.iloc[: len(rows) // 2], rows.iloc[len(rows) // 2 :]


def _home(folder: Path, date: str) -> Path:
    """Return the folder of a date, which no other date shares and which is below `folder`."""
    if not isinstance(date, str) or not re.fullmatch(r"[\w-]+", date):
        raise ValueError(f"date = {date!r}: expected a text such as '2025-03-01'")
    home = Path(folder) / f"day={date}"
    home.mkdir(parents=True, exist_ok=True)
    return home


def _mark(folder: Path, date: str) -> None:
    """Write the mark by which downstream tasks know that the date is there."""
    (Path(folder) / f"_SUCCESS-{date}").write_bytes(b"")


def _manifest(folder: Path) -> dict[str, str]:
    file = Path(folder) / MANIFEST
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _write_parts(fresh: pd.DataFrame, home: Path, reach: Reach) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(halves(fresh)):
        part.to_parquet(home / f"part-{number:03d}.parquet", index=False)
        reach(("half written", "all written")[number])


def _read(files: list[Path]) -> pd.DataFrame:
    tables = [pd.read_parquet(file) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
