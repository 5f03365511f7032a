"""Replacements of versions: each old version that holds somebody is made again without them.

Raw tables lose rows; everything below them is made again by the lender's own code, models included,
for a model that was fitted on a person's rows is made of them, whether they can be read in it or
not. How far the scores of everybody else move is measured, not assumed.
"""

import io
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mlkit.compliance import lender, records, stores, survey, versions
from mlkit.compliance.identity import Listed, holds
from mlkit.compliance.survey import Site, Store
from mlkit.compliance.versions import Hashes, Version

SCORES = "data/predictions.parquet"


class Job(NamedTuple):
    """What a sweep will do to versions: the map from now on, and objects to be written."""

    told: dict[str, Any]
    new: dict[str, bytes]


def drop(store: Store, listed: Listed) -> stores.Drop:
    """Return what says which rows of a store go."""
    return lambda table: holds(table, listed, store.keys)


def prepare(at: Site, listed: Listed, *, request: str) -> Job:
    """Return a replacement for every version that holds somebody; nothing is replaced yet.

    Raises
    ------
    ValueError: an object of such a version is gone, or it cannot be made without them
    """
    told = versions.load_map(at.folder)
    replaced: Hashes = dict(told["objects"])
    new: dict[str, bytes] = {}
    made: dict[str, dict[str, float]] = {}
    moved: dict[str, dict[str, float]] = {}
    for version in at.versions:
        files = versions.files_of(version, at.replaced, at.roots().values())
        same = json.dumps(sorted(files.items()))
        if same not in made and _held(at, files, listed):
            contents, made[same] = _remade(at, version, files, listed)
            names = {path: versions.hash_of(content) for path, content in contents.items()}
            new |= {names[path]: content for path, content in contents.items()}
            replaced |= {files[p]: name for p, name in names.items() if files[p] != name}
            _folders(at, version, names, replaced, new)
        if same in made:
            moved[version.commit] = made[same]
    old = {entry["commit"]: entry for entry in told["versions"]}
    entries = []
    for version in at.versions:
        told_of = old.get(version.commit, {"request": "", "moved": {}})
        if version.commit in moved:
            told_of = {"request": request, "moved": moved[version.commit]}
        entries.append(_entry(version, replaced, told_of))
    return Job({"objects": replaced, "versions": [e for e in entries if e["outs"]]}, new)


def _held(at: Site, files: Hashes, listed: Listed) -> bool:
    """Whether one of the tables of a version holds somebody on the list."""
    for path, name in files.items():
        content = versions.fetch(at.roots().values(), name)
        if content is not None:
            tables = survey.tables_of(at, at.store_at(path), content)
            keys = at.store_at(path).keys
            if any(holds(table, listed, keys).any() for table in tables):
                return True
    return False


def _remade(
    at: Site, version: Version, files: Hashes, listed: Listed
) -> tuple[dict[str, bytes], dict[str, float]]:
    """Files of a version without the people, made by the lender's code, and what moved."""
    old = {path: versions.fetch(at.roots().values(), name) for path, name in files.items()}
    if gone := [path for path, content in old.items() if content is None]:
        raise ValueError(f"{version.label} {gone[0]}: its object is gone; `dvc fetch` it first")
    raw = {p: c for p, c in old.items() if c is not None and not at.store_at(p).made_from}
    made = {
        path: stores.rewrite(content, at.store_at(path).form, drop(at.store_at(path), listed))
        for path, content in raw.items()
    }
    derived = set(files) - set(raw)
    try:
        made |= _run(records.place(at.folder) / "work", made, derived) if derived else {}
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise ValueError(f"{version.label} without them: {error}; nothing was touched") from None
    return made, _moved(old[SCORES] or b"", made[SCORES], raw) if SCORES in derived else {}


def _run(work: Path, raw: dict[str, bytes], wanted: set[str]) -> dict[str, bytes]:
    """Run the lender's pipeline on raw tables in a folder of its own, and return what it made."""
    shutil.rmtree(work, ignore_errors=True)
    try:
        for path, content in raw.items():
            records.write(content, work / path)
        lender.write_features(work)
        lender.write_trained(work)
        return {path: (work / path).read_bytes() for path in sorted(wanted)}
    finally:
        shutil.rmtree(work)


def _moved(before: bytes, after: bytes, raw: dict[str, bytes]) -> dict[str, float]:
    """How far the scores of everybody else moved, and a refit on the same rows beside it."""
    old, new = (pd.read_parquet(io.BytesIO(content)) for content in (before, after))
    tables = {Path(p).stem: pd.read_parquet(io.BytesIO(content)) for p, content in raw.items()}
    again = lender.train(tables, lender.features(tables)).predictions
    both = old.merge(new, on="application_id", suffixes=("", "_new"))
    same = old.merge(again, on="application_id", suffixes=("", "_new"))
    gap, control = ((t["score_new"] - t["score"]).abs() for t in (both, same))
    return {
        "others": len(both), "max": float(gap.max()), "mean": float(gap.mean()),
        "flipped": int((both["decision"] != both["decision_new"]).sum()),
        "max_same_rows": float(control.max()),
    }  # fmt: skip


def _folders(
    at: Site, version: Version, names: Hashes, replaced: Hashes, new: dict[str, bytes]
) -> None:
    """Add the new listing of every folder of a version."""
    for path, name in version.outs.items():
        old = versions.resolve(name, at.replaced)
        if old.endswith(".dir"):
            inside = {p: n for p, n in names.items() if p.startswith(f"{path}/")}
            content = versions.listing({p.removeprefix(f"{path}/"): n for p, n in inside.items()})
            now = f"{versions.hash_of(content)}.dir"
            new[now] = content
            if now != old:
                replaced[old] = now


def _entry(version: Version, replaced: Hashes, told_of: dict[str, Any]) -> dict[str, Any]:
    """What stands in the place of a version: path to old and new hash; by which request."""
    outs = {
        path: {"old": name, "new": versions.resolve(name, replaced)}
        for path, name in version.outs.items()
        if name in replaced
    }
    last = {name: told_of[name] for name in ("request", "moved")}
    return {"version": version.label, "commit": version.commit, "outs": outs, **last}
