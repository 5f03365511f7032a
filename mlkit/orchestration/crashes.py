"""The crash table: every design, killed at every point, read by others, and tried again."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
from annotated_types import Interval

from mlkit.orchestration.designs import DESIGNS, POINTS, Crash, crash_at, visible
from mlkit.params import checked
from mlkit.tables import content_hash, require

PRICE_STEP = 5.0  # USD between two prices of the list
DATE = "2025-03-01"
SECONDS = 600  # a busy machine takes its time to start six children
SIGNAL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows knows no SIGKILL
KILLED = SIGNAL if sys.platform == "win32" else -SIGNAL  # how the parent sees such an end
Design = Callable[..., None]


@checked
def keyless(
    transactions: pd.DataFrame, *, step_usd: Annotated[float, Interval(gt=0)] = PRICE_STEP
) -> pd.DataFrame:
    """Return purchases as a table without a key keeps them: user_id, day, price_usd.

    Two honest purchases of one user on one day at one price look like one row written twice.

    Parameters
    ----------
    transactions: user_id, event_ts UTC, amount_usd
    step_usd: USD between two prices of the list, above 0
    """
    need = {"user_id": "any", "event_ts": "time", "amount_usd": "float"}
    require(transactions, "transactions", need)
    price = (transactions["amount_usd"] / step_usd).round() * step_usd
    day = transactions["event_ts"].dt.floor("D")
    return pd.DataFrame({"user_id": transactions["user_id"], "day": day, "price_usd": price})


def difference(seen: pd.DataFrame, due: pd.DataFrame) -> dict[str, int]:
    """Return how many rows of `due` are missing in `seen`, and how many are there too often."""
    names = list(due)
    held = seen if len(seen) else due.iloc[:0]
    counts = [table.value_counts(names, dropna=False) for table in (due, held)]
    gap = counts[0].sub(counts[1], fill_value=0)
    return {"missing": int(gap.clip(lower=0).sum()), "doubled": int(-gap.clip(upper=0).sum())}


def points_of(design: Design, rows: pd.DataFrame) -> list[str]:
    """Return the kill points that a design passes, in order."""
    passed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        design(lambda: rows, Path(folder), date=DATE, reach=passed.append)
    return passed


def crash_table(
    rows: pd.DataFrame,
    *,
    designs: Mapping[str, Design] = DESIGNS,
    earlier: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return what each design leaves when it dies at each point, and after a successful retry.

    Files are real, in a folder of their own for each row; the death is an exception.

    Parameters
    ----------
    rows: the rows of one logical date
    designs: name to design
    earlier: what is published for the date before; None: it is loaded for the first time

    Returns
    -------
    design, point, seen (rows that readers see of the date after the crash, before the retry), due
    (rows of the date), partial (readers see neither what was there before nor the whole date),
    missing and doubled (rows after the retry, against the source), wrong (their sum), clean (equal
    to the clean run that never died).
    """
    require(rows, "rows", {})
    found = []
    for name, design in designs.items():
        for point in points_of(design, rows):
            with tempfile.TemporaryDirectory() as folder:
                found.append(
                    {"design": name, "point": point, **_crash(rows, design, point, folder, earlier)}
                )
    return pd.DataFrame(found)


def _crash(
    rows: pd.DataFrame, design: Design, point: str, folder: str, earlier: pd.DataFrame | None
) -> dict:
    home, clean = Path(folder) / "warehouse", Path(folder) / "clean"
    if earlier is not None:
        for place in (home, clean):
            design(lambda: earlier, place, date=DATE)
    design(lambda: rows, clean, date=DATE)
    before = visible(home)
    try:
        design(lambda: rows, home, date=DATE, reach=crash_at(point))
    except Crash:
        return after_crash(rows, home, before, retry=design, clean=visible(clean))
    raise ValueError(f"the design never came to {point!r}: give the rows it would write")


def after_crash(
    rows: pd.DataFrame,
    folder: Path,
    before: pd.DataFrame,
    *,
    retry: Design,
    clean: pd.DataFrame,
) -> dict:
    """Return what readers see of a folder in which a task died, and what a retry makes of it."""
    seen = visible(folder)
    states = [content_hash({"rows": table}) for table in (before, rows, clean)]
    partial = content_hash({"rows": seen}) not in states
    retry(lambda: rows, folder, date=DATE)
    left = visible(folder)
    gap = difference(left, rows)
    same = content_hash({"rows": left}) == content_hash({"rows": clean})
    wrong = gap["missing"] + gap["doubled"]
    return {"seen": len(seen), "due": len(rows), "partial": partial, **gap, "wrong": wrong,
            "clean": same}  # fmt: skip


def kill_table(
    rows: pd.DataFrame, *, point: str = "half written", designs: Sequence[str] = tuple(DESIGNS)
) -> pd.DataFrame:
    """Return the same as `crash_table` for one point, each task in a process that is killed.

    SIGKILL on Linux and macOS, TerminateProcess on Windows. The children run side by side; each
    kills itself when it comes to the point, so nobody has to guess when that is.

    Raises
    ------
    RuntimeError: a child ended in another way, or not within ten minutes
    ValueError: no such design or point
    """
    require(rows, "rows", {})
    crash_at(point)
    for name in designs:
        if name not in DESIGNS:
            raise ValueError(f"design {name!r}: expected one of {', '.join(DESIGNS)}")
    with tempfile.TemporaryDirectory() as folder:
        source, homes = Path(folder) / "rows.parquet", {d: Path(folder) / d for d in designs}
        rows.to_parquet(source, index=False)
        _run_killed([[d, str(source), str(homes[d]), DATE, point] for d in designs])
        found = []
        for name in designs:
            design, clean = DESIGNS[name], Path(folder) / f"clean {name}"
            design(lambda: rows, clean, date=DATE)
            row = after_crash(rows, homes[name], pd.DataFrame(), retry=design, clean=visible(clean))
            found.append({"design": name, "point": point, **row})
    return pd.DataFrame(found)


def _run_killed(tasks: list[list[str]]) -> None:
    """Run `mlkit.orchestration.child` once for each task, and see that each of them is killed."""
    command = [sys.executable, "-m", "mlkit.orchestration.child"]
    children = [subprocess.Popen([*command, *words]) for words in tasks]
    try:
        for (name, *_), child in zip(tasks, children, strict=True):
            if (ended := child.wait(timeout=SECONDS)) != KILLED:
                raise RuntimeError(f"{name}: expected the child to be killed, it ended: {ended}")
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{name}: the child was not killed in {SECONDS} s") from None
    finally:
        for child in children:
            child.kill()
            child.wait()


def run_twice(design: Design, rows: pd.DataFrame, again: pd.DataFrame | None = None) -> list[str]:
    """Return the content hashes after the first and after the second run of one date.

    Parameters
    ----------
    design: how the date is loaded
    rows: what the source gives
    again: what it gives the second time, where the source can change; None: the same
    """
    hashes = []
    with tempfile.TemporaryDirectory() as folder:
        for given in (rows, rows if again is None else again):
            design(lambda given=given: given, Path(folder), date=DATE)
            hashes.append(content_hash({"rows": visible(Path(folder))}))
    return hashes


def heat_table(table: pd.DataFrame, column: str = "wrong") -> pd.DataFrame:
    """Return one row per design and one column per kill point, NaN where it has no such point."""
    wide = table.pivot(index="design", columns="point", values=column)
    wide = wide.reindex(index=list(dict.fromkeys(table["design"])))
    return wide[[point for point in POINTS if point in wide]]
