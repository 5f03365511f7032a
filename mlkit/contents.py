"""The tables of notebooks/README.md: what to read, the gate of exercises, deliberate faults."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from mlkit.lineage import parse
from mlkit.notebooks import names_below
from mlkit.tables import write_text

GATE = Path("tests/wrong/rates.json")
README = """\
# Notebooks

Made by `python -m mlkit.notebooks readme`; a test keeps it so. The sources in `src/` are the only
edited form: see CONTRIBUTING.md. Work in the copies that `make lab` opens.

| notebook | question |
|---|---|
{lessons}

## Exercises

Each check is tried on answers that are right, in different ways, and on known misconceptions. A
right one must pass; a wrong one must be told its own mistake (`python tests/gate.py`).

| exercise | right answers accepted | wrong answers told |
|---|---|---|
{gate}

## Deliberately wrong code

Faults live in functions named `inject*`, checks that miss them in `naive_*`, nowhere else.

| module | function | what it does |
|---|---|---|
{wrong}
"""


def readme(root: Path) -> str:
    """Return notebooks/README.md: what to read, and where the deliberately wrong code is."""
    lessons = [
        f"| [{name}]({name}.ipynb) | {_title(root / 'notebooks/src' / f'{name}.py')} |"
        for name in names_below(root / "notebooks/src", ".py")
    ]
    wrong = [
        f"| `{path.relative_to(root).as_posix()}` | `{name}` | {says} |"
        for path in sorted((root / "mlkit").rglob("*.py"))
        for name, says in _wrong_functions(path)
    ]
    gate = "\n".join(_gate(json.loads((root / GATE).read_text(encoding="utf-8"))))
    return README.format(lessons="\n".join(lessons), wrong="\n".join(wrong), gate=gate)


def _gate(rates: dict[str, dict[str, list[int]]]) -> Iterator[str]:
    total = {
        key: [sum(counts) for counts in zip(*(rate[key] for rate in rates.values()), strict=True)]
        for key in ("accepted", "rejected")
    }
    for id, rate in {**rates, "all": total}.items():
        yield f"| {id} | {_of(rate['accepted'])} | {_of(rate['rejected'])} |"


def _of(pair: list[int]) -> str:
    return f"{pair[0]} of {pair[1]} ({pair[0] / pair[1]:.0%})"


def write_readme(root: Path) -> list[str]:
    """Return the path of notebooks/README.md after writing it."""
    write_text(readme(root), root / "notebooks/README.md")
    return ["notebooks/README.md"]


def _title(source: Path) -> str:
    return re.findall(r"^# # (?:\w+ · )?(.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)[0]


def _wrong_functions(path: Path) -> list[tuple[str, str]]:
    functions = [node for node in parse(path).body if isinstance(node, ast.FunctionDef)]
    return [
        (node.name, (ast.get_docstring(node) or "").split("\n")[0])
        for node in functions
        if node.name.startswith(("inject", "naive_")) and path.name != "stages.py"
    ]
