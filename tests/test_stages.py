"""The stages: what each declares, loads and says when it is called wrongly."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlkit import CHALLENGES, lineage, stages

ROOT = Path(__file__).parent.parent
PIPELINE = lineage.stages(ROOT / "dvc.yaml")


def reached(stage):
    """Return the modules that a stage's command can import, by a walk over the code."""
    command, *names = stage.cmd.split()[3:]
    tree = lineage.parse(ROOT / "mlkit/stages.py")
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    top = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    own = [*top, functions[stages.COMMANDS[command][0].__name__], functions["judge"]]
    start = set().union(*(lineage.imported(node, root=ROOT) for node in own))
    words = CHALLENGES if command == "params" else [n for n in names if n in CHALLENGES]
    code = (lineage.files_of(f"mlkit.{word}", root=ROOT) for word in words)
    start = start.union(*code)
    return lineage.closure(start, root=ROOT) | {Path("mlkit/stages.py")}


@pytest.mark.parametrize("stage", PIPELINE, ids=lambda stage: stage.name)
def test_a_stage_declares_every_module_that_it_reaches(stage):
    declared = {Path(dep) for dep in stage.deps}
    missing = {p for p in reached(stage) if not {p, *p.parents} & declared}
    assert not missing, f"add to deps of {stage.name}: {sorted(map(str, missing))}"


@pytest.mark.parametrize("stage", PIPELINE, ids=lambda stage: stage.name)
def test_a_stage_declares_only_what_exists_or_is_made(stage):
    made = {out for other in PIPELINE for out in other.outs}
    assert all((ROOT / dep).exists() or dep in made for dep in stage.deps)


@pytest.mark.parametrize("stage", PIPELINE[1:], ids=lambda stage: stage.name)
def test_every_stage_waits_for_the_params_gate(stage):
    assert "data/params.ok" in stage.deps


def test_the_walk_sees_an_import_that_is_missing_from_deps():
    bare = next(s for s in PIPELINE if s.name == "score@skew")._replace(deps=())
    assert Path("mlkit/plots/__init__.py") in reached(bare) and Path("mlkit/skew.py") in reached(
        bare
    )


@pytest.mark.parametrize("word", CHALLENGES)
def test_every_challenge_has_its_three_stages(word):
    names = {stage.name for stage in PIPELINE}
    assert {f"inject@{word}", f"repair@{word}", f"score@{word}"} <= names


@pytest.mark.parametrize("word", CHALLENGES)
def test_a_stage_loads_its_own_challenge_and_no_other(word):
    code = (
        "import sys; from mlkit import stages; stages.lesson(sys.argv[1]);"
        "import json; print(json.dumps([m for m in sys.modules]))"
    )
    words = [sys.executable, "-c", code, word]
    loaded = json.loads(subprocess.run(words, capture_output=True, check=True, cwd=ROOT).stdout)
    others = {f"mlkit.{other}" for other in CHALLENGES if other != word}
    assert f"mlkit.{word}" in loaded and not others & set(loaded)
    assert not {"sklearn", "shap", "fairlearn", "matplotlib"} & set(loaded)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["injekt", "skew"], "did you mean 'inject'"),
        (["inject"], "expected one of"),
        (["inject", "scew"], r"expected one of \['skew'"),
        (["params", "skew"], "expected one of"),
        ([], "unknown key ''"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_two(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert stages.main(words) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_stage_without_its_input_says_how_to_make_it(capsys, monkeypatch, tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    assert stages.main(["inject", "skew"]) == 2
    assert "dvc repro" in capsys.readouterr().err
