"""Who needs what: the modules a module imports, the stages of a pipeline and what they touch."""

import ast
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Stage(NamedTuple):
    """One stage of a pipeline: its command, what it reads and what it writes."""

    name: str
    cmd: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]


def imported(node: ast.AST, *, root: Path) -> set[Path]:
    """Return the project files that a piece of Python names in its imports, at any depth of it.

    Text such as "mlkit.worlds.shop:make_shop" counts too: that is how modules are named that
    are loaded only when needed.
    """
    names = {name for part in ast.walk(node) for name in _module_names(part)}
    return set().union(*(files_of(name, root=root) for name in names))


def files_of(module: str, *, root: Path) -> set[Path]:
    """Return the project files of a module or package by its full name, none when it is foreign."""
    return {path for path in _files(module) if (root / path).is_file()}


def parse(file: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def _module_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
        module, _, function = node.value.partition(":")
        return [module] if function.isidentifier() else []
    return []


def _files(module: str) -> set[Path]:
    """The file of a module or package, and the packages around it, which run first."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return set()
    packages = {Path(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)}
    return {Path(*parts).with_suffix(".py"), *packages}


def closure(files: set[Path], *, root: Path) -> set[Path]:
    """Return the given project files with everything they import, directly or not."""
    seen: set[Path] = set()
    todo = set(files)
    while todo:
        seen |= todo
        todo = set().union(*(imported(parse(root / file), root=root) for file in todo)) - seen
    return seen


def stages(file: Path) -> list[Stage]:
    """Return the stages of a dvc.yaml, each `foreach` written out, in the order of the file.

    Raises
    ------
    FileNotFoundError: no such file
    """
    content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    variables = {key: value for block in content.get("vars", []) for key, value in block.items()}
    found = []
    for name, stage in content["stages"].items():
        if "foreach" not in stage:
            found.append(_stage(name, stage, {}))
            continue
        items = variables[stage["foreach"].strip("${}")]
        pairs = items.items() if isinstance(items, dict) else [(item, item) for item in items]
        for key, item in pairs:
            parts = item if isinstance(item, dict) else {}
            known = {"${key}": str(key), "${item}": str(item)}
            known |= {f"${{item.{name}}}": str(part) for name, part in parts.items()}
            found.append(_stage(f"{name}@{key}", stage["do"], known))
    return found


def _stage(name: str, stage: dict[str, Any], known: dict[str, str]) -> Stage:
    def fill(text: str) -> str:
        for placeholder, value in known.items():
            text = text.replace(placeholder, value)
        return text

    def paths(*keys: str) -> tuple[str, ...]:
        entries = [entry for key in keys for entry in stage.get(key, [])]
        return tuple(
            fill(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries
        )

    return Stage(name, fill(stage["cmd"]), paths("deps"), paths("outs", "metrics", "plots"))
