"""Work in a process of its own: what it takes, and what happens when memory runs out.

On Linux the child lives under an address-space limit and the system refuses it more. Elsewhere
there is no such limit: the child watches its own resident memory and stops itself.
"""

import importlib
import json
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from annotated_types import Interval

from mlkit.params import Positive, checked
from mlkit.scale.engines import named

MB = 2**20
# what would take address space without using it: a pool of memory, and stacks, for each thread
SPARING = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUTF8": "1",
}


@checked
def in_child(
    work: Callable,
    *,
    options: dict[str, Any],
    before: dict[str, Any] | None = None,
    room_mb: Annotated[int, Interval(ge=16, le=1_000_000)] | None = None,
    stop: Literal["limit", "watch"] = "limit",
    timeout_s: Positive = 120.0,
) -> dict[str, Any]:
    """Return what became of `work(**options)` in a process of its own.

    Parameters
    ----------
    work: a function of a module, which returns something with a length
    options: its options, as JSON can carry them (paths are turned into text)
    before: options of a first call that is not measured, to have imports and caches out of the way
    room_mb: memory beyond what Python and its libraries take; None for no limit
    stop: "limit" for an address-space limit where there is one, "watch" for the child to stop
        itself
    timeout_s: when to give up

    Returns
    -------
    ended ("finished" or "out of memory"), rows (length of the result, 0 without one), seconds,
    cpu_seconds, peak_mb (resident, the interpreter included), start_mb (the same before the work)
    and stop ("none", "limit" or "watch").

    Raises
    ------
    TimeoutError: not done in time; the child has been killed
    RuntimeError: the child failed otherwise; the message has its last words
    """
    asked: dict[str, Any] = {
        "work": [work.__module__, work.__qualname__],
        "options": named(options),
    }
    asked["before"] = None if before is None else named(before)
    call = [sys.executable, "-m", "mlkit.scale.child", json.dumps({**asked, "room_mb": room_mb,
            "stop": stop})]  # fmt: skip
    seen = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
    around = {**os.environ, **SPARING, "PYTHONPATH": seen}
    try:
        done = subprocess.run(
            call, capture_output=True, encoding="utf-8", timeout=timeout_s, env=around
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"{work.__qualname__}: expected an answer within {timeout_s:g} s, came none; "
            "give it more time or fewer rows"
        ) from None
    return _answer(work.__qualname__, done)


def _answer(name: str, done: subprocess.CompletedProcess) -> dict[str, Any]:
    """The JSON of the last line, or one line on how the child died."""
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return cast(dict[str, Any], json.loads(lines[-1]))
    words = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
    raise RuntimeError(
        f"{name}: expected the child process to report, it ended with {done.returncode}: {words}"
    )


# In the child


def main(argument: str) -> None:
    """Do the work that the JSON text asks for and print the report as one line of JSON."""
    asked = json.loads(argument)
    module, name = asked["work"]
    work = getattr(importlib.import_module(module), name)
    importlib.import_module("pyarrow.parquet")  # before the limit, as everything that is imported
    importlib.import_module("pyarrow.dataset")
    if asked["before"] is not None:
        work(**asked["before"])
    report = _Report(start_mb=resident_mb())
    report.stop = "none" if asked["room_mb"] is None else _limit(asked["room_mb"], asked["stop"])
    if report.stop == "watch":
        threading.Thread(target=report.watch, args=[asked["room_mb"]], daemon=True).start()
    try:
        rows, ended = len(work(**asked["options"])), "finished"
        peak = peak_mb()
    except Exception as error:
        peak = peak_mb()
        lift()
        if not ran_out(error):  # libraries have odd words for it: does it go well without limit?
            if report.stop != "limit":
                raise
            work(**asked["options"])
        rows, ended = 0, "out of memory"
    lift()
    report.tell(ended, rows, peak=peak)


class _Report:
    """What the child says: once, from the work or from the watch, whoever is first."""

    def __init__(self, *, start_mb: float) -> None:
        self.start_mb, self.stop, self.once = start_mb, "none", threading.Lock()
        self.begun = time.perf_counter(), time.process_time()

    def tell(self, ended: str, rows: int, *, peak: float) -> None:
        wall, cpu = time.perf_counter() - self.begun[0], time.process_time() - self.begun[1]
        if self.once.acquire(blocking=False):
            told = {"ended": ended, "rows": rows, "seconds": wall, "cpu_seconds": cpu}
            told |= {"peak_mb": peak, "start_mb": self.start_mb, "stop": self.stop}
            os.write(
                1, b"\n" + json.dumps(told).encode() + b"\n"
            )  # a library may have left half a line

    def watch(self, room_mb: float) -> None:
        while resident_mb() < self.start_mb + room_mb:
            time.sleep(0.002)
        self.tell("out of memory", 0, peak=peak_mb())
        os._exit(0)


def ran_out(error: BaseException) -> bool:
    """Return whether an error says that memory was refused, in the words of any library."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "bad alloc" in words


def _limit(room_mb: int, stop: str) -> str:
    """Limit the address space if asked to and if the system keeps to it; say what holds."""
    if stop == "watch" or not Path("/proc/self/statm").exists():
        return "watch"
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    soft = pages * mmap.PAGESIZE + room_mb * MB
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        mmap.mmap(-1, (room_mb + 16) * MB).close()
    except (OSError, MemoryError):
        return "limit"
    lift()
    return "watch"


def lift() -> None:
    """Take the limit of the address space away, so that there is room for a report."""
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="utf-8").split()[1]) * mmap.PAGESIZE / MB
    import psutil

    return psutil.Process().memory_info().rss / MB


def peak_mb() -> float:
    """Return the largest resident memory that this process had, in MB.

    On Linux from /proc: `ru_maxrss` survives exec, so that a child reports its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        text = status.read_text(encoding="utf-8")
        peaks = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM")]
        if peaks:
            return int(peaks[0]) / 1024
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / MB
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


if __name__ == "__main__":
    main(sys.argv[1])
