"""Where somebody is held: the register of stores, and every table that lies behind it."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from mlkit.compliance import records, stores, versions
from mlkit.compliance.identity import KINDS, Keys, Listed, holds
from mlkit.compliance.versions import Hashes, Version

PLACES = ("dvc", "git")  # formats of stores that hold versions of other stores
PACKED = (b"PAR1", b"PK", b"\x1f\x8b", b"SQLite format 3", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
TOKEN = re.compile(rb"[\w.+-]+@[\w-]+\.[\w.-]*\w|\b[0-9a-f]{64}\b", re.IGNORECASE)


class Store(NamedTuple):
    """A line of the register: path from the folder, format, column to kind of key, lineage."""

    name: str
    path: str
    form: str
    keys: Keys
    made_from: list[str]


class Item(NamedTuple):
    """One thing that may hold people, with the key columns of its tables.

    `fixed` says why it cannot be cleaned, if so; `stale` that it was replaced and is here still.
    """

    store: str
    place: str
    tables: list[pd.DataFrame]
    keys: Keys
    stale: bool = False
    fixed: str = ""


class Where(NamedTuple):
    """Where something lies, and the store whose format and keys it has."""

    store: str
    place: str
    source: Store


class Site(NamedTuple):
    """A folder with its register, its versions, and what replaced what so far."""

    folder: Path
    register: dict[str, Store]
    versions: list[Version]
    replaced: Hashes
    head: str
    seen: dict[tuple[str, str], list[pd.DataFrame]]

    def roots(self) -> dict[str, Path]:
        """Return name and place of cache and remotes."""
        return {s.name: self.folder / s.path for s in self.register.values() if s.form == "dvc"}

    def files(self) -> Iterator[Store]:
        """Yield the stores that are one file each."""
        yield from (s for s in self.register.values() if s.form not in PLACES)

    def store_at(self, path: str) -> Store:
        """Return the store of an output of DVC.

        Raises
        ------
        ValueError: the register does not name it
        """
        for store in self.files():
            if store.path == f"project/{path}":
                return store
        raise ValueError(
            f"project/{path}: a version names it and stores.yaml does not; add it to the register"
        )


def register(folder: Path) -> dict[str, Store]:
    """Return name and store for each line of project/stores.yaml.

    Raises
    ------
    FileNotFoundError: no register
    ValueError: a line that is not whole, a path out of the folder, an unknown format or kind of key
    """
    file = Path(folder) / "project" / "stores.yaml"
    if not file.is_file():
        raise FileNotFoundError(
            f"{Path(folder).name}/project/stores.yaml: no register of stores; "
            "`mlkit erase --make FOLDER` builds a lender with one"
        )
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
        lines = [
            Store(s["name"], s["path"], s["format"], s["keys"], s["made_from"])
            for s in told["stores"]
        ]
        found = {line.name: line for line in lines}
        for each in lines:
            _check(Path(folder), each, found)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        line = str(error).splitlines()[0]
        raise ValueError(
            f"stores.yaml: expected name, path, format, keys, made_from: {line}"
        ) from None
    if len(found) < len(lines):
        raise ValueError("stores.yaml: expected names that come once")
    return found


def _check(folder: Path, line: Store, known: Mapping[str, Store]) -> None:
    where = f"stores.yaml, {line.name}"
    if not (folder / line.path).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{where}: path {line.path!r} leads out of {folder.name}")
    if not line.keys and line.form not in (*PLACES, "skops"):
        raise ValueError(f"{where}: expected a column that says who a row is about, came no keys")
    allowed = {"format": [*stores.FORMATS, *PLACES], "keys": KINDS, "made_from": list(known)}
    came = {"format": [line.form], "keys": line.keys.values(), "made_from": line.made_from}
    for what, values in came.items():
        for value in values:
            if value not in allowed[what]:
                raise ValueError(
                    f"{where}: {what} {value!r}: expected one of {', '.join(allowed[what])}"
                )


def site(folder: Path) -> Site:
    """Return a folder as it is now.

    Raises
    ------
    FileNotFoundError, ValueError: see `register`
    """
    folder = Path(folder)
    told, replaced = register(folder), versions.load_map(folder)["objects"]
    found = versions.commits(folder)
    head = versions.git(folder, "rev-parse", "HEAD").decode().strip()
    return Site(folder, told, found, replaced, head, {})


def items(at: Site) -> Iterator[Item]:
    """Yield everything that may hold people, read whole.

    Raises
    ------
    ValueError: a store that is not there or cannot be read
    """
    yield from _files(at)
    yield from _objects(at)
    yield from in_git(at)


def counted(found: list[Item], listed: Listed) -> pd.DataFrame:
    """Return store, place and rows for each item that holds somebody on the list.

    A model has the rows that it was fitted on; what was replaced and is here still counts as one.
    """
    rows = [
        (i.store, i.place, max(sum(int(holds(t, listed, i.keys).sum()) for t in i.tables), i.stale))
        for i in found
    ]
    table = pd.DataFrame(rows, columns=["store", "place", "rows"])
    return table[table["rows"] > 0].reset_index(drop=True)


def _files(at: Site) -> Iterator[Item]:
    versioned, known = tracked(at), named(at)
    for store in at.files():
        file = at.folder / store.path
        if not file.is_file():
            if store.path in versioned:
                continue
            raise ValueError(f"{store.path}: no such file; take {store.name} off stores.yaml")
        for end in ("-wal", "-journal"):
            if store.form == "sqlite" and file.with_name(file.name + end).exists():
                raise ValueError(
                    f"{store.path}{end}: the database is open elsewhere, or was not closed; "
                    "close it and try again"
                )
        _check_link(at, store.path)
        content = records.read(file)
        name = versions.hash_of(content)
        beside = known[name][2] if name in known else {}
        yield _item(at, Where(store.name, store.path, store), content, beside)


def _check_link(at: Site, path: str) -> None:
    """A link may lead into a cache, as DVC makes them: a new file takes the place of any other."""
    real, top = (at.folder / path).resolve(), at.folder.resolve()
    caches = [root.resolve() for root in at.roots().values()]
    if real != Path(os.path.normpath(top / path)) and not any(map(real.is_relative_to, caches)):
        raise ValueError(f"{path}: is a link; name {real.relative_to(top)} in stores.yaml instead")


def _item(at: Site, where: Where, content: bytes, files: Hashes) -> Item:
    """The content of a store, or of an object that stands for it; `files` are beside it."""
    store, stale = where.source, versions.hash_of(content) in at.replaced
    tables, why = tables_of(at, store, content), ""
    if store.form == "skops":
        tables = _fitted_on(at, store, files)
        why = "" if tables or stale else "the rows that it was fitted on are not known"
    return Item(where.store, where.place, tables, _keys(at, store), stale, why)


def tracked(at: Site) -> set[str]:
    """Return the paths, from the folder, of all files that a version has."""
    roots = at.roots().values()
    files = {p for v in at.versions for p in versions.files_of(v, at.replaced, roots)}
    return {at.store_at(path).path for path in files}


def tables_of(at: Site, store: Store, content: bytes) -> list[pd.DataFrame]:
    """Key columns of the tables of a store, read once for each content."""
    name = (hashlib.sha256(content).hexdigest(), store.name)
    if name not in at.seen:
        try:
            tables = stores.read(content, store.form)
        except ValueError as error:
            raise ValueError(f"{store.path}: {error}; nothing was touched") from None
        at.seen[name] = [t[[c for c in store.keys if c in t]] for t in tables]
        keyed = [bool(t.shape[1]) for t in at.seen[name]]  # a database may have others as well
        if store.keys and not (any(keyed) if store.form == "sqlite" else keyed and all(keyed)):
            raise ValueError(
                f"{store.path}: has none of the columns {', '.join(store.keys)}; see stores.yaml"
            )
    return at.seen[name]


def named(at: Site) -> dict[str, tuple[str, str, Hashes]]:
    """Hash to version, path and the files beside it, for what versions name or named."""
    found: dict[str, tuple[str, str, Hashes]] = {}
    for version in at.versions:
        for replaced in ({}, at.replaced):
            files = versions.files_of(version, replaced, at.roots().values())
            outs = {p: versions.resolve(h, replaced) for p, h in version.outs.items()}
            for path, name in {**outs, **files}.items():
                found.setdefault(name, (version.label, path, files))
    return found


def _objects(at: Site) -> Iterator[Item]:
    known = named(at)
    for root_name, root in at.roots().items():
        for name in versions.objects(root):
            stale = name in at.replaced
            content = versions.fetch([root], name) or b""
            if name not in known:
                yield nameless(at, root_name, name, content)
                continue
            label, path, files = known[name]
            if name.endswith(".dir"):
                yield Item(root_name, f"{label} {path}", [], {}, stale)
                continue
            where = Where(root_name, f"{label} {path}", at.store_at(path))
            yield _item(at, where, content, files)


def _source(at: Site, store: Store) -> Store | None:
    """The nearest store with keys that a model was made from."""
    return next((at.register[name] for name in store.made_from if at.register[name].keys), None)


def _keys(at: Site, store: Store) -> Keys:
    source = _source(at, store)
    return store.keys or (source.keys if source else {})


def _fitted_on(at: Site, store: Store, files: Hashes) -> list[pd.DataFrame]:
    """Tables of the rows that a model was fitted on: of its version, else of the workspace."""
    if (source := _source(at, store)) is None:
        return []
    name = files.get(source.path.removeprefix("project/"), "")
    content = versions.fetch(at.roots().values(), name) if name else None
    file = at.folder / source.path
    if not files and file.is_file():
        content = records.read(file)
    return tables_of(at, source, content) if content else []


def all_keys(at: Site) -> Keys:
    """Return every column that the register knows as a key, with its kind."""
    return {column: kind for s in at.register.values() for column, kind in s.keys.items()}


def nameless(at: Site, root: str, name: str, content: bytes) -> Item:
    """An object that no version names: cleaned by deleting it, when it can be read."""
    place, form = f"object {name[:10]} that no version names", stores.sniff(content)
    if name in at.replaced:
        return Item(root, place, [], {}, stale=True)
    if name.endswith(".dir"):
        return Item(root, place, [], {})
    if form in (None, "skops"):
        return Item(root, place, [], {}, fixed="cannot be read; `dvc gc` deletes it")
    return Item(root, place, rows_in(at, content), all_keys(at))


def rows_in(at: Site, content: bytes) -> list[pd.DataFrame]:
    """Return what names people in any bytes: keys of tables, and what their other texts say.

    Without tables the e-mail addresses and hashes in the text; nothing for what cannot be opened.
    """
    keys, form = all_keys(at), stores.sniff(content)
    try:
        tables = stores.read(content, form) if form else []
    except ValueError:
        if content.startswith(PACKED):
            return []
        tables = []
    known = [t[[c for c in keys if c in t]] for t in tables]
    if content.startswith(PACKED) or any(t.shape[1] for t in known):
        return [*known, *_spoken([word for t in tables for word in _free_words(t, keys)])]
    if content.startswith(UTF16):
        content = content.decode("utf-16", errors="replace").encode()
    return _spoken([word.decode() for word in TOKEN.findall(content)])


def _spoken(words: list[str]) -> list[pd.DataFrame]:
    """E-mail addresses and hashes that stand in a text, as tables."""
    kinds = {"email": [w for w in words if "@" in w],
             "email_sha256": sorted({w for w in words if "@" not in w})}  # fmt: skip
    return [pd.DataFrame({kind: found}, dtype=object) for kind, found in kinds.items()]


def in_git(at: Site) -> Iterator[Item]:
    """Yield the objects of git; what a ref or the index reaches cannot be cleaned."""
    keys = {**all_keys(at), "email": "email", "email_sha256": "email_sha256"}
    for store in [s for s in at.register.values() if s.form == "git"]:
        kept, loose = versions.loose_ends(at.folder)
        for name, content in loose.items():
            rows = rows_in(at, content)
            why = "" if rows else "cannot be opened; `git prune` deletes it"
            yield Item(store.name, f"object {name[:10]}, dangling", rows, keys, fixed=why)
        for name, content in kept.items():
            rows = rows_in(at, content)
            why = ("" if rows else "cannot be opened; ") + "git history is not rewritten"
            yield Item(store.name, f"object {name[:10]}, in history", rows, keys, fixed=why)


def left(item: Item, listed: Listed) -> dict[str, Any] | None:
    """Return what is left of somebody in an item, or nothing."""
    table = counted([item], listed)
    if len(table):
        return {**table.iloc[0].to_dict(), "why": item.fixed or "was not swept"}
    blind = item.fixed and not item.tables
    return (
        {"store": item.store, "place": item.place, "rows": 0, "why": item.fixed} if blind else None
    )


def mentions(at: Site, listed: Listed) -> list[dict[str, Any]]:
    """Return the stores whose free text names an e-mail on the list, in rows about others."""
    found = []
    for store in at.files():
        file = at.folder / store.path
        if file.is_file():
            tables = stores.read(file.read_bytes(), store.form)
            words = [word for table in tables for word in _free_words(table, store.keys)]
            kinds = {"email": "email", "email_sha256": "email_sha256"}
            if rows := sum(int(holds(t, listed, kinds).sum()) for t in _spoken(words)):
                why = "free text in rows about others is not changed"
                found.append({"store": store.name, "place": store.path, "rows": rows, "why": why})
    return found


def _free_words(table: pd.DataFrame, keys: Keys) -> Iterator[str]:
    """E-mail addresses and hashes in the texts of a table that are no keys."""
    for column in [c for c in table if c not in keys]:
        if pd.api.types.is_string_dtype(table[column]) or table[column].dtype == object:
            text = "\n".join(map(str, table[column])).encode()
            yield from (word.decode() for word in TOKEN.findall(text))
