"""Worlds that many tests look at, made once. A test that needs to change one copies it."""

import os
import platform

# Before numpy loads, as in stages and notebooks: the same bytes on any x86-64 machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlkit import model, skew
from mlkit import params as parameters
from mlkit.tables import Tables, content_hash

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def one_style_for_all_tests() -> Iterator[None]:
    """Undo the style that a test, or what it ran, has put on: the next looks at titles, too."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        import matplotlib as mpl

        if mpl.rcParams["axes.titlelocation"] != "center":
            mpl.rcdefaults()


@pytest.fixture(scope="session")
def params() -> dict[str, Any]:
    """Return the project's own params.yaml."""
    return parameters.load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def knobs(params: dict[str, Any]) -> dict[str, Any]:
    """Return the knobs of a shop of 400 users, small enough for quick tests."""
    return {**params["worlds"]["shop"], "n_users": 400}


@pytest.fixture(scope="session")
def shop(params: dict[str, Any], knobs: dict[str, Any]) -> Iterator[Tables]:
    """Yield the small shop in operation; fail at the end when a test changed it in place."""
    world = model.make_world("shop", rng=parameters.stream(params["seed"], "shop", "make"), **knobs)
    before = content_hash(world)
    yield world
    assert content_hash(world) == before, "a test changed the shared shop in place"


@pytest.fixture(scope="session")
def broken(params: dict[str, Any], shop: Tables) -> Tables:
    """Return the small shop with the fault of the lesson."""
    rng = parameters.stream(params["seed"], "skew", "inject")
    return skew.inject(shop, rng=rng, **params["skew"]["inject"])


@pytest.fixture
def fresh_python() -> Callable[..., str]:
    """Return a function that runs code in an interpreter of its own and returns what it prints."""

    def run(code: str, *arguments: Any, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", code, *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def lender_folder(params: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lender of two versions and 400 applications with the canary. Change only copies."""
    from mlkit.compliance import lender

    knobs = {**params["worlds"]["loans"], "n": 400}
    world = parameters.maker("loans")(rng=parameters.stream(7, "loans", "make"), **knobs)
    return lender.build(tmp_path_factory.mktemp("small") / "lender", world, versions=2, canary=True)
