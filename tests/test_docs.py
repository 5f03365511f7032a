"""What the documents say is what the project does."""

import contextlib
import doctest
import importlib
import io
import re
from pathlib import Path

import pytest

from mlkit import CHALLENGES, contents

ROOT = Path(__file__).parent.parent
MODULES = ["stats", "lesson", "claims", "feedback"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_example_of_the_readme_prints_what_it_says(monkeypatch):
    code = re.search(r"```python\n(.*?)```", text("README.md"), re.DOTALL)[1]
    expected = code.rstrip().splitlines()[-1].removeprefix("# ")
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MLKIT_SEED", raising=False)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().strip() == expected


def test_the_readme_is_short():
    assert len(text("README.md").splitlines()) <= 120


def test_the_files_of_the_readmes_tree_exist():
    tree = re.search(r"```\n(kit\.py.*?)```", text("README.md"), re.DOTALL)[1]
    names = re.findall(r"[\w/.]+\.(?:py|yaml|lock)\b", tree)
    assert len(names) > 10
    assert not [n for n in names if not (ROOT / n).exists() and not (ROOT / "mlkit" / n).exists()]


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "SUPPORT.md", "notebooks/README.md"]
)
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)\)", text(name))
    assert links or name in ("CONTRIBUTING.md", "SUPPORT.md")
    assert not [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]


@pytest.mark.parametrize("word", CHALLENGES)
def test_the_map_names_every_challenge(word):
    assert f"| `{word}` |" in text("README.md")


def test_the_notebooks_readme_is_up_to_date():
    assert text("notebooks/README.md") == contents.readme(ROOT)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    result = doctest.testmod(importlib.import_module(f"mlkit.{name}"))
    assert result.attempted and not result.failed
