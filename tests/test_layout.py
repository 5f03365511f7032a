"""The shape of the code: who may import whom, what is never called, how large things get."""

import ast
from functools import cache
from pathlib import Path

import pytest

from mlkit import CHALLENGES

ROOT = Path(__file__).parents[1]
SOLUTIONS = ROOT / "mlkit/solutions"  # cells, not modules
MODULES = sorted(f for f in (ROOT / "mlkit").rglob("*.py") if f.parent != SOLUTIONS)
NAMES = [file.relative_to(ROOT).with_suffix("").as_posix() for file in MODULES]
each_module = pytest.mark.parametrize("file", MODULES, ids=NAMES)

# From the ground up. Whatever is not named here (stages, cli, claims, audit, ...) is the roof.
LAYERS = [
    ("__init__",),
    ("params", "tables", "lineage"),
    ("repository",),
    ("worlds",),
    ("stats", "features", "contract"),
    ("tasks",),
    ("model",),
    CHALLENGES,
    ("cases",),
]
NEVER = {"eval", "exec", "compile", "__import__", "breakpoint"}
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


@cache
def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(file.read_text(encoding="utf-8"))


def unit(file: Path) -> str:
    """Return the first name below mlkit: `skew` for mlkit/skew.py and mlkit/skew/faults.py."""
    return file.relative_to(ROOT / "mlkit").with_suffix("").parts[0]


def imports(file: Path) -> set[str]:
    """Return the full names that a module imports, at any depth of it."""
    found = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write imports in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def units_imported(file: Path) -> set[str]:
    """Return the parts of mlkit that a module imports; a plain constant of mlkit is its ground."""
    parts = [name.split(".")[1] for name in imports(file) if name.startswith("mlkit.")]
    known = {unit(module) for module in MODULES}
    return {part if part in known else "__init__" for part in parts}


def layer(name: str) -> int:
    """Return how high a part of mlkit stands."""
    return next((i for i, names in enumerate(LAYERS) if name in names), len(LAYERS))


def functions(file: Path) -> list[ast.FunctionDef]:
    """Return all functions of a module, methods and inner ones too."""
    return [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef)]


def commands(file: Path) -> set[str]:
    """Return the functions whose arguments are those of a command line."""
    marks = {f.name: " ".join(map(ast.unparse, f.decorator_list)) for f in functions(file)}
    return {name for name, decorators in marks.items() if ".command(" in decorators}


def code_lines(file: Path, nodes: list[ast.stmt]) -> int:
    """Return the lines of some statements without docstrings, comments and empty lines."""
    text = file.read_text(encoding="utf-8").splitlines()
    prose = {
        line
        for node in (part for statement in nodes for part in ast.walk(statement))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    lines = {n for node in nodes for n in range(node.lineno, node.end_lineno + 1)} - prose
    return sum(bool(text[n - 1].strip()) and text[n - 1].strip()[0] != "#" for n in lines)


# --- imports --------------------------------------------------------------------------------------


@each_module
def test_imports_point_down(file):
    higher = {name for name in units_imported(file) if layer(name) > layer(unit(file))}
    assert not higher


@pytest.mark.parametrize("word", CHALLENGES)
def test_challenge_imports_no_other_challenge(word):
    files = [file for file in MODULES if unit(file) == word]
    assert not set().union(*map(units_imported, files)) & (set(CHALLENGES) - {word})


@pytest.mark.parametrize(
    ("code", "absent"),
    {
        "mlkit": {"numpy", "pandas", "yaml", "sklearn", "duckdb"},
        **{f"mlkit.{word}": {"sklearn", "scipy", "shap", "matplotlib"} for word in CHALLENGES},
        "mlkit.stages": {"sklearn", "matplotlib", *(f"mlkit.{word}" for word in CHALLENGES)},
    }.items(),
)
def test_import_stays_light(code, absent, fresh_python):
    loaded = fresh_python(f"import {code}, sys; print(*sys.modules)").split()
    assert code in loaded
    assert not absent & set(loaded)


def test_import_turns_telemetry_off(fresh_python):
    code = "import os, mlkit; print(os.environ['DO_NOT_TRACK'], os.environ['DVC_NO_ANALYTICS'])"
    assert fresh_python(code) == "1 1"


# --- what is never done ---------------------------------------------------------------------------


@each_module
def test_no_text_is_run_as_code_and_no_pickle_is_read(file):
    called = {
        node.func.id
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & NEVER
    assert not {name.split(".")[0] for name in imports(file)} & NEVER_IMPORTED


@each_module
def test_no_hidden_state_of_numpys_generator(file):
    legacy = [
        ast.unparse(node)
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in {"np.random", "numpy.random", "random"}
        and node.attr not in {"Generator", "default_rng", "SeedSequence"}
    ]
    assert not legacy


@each_module
def test_text_files_are_opened_as_utf8(file):
    calls = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]
    silent = [
        ast.unparse(call)
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"read_text", "write_text"}
        and "utf-8" not in ast.unparse(call)
        and ast.unparse(call.func.value) != "tables"
    ]
    assert not silent


# --- size and shape -------------------------------------------------------------------------------


@each_module
def test_module_has_at_most_300_lines_of_code(file):
    if unit(file) == "exercises":
        pytest.skip("mostly what is said to learners; its functions are held to their limit")
    assert code_lines(file, tree(file).body) <= 300


@each_module
def test_function_has_at_most_30_lines_of_code(file):
    long = {f.name: n for f in functions(file) if (n := code_lines(file, f.body)) > 30}
    assert not long


@each_module
def test_public_function_has_at_most_4_positional_arguments(file):
    many = {f.name for f in functions(file) if len(f.args.posonlyargs + f.args.args) > 4}
    assert not {name for name in many - commands(file) if not name.startswith("_")}


@each_module
def test_module_and_its_public_functions_have_docstrings(file):
    bodies = [tree(file), *(node for node in tree(file).body if isinstance(node, ast.ClassDef))]
    named = (ast.FunctionDef, ast.ClassDef)
    inside = [node for body in bodies for node in body.body if isinstance(node, named)]
    private = {node for body in bodies[1:] if body.name.startswith("_") for node in body.body}
    public = [node for node in inside if node.name[0] != "_" and node not in private]
    assert ast.get_docstring(tree(file)) or not tree(file).body
    assert not [node.name for node in public if not ast.get_docstring(node)]


@each_module
def test_public_functions_are_typed(file):
    untyped = [
        f.name
        for f in tree(file).body
        if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")
        if not f.returns or not all(a.annotation for a in f.args.args + f.args.kwonlyargs)
    ]
    assert not untyped
