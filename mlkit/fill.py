"""Put answers into notebooks: the reference solutions, or any other blocks of the same form.

Solutions (`mlkit/solutions/<word>.py`) and known wrong answers (`tests/wrong/<word>.py`) are
percent blocks that hold exactly what goes into the cell:

    # %% skew.1
    # %% skew.1 also
    # %% skew.1 says: words that the feedback on this wrong answer must contain
"""

import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from mlkit.notebooks import names_below, write_notebook

FOLDER = Path(__file__).parent / "solutions"
BLOCK = re.compile(
    r"^# %% (\S+) ?(also|says: [^\n]+)?\n(.*?)(?=^# %% |\Z)", re.MULTILINE | re.DOTALL
)
CALL = re.compile(r"^(?:check|hint|solution)\(", re.MULTILINE)
IGNORE = "nbval-ignore-output"


class Block(NamedTuple):
    """An answer: the exercise it is for, the words it must earn (none: it is right), its code."""

    id: str
    says: str
    code: str


def blocks(file: Path) -> list[Block]:
    """Return the answers in a file of percent blocks.

    Raises
    ------
    FileNotFoundError: no such file
    """
    found = BLOCK.findall(file.read_text(encoding="utf-8"))
    return [Block(id, head.removeprefix("says: "), code.strip("\n")) for id, head, code in found]


def reference(id: str) -> str:
    """Return the code of the reference solution: the first block of that id.

    Raises
    ------
    FileNotFoundError: the solutions are not part of this copy
    ValueError: there is no solution of that id
    """
    file = FOLDER / f"{id.partition('.')[0]}.py"
    for block in blocks(file):
        if block.id == id:
            return block.code
    raise ValueError(f"{id}: no block '# %% {id}' in mlkit/solutions/{file.name}")


def fill(source: Path, target: Path) -> list[Path]:
    """Return the notebooks written to `target`: those of `source` with the solutions in them.

    Outputs stay as stored; cells tagged `exercise` are marked so that the strict test run compares
    all others and not these. The conftest of the folder goes with them.

    Raises
    ------
    ValueError: `target` is `source`, lies in it, or holds notebooks that were not made here
    FileNotFoundError: `source` has no notebooks
    """
    import nbformat

    source, target = source.resolve(), target.resolve()
    names = names_below(source, ".ipynb")
    if not names:
        raise FileNotFoundError(f"{source}: no notebooks here; expected a folder with *.ipynb")
    if target == source or source in target.parents:
        raise ValueError(f"{target}: expected a folder outside of {source}")
    _refuse_foreign(target)
    for name in names:
        notebook = nbformat.read(source / f"{name}.ipynb", as_version=4)
        write_notebook(target / f"{name}.ipynb", filled(notebook))
    if (source / "conftest.py").is_file():
        shutil.copy(source / "conftest.py", target / "conftest.py")
    return [target / f"{name}.ipynb" for name in names]


def _refuse_foreign(target: Path) -> None:
    import nbformat

    for name in names_below(target, ".ipynb") if target.is_dir() else []:
        notebook = nbformat.read(target / f"{name}.ipynb", as_version=4)
        if not notebook.metadata.get("mlkit", {}).get("filled"):
            raise ValueError(
                f"{target}: {name}.ipynb was not made by `mlkit fill` and would be overwritten; "
                "name another folder"
            )


def filled(notebook: Any, answers: dict[str, str] | None = None) -> Any:
    """Return the notebook with answers (by default the reference) in its exercise cells.

    Raises
    ------
    ValueError: an exercise without an answer
    """
    for cell in notebook.cells:
        id = cell.metadata.get("mlkit", {}).get("exercise")
        if id and (answers is None or id in answers):
            code = reference(id) if answers is None else answers[id]
            cell.source = "\n\n".join([code, *_calls(cell.source)])
        if "exercise" in cell.metadata.get("tags", []):
            cell.metadata.tags = [*cell.metadata.tags, IGNORE]
    notebook.metadata["mlkit"] = {"filled": True}
    return notebook


def _calls(source: str) -> list[str]:
    """Return the lines of an exercise cell that stay: the call of `check` and the like."""
    found = CALL.search(source)
    return [source[found.start() :]] if found else []
