"""What KS and PSI of wide tables cost, against scipy and against the bare sort they stand on."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from mlkit.stats import ks_and_psi

ROWS, REPEATS = 1_000_000, 3
SHAPES = {  # ten columns as tables have them: continuous, rounded, counts, flags, gaps, moved
    "normal": lambda rng: rng.normal(size=ROWS),
    "uniform": lambda rng: rng.random(ROWS),
    "amount": lambda rng: rng.lognormal(3, 1, ROWS),
    "amount_cents": lambda rng: rng.lognormal(3, 1, ROWS).round(2),
    "age": lambda rng: rng.integers(18, 90, ROWS).astype("float64"),
    "count": lambda rng: rng.poisson(4, ROWS).astype("float64"),
    "flag": lambda rng: (rng.random(ROWS) < 0.1).astype("float64"),
    "days_since": lambda rng: rng.exponential(20, ROWS),
    "score": lambda rng: rng.beta(2, 5, ROWS),
    "gaps": lambda rng: np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(size=ROWS)),
}


def cpu_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.slow
def test_both_distances_of_ten_columns_cost_less_than_ks_of_scipy(capsys):
    rng = np.random.default_rng(0)
    a, b = (pd.DataFrame({name: make(rng) for name, make in SHAPES.items()}) for _ in range(2))
    b["uniform"] += 0.02
    pairs = {name: (a[name], b[name]) for name in SHAPES}
    plain = {name: [s.dropna().to_numpy() for s in pair] for name, pair in pairs.items()}
    works = {
        "bare sort": lambda name: [np.sort(x) for x in plain[name]],
        "mlkit, KS and PSI": lambda name: ks_and_psi(*pairs[name]),
        "scipy, KS": lambda name: ks_2samp(*plain[name], method="asymp"),
    }
    seconds = pd.DataFrame(0.0, index=list(SHAPES), columns=list(works))
    for name in SHAPES:
        for work, run in works.items():
            runs = [cpu_seconds(lambda: run(name)) for _ in range(REPEATS)]  # noqa: B023
            seconds.loc[name, work] = min(runs)
    seconds.loc["all ten"] = seconds.sum()
    mine, theirs, floor = (
        seconds[name] for name in ("mlkit, KS and PSI", "scipy, KS", "bare sort")
    )
    ratios = seconds.assign(**{"of scipy": mine / theirs, "of the sort": mine / floor})
    with capsys.disabled():
        print(f"\nCPU seconds, {ROWS:,} by {ROWS:,} rows\n{ratios.round(3).to_string()}")
    assert mine["all ten"] < theirs["all ten"]
