"""How much dearer a search for 200 people is than opening every file once, for nobody."""

import time
from statistics import median

import numpy as np
import pytest

from mlkit import params as parameters
from mlkit.compliance import lender
from mlkit.compliance.search import find, needles

SUBJECTS, VERSIONS, REPEATS = 200, 10, 3
LIMIT = 4  # times the CPU time of a search for nobody; measured 2.0 on two cores


def cpu_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.slow
def test_search_for_many_costs_little_more_than_opening_the_files(params, tmp_path, capsys):
    rng = parameters.stream(params["seed"], "loans", "make")
    world = parameters.maker("loans")(rng=rng, **params["worlds"]["loans"])
    folder = lender.build(tmp_path / "lender", world, versions=VERSIONS)
    applied = world["applications"]["user_id"].unique()
    chosen = np.random.default_rng(0).choice(applied, SUBJECTS, replace=False)
    sought = [needles(world, user) for user in chosen]
    ratios = []
    for _ in range(REPEATS):
        nobody = cpu_seconds(lambda: find(folder, []))
        ratios.append(cpu_seconds(lambda: find(folder, sought)) / nobody)
    with capsys.disabled():
        print(f"\nsearch for {len(sought)} people, {VERSIONS} versions: "
              f"{median(ratios):.1f} times a search for nobody")  # fmt: skip
    assert median(ratios) < LIMIT
