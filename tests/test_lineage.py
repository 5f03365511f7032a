"""Lineage: what imports what, what a pipeline writes."""

import ast
from pathlib import Path

from mlkit import lineage


def project(folder, **modules):
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return folder


def test_an_import_inside_a_function_counts(tmp_path):
    project(tmp_path, a="", b="def f():\n    from a import x\n")
    assert lineage.imported(lineage.parse(tmp_path / "b.py"), root=tmp_path) == {Path("a.py")}


def test_a_module_named_as_text_counts(tmp_path):
    project(tmp_path, a="")
    assert lineage.imported(ast.parse("X = 'a:make'"), root=tmp_path) == {Path("a.py")}


def test_other_text_and_foreign_modules_do_not_count(tmp_path):
    code = "import numpy\nX = 'a: a sentence'\nY = 'http://a:80'"
    assert lineage.imported(ast.parse(code), root=project(tmp_path, a="")) == set()


def test_the_closure_follows_imports_in_a_circle(tmp_path):
    project(tmp_path, a="import b", b="import c", c="import a")
    found = lineage.closure({Path("a.py")}, root=tmp_path)
    assert found == {Path("a.py"), Path("b.py"), Path("c.py")}


def test_stages_are_written_out(tmp_path):
    (tmp_path / "dvc.yaml").write_text(
        "vars: [{words: {skew: shop}}]\n"
        "stages:\n"
        "  gate: {cmd: check, outs: [{ok: {persist: true}}]}\n"
        "  score:\n"
        "    foreach: ${words}\n"
        "    do: {cmd: 'run ${key}', deps: ['${item}/in'], metrics: [{'${key}.json': {}}]}\n",
        encoding="utf-8",
    )
    gate, score = lineage.stages(tmp_path / "dvc.yaml")
    assert gate == ("gate", "check", (), ("ok",))
    assert score == ("score@skew", "run skew", ("shop/in",), ("skew.json",))
