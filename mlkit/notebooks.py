"""Notebooks: build them from their sources, and check them.

The sources, `notebooks/src/**/*.py` in percent format, are the only edited form. `build` executes
them into `notebooks/**/*.ipynb`, with outputs and always the same bytes; `check` names what a
reader or the strict test run would trip over. The copies that learners work in are made by
`mlkit.workspace`, the tables of notebooks/README.md by `mlkit.contents`.
"""

import argparse
import difflib
import hashlib
import json
import os
import platform
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

MAX_CELLS, MAX_LINES, TIMEOUT_SECONDS = 32, 15, 120
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
LESSON = re.compile(r"\d\d_\w+")
CODE_LINE = re.compile(r"^[ \t]*[^#\s]", re.MULTILINE)
DEFINITION = re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+\w+\s*[(:\[]", re.MULTILINE)
MEASURED = re.compile(r"(?<!\w)\d+\.\d+|\d+\s?%")  # but not exercise ex1.1
NOT_PROSE = re.compile(  # code fences, quoted lines, inline code, links, addresses
    r"^\s*(```|~~~).*?^\s*\1|^\s*>[^\n]*|(`+).+?\2|!?\[[^\]]*\]\([^)]*\)|https?://\S+",
    re.MULTILINE | re.DOTALL,
)


def find_root(start: Path) -> Path:
    """The project's root: the nearest folder at or above `start` with params.yaml and notebooks/.

    Raises
    ------
    FileNotFoundError: no such folder.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "params.yaml").is_file() and (folder / "notebooks").is_dir():
            return folder
    wanted = "a folder with params.yaml and notebooks/; change into the project and try again"
    raise FileNotFoundError(f"no project at or above {start.resolve()}: expected {wanted}")


# Build


def build(root: Path, names: list[str] | None = None) -> list[Path]:
    """Paths of the notebooks that were executed and written: all, or those of `names`.

    A notebook of which a cell fails is not written: the old file stays as it was.

    Raises
    ------
    ValueError: a name that no source has.
    RuntimeError: a cell failed; names the source, the cell, its line and the error.
    """
    from rich.console import Console
    from rich.progress import track

    known = names_below(root / "notebooks/src", ".py")
    chosen = [find(name, known) for name in names or known]
    bar = track(chosen, description="notebooks", console=Console(stderr=True))
    return [_build_one(root, name) for name in bar]


def convert(source: Path) -> Any:
    """The notebook of a percent source: not executed, with cell ids that depend on content only."""
    import jupytext
    from nbformat import from_dict

    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = from_dict(METADATA)
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        key = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        cell.id = f"{key}-{seen[key]}" if seen[key] else key
        seen[key] += 1
        for noise in ("lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker"):
            cell.metadata.pop(noise, None)
    return notebook


def environment(folder: Path) -> dict[str, str]:
    """Variables that make a notebook give the same bytes everywhere; personal state in `folder`."""
    settings = {
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYTHONDIR": str(folder / "ipython"),
        "MLKIT_HOME": str(folder / "mlkit"),
    }
    if platform.machine().lower() in ("x86_64", "amd64"):
        settings["OPENBLAS_CORETYPE"] = "Haswell"
    return settings


def _build_one(root: Path, name: str) -> Path:
    source, target = root / "notebooks/src" / f"{name}.py", root / "notebooks" / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    notebook = convert(source)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        variables = {**os.environ, **environment(Path(home))}
        _execute(notebook, target.parent, variables, source.relative_to(root).as_posix())
    write_notebook(target, notebook)
    return target


def _execute(notebook: Any, folder: Path, variables: dict[str, str], label: str) -> None:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = _client(notebook, folder)
    with client.setup_kernel(env=variables):
        for number, cell in enumerate(notebook.cells, start=1):
            try:
                client.execute_cell(cell, number - 1)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                problem = _explain(cell.source, error)
                raise RuntimeError(f"{label}, cell {number}{problem}") from None
            for output in cell.get("outputs", []):
                if output.output_type == "error":  # intended; frames name paths of this machine
                    output.traceback = [f"{output.ename}: {output.evalue}"]


def _client(notebook: Any, folder: Path) -> Any:
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_SECONDS,
        coalesce_streams=True,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    # with no folders to search, kernel python3 is the running interpreter, whatever is installed
    client.create_kernel_manager().kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
    return client


def _explain(source: str, error: Any) -> str:
    """The failing line of a cell, where it is known, and the first line of its error."""
    if not hasattr(error, "ename"):
        return f": {str(error).strip().splitlines()[0]}"
    plain = re.sub(r"\x1b\[[\d;]*m", "", error.traceback)
    found = re.search(r"Cell In ?\[\d+\], line (\d+)", plain)
    line = f", line '{source.splitlines()[int(found[1]) - 1].strip()}'" if found else ""
    return f"{line}: " + f"{error.ename}: {error.evalue}".splitlines()[0]


def write_notebook(path: Path, notebook: Any) -> None:
    """Write a notebook by way of a rename."""
    import nbformat

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(path)


# Check


def check(root: Path) -> list[str]:
    """Problems of the project's notebooks, one line each with file and cell; none means clean."""
    sources = names_below(root / "notebooks/src", ".py")
    notebooks = names_below(root / "notebooks", ".ipynb")
    problems = [] if sources else ["notebooks/src: no sources"]
    for name in sorted({*sources, *notebooks}):
        if name not in notebooks:
            problems.append(f"notebooks/src/{name}.py: has no notebook; build it")
        elif name not in sources:
            problems.append(f"notebooks/{name}.ipynb: has no source in notebooks/src")
        elif fingerprint(root / "notebooks" / f"{name}.ipynb") is None:
            problems.append(f"notebooks/{name}.ipynb: cannot be read; build it again")
        else:
            problems += [f"notebooks/{name}.ipynb: {line}" for line in _check_one(root, name)]
    return problems


def _check_one(root: Path, name: str) -> Iterator[str]:
    import nbformat

    cells = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4).cells
    yield from _check_source(cells, convert(root / "notebooks/src" / f"{name}.py").cells)
    yield from _check_shape(name, cells)
    yield from _check_order(cells)
    private = _private(root)
    for number, cell in enumerate(cells, start=1):
        check_cell = _check_code if cell.cell_type == "code" else _check_text
        for problem in (*check_cell(cell), *_check_outputs(cell, private)):
            yield f"cell {number}: {problem}"


def _check_source(cells: list[Any], expected: list[Any]) -> Iterator[str]:
    stored, source = ([(c.cell_type, c.source) for c in group] for group in (cells, expected))
    for number, (here, there) in enumerate(zip_longest(stored, source), start=1):
        if here != there:
            yield f"cell {number}: differs from its source; build it again"
            return


def _check_shape(name: str, cells: list[Any]) -> Iterator[str]:
    reading = [cell for cell in cells if "exercise" not in cell.metadata.get("tags", [])]
    if LESSON.fullmatch(name) and len(reading) > MAX_CELLS:
        yield f"has {len(reading)} cells to read; a lesson has at most {MAX_CELLS}"
    first = next((n for n, cell in enumerate(cells) if cell.cell_type == "code"), 0)
    near = [cell for cell in cells[max(first - 1, 0) : first + 2] if cell.cell_type == "markdown"]
    if not any("kit.py doctor" in cell.source for cell in near):
        yield f"cell {first + 1}: no text beside the first code cell names 'python kit.py doctor'"


def _check_order(cells: list[Any]) -> Iterator[str]:
    code = [(number, cell) for number, cell in enumerate(cells, start=1) if "outputs" in cell]
    for order, (number, cell) in enumerate(code, start=1):
        if cell.execution_count != order:
            yield f"cell {number}: run as {cell.execution_count}, not as {order}; build it again"
            return


def _check_text(cell: Any) -> Iterator[str]:
    for figure in MEASURED.findall(NOT_PROSE.sub("", cell.source)):
        yield f"'{figure}' in markdown; format a measured figure from data in a code cell"


def _check_code(cell: Any) -> Iterator[str]:
    lines = len(CODE_LINE.findall(cell.source))
    if lines > MAX_LINES:
        yield f"{lines} code lines; a cell has at most {MAX_LINES}"
    if DEFINITION.search(cell.source) and "exercise" not in cell.metadata.get("tags", []):
        yield "def or class in a cell without the tag 'exercise'; move it to mlkit"


def _check_outputs(cell: Any, private: re.Pattern[str]) -> Iterator[str]:
    intended = "raises-exception" in cell.metadata.get("tags", [])
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if output.output_type == "error" and not intended:
            yield f"error output {output.ename}; repair it or tag the cell 'raises-exception'"
        if output.get("name") == "stderr":
            yield "output on stderr; repair its cause"
        if not all(_alt(output, kind) for kind in data if kind.startswith("image/")):
            yield "picture without alt text; use mlkit.plots.show(fig, alt=...)"
        texts = [data[kind] for kind in data if kind not in ("image/png", "image/jpeg")]
        texts += [output.get(key, "") for key in ("text", "evalue", "traceback")]
        if found := private.search("\n".join(map(str, texts))):
            yield f"output names this machine: '{found[0]}'"


def _alt(output: Any, kind: str) -> str:
    """The alt text of a picture; display(fig, metadata={kind: {"alt": ...}}) stores it by kind."""
    alt = output.metadata.get(kind, {}).get("alt") or output.metadata.get("alt")
    return str(alt or "").strip()


def _private(root: Path) -> re.Pattern[str]:
    """Pattern of what must not be in outputs: the root, home folders, the name of the host."""
    words = {str(root), root.as_posix(), str(Path.home()), Path.home().as_posix()} - {"/"}
    if re.search(r"[^a-z]", socket.gethostname()):  # a plain word cannot be told from prose
        words.add(socket.gethostname())
    whole = "|".join(map(re.escape, sorted(words)))
    homes = r"/(?:home|Users)/\w+|[A-Z]:\\+Users\\+\w+"
    return re.compile(rf"(?<![\w.~/-])(?:(?:{whole})(?![\w-])|{homes})")


# Names and the command line


def fingerprint(path: Path) -> str | None:
    """A hash of the types and sources of a notebook's cells; None when it cannot be read.

    Outputs, ids, metadata and empty cells do not count: running a notebook leaves it the same.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        pairs = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    filled = [pair for pair in pairs if pair[1].strip()]
    return hashlib.sha256(json.dumps(filled).encode()).hexdigest()


def names_below(folder: Path, suffix: str) -> list[str]:
    """Relative names without suffix of all files below `folder`, hidden ones left out."""
    paths = [path.relative_to(folder) for path in folder.rglob(f"*{suffix}")]
    seen = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    return sorted(path.with_suffix("").as_posix() for path in seen)


def find(name: str, known: list[str]) -> str:
    """The known name meant by '01', '01_skew' or 'exercises/ex1'; the one nearest to the top."""
    stems = {each: each.rpartition("/")[2] for each in known}
    keys = {each: (each, stem, stem.partition("_")[0]) for each, stem in stems.items()}
    matches = [each for each in known if name in keys[each]]
    if matches:
        return min(matches, key=lambda each: each.count("/"))
    nearest = difflib.get_close_matches(name, sum(keys.values(), ()), n=1, cutoff=0)
    hint = f"; the nearest is '{nearest[0]}'" if nearest else ""
    raise ValueError(f"no notebook '{name}'{hint}; there are: {', '.join(known) or 'none'}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m mlkit.notebooks", description=(__doc__ or "").split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))
    for name, help_text in VERBS.items():
        verb = verbs.add_parser(name, help=help_text)
        if name == "build":
            verb.add_argument("names", nargs="*", metavar="NAME", help="01, 01_skew; default: all")
        if name == "reset":
            verb.add_argument("name", metavar="NAME", help="01, 01_skew or ex1")
    return parser


VERBS = {
    "build": "execute the sources and write notebooks with outputs",
    "check": "print what is wrong with the notebooks; status 1 if anything",
    "readme": "write the tables of notebooks/README.md",
    "work": "copy the notebooks without outputs to work/, keeping changes",
    "reset": "restore one working copy, keeping the changed one",
}


def _perform(asked: argparse.Namespace, root: Path) -> list[str]:
    from mlkit import contents, workspace

    if asked.verb == "build":
        return [path.relative_to(root).as_posix() for path in build(root, asked.names)]
    if asked.verb == "reset":
        return [workspace.reset(root, asked.name)]
    if asked.verb == "readme":
        return contents.write_readme(root)
    return check(root) if asked.verb == "check" else workspace.work(root)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0, 1 when `check` found problems, 2 after an error."""
    asked = _parser().parse_args(arguments)
    try:
        lines = _perform(asked, find_root(Path.cwd()))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"mlkit.notebooks: {error}", file=sys.stderr)
        return 2
    for line in lines:
        print(line)
    return 1 if asked.verb == "check" and lines else 0


if __name__ == "__main__":
    sys.exit(main())
