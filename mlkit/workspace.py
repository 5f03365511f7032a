"""The learner's copies of the notebooks: handed out without outputs, never overwritten."""

import json
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from mlkit.notebooks import find, fingerprint, names_below, write_notebook

PAGES = ("glossary.md",)


def work(root: Path) -> list[str]:
    """Messages, one line each, on newer notebooks laid beside copies that the learner has changed.

    Every notebook is copied to `work/notebooks` without outputs. A copy whose cells are as they
    were handed out follows the project; a changed one is never overwritten. The pages that the
    notebooks link to come with them.
    """
    handed = _read_manifest(root)
    names = names_below(root / "notebooks", ".ipynb")
    messages = [message for name in names for message in _hand_out(root, name, handed)]
    _write_manifest(root, handed)
    for page in PAGES:
        if (root / page).is_file():
            shutil.copy(root / page, root / "work" / page)
    return messages


def reset(root: Path, name: str) -> str:
    """The message after one working copy is as the project's again; a changed one is kept.

    Raises
    ------
    ValueError: a name that no notebook has.
    """
    name = find(name, names_below(root / "notebooks", ".ipynb"))
    key, handed = f"{name}.ipynb", _read_manifest(root)
    source, mine = root / "notebooks" / key, root / "work/notebooks" / key
    message = f"work/notebooks/{key} is as new"
    if not _untouched(mine, handed.get(key)) and fingerprint(mine) != fingerprint(source):
        beside = (mine.parent / Path(other).name for other in _beside(name, "mine"))
        kept = mine.rename(next(path for path in beside if not path.exists()))
        message += f"; your version is {kept.name}"
    handed[key] = _copy_without_outputs(source, mine)
    _write_manifest(root, handed)
    return message


def _hand_out(root: Path, name: str, handed: dict[str, str | None]) -> Iterator[str]:
    key, copies = f"{name}.ipynb", root / "work/notebooks"
    source, before = root / "notebooks" / key, handed.get(key)
    newest, current = fingerprint(source), fingerprint(copies / key)
    if _untouched(copies / key, before):
        if current != newest:
            _copy_without_outputs(source, copies / key)
    elif newest not in (current, before):
        others = _beside(name, "new")
        beside = next(new for new in others if _untouched(copies / new, handed.get(new)))
        handed[beside] = _copy_without_outputs(source, copies / beside)
        yield f"work/notebooks/{key} has your changes and stays; the newer one is {beside}"
    handed[key] = newest


def _untouched(path: Path, handed: str | None) -> bool:
    return not path.exists() or (handed is not None and fingerprint(path) == handed)


def _beside(name: str, word: str) -> Iterator[str]:
    yield f"{name}.{word}.ipynb"
    yield from (f"{name}.{word}-{number}.ipynb" for number in count(2))


def _copy_without_outputs(source: Path, target: Path) -> str | None:
    import nbformat

    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    write_notebook(target, notebook)
    return fingerprint(target)


def _read_manifest(root: Path) -> dict[str, str | None]:
    try:
        return dict(json.loads((root / "work/.manifest.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # lost: every copy that differs counts as changed
        return {}


def _write_manifest(root: Path, handed: dict[str, str | None]) -> None:
    text = json.dumps(handed, indent=1, sort_keys=True) + "\n"
    (root / "work").mkdir(exist_ok=True)
    (root / "work/.manifest.json").write_text(text, encoding="utf-8", newline="\n")
