"""A task in a process of its own, which is really killed at a kill point.

python -m mlkit.orchestration.child DESIGN ROWS.parquet FOLDER DATE POINT
"""

import os
import sys
from pathlib import Path

import pandas as pd

from mlkit.orchestration.crashes import SIGNAL
from mlkit.orchestration.designs import DESIGNS


def main(words: list[str]) -> None:
    """Load a date by a design; the process does not come back from the point.

    SIGKILL on Linux and macOS, TerminateProcess on Windows: no `finally` and no `except` runs.
    """
    design, rows, folder, date, wanted = words

    def reach(point: str) -> None:
        if point == wanted:
            os.kill(os.getpid(), SIGNAL)

    DESIGNS[design](lambda: pd.read_parquet(rows), Path(folder), date=date, reach=reach)


if __name__ == "__main__":
    main(sys.argv[1:])
