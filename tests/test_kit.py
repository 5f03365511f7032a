"""kit.py and what calls it (Makefile, .ci/run), without making a real environment."""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def kit():
    """A fresh module of kit.py."""
    spec = importlib.util.spec_from_file_location("kit", ROOT / "kit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(kit, tmp_path, monkeypatch):
    """A project's root with the two files that decide about the environment."""
    (tmp_path / "requirements.txt").write_text("a==1\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def calls(kit, monkeypatch):
    """The commands that kit.py would run; each ends with the status in `calls.status`."""

    class Calls(list):
        status = 0

    made = Calls()
    monkeypatch.setattr(kit, "run", lambda command, env: made.append(command) or made.status)
    monkeypatch.setattr(kit, "has_uv", lambda: False)
    return made


def complete(kit, project):
    """Put an environment with its stamp into the project."""
    kit.interpreter(".venv").parent.mkdir(parents=True)
    kit.interpreter(".venv").write_text("", encoding="utf-8")
    (project / ".venv" / kit.STAMP).write_text(kit.stamp(".venv"), encoding="utf-8")


# The environment


def test_no_folder_is_a_missing_environment(kit, project):
    assert kit.state(".venv") == "missing"


def test_an_environment_without_stamp_is_unfinished(kit, project):
    complete(kit, project)
    (project / ".venv" / kit.STAMP).unlink()
    assert kit.state(".venv") == "unfinished"


def test_a_stamped_environment_is_ready_and_nothing_runs(kit, project, calls):
    complete(kit, project)
    kit.prepare()
    assert (kit.state(".venv"), calls) == ("ready", [])


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_changed_file_makes_the_environment_outdated(kit, project, name):
    complete(kit, project)
    (project / name).write_text("b==2\n", encoding="utf-8")
    assert kit.state(".venv") == "outdated"


def test_another_python_makes_the_environment_foreign(kit, project, monkeypatch):
    complete(kit, project)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert kit.state(".venv") == "foreign"


def test_an_environment_whose_python_is_gone_is_foreign(kit, project):
    complete(kit, project)
    kit.interpreter(".venv").unlink()
    assert kit.state(".venv") == "foreign"


def test_a_moved_environment_is_foreign(kit, project, tmp_path, monkeypatch):
    complete(kit, project)
    moved = shutil.copytree(project, tmp_path / "moved")
    monkeypatch.setattr(kit, "ROOT", moved)
    assert kit.state(".venv") == "foreign"


def test_an_unfinished_environment_is_made_anew_and_stamped(kit, project, calls, monkeypatch):
    complete(kit, project)
    (project / ".venv" / kit.STAMP).unlink()
    monkeypatch.setattr(kit, "remove", lambda folder: shutil.rmtree(folder / kit.BIN))
    monkeypatch.setattr(kit, "interpreter", lambda venv: project / "requirements.txt")
    kit.prepare()
    assert (kit.state(".venv"), len(calls)) == ("ready", 3)
    assert not (project / ".venv" / kit.BIN).exists()


def test_a_folder_in_use_ends_with_what_to_close(kit, project, monkeypatch):
    def busy(folder):
        raise PermissionError("in use")

    monkeypatch.setattr(shutil, "rmtree", busy)
    with pytest.raises(SystemExit, match="close JupyterLab"):
        kit.remove(project)


def test_an_outdated_environment_is_brought_up_to_date_in_place(kit, project, calls):
    complete(kit, project)
    (project / "requirements.txt").write_text("a==2\n", encoding="utf-8")
    kit.prepare()
    made_anew = any("venv" in command for command in calls)
    assert (kit.state(".venv"), len(calls), made_anew) == ("ready", 2, False)


def test_a_failed_installation_says_what_to_do_and_leaves_no_stamp(kit, project, calls):
    complete(kit, project)
    (project / "requirements.txt").write_text("a==2\n", encoding="utf-8")
    calls.status = 1
    with pytest.raises(SystemExit, match="check the network and the disk"):
        kit.prepare()
    assert kit.state(".venv") == "unfinished"


@pytest.mark.parametrize("uv", [True, False])
def test_packages_are_installed_by_hash_and_the_project_without_dependencies(kit, uv):
    _, locked, project = kit.installation(".venv", uv, anew=True)
    assert locked[-3:] == ["--require-hashes", "-r", "requirements.txt"]
    assert project[-4:] == ["--no-deps", "--no-build-isolation", "-e", "."]


def test_user_settings_cannot_change_what_is_installed(kit, monkeypatch):
    monkeypatch.setenv("PIP_TARGET", "elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_CERT", "mine.pem")
    env = kit.environ(".venv")
    kept = {name: env.get(name) for name in ("PIP_TARGET", "PIP_USER", "PIP_CERT")}
    assert kept == {"PIP_TARGET": None, "PIP_USER": "0", "PIP_CERT": "mine.pem"}


def test_children_find_the_environment_first_and_are_pinned(kit):
    env = kit.environ(".venv")
    assert env["PATH"].startswith(str(ROOT / ".venv" / kit.BIN))
    pinned = {name: env[name] for name in ("OMP_NUM_THREADS", "PYTHONHASHSEED", "DO_NOT_TRACK")}
    assert pinned == {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "DO_NOT_TRACK": "1"}


@pytest.mark.parametrize(("machine", "kernel"), [("x86_64", "Haswell"), ("arm64", None)])
def test_the_blas_kernel_is_fixed_on_x86_only(machine, kernel, monkeypatch, request):
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert request.getfixturevalue("kit").PINS.get("OPENBLAS_CORETYPE") == kernel


# Old Pythons and other machines


def test_an_old_python_gets_one_line_and_status_2(kit, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    assert kit.main(["repro"]) == 2
    assert re.fullmatch(r"FIX Python .* is too old: .*3\.11.*\n", capsys.readouterr().err)


def test_kit_can_be_read_by_the_oldest_python_that_may_start_it():
    source = (ROOT / "kit.py").read_text(encoding="utf-8")
    assert ast.parse(source, feature_version=(3, 6)).body


def test_an_intel_mac_is_told_that_it_is_not_supported(kit, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(kit, "X86", True)
    assert "Intel Macs" in kit.unsupported()


def test_kit_imports_the_standard_library_only():
    tree = ast.parse((ROOT / "kit.py").read_text(encoding="utf-8"))
    imports = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    imports |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imports <= sys.stdlib_module_names


# The jobs

PROMISES = [
    "ruff check .",
    "ruff format --check .",
    "codespell",
    "mypy mlkit",
    "pytest",
    "dvc repro",
]
PROMISES += ["git diff HEAD --exit-code -- dvc.lock", "mlkit claims --seeds 3", "pytest"]
PROMISES += ["mlkit fill notebooks", "MLKIT_STRICT=1 pytest"]


def test_the_steps_of_test_are_the_promised_ones_in_order(kit):
    commands = [command for _, command in kit.TEST]
    assert len(commands) == len(PROMISES)
    assert all(map(str.startswith, commands, PROMISES))


def test_notebooks_are_compared_strictly_with_a_time_limit(kit):
    options = dict(kit.TEST)["notebooks"].split()
    assert {"--nbval", "--dist=loadfile", "--nbval-cell-timeout=120", "notebooks"} <= set(options)


def test_the_first_red_step_ends_the_test_and_names_the_rerun(kit, calls, monkeypatch, capsys):
    monkeypatch.setattr(kit, "prepare", dict)
    monkeypatch.setattr(kit, "tell_dvc", lambda env: 0)
    calls.status = 3
    assert kit.main(["test"]) == 3
    assert calls == [["ruff", "check", "."]]
    assert "FIX lint failed with status 3" in capsys.readouterr().out


def test_one_step_can_be_run_alone(kit, calls, monkeypatch):
    monkeypatch.setattr(kit, "prepare", dict)
    monkeypatch.setattr(kit, "tell_dvc", lambda env: 0)
    assert kit.main(["test", "types"]) == 0
    assert calls == [["mypy", "mlkit"]]


def test_an_unknown_step_names_the_known_ones(kit):
    with pytest.raises(SystemExit, match="no step 'lnit'; the steps are: lint, format"):
        kit.main(["test", "lnit"])


def test_bytes_are_compared_on_the_reference_platform_only(kit, monkeypatch):
    monkeypatch.setattr(kit, "REFERENCE", False)
    assert "bytes are not compared on" in kit.not_here("bytes")


def test_bytes_are_not_compared_without_git(kit, project, monkeypatch):
    monkeypatch.setattr(kit, "REFERENCE", True)
    assert "no .git" in kit.not_here("bytes")


def test_dvc_is_told_once_that_there_is_no_git(kit, project, calls):
    assert kit.tell_dvc({}) == 0
    (project / ".dvc").mkdir()
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    assert kit.tell_dvc({}) == 0
    assert calls == [["dvc", "config", "--local", "core.no_scm", "true"]]


def test_dvc_is_told_when_git_appears(kit, project, calls):
    (project / ".dvc").mkdir()
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    (project / ".git").mkdir()
    assert kit.tell_dvc({}) == 0
    assert calls == [["dvc", "config", "--local", "core.no_scm", "false"]]


def test_repro_ends_with_the_scores_and_passes_arguments_on(kit, project, calls):
    complete(kit, project)
    (project / ".git").mkdir()
    assert kit.main(["repro", "--force"]) == 0
    assert calls == [["dvc", "repro", "--force"], ["mlkit", "scores"]]


def test_claims_passes_its_arguments_on(kit, project, calls):
    complete(kit, project)
    assert kit.main(["claims", "--seeds", "5"]) == 0
    assert calls == [["mlkit", "claims", "--seeds", "5"]]


def test_proof_goes_on_after_a_red_step_and_stores_the_table(kit, project, calls):
    complete(kit, project)
    calls.status = 1
    assert kit.main(["proof"]) == 1
    table = (project / "proof/table.md").read_text(encoding="utf-8")
    assert len(calls) == table.count("failed (1)") == len(kit.PROOF)


def test_benchmarks_run_without_the_pins(kit, project, monkeypatch):
    complete(kit, project)
    pinned = []
    monkeypatch.setattr(
        kit, "run", lambda command, env: pinned.append("OMP_NUM_THREADS" in env) or 0
    )
    kit.main(["proof"])
    assert dict(zip(dict(kit.PROOF), pinned, strict=True))["benchmarks"] is False
    assert any(pinned)


def test_lab_listens_on_this_machine_only_and_opens_the_first_lesson(kit, project, calls):
    complete(kit, project)
    for name in ("02_leakage", "00_tour"):
        (project / "work/notebooks").mkdir(parents=True, exist_ok=True)
        (project / f"work/notebooks/{name}.ipynb").write_text("{}", encoding="utf-8")
    assert kit.main(["lab"]) == 0
    wanted = {"--ServerApp.ip=127.0.0.1", "--LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb"}
    assert wanted <= set(calls[1])


@pytest.mark.parametrize("status", [0, 7])
def test_the_status_of_a_child_is_passed_on(kit, status):
    code = f"raise SystemExit({status})"
    assert kit.run([sys.executable, "-c", code], kit.environ(".venv")) == status


def test_a_program_that_is_not_there_is_named(kit, capsys):
    assert kit.run(["no-such-program"], kit.environ(".venv")) == 127
    assert "FIX no-such-program is not on the PATH" in capsys.readouterr().out


def test_ctrl_c_ends_with_status_130(kit, monkeypatch):
    def interrupted(extra):
        raise KeyboardInterrupt

    monkeypatch.setitem(kit.COMMANDS, "claims", interrupted)
    assert kit.main(["claims"]) == 130


# The doctor


def row(kit, what):
    """The doctor's row about this."""
    return next(found for found in kit.checks() if found[1] == what)


def test_the_doctor_sees_a_full_disk(kit, monkeypatch):
    usage = shutil.disk_usage(ROOT)._replace(free=1_500_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert row(kit, "disk") == (False, "disk", "1.5 GB free", "free some: 5 GB are needed")


def test_the_doctor_sees_too_little_memory(kit, monkeypatch):
    monkeypatch.setattr(kit, "memory_gb", lambda: 2.0)
    assert row(kit, "memory")[0] is False


def test_the_doctor_sees_windows_line_ends(kit, project):
    (project / "params.yaml").write_bytes(b"seed: 7\r\n")
    assert row(kit, "line ends")[:3] == (False, "line ends", "params.yaml")


def test_the_doctor_sees_an_unfinished_environment_and_a_missing_kernel(kit, project):
    (project / ".venv").mkdir()
    assert row(kit, "environment")[2:] == (".venv is unfinished", "run: python kit.py repro")
    assert row(kit, "kernel")[0] is False


def test_the_doctor_sees_a_folder_that_cannot_be_written(kit, project, monkeypatch):
    monkeypatch.setattr(kit, "writable", lambda folder: folder.name != "data")
    assert row(kit, "writing")[:3] == (False, "writing", "data/")


def test_the_doctor_sees_that_git_is_missing(kit, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert row(kit, "git")[0] is False


@pytest.mark.parametrize(("good", "status", "line"), [(True, 0, "ok "), (False, 1, "FIX")])
def test_one_red_line_gives_the_doctor_status_1(kit, monkeypatch, capsys, good, status, line):
    monkeypatch.setattr(kit, "checks", lambda: [(True, "a", "b", "c"), (good, "disk", "1", "tidy")])
    assert kit.main(["doctor"]) == status
    assert capsys.readouterr().out.split("\n")[1].startswith(f"{line}  disk")


# Help, Makefile, CI


def targets():
    """The targets of the Makefile with their recipes and comments."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {name: rest for name, *rest in re.findall(r"(?m)^(\w+): ; @(.+?) ## (.+)$", text)}


def test_help_lists_every_command_with_its_line(kit):
    text = kit.parser().format_help()
    missing = [
        n
        for n, job in kit.COMMANDS.items()
        if not re.search(f"{n} +{re.escape(job.__doc__)}", text)
    ]
    assert missing == []


def test_an_argument_that_nobody_takes_is_refused(kit, capsys):
    with pytest.raises(SystemExit, match="2"):
        kit.main(["tools", "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_every_command_is_a_make_target_with_the_same_help(kit):
    wanted = {n: [f"$(PYTHON) kit.py {n}", job.__doc__] for n, job in kit.COMMANDS.items()}
    assert {name: rest for name, rest in targets().items() if name != "help"} == wanted


@pytest.mark.skipif(not shutil.which("make"), reason="make is not on the PATH")
def test_bare_make_prints_every_target():
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"(?m)^make (\w+) +\w", printed) == list(targets())


def test_ci_runs_the_two_commands_of_the_readme():
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").split("\n")
    assert [line for line in lines if line.startswith("make")] == ["make repro", "make test"]


def test_variables_before_a_command_are_for_it_alone(kit):
    env = {"PATH": "x"}
    assert kit.parse("A=1 B=two pytest -n 2", env) == (
        ["pytest", "-n", "2"],
        {**env, "A": "1", "B": "two"},
    )
    assert env == {"PATH": "x"}


def test_solved_notebooks_run_strictly_after_they_were_filled(kit):
    names = [name for name, _ in kit.TEST]
    assert names[-3:] == ["notebooks", "solve", "solved"]
    words, env = kit.parse(dict(kit.TEST)["solved"], {})
    assert env == {"MLKIT_STRICT": "1"} and words[-1] == ".mlkit/solved"


# The yearly upgrade


@pytest.fixture
def upgradable(kit, project, calls, monkeypatch):
    """A project whose locks can be resolved, and the commands that would be run."""
    for lock in kit.LOCKS.values():
        (project / lock).write_text(f"# by uv\n#    uv pip compile -o {lock}\n", encoding="utf-8")
    for name in ("01", "exercises/ex1", ".ipynb_checkpoints/01"):
        source = project / "notebooks/src" / f"{name}.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("", encoding="utf-8")
    monkeypatch.setattr(kit, "has_uv", lambda: True)
    monkeypatch.setattr(kit, "prepare", dict)
    monkeypatch.setattr(kit, "tell_dvc", lambda env: 0)
    return calls


def test_upgrade_resolves_both_locks_then_makes_everything_again(kit, upgradable):
    assert kit.main(["upgrade", "--seeds", "2"]) == 0
    first = [" ".join(words) for words in upgradable]
    assert first[:2] == [
        f"uv pip compile -o {lock} --upgrade --quiet" for lock in kit.LOCKS.values()
    ]
    assert first[2].startswith("dvc repro")
    assert first[3:5] == [f"python -m mlkit.notebooks build {n}" for n in ("01", "exercises/ex1")]
    assert first[5].startswith("mlkit claims") and first[5].endswith("--seeds 2")
    assert first[6:] == ["python -m mlkit.upgrade"]


def test_upgrade_runs_stages_again_of_which_dvc_sees_no_change(kit, upgradable):
    kit.main(["upgrade"])
    assert ["dvc", "repro", "--force", "--keep-going"] in upgradable


@pytest.mark.parametrize(("word", "name"), [("dvc", "pipeline"), ("01", "01"), ("mlkit", "claims")])
def test_upgrade_runs_every_step_and_names_the_red_ones(
    kit, upgradable, monkeypatch, capsys, word, name
):
    def run(command, env):
        upgradable.append(command)
        return 3 if word in command else 0

    monkeypatch.setattr(kit, "run", run)
    assert kit.main(["upgrade"]) == 1
    assert len(upgradable) == 7 and upgradable[-1] == ["python", "-m", "mlkit.upgrade"]
    assert f"FIX {name} failed, see above" in capsys.readouterr().out


def test_upgrade_forgets_the_claims_of_the_last_run(kit, upgradable, project):
    (project / "proof").mkdir()
    (project / "proof/claims.json").write_text("[]", encoding="utf-8")
    kit.main(["upgrade"])
    assert not (project / "proof/claims.json").exists()


def test_upgrade_resolves_without_the_constraints_of_the_user(kit, upgradable, monkeypatch):
    monkeypatch.setenv("UV_CONSTRAINT", "mine.txt")
    seen = []
    monkeypatch.setattr(kit, "run", lambda command, env: seen.append(env) or 1)
    kit.main(["upgrade"])
    assert seen and "UV_CONSTRAINT" not in seen[0]


def test_upgrade_stops_where_a_lock_cannot_be_resolved(kit, upgradable, capsys):
    upgradable.status = 2
    assert kit.main(["upgrade"]) == 1
    assert len(upgradable) == 1
    assert "`git checkout requirements.txt` brings it back" in capsys.readouterr().out


def test_upgrade_needs_uv(kit, upgradable, monkeypatch, capsys):
    monkeypatch.setattr(kit, "has_uv", lambda: False)
    assert kit.main(["upgrade"]) == 1
    assert "FIX uv is not on the PATH" in capsys.readouterr().out
    assert upgradable == []
