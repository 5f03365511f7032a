"""The DVC pipeline on a copy of the project: same bytes, nothing lost, whatever is killed."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mlkit import CHALLENGES
from mlkit.tables import content_hash, read

ROOT = Path(__file__).parent.parent
REFERENCE = platform.system() == "Linux" and platform.machine() == "x86_64"


def run(folder, *words, **variables):
    """Run a command in a copy of the project, with the copy's own mlkit."""
    binaries = str(Path(sys.executable).parent)
    env = {**os.environ, "PYTHONPATH": str(folder), **variables}
    env["PATH"] = binaries + os.pathsep + env["PATH"]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


def copy_project(folder):
    """Copy what git tracks or would track, as a repository of its own without data."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for words in ("init -q", "add -A", "-c user.name=t -c user.email=t@t commit -qm start"):
        assert run(folder, "git", *words.split()).returncode == 0
    return folder


def produced(folder):
    """Return name to bytes of everything that the pipeline makes, and of the lock."""
    files = [path for path in sorted((folder / "data").rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in [*files, folder / "dvc.lock"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A copy of the project after one clean `dvc repro`, never changed by a test."""
    folder = copy_project(tmp_path_factory.mktemp("made"))
    result = run(folder, "dvc", "repro")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def project(made, tmp_path):
    """A copy of the finished copy, for one test to spoil."""
    return shutil.copytree(made, tmp_path / "project", symlinks=True)


@pytest.mark.skipif(not REFERENCE, reason="bytes are compared on Linux x86-64 only")
def test_a_clean_run_gives_the_committed_lock_byte_for_byte(made):
    assert (made / "dvc.lock").read_bytes() == (ROOT / "dvc.lock").read_bytes()
    for word in CHALLENGES:
        score = f"data/{word}/score.json"
        assert (made / score).read_bytes() == (ROOT / score).read_bytes()


def test_a_second_run_does_nothing(made):
    before = produced(made)
    result = run(made, "dvc", "repro")
    assert "Data and pipelines are up to date" in result.stdout and produced(made) == before


def test_bytecode_beside_the_modules_is_no_change(project):
    assert run(project, sys.executable, "-m", "compileall", "-q", "mlkit").returncode == 0
    assert list((project / "mlkit/worlds").rglob("*.pyc"))
    assert "up to date" in run(project, "dvc", "status").stdout


@pytest.mark.skipif(not REFERENCE, reason="bytes are compared on Linux x86-64 only")
def test_another_processor_gives_the_same_bytes(project):
    before = produced(project)
    words = ["dvc", "repro", "--force", "--single-item", "world@shop", "score@skew"]
    older = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL"}
    assert run(project, *words, **older).returncode == 0
    assert produced(project) == before


BAD = {
    "typo": ("severity: 1.0", "severty: 1.0", "did you mean 'severity'"),
    "missing": ("    step_usd: 1.0\n", "", "key 'step_usd' is missing"),
    "wrong type": ("n_users: 1500", "n_users: many", "expected a whole number"),
    "out of range": ("severity: 1.0", "severity: 1.7", "expected a number >= 0 and <= 1"),
    "not a number": ("severity: 1.0", "severity: .nan", "expected a number >= 0 and <= 1"),
    "misplaced": ("\nskew:", "\nworld_of_skew:", "unknown key 'world_of_skew'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_parameter_stops_in_one_line_and_loses_nothing(project, name):
    old, new, said = BAD[name]
    before, file = produced(project), project / "params.yaml"
    assert old in file.read_text(encoding="utf-8")
    file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    result = run(project, "dvc", "repro")
    lines = [line for line in result.stderr.splitlines() if line.startswith("mlkit: ")]
    assert result.returncode != 0 and len(lines) == 1 and said in lines[0]
    assert produced(project) == before


def kill_during(folder, stage, *, whom, after):
    """Start a forced run and kill -9 `stage` or `dvc` some moments into the stage."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    env["PATH"] = str(Path(sys.executable).parent) + os.pathsep + env["PATH"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(["dvc", "repro", "-f"], cwd=folder, env=env, **quiet) as dvc:
        while not (running := working_on(dvc.pid, stage)):
            assert dvc.poll() is None, f"dvc ended before it came to {stage}"
            time.sleep(0.05)
        time.sleep(after)
        if whom == "dvc":
            psutil.Process(dvc.pid).kill()
        for process in running if whom == "stage" else []:
            process.kill()


def working_on(pid, stage):
    """Return the processes below `pid` that run a stage (a shell may stand in between)."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if f"mlkit.stages {stage}" in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


KILLS = [("inject", "stage", 0.5), ("score", "dvc", 1.0)]
MORE_KILLS = [
    (stage, whom, after)
    for stage, after in (("world", 0.2), ("inject", 2.0), ("repair", 1.0), ("score", 2.0))
    for whom in ("stage", "dvc")
]


def survives(project, stage, whom, after):
    before = produced(project)
    kill_during(project, stage, whom=whom, after=after)
    result = run(project, "dvc", "repro")
    assert result.returncode == 0, result.stdout + result.stderr
    assert produced(project) == before
    assert not list((project / "data").rglob(".*.tmp-*")) or whom == "dvc"


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize(("stage", "whom", "after"), KILLS)
def test_killed_anywhere_the_next_run_ends_in_the_same_bytes(project, stage, whom, after):
    survives(project, stage, whom, after)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize(("stage", "whom", "after"), MORE_KILLS)
def test_killed_at_many_moments_the_next_run_ends_in_the_same_bytes(project, stage, whom, after):
    survives(project, stage, whom, after)


def test_an_experiment_at_severity_zero_breaks_nothing(project):
    result = run(project, "dvc", "exp", "run", "-S", "skew.inject.severity=0")
    assert result.returncode == 0, result.stdout + result.stderr
    score = json.loads((project / "data/skew/score.json").read_text(encoding="utf-8"))
    assert score["broken"] == score["clean"] and not score["broken"]["found"]
    clean, broken = read(project / "data/world/shop"), read(project / "data/skew/broken")
    assert content_hash(clean) == content_hash(broken)
