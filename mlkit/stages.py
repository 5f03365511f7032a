"""The stages of the DVC pipeline: read tables, call one verb, write the result.

Usage: python -m mlkit.stages params | world NAME | inject WORD | repair WORD | score WORD

Thin on purpose: together with the command line this is the only module that knows where things
lie. DVC removes a stage's outputs before it runs the command, so the whole of params.yaml is
checked in a first stage whose output stays.
"""

import os
import platform

# Before numpy loads: the same kernels and one thread give the same bytes on any x86-64 machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mlkit import CHALLENGES
from mlkit.params import WORLDS, check, read_yaml, stream, unknown
from mlkit.tables import Tables, content_hash, read, write, write_text

DATA = Path("data")
OK = DATA / "params.ok"


def lesson(word: str) -> ModuleType:
    """Return the module of a challenge.

    Raises
    ------
    ValueError: no such challenge
    """
    if word not in CHALLENGES:
        raise ValueError(unknown("challenge", word, list(CHALLENGES)))
    return importlib.import_module(f"mlkit.{word}")


def check_params(params: dict[str, Any]) -> None:
    """Write the constant that all other stages depend on, when every parameter is valid.

    Raises
    ------
    ValueError: one line about the first that is not
    """
    check(params)
    write_text("params.yaml is valid\n", OK)


def make_world(params: dict[str, Any], name: str) -> None:
    """Write a world, its healthy model in operation, to data/world/NAME."""
    from mlkit import model

    rng = stream(params["seed"], name, "make")
    write(model.make_world(name, rng=rng, **params["worlds"][name]), DATA / "world" / name)


def inject(params: dict[str, Any], word: str) -> None:
    """Write the world with the challenge's fault to data/WORD/broken."""
    module, rng = lesson(word), stream(params["seed"], word, "inject")
    world = read(DATA / "world" / module.WORLD)
    write(module.inject(world, rng=rng, **params[word]["inject"]), DATA / word / "broken")


def repair(params: dict[str, Any], word: str) -> None:
    """Write the repaired tables to data/WORD/fixed; without a repair, the broken ones."""
    module, tables = lesson(word), read(DATA / word / "broken")
    if hasattr(module, "repair"):
        tables = module.repair(tables, **params[word]["repair"])
    write(tables, DATA / word / "fixed")


def score(params: dict[str, Any], word: str) -> None:
    """Write scores, checks, models and a figure of clean, broken and repaired to data/WORD."""
    import matplotlib.pyplot as plt

    from mlkit import model, plots

    plt.style.use(plots.STYLE)
    module = lesson(word)
    states = {
        "clean": read(DATA / "world" / module.WORLD),
        "broken": read(DATA / word / "broken"),
        "fixed": read(DATA / word / "fixed"),
    }
    detect = params[word].get("detect", {})
    scores = {state: judge(module, states, state, detect) for state in states}
    fit = getattr(module, "fit", model.fit)
    for state in ("broken", "fixed"):
        model.save_model(fit(states[state]), DATA / word / f"model_{state}.skops")
    unit = {"unit": module.UNIT} if hasattr(module, "UNIT") else {}
    plots.save(plots.three_scores(scores, **unit), DATA / word / "score.png")
    write_text(json.dumps(scores, indent=2) + "\n", DATA / word / "score.json")


def judge(
    module: ModuleType, states: dict[str, Tables], state: str, detect: dict[str, Any]
) -> dict[str, Any]:
    """Return scores of one state, whether the usual and the good check fire, and its content.

    A check that the challenge leaves out (see its NO_VERB) is null.
    """
    clean, suspect = states["clean"], states[state]
    row = {key: round(value, 6) for key, value in module.score(suspect).items()}
    for name, verb, options in (
        ("naive_found", "naive_detect", {}),
        ("found", "detect", detect),
    ):
        check = getattr(module, verb, None)
        row[name] = bool(check(clean, suspect, **options)["failed"].any()) if check else None
    return {**row, "content": content_hash(suspect)}


COMMANDS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "params": (check_params, ()),
    "world": (make_world, tuple(WORLDS)),
    "inject": (inject, CHALLENGES),
    "repair": (repair, CHALLENGES),
    "score": (score, CHALLENGES),
}


def main(arguments: list[str]) -> int:
    """Run one stage and return its exit status: 0, or 2 after one line about what is wrong."""
    try:
        command, *names = arguments or [""]
        if command not in COMMANDS:
            raise ValueError(unknown("stage", command, list(COMMANDS)))
        function, allowed = COMMANDS[command]
        if len(names) != bool(allowed) or (names and names[0] not in allowed):
            raise ValueError(f"stage {command}: expected one of {list(allowed)}, came {names}")
        function(read_yaml(Path("params.yaml")), *names)
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"mlkit: {message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
