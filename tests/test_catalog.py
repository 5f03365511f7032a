"""The catalog names all that dvc.yaml writes, needs nobody else, and refuses what nobody owns."""

import html.parser
import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mlkit.cli import app
from mlkit.governance.blast import lineage_graph
from mlkit.governance.catalog import (
    catalog,
    challenge_worlds,
    described,
    project_graph,
    read_contracts,
    read_metadata,
    readers,
    summary,
)
from mlkit.governance.catalog_page import page, stage_graph
from mlkit.governance.table_files import folded
from mlkit.lineage import stages
from mlkit.params import load, maker
from mlkit.tables import write

ROOT = Path(__file__).parent.parent


def written(root=ROOT):
    """Return all that the stages of a project write."""
    return [out for stage in stages(root / "dvc.yaml") for out in stage.outs]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose shop is built, its purchases a week old, and whose loans are not."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", root)
    world = {"cmd": "", "deps": ["params.yaml"], "outs": ["data/world/${item}"]}
    made = {"cmd": "", "deps": ["data/world/shop"], "outs": ["data/skew/<b>&'.json"]}
    content = {
        "vars": [{"the_worlds": ["shop", "loans"]}, {"challenges": {"skew": {"world": "shop"}}}],
        "stages": {"world": {"foreach": "${the_worlds}", "do": world}, "odd": made},
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    knobs = {**load()["worlds"]["shop"], "n_users": 60}
    shop = maker("shop")(rng=np.random.default_rng(1), **knobs)
    end = shop["transactions"]["event_ts"].max()
    old = shop["transactions"]["event_ts"] < end - np.timedelta64(7, "D")
    write({**shop, "transactions": shop["transactions"][old]}, root / "data/world/shop")
    return root


@pytest.fixture(scope="module")
def metadata():
    known = read_metadata()
    entry = {"owner": "a & b", "description": "<script>alert(1)</script>"}
    return {**known, "datasets": {**known["datasets"], "data/skew/<b>*": entry}}


@pytest.fixture(scope="module")
def text(project, metadata):
    found = catalog(project, metadata=metadata)
    return page(found, graph=lineage_graph(stages(project / "dvc.yaml")))


class Reader(html.parser.HTMLParser):
    """What a page asks for, where its links lead, and whether its tags close."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.asks, self.open, self.levels = set(), set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids |= {values["id"]} if "id" in values else set()
        self.links |= {values["href"]} if tag == "a" else set()
        self.asks += [
            (tag, k, v) for k, v in attrs if k in ("src", "srcset", "action", "xlink:href")
        ]
        self.asks += [(tag, "href", values["href"])] if tag == "link" else []
        self.levels += [int(tag[1])] if re.fullmatch(r"h\d", tag) else []
        if tag not in ("meta", "link", "input", "wbr", "br", "rect", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The catalog of this project as it is before the pipeline has run."""
    root = tmp_path_factory.mktemp("unbuilt")
    for name in ("dvc.yaml", "dvc.lock", "params.yaml"):
        shutil.copy(ROOT / name, root)
    return catalog(root)


def test_catalog_names_every_dataset_that_dvc_writes(datasets):
    assert [dataset.name for dataset in datasets] == written()
    assert summary(datasets)["owner"].str.len().min() > 0


def test_catalog_names_every_dataset_that_dvc_has_written(datasets):
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))
    outs = {out["path"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    assert outs and outs <= {dataset.name for dataset in datasets}


def test_page_has_an_entry_and_a_row_for_each(datasets):
    text = page(datasets, graph=lineage_graph(stages(ROOT / "dvc.yaml"))).replace("<wbr>", "")
    entries = re.findall(r"<article id='[^']+'><h3>([^<]+)</h3>", text)
    rows = re.findall(r"<tr class='row'><th scope='row'><a [^>]+>([^<]+)</a>", text)
    assert entries == rows == written()


def test_a_dataset_that_nobody_owns_is_named(project):
    known = read_metadata()
    with pytest.raises(ValueError, match=r"data/skew/<b>&'\.json.*has to own it"):
        catalog(project, metadata=known)
    with pytest.raises(ValueError, match="data/world/shop"):
        described(
            "data/world/shop", {"datasets": {"data/world/shop": {"owner": "", "description": "x"}}}
        )


def test_a_table_described_twice_is_named(project, metadata):
    twice = {**metadata, "tables": {"shop.offers": "again"}}
    with pytest.raises(ValueError, match=r"'shop\.offers' has a contract"):
        catalog(project, metadata=twice)


ENTRY = "datasets: {x: {owner: a, description: b}}\n"
REST = "contracts: {}\ntables: {}\npii: {}\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ENTRY + REST + "owners: {}", "unknown key 'owners'"),
        (ENTRY, "key 'contracts' is missing"),
        ("", "expected a mapping"),
        ("datasets: [", "catalog.yaml: while parsing"),
        (ENTRY + ENTRY + REST, "key 'datasets' comes twice"),
        ("datasets: {x: y}\n" + REST, "x = 'y': expected a mapping"),
        ("datasets: {x: {owner: a}}\n" + REST, "key 'description' is missing"),
        ("datasets: {x: {owner: [a], description: b}}\n" + REST, r"x: expected text, came \['a'\]"),
        ("datasets: {x: {owner: , description: b}}\n" + REST, "x: expected text, came None"),
        (ENTRY + "contracts: {}\ntables: {1: a}\npii: {}", "tables, 1: expected text, came 1"),
        (ENTRY + "contracts: {}\ntables: {}\npii: {a: [pii]}", "pii, a: expected text"),
        (ENTRY + "contracts: {a: b}\ntables: {}\npii: {}", "contracts: unknown key 'b'"),
    ],
)
def test_bad_metadata_is_one_line(content, says, tmp_path, project):
    (tmp_path / "catalog.yaml").write_text(content)
    with pytest.raises(ValueError, match=says) as caught:
        catalog(project, metadata=read_metadata(tmp_path / "catalog.yaml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("dvc.yaml", "", "dvc.yaml = None"),
        ("dvc.yaml", "stages: [", "dvc.yaml: while parsing"),
        ("dvc.yaml", "stages: {}", "came none"),
        ("dvc.yaml", "stages: {a: {cmd: x, deps: [y], outs: [y]}}", "came a > y > a"),
        ("dvc.lock", "", "dvc.lock = None"),
    ],
)
def test_a_bad_project_is_one_line(file, content, says, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: x, outs: [y]}}")
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=says) as caught:
        catalog(tmp_path, metadata=OWNED)
    assert "\n" not in str(caught.value)


OWNED = {**read_metadata(), "datasets": {"*": {"owner": "o", "description": "d"}}}


def odd_project(root, *outs):
    """Return a catalog and its page for a project that writes these."""
    shutil.copy(ROOT / "params.yaml", root)
    (root / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {"a": {"cmd": "", "outs": list(outs)}}})
    )
    found = catalog(root, metadata=OWNED)
    return found, page(found, graph=lineage_graph(stages(root / "dvc.yaml")))


def test_names_of_any_kind_have_an_entry_of_their_own(tmp_path):
    names = ["model", "data/world", "a b.csv", "a-b.csv", "a/b.csv", "ä\"'<&.csv", "100%.csv"]
    found, text = odd_project(tmp_path, *names)
    assert [dataset.name for dataset in found] == names
    read = Reader(text)
    assert (
        len(re.findall(r"<article id='", text)) == len(set(re.findall(r"id='(\S+?)'>", text))) - 3
    )
    assert {link.lstrip("#") for link in read.links} <= read.ids and not read.open


def test_files_of_any_kind_are_told_apart(tmp_path):
    folder = tmp_path / "data/world/shop"
    folder.mkdir(parents=True)
    (folder / "users.parquet").write_bytes(b"junk")
    (folder / "mine.parquet").write_bytes(b"")
    (folder / "folder.parquet").mkdir()
    odd = pd.DataFrame({"<b>&'\"": [1], "at": [pd.Timestamp("2025-10-20")]})  # without a time zone
    odd.to_parquet(folder / "transactions.parquet")
    odd.iloc[:0].to_parquet(folder / "offers.parquet")
    (dataset,), text = odd_project(tmp_path, "data/world/shop")
    tables = {table.name: table for table in dataset.tables}
    for name in ("users", "mine"):
        assert tables[name].broken == (f"{name}.parquet: cannot be read as parquet",)
    assert tables["users"].columns["column"].tolist()[0] == "user_id"  # from its contract
    assert "missing column: amount_usd" in tables["transactions"].broken
    assert tables["transactions"].last == pd.Timestamp("2025-10-20", tz="UTC")
    assert tables["offers"].rows == 0 and tables["offers"].last is None
    assert tables["folder"].rows is None
    assert "3 of 3 broken</span>, <span class='bad'>1 unreadable" in text
    assert "&lt;b&gt;&amp;&#x27;&quot;" in text and "<b>&" not in text and not Reader(text).open


def test_what_is_delivered_comes_under_the_contract_of_what_it_becomes(tmp_path):
    known = read_metadata()
    assert known["contracts"]["shop.delivery"] == "shop.transactions"
    shop = maker("shop")(
        rng=np.random.default_rng(1), **{**load()["worlds"]["shop"], "n_users": 60}
    )
    cents = shop["transactions"].assign(amount_usd=shop["transactions"]["amount_usd"] * 100)
    write({**shop, "delivery": cents}, tmp_path / "data/world/shop")
    ((dataset,), text) = odd_project(tmp_path, "data/world/shop")
    tables = {table.name: table for table in dataset.tables}
    assert tables["transactions"].broken == ()
    table = tables["delivery"]
    assert "median: amount_usd" in table.broken and table.owner == "shop-platform"
    assert table.description.startswith("The purchases since a change upstream")
    assert table.unchecked == ("total: sales agree with the ledger",)
    assert "not checked here: total: sales agree with the ledger." in text


def test_page_asks_nobody_for_anything(text):
    read = Reader(text)
    assert read.asks == [("link", "href", "data:,")]
    assert not re.search(r"https?://|//\w+\.\w|@import|url\(|fetch\(|XMLHttp|import\(", text)


def test_page_is_whole_and_its_links_lead_somewhere(text):
    read = Reader(text)
    assert not read.open
    assert {link.lstrip("#") for link in read.links} <= read.ids
    assert read.levels[0] == 1 and read.levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(read.levels, read.levels[1:], strict=False))


def test_page_escapes_what_it_is_told(text):
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert "data/skew/&lt;b&gt;&amp;&#x27;.json" in text
    assert "a & b" not in text and text.count("a &amp; b") == 2  # the owner, in row and entry


def test_page_works_without_its_script(text):
    plain = text.split("<script>")[0]
    assert "class='find' hidden" in plain and "<summary>transactions" in plain


def contrast(one, other):
    """Return the contrast of two colours as WCAG defines it."""
    light = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        light.append(np.dot(parts, [0.2126, 0.7152, 0.0722]))
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_text_is_readable_in_light_and_dark(text):
    schemes = re.findall(r":root \{([^}]+)\}", text)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ink in ("text", "soft", "link", "good", "bad"):
            assert min(contrast(colours[ink], colours[on]) for on in ("bg", "card")) >= 4.5


def test_late_purchases_break_the_promise(project, metadata):
    shop = catalog(project, metadata=metadata)[0]
    tables = {table.name: table for table in shop.tables}
    late = tables["transactions"]
    assert late.fresh is False and late.hours_old > 7 * 24 and "freshness: event_ts" in late.broken
    assert tables["offers"].fresh is True and tables["truth_offers"].fresh is None
    assert tables["transactions"].owner == read_contracts()["shop.transactions"].owner != shop.owner


def test_columns_carry_types_tags_and_meaning(project, metadata):
    shop = catalog(project, metadata=metadata)[0]
    users = next(table for table in shop.tables if table.name == "users").columns
    email = users.set_index("column").loc["email"]
    assert email["type"] == "string" and "pii" in email["tag"].split() and email["meaning"]
    assert "pii" in shop.pii
    lent = catalog(project, metadata=metadata)[1].tables[0].columns.set_index("column")["tag"]
    assert lent["credit_score"] == "financial pii"  # known by its name, not by its contract
    nameless = catalog(project, metadata={**metadata, "pii": {}})[1].tables[0].columns
    assert nameless.set_index("column")["tag"]["user_id"] == "pii"  # known by its contract


def test_what_is_not_built_says_so(project, metadata, tmp_path):
    loans = catalog(project, metadata=metadata)[1]
    assert not loans.built and {table.rows for table in loans.tables} == {None}
    assert [table.name for table in loans.tables] == ["applications", "payments"]
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(project / name, tmp_path)
    found = catalog(tmp_path, metadata=metadata)
    shop = {table.name: table for table in found[0].tables}
    assert set(shop) == {"users", "transactions", "offers"} and shop["users"].rows is None
    assert list(shop["offers"].columns["column"])[:2] == ["offer_id", "user_id"]
    text = page(found, graph=lineage_graph(stages(tmp_path / "dvc.yaml")))
    assert "not built yet: <code>make repro</code>" in text and "not in dvc.lock" in text


def test_every_table_that_the_pipeline_has_written_is_described():
    worlds, known, contracts = challenge_worlds(ROOT), read_metadata(), read_contracts()
    for file in ROOT.glob("data/*/*/*.parquet"):
        word, folder, name = file.relative_to(ROOT / "data").with_suffix("").parts
        table = f"{folder if word == 'world' else worlds[word]}.{name}"
        said = [key for key in known["tables"] if fnmatchcase(table, key)]
        assert said or table in contracts, file


def test_like_columns_are_one_row():
    columns = pd.DataFrame(
        {"column": ["film_id", *(f"p{i:02}" for i in range(20))], "type": "int64"}
    )
    assert folded(columns)["column"].tolist() == ["film_id", "p00 to p19 (20 columns)"]


def test_stage_graph_draws_no_implied_edge():
    small, outs = stage_graph(lineage_graph(stages(ROOT / "dvc.yaml")))
    assert ("inject@skew", "repair@skew") in small.edges
    assert ("world@shop", "score@skew") not in small.edges
    assert [out for stage in small for out in outs[stage]] == written()


def test_readers_are_found_in_the_sources():
    found = readers(ROOT)
    assert {"notebooks/01_skew", "claims/skew.yaml"} <= set(found["data/world/shop"])
    assert "notebooks/01_skew" not in found["data/world/cards"]
    assert found["data/skew/score.json"] == ["notebooks/01_skew"]


def test_everything_in_the_graph_has_an_owner():
    graph = project_graph(ROOT)
    assert not [node for node, known in graph.nodes(data=True) if not known["owner"]]
    assert graph.has_edge("shop.offers.accepted", "shop.model")


def test_command_writes_the_page_and_refuses_a_folder(tmp_path, monkeypatch):
    shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["catalog"])
    assert done.exit_code == 0 and f"{len(written())} datasets, 0 of them built" in done.output
    assert (
        (tmp_path / "work/catalog.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    )
    refused = CliRunner().invoke(app, ["catalog", "--html", str(tmp_path)])
    assert isinstance(refused.exception, ValueError) and "came a folder" in str(refused.exception)
    refused = CliRunner().invoke(app, ["catalog", "--html", "params.yaml/catalog.html"])
    assert isinstance(refused.exception, ValueError) and "cannot be written" in str(
        refused.exception
    )
    monkeypatch.chdir(tmp_path.parent)
    lost = CliRunner().invoke(app, ["catalog"])
    assert isinstance(lost.exception, FileNotFoundError) and "no project" in str(lost.exception)
