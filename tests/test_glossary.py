"""The glossary is sorted, every link leads somewhere, and terms are linked where first used."""

import re
from pathlib import Path

import pytest
import yaml

from mlkit.notebooks import convert, names_below

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
OTHER = re.compile(r"Also: ([^.]+)\.")
QUIET = {"baseline", "claim", "drift", "hold-out", "stationary"}  # plain words, no link is forced


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def terms(text: str) -> dict[str, str]:
    """Return each spelling of a term, lower case, with the anchor it is explained at."""
    found = {}
    for heading, body in re.findall(
        r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    ):
        found[heading.lower()] = slug(heading)
        for also in OTHER.findall(body.replace("\n", " ")):
            found |= {spelling.strip().lower(): slug(heading) for spelling in also.split(",")}
    return found


def prose(markdown: str) -> str:
    """Return markdown without headings, code, quotes and tables."""
    text = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    text = re.sub(r"^(#|>|\|).*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`", "", text).replace("\n", " ")


def unlinked(markdown: str, glossary: str) -> list[str]:
    """Return the terms that a text uses before, or without, a link to them."""
    text, missing = prose(markdown), []
    for term, anchor in terms(glossary).items():
        used = re.search(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", text, re.IGNORECASE)
        link = re.search(rf"\[[^\]]*\]\([^)]*#{anchor}\)", text)
        if used and term not in QUIET and (not link or used.start() < link.start()):
            missing.append(term)
    return missing


def glossary_problems(root: Path) -> list[str]:
    """Return each term that a notebook of a project uses without a link, with its source."""
    glossary = (root / "glossary.md").read_text(encoding="utf-8")
    return [
        f"notebooks/src/{name}.py: link '{term}' where it is first used"
        for name in names_below(root / "notebooks/src", ".py")
        for term in unlinked(markdown_of(root, name), glossary)
    ]


def markdown_of(root: Path, name: str) -> str:
    """Return all text of a notebook's source."""
    cells = convert(root / "notebooks/src" / f"{name}.py").cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


GLOSSARY = (ROOT / "glossary.md").read_text(encoding="utf-8")
NOTEBOOKS = names_below(ROOT / "notebooks/src", ".py")
PAGES = {f"notebooks/{name}.ipynb": markdown_of(ROOT, name) for name in NOTEBOOKS}
PAGES |= {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")}


def test_headings_are_unique_and_sorted():
    headings = re.findall(r"^## (.+)$", GLOSSARY, re.MULTILINE)
    assert headings == sorted(set(headings), key=str.lower)
    assert len(headings) >= 25


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    folder, broken = (ROOT / page).parent, []
    for _, target in LINK.findall(PAGES[page]):
        path, _, anchor = target.partition("#")
        file = folder / path if path else ROOT / page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert not broken


def _anchors(file: Path) -> set[str]:
    text = file.read_text(encoding="utf-8")
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def test_terms_are_linked_at_their_first_use():
    assert glossary_problems(ROOT) == []


TINY = "# G\n\n## Label delay\nThe wait. Also: lag of labels.\n\n## Skew\nTwo programs.\n"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("Nothing of the kind.", []),
        ("There is skew.", ["skew"]),
        ("There is [skew](../glossary.md#skew), and skew again.", []),
        ("Skew first, then [skew](../glossary.md#skew).", ["skew"]),
        ("A lag of labels.", ["lag of labels"]),
        ("A [lag of labels](g.md#label-delay) here.", []),
        ("A [lag of labels](g.md#label-delay), a label delay.", []),
        ("# Skew in a heading\n\n`skew` in code\n\n> skew in a quote", []),
        ("askew, skewed", []),
    ],
)
def test_check_of_first_uses_can_fail(text, missing):
    assert unlinked(text, TINY) == missing


def test_notebook_and_term_without_a_link_are_named(tmp_path):
    (tmp_path / "notebooks/src/exercises").mkdir(parents=True)
    (tmp_path / "glossary.md").write_text(TINY, encoding="utf-8")
    for name, text in {"01": "[Skew](../glossary.md#skew).", "exercises/ex1": "Skew."}.items():
        source = tmp_path / f"notebooks/src/{name}.py"
        source.write_text(f"# %% [markdown]\n# {text}\n", encoding="utf-8")
    assert glossary_problems(tmp_path) == [
        "notebooks/src/exercises/ex1.py: link 'skew' where it is first used"
    ]


def test_citation_has_the_version_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{citation["version"]}"' in project
    assert citation["license"] == "BSD-3-Clause"
    assert citation["cff-version"] == "1.2.0" and citation["authors"]
