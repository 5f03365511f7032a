"""How much dearer parity is than what it cannot do without: one merge of the same frames."""

import time
from statistics import median

import numpy as np
import pandas as pd
import pytest

from mlkit.skew import parity

ROWS, FEATURES, REPEATS = 1_000_000, 10, 3
LIMIT = 6  # times the CPU time of a bare pandas merge; measured 1.4 to 1.9 on two cores


def cpu_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.slow
def test_parity_of_a_million_rows_costs_a_few_merges(capsys):
    rng = np.random.default_rng(0)
    names = [f"f{i}" for i in range(FEATURES)]
    recomputed = pd.DataFrame(rng.normal(size=(ROWS, FEATURES)), columns=names)
    recomputed["user_id"] = rng.integers(0, 50_000, ROWS)
    recomputed["ts"] = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(range(ROWS), "s")
    served = recomputed.sample(frac=1, random_state=1)
    on = ["user_id", "ts"]
    ratios = []
    for _ in range(REPEATS):
        merge = cpu_seconds(lambda: served.merge(recomputed, "outer", on))
        check = cpu_seconds(lambda: parity(served, recomputed, on=on, features=names, time="ts"))
        ratios.append(check / merge)
    with capsys.disabled():
        print(f"\nparity, {ROWS:,} rows x {FEATURES}: {median(ratios):.1f} times a pandas merge")
    assert median(ratios) < LIMIT
