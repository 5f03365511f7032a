"""What an upgrade of the libraries moved: versions, numbers, pictures, claims.

`python -m mlkit.upgrade` compares the files of the working tree with those of the last commit and
prints one table. Run by `python kit.py upgrade`, after everything was resolved and made again.
"""

import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mlkit import CHALLENGES
from mlkit.notebooks import find_root, names_below
from mlkit.tables import write_text

REPORT, CLAIMS = Path("proof/upgrade.md"), Path("proof/claims.json")
LOCKS = ("requirements.txt", "requirements-tools.txt")
PINNED = re.compile(r"^([\w.-]+)==([^ ;\\\n]+)", re.MULTILINE)
TEXTS = ("text/markdown", "text/plain", "text/html")  # the first that differs is reported
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
VISIBLE = 8  # of 255: below it nobody sees the difference of two shades


class Moved(NamedTuple):
    """One thing that is not as it was: what kind, where, before and after."""

    kind: str
    where: str
    before: str
    after: str


def versions(before: str, after: str) -> Iterator[Moved]:
    """Yield the packages whose locked version is another, in two lock files."""
    old, new = dict(PINNED.findall(before)), dict(PINNED.findall(after))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Moved("version", name, old.get(name, "-"), new.get(name, "-"))


def scores(before: Any, after: Any, where: str) -> Iterator[Moved]:
    """Yield the values that differ between two contents of a JSON file, by their path."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from scores(before.get(key), after.get(key), f"{where} {key}")
    elif before != after:
        yield Moved("number", where, str(before), str(after))


def notebook(before: dict[str, Any], after: dict[str, Any], where: str) -> Iterator[Moved]:
    """Yield the outputs that differ between two notebooks of the same cells: numbers, pictures."""
    for number, (old, new) in enumerate(zip(before["cells"], after["cells"], strict=False), 1):
        place = f"{where}, cell {number}"
        pairs = zip(old.get("outputs", []), new.get("outputs", []), strict=False)
        for one, other in pairs:
            yield from _output(one, other, place)
        if len(old.get("outputs", [])) != len(new.get("outputs", [])):
            yield Moved("output", place, _count(old), _count(new))
    if len(before["cells"]) != len(after["cells"]):
        yield Moved("cells", where, str(len(before["cells"])), str(len(after["cells"])))


def _count(cell: dict[str, Any]) -> str:
    return f"{len(cell.get('outputs', []))} outputs"


def _output(before: dict[str, Any], after: dict[str, Any], where: str) -> Iterator[Moved]:
    pairs = zip(_texts(before), _texts(after), strict=True)
    old, new = next(((one, other) for one, other in pairs if one != other), ("", ""))
    if old != new:
        yield from _numbers(old, new, where) or [Moved("text", where, *_difference(old, new))]
    pictures = [output.get("data", {}).get("image/png") for output in (before, after)]
    if not all(pictures) and any(pictures):
        yield Moved("picture", where, *("there" if png else "-" for png in pictures))
    if all(pictures) and (share := different(*pictures)):
        alt = after["metadata"].get("image/png", {}).get("alt", "no text")
        yield Moved("picture", f"{where}: {alt[:60]}", "", f"{share:.1%} of the pixels")


def _texts(output: dict[str, Any]) -> list[str]:
    found = [output.get("data", {}).get(kind, "") for kind in TEXTS]
    return ["".join(text) for text in (*found, output.get("text", ""))]


def _numbers(before: str, after: str, where: str) -> list[Moved]:
    """Return the numbers that moved, if only numbers and the spaces around them did."""
    if NUMBER.sub("0", before).split() != NUMBER.sub("0", after).split():
        return []
    pairs = zip(NUMBER.findall(before), NUMBER.findall(after), strict=True)
    return [Moved("number", where, old, new) for old, new in pairs if old != new]


def _difference(before: str, after: str) -> tuple[str, str]:
    """Return the first lines of two texts that differ."""
    pairs = zip(before.splitlines() or [""], after.splitlines() or [""], strict=False)
    old, new = next(((a, b) for a, b in pairs if a != b), (before, after))
    return old[:60], new[:60]


def different(before: str, after: str) -> float:
    """Return the share of pixels in [0, 1] that one can see differ between two PNGs (base64)."""
    import matplotlib.image
    import numpy as np

    old, new = (
        matplotlib.image.imread(io.BytesIO(base64.b64decode(png)), format="png")
        for png in (before, after)
    )
    if old.shape != new.shape:
        return 1.0
    return float((np.abs(old - new).max(axis=-1) * 255 > VISIBLE).mean())


def claims(verdicts: list[dict[str, Any]]) -> Iterator[Moved]:
    """Yield the claims that did not hold as often as they must."""
    for verdict in verdicts:
        if verdict["status"] != "ok":
            required, held = f"{verdict['required']:.2f}", f"{verdict['hold_rate']:.2f}"
            yield Moved(f"claim {verdict['status']}", verdict["id"], required, held)


def compare(root: Path) -> list[Moved]:
    """Return all that differs between the working tree and the last commit, the worst first."""
    files = [Path("data") / word / "score.json" for word in CHALLENGES]
    made_then = [CLAIMS, *(file for file in files if _then(root, file))]
    found = [
        Moved("missing", file.as_posix(), "", "its step failed")
        for file in made_then
        if not _now(root, file)
    ]
    found += claims(json.loads(_now(root, CLAIMS) or "[]"))
    for file in files:
        if now := _now(root, file):
            found += scores(json.loads(_then(root, file) or "{}"), json.loads(now), file.as_posix())
    for name in names_below(root / "notebooks", ".ipynb"):
        file = Path("notebooks") / f"{name}.ipynb"
        if then := _then(root, file):
            found += notebook(json.loads(then), json.loads(_now(root, file)), name)
    for lock in map(Path, LOCKS):
        found += versions(_then(root, lock), _now(root, lock))
    return found


def _now(root: Path, file: Path) -> str:
    path = root / file
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _then(root: Path, file: Path) -> str:
    """Return a file as the last commit has it; nothing when it has none of that name."""
    command = ["git", "show", f"HEAD:{file.as_posix()}"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    return done.stdout.decode("utf-8") if done.returncode == 0 else ""


def table(found: list[Moved]) -> str:
    """Return the report as a table in Markdown."""
    if not found:
        return (
            "Nothing moved: versions, numbers, pictures and claims are those of the last commit.\n"
        )
    rows = [" | ".join(_cell(part) for part in moved) for moved in found]
    head = "| what | where | before | after |\n|---|---|---|---|\n"
    return head + "".join(f"| {row} |\n" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Print and store the report; return 1 when a claim failed or a file is missing, else 0."""
    root = find_root(Path.cwd())
    found = compare(root)
    text = table(found)
    write_text(text, root / REPORT)
    print(text)
    return int(any(moved.kind in ("missing", "claim failed") for moved in found))


if __name__ == "__main__":
    sys.exit(main())
