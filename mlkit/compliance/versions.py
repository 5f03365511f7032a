"""Versions of a DVC project: which objects each commit names, what stands in their place, and git.

Git history is not rewritten: an old commit goes on naming the old hashes. A map says which object
replaced which, so an old version is read through the map, and the old objects are gone.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mlkit import repository
from mlkit.compliance import records

MAP = "replacements.json"
Hashes = dict[str, str]


class Version(NamedTuple):
    """What one commit names: path of an output to its hash, as written there."""

    commit: str
    label: str
    outs: Hashes


def git(folder: Path, *words: str, on: str = "2025-09-01", given: bytes = b"") -> bytes:
    """Return what a git command prints.

    Raises
    ------
    ValueError: it failed; names it and the first line of its message
    """
    done = subprocess.run(
        ["git", "--no-optional-locks", *words], cwd=Path(folder) / "project", input=given,
        env=repository.environment(folder, on=on), capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        told = (done.stderr.decode(errors="replace").splitlines() or ["no message"])[0]
        raise ValueError(f"`git {words[0]}` ended with status {done.returncode}: {told}")
    return done.stdout


def _batch(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Name to content, for objects of git by any name that git knows."""
    names = list(names)
    printed = git(folder, "cat-file", "--batch", given="\n".join(names).encode() + b"\n")
    found, begin = {}, 0
    for name in names:
        stop = printed.index(b"\n", begin)
        size = int(printed[begin:stop].split()[-1])
        found[name] = printed[stop + 1 : stop + 1 + size]
        begin = stop + size + 2
    return found


def commits(folder: Path) -> list[Version]:
    """Return every commit that a branch, tag or stash reaches, the oldest first, with its outputs.

    Raises
    ------
    ValueError: no repository
    """
    ends = ["--all", *_stashed(folder)]
    ids = git(folder, "rev-list", *ends, "--reverse", "--topo-order").decode().split()
    tags: dict[str, str] = {}
    shown = "%(refname:short) %(objectname) %(*objectname)"
    for line in git(folder, "for-each-ref", f"--format={shown}", "refs/tags").decode().splitlines():
        name, *targets = line.split()
        tags.setdefault(targets[-1], name)
    found = []
    for commit in ids:
        files = _naming(folder, commit)
        texts = _batch(folder, [f"{commit}:{name}" for name in files]) if files else {}
        outs = {k: v for n, t in texts.items() for k, v in outputs(n.split(":")[1], t).items()}
        found.append(Version(commit, tags.get(commit, commit[:10]), outs))
    return found


def _stashed(folder: Path) -> list[str]:
    """The commits of all stashes: a ref reaches the newest alone."""
    return git(folder, "stash", "list", "--format=%H").decode().split()


def _naming(folder: Path, commit: str) -> list[str]:
    """The files of a commit that name outputs."""
    names = git(folder, "ls-tree", "-r", "-z", "--name-only", commit).decode().split("\0")
    return [n for n in names if n.endswith(".dvc") or Path(n).name == "dvc.lock"]


def outputs(name: str, text: bytes) -> Hashes:
    """Return path and hash of the outputs that a .dvc file or dvc.lock names.

    A file that is no YAML, as after a merge gone wrong, names none, for DVC either.
    """
    outs = [out for stage in _stages(_parsed(text)) for out in stage.get("outs") or []]
    return {(Path(name).parent / o["path"]).as_posix(): o["md5"] for o in outs if "md5" in o}


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return told if isinstance(told, dict) else {}


def _stages(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [told, *(told.get("stages") or {}).values()]


def object_file(root: Path, name: str) -> Path:
    """Return where DVC keeps an object in its cache or in a local remote."""
    return root / "files" / "md5" / name[:2] / name[2:]


def objects(root: Path) -> list[str]:
    """Return the hashes of all objects in a cache or local remote.

    Raises
    ------
    ValueError: objects where DVC 2 kept them, or links: deleting one would delete no content
    """
    files = [f for f in (root / "files" / "md5").glob("??/*") if not f.name.startswith(".")]
    if old := sorted(root.glob("[0-9a-f][0-9a-f]/*")):
        raise ValueError(f"{root.name}/{old[0].parent.name}: objects of DVC 2; "
                         "`dvc cache migrate --dvc-files`, then delete these")  # fmt: skip
    if links := sorted(f for f in files if f.is_symlink()):
        raise ValueError(f"{root.name}, object {links[0].parent.name}{links[0].name}: is a link; "
                         "put the file itself there")  # fmt: skip
    return sorted(f.parent.name + f.name for f in files)


def fetch(roots: Iterable[Path], name: str) -> bytes | None:
    """Return an object from the first place that has it, or None.

    Raises
    ------
    ValueError: its content is not what its name says
    """
    for root in roots:
        file = object_file(root, name)
        if file.is_file():
            content = records.read(file)
            if hash_of(content) != name.removesuffix(".dir"):
                raise ValueError(f"object {name} in {root.name}: content and name differ; refetch")
            return content
    return None


def hash_of(content: bytes) -> str:
    """Return the MD5 by which DVC names an object."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def resolve(name: str, replaced: Mapping[str, str]) -> str:
    """Return the hash that stands in the place of another, after any number of replacements."""
    while name in replaced:
        name = replaced[name]
    return name


def files_of(version: Version, replaced: Mapping[str, str], roots: Iterable[Path]) -> Hashes:
    """Return path and hash of every file that now stands for a version; members of folders too."""
    found = {}
    for path, name in version.outs.items():
        now = resolve(name, replaced)
        if not now.endswith(".dir"):
            found[path] = now
        elif (listing := fetch(roots, now)) is not None:
            found |= {f"{path}/{m['relpath']}": m["md5"] for m in json.loads(listing)}
    return found


def listing(members: Mapping[str, str]) -> bytes:
    """Return the object by which DVC tells the files of a folder: name to hash."""
    rows = [{"md5": members[name], "relpath": name} for name in sorted(members)]
    return json.dumps(rows, sort_keys=True).encode()


def put(root: Path, name: str, content: bytes) -> None:
    """Write an object, read-only as DVC keeps it, unless it is there."""
    file = object_file(root, name)
    if not file.exists():
        records.write(content, file, mode=0o444)


def forget(root: Path, names: Iterable[str]) -> None:
    """Delete objects, and what the run cache remembers of them."""
    gone = [name for name in names if object_file(root, name).exists()]
    for run in sorted(f for f in (root / "runs").rglob("*") if f.is_file()):
        if any(name in run.read_text(encoding="utf-8", errors="replace") for name in names):
            records.delete(run)
    for name in gone:
        records.delete(object_file(root, name))


def load_map(folder: Path) -> dict[str, Any]:
    """Return the replacements so far: `objects` (old hash to new) and `versions` (entries)."""
    file = records.place(folder) / MAP
    return json.loads(file.read_bytes()) if file.exists() else {"objects": {}, "versions": []}


def head_files(folder: Path) -> list[str]:
    """Return the files at HEAD that name outputs.

    Raises
    ------
    ValueError: HEAD stands on no branch
    """
    try:
        git(folder, "symbolic-ref", "-q", "HEAD")
    except ValueError:
        raise ValueError("HEAD is on no branch: `git switch` to the one that goes on") from None
    return _naming(folder, "HEAD")


def follow(text: bytes, replaced: Mapping[str, str], sizes: Mapping[str, int]) -> bytes:
    """Return a .dvc file or dvc.lock with the hashes that stand in the place of those it names."""
    told, changed = _parsed(text), False
    for stage in _stages(told):
        for item in [*(stage.get("outs") or []), *(stage.get("deps") or [])]:
            now = resolve(item.get("md5", ""), replaced)
            if now != item.get("md5", ""):
                item["md5"], changed = now, True
                if "size" in item:
                    item["size"] = sizes[now]
    return yaml.safe_dump(told, sort_keys=False).encode() if changed else text


def check_head(folder: Path, replaced: Mapping[str, str]) -> None:
    """Return nothing when HEAD can be advanced: its files that name outputs are as committed.

    Raises
    ------
    ValueError: one has changes that nobody committed; git is at work, or in the middle of a merge
    """
    place = Path(folder) / "project" / git(folder, "rev-parse", "--git-dir").decode().strip()
    for name in ("index.lock", "HEAD.lock"):
        if (place / name).exists():
            raise ValueError(f".git/{name}: git is at work, or was killed: then delete it")
    for name in ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"):
        if (place / name).exists():
            raise ValueError(f".git/{name}: git waits for you to end or abort what you began")
    for name in head_files(folder):
        committed = _parsed(git(folder, "show", f"HEAD:{name}"))
        file = Path(folder) / "project" / name
        now = _parsed(file.read_bytes()) if file.exists() else None
        if _resolved(committed, replaced) != _resolved(now, replaced):
            raise ValueError(f"{name}: has changes that are not committed; commit or undo them")


def _resolved(told: Any, replaced: Mapping[str, str]) -> Any:
    if isinstance(told, dict):
        return {
            k: resolve(v, replaced) if k == "md5" else _resolved(v, replaced)
            for k, v in told.items()
            if k != "size"
        }
    return [_resolved(item, replaced) for item in told] if isinstance(told, list) else told


def advance_head(
    folder: Path, replaced: Mapping[str, str], sizes: Mapping[str, int], *, on: str
) -> None:
    """Let HEAD name the new objects, and tell the replacements, in a new commit."""
    project, names = Path(folder) / "project", head_files(folder)
    told = f"erasure/{MAP}"
    contents = {n: follow((project / n).read_bytes(), replaced, sizes) for n in names}
    contents[told] = (records.place(folder) / MAP).read_bytes()
    for name, content in contents.items():
        file = project / name
        if not file.exists() or file.read_bytes() != content:
            records.write(content, file)
    git(folder, "add", "--", *contents, on=on)
    if git(folder, "diff", "--cached", "--name-only", "HEAD", "--", *contents):
        git(folder, "commit", "-q", "-m", "Replace versions after an erasure", "--", *contents,
            on=on)  # fmt: skip


def loose_ends(folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the objects of git but trees, by id: those that something reaches, and others."""
    shown = git(folder, "cat-file", "--batch-all-objects", "--batch-check").decode().splitlines()
    kinds = {line.split()[0]: line.split()[1] for line in shown}
    ends = ["--all", "--indexed-objects", *_stashed(folder)]
    reached = git(folder, "rev-list", "--objects", *ends).decode()
    kept = {line.split()[0] for line in reached.splitlines()}
    kept |= set(git(folder, "for-each-ref", "--format=%(objectname)").decode().split())
    told = _batch(folder, [name for name, kind in kinds.items() if kind != "tree"])
    loose = {name: content for name, content in told.items() if name not in kept}
    return {n: c for n, c in told.items() if n in kept}, loose


def prune(folder: Path) -> None:
    """Delete the objects of git that no ref and no index reaches; reflogs are cut.

    As settings, unlike as options, the two times leave the stashes alone.
    """
    now = [w for n in ("reflogExpire", "reflogExpireUnreachable") for w in ("-c", f"gc.{n}=now")]
    git(folder, *now, "reflog", "expire", "--all")
    if any((Path(folder) / "project" / ".git" / "objects" / "pack").glob("*.pack")):
        git(folder, "repack", "-a", "-d", "-q")
    git(folder, "prune", "--expire=now")
