#!/usr/bin/env python3
"""Set up mlkit and run its jobs, with the standard library only, on Linux, macOS and Windows.

Every job but `doctor` first makes the environment: `.venv/` from the hashes in requirements.txt
(`tools`: `.venv-tools/`), with uv when it is on the PATH, else with pip. A stamp file in it says
for what it was made; it is written last, so an environment without one is unfinished.
"""

import argparse
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST = (3, 11)
LOCKS = {".venv": "requirements.txt", ".venv-tools": "requirements-tools.txt"}
STAMP = "mlkit-stamp.txt"
BIN = "Scripts" if os.name == "nt" else "bin"
X86 = platform.machine() in ("x86_64", "AMD64")
REFERENCE = sys.platform == "linux" and X86

# The steps of `test`, in order: the first red one ends it. `python kit.py test types` runs one.
PARALLEL = "pytest -n 2 --dist=loadfile --no-loadscope-reorder"
LEAN = "-p no:nbval -p no:hydra_pytest"  # plugins that unit tests would load in vain
NBVAL = (
    "--nbval --nbval-current-env --nbval-sanitize-with=nbval.cfg"
    " --nbval-cell-timeout=120 --nbval-kernel-startup-timeout=120"
)
TEST = [
    ("lint", "ruff check ."),
    ("format", "ruff format --check ."),
    ("spelling", "codespell"),
    ("types", "mypy mlkit"),
    ("tests", f"{PARALLEL} {LEAN} tests --ignore=tests/benchmarks -m 'not slow'"),
    ("pipeline", "dvc repro"),
    ("bytes", "git diff HEAD --exit-code -- dvc.lock"),
    ("claims", "mlkit claims --seeds 3"),
    ("notebooks", f"{PARALLEL} {NBVAL} notebooks"),
    ("solve", "mlkit fill notebooks .mlkit/solved"),
    ("solved", f"MLKIT_STRICT=1 {PARALLEL} {NBVAL} .mlkit/solved"),
]
# The evidence of `proof`: every row runs, red or not.
PROOF = [
    ("claims", "mlkit claims --seeds 100 --start 1000 --json proof/claims.json"),
    ("slow", f"{PARALLEL} {LEAN} tests --ignore=tests/benchmarks -m slow"),
    ("benchmarks", "pytest tests/benchmarks"),
]

# The steps of `upgrade` once both locks are new. DVC sees no library change, hence --force.
REMAKE = ("pipeline", "dvc repro --force --keep-going")
REPORT = [
    ("claims", "mlkit claims --start 1000 --json proof/claims.json --seeds {seeds}"),
    ("report", "python -m mlkit.upgrade"),
]

# The same bytes everywhere: one BLAS kernel, one thread, one hash seed (not for benchmarks).
PINS = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
if X86:
    PINS["OPENBLAS_CORETYPE"] = "Haswell"
QUIET = {"DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1", "MPLBACKEND": "Agg", "PYTHONUTF8": "1"}
# A user's settings may say from where packages come, never which ones or to what folder.
UNWANTED = {"PYTHONHOME", "PYTHONPATH", "UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_OVERRIDE"}
UNWANTED |= {"PYTHONDONTWRITEBYTECODE"}  # without bytecode every start compiles all libraries anew
UNWANTED |= {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_NO_DEPS", "PIP_REQUIRE_HASHES"}
OVERRULED = {"PIP_USER": "0", "PIP_CONSTRAINT": os.devnull}


# The environment


def unsupported() -> str:
    """Why mlkit cannot run on this Python or machine, or nothing."""
    if sys.version_info < OLDEST:
        needed = "mlkit needs 3.11 or newer. With make: make PYTHON=python3.11 repro"
        return f"Python {platform.python_version()} is too old: {needed}"
    if sys.platform == "darwin" and X86:
        return "Intel Macs are not supported, because numba, which shap needs, is not: SUPPORT.md"
    return ""


def stamp(venv: str) -> str:
    """The stamp of a complete environment: a line for Python and place, one for the contents."""
    contents = hashlib.sha256()
    for name in (LOCKS[venv], "pyproject.toml"):
        contents.update((ROOT / name).read_bytes())
    major, minor = sys.version_info[:2]
    return f"Python {major}.{minor} in {ROOT}\n{contents.hexdigest()}\n"


def state(venv: str) -> str:
    """How the environment stands: `ready`, `outdated`, `missing`, `unfinished` or `foreign`."""
    home = ROOT / venv
    if not home.exists():
        return "missing"
    if not (home / STAMP).is_file():
        return "unfinished"
    found, wanted = (home / STAMP).read_text(encoding="utf-8"), stamp(venv)
    if not interpreter(venv).is_file() or found.split("\n")[0] != wanted.split("\n")[0]:
        return "foreign"  # its Python is gone, it is for another one, or the folder was moved
    return "ready" if found == wanted else "outdated"


def interpreter(venv: str) -> Path:
    """The path of the environment's Python."""
    return ROOT / venv / BIN / ("python.exe" if os.name == "nt" else "python")


def environ(venv: str) -> dict:
    """The variables of every child: the environment's programs first, pinned, no telemetry."""
    env = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    env.update(PINS, **QUIET, **OVERRULED, VIRTUAL_ENV=str(ROOT / venv))
    env["PATH"] = str(ROOT / venv / BIN) + os.pathsep + env.get("PATH", os.defpath)
    return env


def prepare(venv: str = ".venv") -> dict:
    """The variables for children, after the environment was made where it is not ready."""
    found, env = state(venv), environ(venv)
    if found != "ready":
        wanted, uv = stamp(venv), has_uv()
        way = f"{LOCKS[venv]} with {'uv' if uv else 'pip'}"
        print(f"{venv} is {found}: installing {way} (minutes, the first time)", flush=True)
        (ROOT / venv / STAMP).unlink(missing_ok=True)
        if found != "outdated":
            remove(ROOT / venv)
        for command in installation(venv, uv, anew=found != "outdated"):
            if run(command, env) != 0:
                message = "the installation failed, see above: check the network and the disk"
                sys.exit(f"FIX {message} (python kit.py doctor), then run this command again")
        (ROOT / venv / STAMP).write_text(wanted, encoding="utf-8")
    return env


def has_uv() -> bool:
    """Whether uv is on the PATH and starts (a shim may not)."""
    uv = shutil.which("uv")
    return bool(uv) and subprocess.run([uv, "--version"], capture_output=True).returncode == 0


def remove(folder: Path) -> None:
    """Remove the folder if it is there, or end with what stands in the way."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        sys.exit(f"FIX {folder.name} is in use: close JupyterLab, deactivate, try again ({error})")


def installation(venv: str, uv: bool, anew: bool) -> list:
    """The commands that make the environment anew, or bring it up to date."""
    python = str(interpreter(venv))
    base = getattr(sys, "_base_executable", None) or sys.executable  # not .venv's own
    if uv:
        create = ["uv", "venv", "--quiet", "--python", base, venv]
        install = ["uv", "pip", "install", "--quiet", "--python", python]
    else:
        create = [base, "-m", "venv", venv]
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    locked = [*install, "--require-hashes", "-r", LOCKS[venv]]
    project = [*install, "--no-deps", "--no-build-isolation", "-e", "."]
    return [create, locked, project] if anew else [locked, project]


def run(command: list, env: dict) -> int:
    """The exit status of the command, run in the project's root.

    Ctrl-C reaches the child too, from the terminal: we wait until it has ended in its own way.
    """
    program = shutil.which(command[0], path=env["PATH"])
    if program is None:
        print(f"FIX {command[0]} is not on the PATH: run python kit.py doctor", flush=True)
        return 127
    child, interrupted = subprocess.Popen([program, *command[1:]], cwd=ROOT, env=env), False
    while child.returncode is None:
        try:
            child.wait()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


# The jobs: the docstring of each is its help, also in the Makefile


def repro(extra: list) -> int:
    """run the pipeline (dvc repro), print the table of scores"""
    env = prepare()
    return tell_dvc(env) or run(["dvc", "repro", *extra], env) or run(["mlkit", "scores"], env)


def tell_dvc(env: dict) -> int:
    """The status after DVC was told whether there is a git repository (a zip file has none)."""
    local = ROOT / ".dvc" / "config.local"
    git = any((folder / ".git").exists() for folder in (ROOT, *ROOT.parents))
    told = local.is_file() and "no_scm = true" in local.read_text(encoding="utf-8")
    if told != git:
        return 0
    print("there is .git: DVC uses it" if git else "no .git here: DVC works without", flush=True)
    return run(["dvc", "config", "--local", "core.no_scm", str(not git).lower()], env)


def test(extra: list) -> int:
    """check everything, stop at the first red step (test NAME: one step)"""
    steps, env = chosen(TEST, extra), prepare()
    tell_dvc(env)
    for number, (name, command) in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {name}: {not_here(name) or command}", flush=True)
        status = 0 if not_here(name) else run(*parse(command, env))
        if status:
            again = f"again: python kit.py test {name}"
            print(f"FIX {name} failed with status {status}, see above; {again}", flush=True)
            return status
    return 0


def chosen(steps: list, names: list) -> list:
    """The steps of these names, or all; ends with the list when a name is unknown."""
    unknown = [name for name in names if name not in dict(steps)]
    if unknown:
        sys.exit(f"no step {unknown[0]!r}; the steps are: {', '.join(dict(steps))}")
    return [step for step in steps if not names or step[0] in names]


def parse(command: str, env: dict) -> tuple:
    """The words of a command and its variables; NAME=VALUE before the words is for it alone."""
    words, env = shlex.split(command), dict(env)
    while "=" in words[0]:
        name, value = words.pop(0).split("=", 1)
        env[name] = value
    return words, env


def not_here(step: str) -> str:
    """Why this step is skipped here, or nothing."""
    if step == "bytes" and not REFERENCE:
        return f"skipped, bytes are not compared on {platform.system()} {platform.machine()}"
    if step == "bytes" and not (ROOT / ".git").exists():
        return "skipped, there is no .git with a dvc.lock to compare with"
    return ""


def lab(extra: list) -> int:
    """open JupyterLab on your own copies of the notebooks, in work/"""
    env = dict(prepare(), MLKIT_HOME=str(ROOT / ".mlkit"))
    del env["MPLBACKEND"]
    status = run(["python", "-m", "mlkit.notebooks", "work"], env)
    lessons = sorted((ROOT / "work" / "notebooks").glob("*.ipynb"))
    options = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={ROOT / 'work'}"]
    options += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    options += ["--LabApp.news_url=None"]
    options += [f"--LabApp.default_url=/lab/tree/notebooks/{path.name}" for path in lessons[:1]]
    if os.name == "posix" and os.geteuid() == 0:
        options.append("--allow-root")
    return status or run(["jupyter", "lab", *options, *extra], env)


def notebooks(extra: list) -> int:
    """build the notebooks from notebooks/src, all or those named"""
    return run(["python", "-m", "mlkit.notebooks", "build", *extra], prepare())


def claims(extra: list) -> int:
    """test the claims over many seeds (--seeds 5 --only skew)"""
    return run(["mlkit", "claims", *extra], prepare())


def proof(extra: list) -> int:
    """gather all slow evidence into proof/table.md"""
    steps, env, worst = chosen(PROOF, extra), prepare(), 0
    (ROOT / "proof").mkdir(exist_ok=True)
    free = {name: value for name, value in env.items() if name not in PINS}
    table = ["| step | command | status | seconds |", "|---|---|---|---|"]
    for name, command in steps:
        print(f"{name}: {command}", flush=True)
        start = time.monotonic()
        status = run(*parse(command, free if name == "benchmarks" else env))
        seconds, word = time.monotonic() - start, f"failed ({status})" if status else "ok"
        table.append(f"| {name} | `{command}` | {word} | {seconds:.0f} |")
        worst = max(worst, status)
    print("\n".join(table))
    (ROOT / "proof" / "table.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    return worst


def upgrade(extra: list) -> int:
    """resolve the libraries anew, make everything again, report what moved (--seeds 100)"""
    asked = argparse.ArgumentParser("kit.py upgrade")
    asked.add_argument("--seeds", type=int, default=100, help="worlds for the claims")
    seeds = asked.parse_args(extra).seeds
    if not has_uv():
        print("FIX uv is not on the PATH, and only uv writes the locks: install it, then again")
        return 1
    for lock in LOCKS.values():
        header = (ROOT / lock).read_text(encoding="utf-8").split("\n")[1]
        command = [*shlex.split(header.lstrip("# ")), "--upgrade", "--quiet"]
        if run(command, environ(".venv")) != 0:
            print(f"FIX {lock} cannot be resolved, see above; `git checkout {lock}` brings it back")
            return 1
    env, red = prepare(), []
    tell_dvc(env)
    (ROOT / "proof").mkdir(exist_ok=True)
    (ROOT / "proof" / "claims.json").unlink(missing_ok=True)  # the last run's are no evidence
    for name, command in [REMAKE, *rebuild(), *REPORT]:
        command = command.format(seeds=seeds)
        print(f"{name}: {command}", flush=True)
        status = run(*parse(command, env))
        red += [name] * bool(status)
    for name in red:
        print(f"FIX {name} failed, see above")
    return 1 if red else 0


def rebuild() -> list:
    """One step for each notebook: one that fails does not hide the others."""
    folder = ROOT / "notebooks" / "src"
    paths = sorted([*folder.glob("[!.]*.py"), *folder.glob("[!.]*/[!.]*.py")])
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in paths]
    return [(name, f"python -m mlkit.notebooks build {name}") for name in names]


def tools(extra: list) -> int:
    """make .venv-tools/, the environment of the real systems"""
    prepare(".venv-tools")
    return 0


def doctor(extra: list) -> int:
    """check this machine in seconds, with a fix for each red line"""
    rows = checks()
    for good, what, found, fix in rows:
        print(f"{'ok ' if good else 'FIX'}  {what:<12} {found}" + ("" if good else f" -> {fix}"))
    return 0 if all(row[0] for row in rows) else 1


# What the doctor looks at


def checks() -> list:
    """Rows of whether it is good, what was looked at, what was found, and the fix."""
    disk, memory = shutil.disk_usage(ROOT).free / 1e9, memory_gb()
    made, kernel, git = state(".venv"), kernel_file(), shutil.which("git")
    shut = [f"{name}/" for name in ("data", "work") if not writable(ROOT / name)]
    crlf, install = windows_files(), "run: python kit.py repro"
    return [
        (not unsupported(), "Python", platform.python_version(), unsupported()),
        (made == "ready", "environment", f".venv is {made}", install),
        (kernel.is_file(), "kernel", "python3 of .venv", f"no {kernel.name} in .venv; {install}"),
        (disk >= 5, "disk", f"{disk:.1f} GB free", "free some: 5 GB are needed"),
        (memory >= 4, "memory", f"{memory:.1f} GB", "use a machine with 4 GB or more"),
        (bool(git), "git", git or "not on the PATH", "install git and open a new terminal"),
        (long_paths(), "long paths", "allowed" if long_paths() else "off", "set LongPathsEnabled"),
        (not shut, "writing", " ".join(shut) or "data/ work/", "make these folders writable"),
        (True, "uv", "used" if has_uv() else "not found: pip is used, slower (optional)", ""),
        (not crlf, "line ends", " ".join(crlf) or "LF", "CRLF: save with LF or check out again"),
    ]


def kernel_file() -> Path:
    """The file that tells Jupyter about the environment's kernel."""
    return ROOT / ".venv" / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"


def memory_gb() -> float:
    """The machine's memory in GB."""
    if os.name == "posix":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    import ctypes

    kilobytes = ctypes.c_ulonglong(0)
    ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
    return kilobytes.value * 1024 / 1e9


def long_paths() -> bool:
    """Whether paths may be longer than 260 characters: always, except on Windows by a setting."""
    if os.name == "posix":
        return True
    import winreg

    place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
        return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1


def writable(folder: Path) -> bool:
    """Whether a file can be written in the folder, or in the root where it will be made."""
    try:
        with tempfile.TemporaryFile(dir=folder if folder.is_dir() else ROOT):
            return True
    except OSError:
        return False


def windows_files() -> list:
    """The names of the project's text files that have CRLF line ends (for DVC: changed files)."""
    names = [ROOT / "Makefile", *ROOT.glob("*.*"), *ROOT.glob("mlkit/**/*.*")]
    text = {"", ".py", ".toml", ".txt", ".yaml", ".yml", ".lock", ".md", ".cfg", ".sql"}
    texts = [path for path in names if path.suffix in text and path.is_file()]
    return [str(path.relative_to(ROOT)) for path in texts if b"\r\n" in path.read_bytes()]


JOBS = (repro, test, lab, doctor, notebooks, claims, proof, upgrade, tools)
COMMANDS = {job.__name__: job for job in JOBS}


def parser() -> argparse.ArgumentParser:
    """The parser of the first argument; what follows it belongs to the command."""
    lines = "\n".join(f"  {name:<10} {job.__doc__}" for name, job in COMMANDS.items())
    made = argparse.ArgumentParser(
        "kit.py",
        usage="python kit.py COMMAND [ARGUMENT ...]",
        description=f"{__doc__}\ncommands:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    return made


def main(arguments: list) -> int:
    """The exit status of the command that the arguments name."""
    job = COMMANDS[parser().parse_args(arguments[:1] or ["--help"]).command]
    if job in (doctor, tools):
        parser().parse_args(arguments)  # nothing may follow these
    if unsupported() and job is not doctor:
        print(f"FIX {unsupported()}", file=sys.stderr)
        return 2
    try:
        return job(arguments[1:])
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
