"""Erasure of people from every store, every version and every copy; killed anywhere, run again.

A request first puts keyed digests of all keys of the person on a suppression list. A sweep then
goes through all stores and removes what belongs to somebody on the list: it depends on nothing but
list and stores, so it may be run at any time, and cleans a restored backup like any other store.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import date
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from mlkit.compliance import records, stores, survey, versions
from mlkit.compliance.identity import Found, Listed, digest, keys_of, normal, users_in
from mlkit.compliance.renewal import Job, drop, prepare
from mlkit.compliance.survey import Site, Store
from mlkit.compliance.versions import Hashes
from mlkit.params import checked

LIMITS = [
    "Places that stores.yaml does not name were not looked at: backups, laptops, mail.",
    "What somebody writes into a store while the erasure runs may be lost: stop them first.",
    "Blocks that a file system, an SSD or a snapshot keeps of a deleted file are out of reach.",
    "Git history is not rewritten: old commits, and all branches but the one that is checked out, "
    "name old hashes, whose objects are gone.",
    "An old hash proves a guess: who has all rows of others can try values for the missing ones.",
    "Free text in rows about others is searched for e-mail addresses only, and not changed.",
    "Digests are personal data for whoever holds erasure/key; keep it apart from the rest.",
]


class Unfinished(RuntimeError):
    """An erasure was begun and something came between: the next one, or a sweep, goes on."""


FORMATS_SENT = ("zip", "csv")  # exports and lists, which somebody may have received


def plan(folder: Path, subjects: Sequence[int]) -> pd.DataFrame:
    """Return store, place and rows of everything that would be removed; touches nothing.

    Raises
    ------
    FileNotFoundError: no register of stores
    ValueError: an unknown subject, or a store that cannot be read
    """
    at = survey.site(folder)
    subjects, found = _people(subjects), list(survey.items(at))
    listed, _ = _wanted(records.load(folder), subjects, found)
    return survey.counted(found, listed)


@checked
def erase(
    folder: Path, subjects: Sequence[int], *, on: str, only: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the certificate of an erasure that was carried out.

    Parameters
    ----------
    folder: of a lender (see `mlkit.compliance.lender.build`)
    subjects: user ids
    on: the day, as in 2025-09-01; of the commit and in the certificate
    only: names of the stores to sweep; None: all (to show what a forgotten store does)

    Raises
    ------
    FileNotFoundError, ValueError: see `plan`; a locked folder, a lost key, changes in dvc.lock that
        are not committed. Nothing was touched
    Unfinished: a full disk, say, in the middle
    """
    subjects = _people(subjects)
    survey.register(folder)
    with records.locked(folder):
        waiting = records.waiting_request(folder)
        ended = _run(folder, (), on=on, only=only) if waiting else {}
        if waiting and waiting["subjects"] == _asked(subjects, records.load(folder)):
            return ended
        return _run(folder, subjects, on=on, only=only)


@checked
def sweep(folder: Path, *, on: str, only: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the certificate of a sweep: everybody on the suppression list, in every store.

    Ends a request that was killed; cleans what was restored from a backup.

    Parameters, Raises
    ------------------
    see `erase`
    """
    survey.register(folder)
    with records.locked(folder):
        return _run(folder, (), on=on, only=only)


def old_version(folder: Path, tag: str, into: Path) -> list[Path]:
    """Return the files of what now stands in the place of an old version, written below `into`.

    Raises
    ------
    ValueError: no such tag or commit, or an object of it is gone
    """
    at = survey.site(folder)
    try:
        commit = versions.git(folder, "rev-parse", "-q", "--verify", f"{tag}^{{commit}}")
        found = [v for v in at.versions if v.commit == commit.decode().strip()]
    except ValueError:
        found = []
    if not found:
        known = ", ".join(v.label for v in at.versions)
        raise ValueError(f"version {tag!r}: expected one of {known}")
    written = []
    for path, name in versions.files_of(found[0], at.replaced, at.roots().values()).items():
        content = versions.fetch(at.roots().values(), name)
        if content is None:
            raise ValueError(f"{tag} {path}: object {name} is in no cache and no remote")
        records.write(content, Path(into) / path)
        written.append(Path(into) / path)
    return written


def _people(subjects: Sequence[int]) -> Sequence[int]:
    """The user ids, when they are ids: a text is a sequence, too, of other people's ids."""
    if isinstance(subjects, str | bytes) or not hasattr(subjects, "__iter__"):
        raise ValueError(f"subjects = {subjects!r}: expected a list of user ids")
    people = list(subjects)
    if odd := [s for s in people if isinstance(s, bool) or not isinstance(s, Integral | str)]:
        raise ValueError(f"subjects: {odd[0]!r}: expected whole numbers")
    if not people:
        raise ValueError("subjects: expected at least one user id")
    return people


def _wanted(
    before: Listed, subjects: Iterable[int], found: list[survey.Item]
) -> tuple[Listed, Found]:
    """The list with the subjects and all their keys on it."""
    tables = [(table, item.keys) for item in found for table in item.tables]
    known = users_in(tables)
    asked = {s: digest("user_id", s, key=before.key) for s in subjects}
    for subject, name in asked.items():
        if normal(subject) not in known and name not in before.digests:
            raise ValueError(f"user_id {subject}: unknown in every store; nothing was erased")
    listed = Listed(before.key, before.digests | set(asked.values()))
    keys = keys_of(tables, listed)
    return Listed(before.key, listed.digests | keys.digests), keys


def _run(
    folder: Path, subjects: Sequence[int], *, on: str, only: Sequence[str] | None
) -> dict[str, Any]:
    date.fromisoformat(on)
    at = survey.site(folder)
    names = set(only if only is not None else at.register)
    if unknown := names - set(at.register):
        raise ValueError(f"only: {sorted(unknown)}: expected names of {', '.join(at.register)}")
    records.log(folder)
    found = list(survey.items(at))
    listed, keys = _wanted(records.load(folder), subjects, found)
    request = records.waiting_request(folder) or _request(
        folder, subjects, listed, survey.counted(found, listed), on
    )
    versions.check_head(folder, at.replaced)
    job = prepare(at, listed, request=request["request"])
    records.begin(folder, listed, {**request, "digests": sorted(listed.digests)})
    try:
        _apply(at, job, listed, names, on=request["on"])
        shutil.rmtree(records.place(folder) / "work", ignore_errors=True)
        return _end(folder, listed, keys, request)
    except (OSError, ValueError) as error:
        raise Unfinished(f"begun and not ended: {error}; see to that, then erase again, or "
                         "`mlkit erase --resume`") from error  # fmt: skip


def _asked(subjects: Sequence[int], listed: Listed) -> list[str]:
    return sorted({digest("user_id", subject, key=listed.key) for subject in subjects})


def _request(
    folder: Path, subjects: Sequence[int], listed: Listed, rows: pd.DataFrame, on: str
) -> dict[str, Any]:
    """What is asked and what is there before, without the person."""
    asked = _asked(subjects, listed)
    number = len(records.log(folder))
    name = hashlib.sha256(json.dumps([number, on, asked]).encode()).hexdigest()[:12]
    return {"request": name, "on": on, "subjects": asked, "there": _by_store(rows)}


def _by_store(rows: pd.DataFrame) -> dict[str, int]:
    counts = rows.groupby("store", sort=False)["rows"].sum()
    return {str(store): int(n) for store, n in counts.items()}


def _apply(at: Site, job: Job, listed: Listed, names: set[str], *, on: str) -> None:
    """First what is new, then the map, then HEAD, and only then what is old goes."""
    replaced, roots = job.told["objects"], at.roots()
    for name, content in job.new.items():
        for root in roots.values():
            versions.put(root, name, content)
    if replaced:
        _write_map(at.folder, job.told)
        _workspace(at, replaced, listed, names)
        sizes = {name: _size(at, name) for name in set(replaced.values()) - set(replaced)}
        versions.advance_head(at.folder, replaced, sizes, on=on)
    for name in sorted(names & set(roots)):
        versions.forget(roots[name], [*replaced, *_strays(at, name, listed)])
    _beside(at, replaced, listed, names)
    if any(s.form == "git" and s.name in names for s in at.register.values()):
        _loose(at, listed)


def _write_map(folder: Path, told: dict[str, Any]) -> None:
    file, content = records.place(folder) / versions.MAP, json.dumps(told, indent=1) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != content:
        records.write(content.encode(), file)


def _size(at: Site, name: str) -> int:
    """Bytes of an object; of a folder those of its members."""
    content = versions.fetch(at.roots().values(), name) or b""
    if not name.endswith(".dir"):
        return len(content)
    return sum(_size(at, member["md5"]) for member in json.loads(content))


def _workspace(at: Site, replaced: Hashes, listed: Listed, names: set[str]) -> None:
    """Let the files in the workspace be those of the new HEAD; somebody's own changes stay."""
    files, before = _head(at, replaced), _head(at, {})
    own = False
    for path in sorted(files, key=lambda p: bool(at.store_at(p).made_from)):
        store, file = at.store_at(path), at.folder / "project" / path
        if store.name not in names or not file.is_file():
            continue
        content = file.read_bytes()
        now = versions.fetch(at.roots().values(), files[path]) or b""
        kept = _cleaned(content, now, store, listed)
        outdated = versions.hash_of(content) in replaced
        derived = bool(store.made_from) and not own and before.get(path) != files[path]
        kept = now if outdated or derived else kept
        own |= not store.made_from and kept != now
        if kept != content:
            records.write(kept, file)


def _head(at: Site, replaced: Hashes) -> Hashes:
    """Files of the commit that HEAD was at the beginning."""
    version = next(v for v in at.versions if v.commit == at.head)
    return versions.files_of(version, replaced, at.roots().values())


def _cleaned(content: bytes, now: bytes, store: Store, listed: Listed) -> bytes:
    """A file without the people; as HEAD has it, when both say the same."""
    kept = stores.rewrite(content, store.form, drop(store, listed))
    tables = [stores.read(each, store.form) for each in (kept, now)]
    same = len(tables[0]) == len(tables[1]) > 0
    return now if same and all(a.equals(b) for a, b in zip(*tables, strict=True)) else kept


def _strays(at: Site, root: str, listed: Listed) -> list[str]:
    """Objects that no version names and that hold somebody."""
    place = at.roots()[root]
    found = []
    for name in set(versions.objects(place)) - set(survey.named(at)) - set(at.replaced):
        item = survey.nameless(at, root, name, versions.fetch([place], name) or b"")
        if not item.fixed and len(survey.counted([item], listed)):
            found.append(name)
    return sorted(found)


def _beside(at: Site, replaced: Hashes, listed: Listed, names: set[str]) -> None:
    """Rewrite the files that HEAD has not: CRM, exports, logs, what only old versions had."""
    versioned = {at.store_at(path).path for path in _head(at, replaced)}
    for store in at.files():
        file = at.folder / store.path
        if store.name in names and store.path not in versioned and file.is_file():
            content = file.read_bytes()
            now = versions.resolve(versions.hash_of(content), replaced)
            kept = versions.fetch(at.roots().values(), now) if now in replaced.values() else None
            kept = kept or stores.rewrite(content, store.form, drop(store, listed))
            if kept != content:
                records.write(kept, file, mode=file.stat().st_mode & 0o777)


def _loose(at: Site, listed: Listed) -> None:
    """Prune git when an object that nothing reaches holds somebody."""
    found = [item for item in survey.in_git(at) if not item.fixed]
    if len(survey.counted(found, listed)):
        versions.prune(at.folder)


def _end(folder: Path, listed: Listed, keys: Found, request: dict[str, Any]) -> dict[str, Any]:
    """Look again, write the certificate and the log."""
    at = survey.site(folder)
    left = [told for item in survey.items(at) if (told := survey.left(item, listed))]
    still = _by_store(pd.DataFrame(left, columns=["store", "rows"]))
    gone = {store: n - still.get(store, 0) for store, n in request["there"].items()}
    left += survey.mentions(at, listed)
    if keys.shared:
        why = "not on the list: rows that only they lead to were not removed"
        left.append({"store": "-", "place": "keys of others, too", "rows": keys.shared, "why": why})
    entries = versions.load_map(folder)["versions"]
    sent = [s for s in at.register.values() if s.form in FORMATS_SENT]
    certificate = {
        **{name: request[name] for name in ("request", "on", "subjects")},
        "removed": {store: n for store, n in gone.items() if n > 0},
        "left": left,
        "versions": [v for v in entries if v["request"] == request["request"]],
        "recipients": [s.path for s in sent if s.name in request["there"]],
        "limits": LIMITS,
    }
    if request["subjects"] or request["there"]:
        records.end(folder, certificate, event="erased" if request["subjects"] else "swept")
    return certificate


def report(certificate: dict[str, Any]) -> pd.DataFrame:
    """Return store, removed and left: rows of each store that a certificate tells of."""
    left: dict[str, int] = {}
    for item in certificate["left"]:
        left[item["store"]] = left.get(item["store"], 0) + max(int(item["rows"]), 1)
    names = list(dict.fromkeys([*certificate["removed"], *left]))
    rows = [(name, certificate["removed"].get(name, 0), left.get(name, 0)) for name in names]
    return pd.DataFrame(rows, columns=["store", "removed", "left"])


def replaced(certificate: dict[str, Any]) -> pd.DataFrame:
    """Return one row for each version that was replaced: outputs, and how far others' scores moved.

    version, outputs (how many have another hash), others (people's applications compared), max and
    mean (of the change of their scores), flipped (decisions), same_rows (refit on the same rows).
    """
    rows = [
        {"version": v["version"], "outputs": len(v["outs"]), **v["moved"]}
        for v in certificate["versions"]
    ]
    names = ["version", "outputs", "others", "max", "mean", "flipped", "max_same_rows"]
    table = pd.DataFrame(rows, columns=names).rename(columns={"max_same_rows": "same_rows"})
    return table.round({"max": 6, "mean": 6, "same_rows": 6})
