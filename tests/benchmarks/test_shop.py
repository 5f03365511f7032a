"""How long the shop takes: it grows with its rows and no faster. CPU time, never the wall's."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlkit import model
from mlkit.params import stream
from mlkit.worlds.shop import make_shop

BOUND_SECONDS = 2.0  # CPU, for the default world with its model in operation
STEEPEST = 1.2  # of log time against log rows; 1 is linear


def cpu_seconds(function: Callable, **options: Any) -> tuple[float, Any]:
    """Return the CPU seconds of one call, and its result."""
    begin = time.process_time()
    result = function(**options)
    return time.process_time() - begin, result


@pytest.fixture(scope="module")
def growth(params) -> list[tuple[int, float]]:
    """Return rows of transactions and CPU seconds at 1, 10 and 100 times the usual rate."""
    knobs, found = params["worlds"]["shop"], []
    make_shop(rng=stream(1), **knobs)  # imports and caches are paid for here
    for times in (1, 10, 100):
        faster = {**knobs, "rate_per_day": times * knobs["rate_per_day"]}
        seconds, world = cpu_seconds(make_shop, rng=stream(7, "shop"), **faster)
        found.append((len(world["transactions"]), seconds))
    return found


def test_time_grows_linearly_with_rows(growth, capsys):
    rows, seconds = np.log(growth).T
    slopes = np.diff(seconds) / np.diff(rows)
    with capsys.disabled():
        print(f"\n{'purchases':>12}{'CPU s':>8}{'slope':>8}   (limit {STEEPEST} for the last)")
        for (n, s), slope in zip(growth, ["", *(f"{x:.2f}" for x in slopes)], strict=True):
            print(f"{n:>12,}{s:>8.2f}{slope:>8}")
    assert slopes[-1] <= STEEPEST


def test_default_world_is_made_in_two_cpu_seconds(params, capsys):
    knobs = params["worlds"]["shop"]
    model.make_world("shop", rng=stream(1), **{**knobs, "n_users": 300})  # imports
    seconds, _ = cpu_seconds(model.make_world, name="shop", rng=stream(7), **knobs)
    with capsys.disabled():
        print(f"\ndefault world with its model: {seconds:.2f} CPU s (limit {BOUND_SECONDS:.0f})")
    assert seconds <= BOUND_SECONDS
