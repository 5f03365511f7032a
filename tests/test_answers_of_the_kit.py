"""No function of the kit is the answer to an exercise: each is tried on every check."""

import ast
import importlib
import inspect
import pkgutil

from test_exercises import EXERCISES, each_exercise, statement

import mlkit
from mlkit.attempt import attempt

# What runs, draws and waits, and what stands above the lessons, is nobody's answer.
NO_ANSWERS = tuple(
    f"mlkit.{name}"
    for name in "attempt audit check claims cli contents feedback fill incident lineage notebooks "
    "plots repository stages upgrade workspace compliance.erasure compliance.lender "
    "compliance.search compliance.stores compliance.versions dualmode.service dualmode.load "
    "scale.child orchestration.child orchestration.crashes orchestration.backfill".split()
)


def public_functions():
    """Return every public function and class of the kit by its full name."""
    found = {}
    for module in pkgutil.walk_packages(mlkit.__path__, "mlkit."):
        if module.name.startswith(("mlkit.solutions", "mlkit.__main__")):
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            ours = getattr(thing, "__module__", "").startswith("mlkit")
            if callable(thing) and ours and not name.startswith("_"):
                found[f"{thing.__module__}.{name}"] = thing
    return found


def takes(function, count):
    """Return whether a function can be called with so many positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def asked_of(id):
    """Return how many arguments the answer to an exercise is called with."""
    stubs = [node for node in ast.parse(statement(id)[1]).body if isinstance(node, ast.FunctionDef)]
    [stub] = [stub for stub in stubs if stub.name == EXERCISES[id].answer]
    return len(stub.args.args)


@each_exercise
def test_no_function_of_the_kit_passes(id, tmp_path, monkeypatch):
    functions = public_functions()
    assert {"mlkit.skew.parity", "mlkit.stats.psi"} <= set(functions)
    monkeypatch.setenv("MLKIT_HOME", str(tmp_path))
    passing, count = [], asked_of(id)
    for name, function in functions.items():
        if "exercises" in name or name.startswith(NO_ANSWERS) or not takes(function, count):
            continue
        if attempt(EXERCISES[id], function).state == "passed":
            passing.append(name)
    assert not passing
