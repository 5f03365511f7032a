"""A throw-away git and DVC repository: real commands, offline, away from anybody's settings.

A folder holds `project` (the repository), what its commands make beside it (a store, a clone), and
`home`, where git and DVC find settings and keep caches. Dates and names are fixed, so that the same
files give the same commit ids on any machine.
"""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlkit.params import checked
from mlkit.tables import write_text

WHO = {"NAME": "Shop team", "EMAIL": "shop@example.org"}
GIT = """[init]
\tdefaultBranch = main
[core]
\tautocrlf = false
\tpager = cat
[commit]
\tgpgSign = false
[advice]
\tdetachedHead = false
"""
DVC = "[core]\n    analytics = false\n    check_update = false\n"
QUIET = {  # no other settings, no hooks, no questions, no calls home, no colours
    **{"GIT_CONFIG_NOSYSTEM": "1", "GIT_TEMPLATE_DIR": "", "GIT_TERMINAL_PROMPT": "0"},
    **{"DVC_NO_ANALYTICS": "1", "DVC_STUDIO_OFFLINE": "1", "CI": "1"},
    **{"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "100", "LC_ALL": "C", "TZ": "UTC"},
    **{"PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"},
}


def begin(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Return the project folder of a new throw-away folder, with the given files in it.

    Parameters
    ----------
    folder: a folder for this purpose alone
    files: name to text

    Raises
    ------
    ValueError: the folder holds something already, or a name leads out of it
    RuntimeError: git is not installed
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder.name}: expected an empty folder, it holds files; take a new one")
    if shutil.which("git") is None:
        raise RuntimeError("git: not found; install git and try again")
    texts = {_inside(folder / "project", name): t for name, t in (files or {}).items()}
    write_text(GIT, folder / "home" / "gitconfig")
    write_text(DVC, folder / "home" / "dvc" / "config")
    for file, text in texts.items():
        write_text(text, file)
    return folder / "project"


def environment(folder: Path, *, on: str = "2025-09-01") -> dict[str, str]:
    """Return variables under which git and DVC see no settings but those of the folder.

    Parameters
    ----------
    folder: see `begin`
    on: day of a commit, as in 2025-09-01
    """
    home = Path(folder) / "home"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_"))}
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    noon = f"{on}T12:00:00+00:00"
    roles = {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER")
             for part, text in {**WHO, "DATE": noon}.items()}  # fmt: skip
    dvc = {f"DVC_{which}_CONFIG_DIR": str(home / "dvc") for which in ("GLOBAL", "SYSTEM")}
    return {
        **kept, **roles, **dvc,
        "PATH": os.pathsep.join(places),
        "HOME": str(home), "USERPROFILE": str(home), "XDG_CONFIG_HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "GIT_CEILING_DIRECTORIES": str(folder),
        "DVC_SITE_CACHE_DIR": str(home / "cache"), **QUIET,
    }  # fmt: skip


@checked
def shell(
    folder: Path,
    *commands: str,
    on: str = "2025-09-01",
    where: str = "project",
    may_fail: bool = False,
) -> str:
    """Return a transcript of git and DVC commands that were really run: each with its output.

    Parameters
    ----------
    folder: see `begin`
    commands: as they would be typed, beginning with git or dvc
    on: day of the commits, as in 2025-09-01
    where: the folder within `folder` to stand in
    may_fail: go on after a command that fails, its message and exit status in the transcript

    Raises
    ------
    ValueError: another program than git or dvc, or a folder that is not there, or not within
    RuntimeError: a command failed; names it and its last line
    """
    place = _inside(Path(folder), where)
    if not place.is_dir():
        raise ValueError(f"where = {where!r}: no such folder; begin() makes 'project'")
    lines = []
    for command in commands:
        status, text = _call(folder, command, place, on)
        if status and not may_fail:
            last = text.splitlines()[-1] if text else "no message"
            raise RuntimeError(f"`{command}` ended with status {status}: {last}")
        lines += [f"$ {command}", *text.splitlines(), *([f"[exit {status}]"] if status else [])]
    return "\n".join(lines)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r}: expected a place within {folder.name}, not outside")
    return path


def _call(folder: Path, command: str, place: Path, on: str) -> tuple[int, str]:
    """Exit status and output of one command, without paths of this machine."""
    words = shlex.split(command)
    programs = {"git": ["git"], "dvc": [sys.executable, "-m", "dvc"]}
    if not words or words[0] not in programs:
        raise ValueError(f"`{command}`: expected a command of git or dvc")
    done = subprocess.run(
        [*programs[words[0]], *words[1:]], cwd=place, env=environment(folder, on=on),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    text = done.stdout
    for path in {str(folder), str(Path(folder).resolve())}:
        text = text.replace(path + os.sep, "")
    return done.returncode, "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def output(folder: Path, command: str, *, where: str = "project") -> str:
    """Return what one command of git or DVC prints, without paths of this machine.

    Raises
    ------
    ValueError: another program
    RuntimeError: the command failed; names it and its last line
    """
    status, text = _call(folder, command, Path(folder) / where, "2025-09-01")
    if status:
        raise RuntimeError(
            f"`{command}` ended with status {status}: {(text.splitlines() or ['-'])[-1]}"
        )
    return text


def remove(folder: Path) -> None:
    """Delete a throw-away folder, the files that git and DVC keep read-only included."""

    def writable(function: Callable, path: str, error: Any) -> None:
        Path(path).chmod(stat.S_IWRITE)
        function(path)

    shutil.rmtree(folder, onerror=writable)
