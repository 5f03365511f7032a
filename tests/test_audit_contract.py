"""`mlkit audit contract`: files of any origin against a contract, and drafts of one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_files import save
from typer.testing import CliRunner

from mlkit import audit

CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: laden.verkauf
version: 1.2.0
status: active
owner: kasse
contact: kasse@laden.example
additionalColumns: refused
schema:
  - name: verkauf
    properties:
      - {name: beleg, logicalType: string, required: true, primaryKey: true}
      - {name: zeit, logicalType: timestamp, required: true, logicalTypeOptions: {timezone: true}}
      - {name: betrag, logicalType: number, required: true, logicalTypeOptions: {minimum: 0.01}}
      - {name: punkte, logicalType: integer}
    quality:
      - metric: total
        name: books
        properties: [betrag]
        against: buch.summe
        tolerance: 0.001
slaProperties:
  - {property: freshness, value: 24, unit: h, element: zeit}
  - {property: completeness, value: 90, unit: percent, element: punkte}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder that holds the contract and the books."""
    monkeypatch.chdir(tmp_path)
    Path("contract.yaml").write_text(CONTRACT, encoding="utf-8")
    pd.DataFrame({"summe": [table()["betrag"].sum()]}).to_csv("buch.csv", index=False)
    return tmp_path


def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "beleg": [f"{i:05d}" for i in range(200)],
            "zeit": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(200), "h"),
            "betrag": rng.lognormal(3, 1, 200).round(2),
            "punkte": pd.array(rng.integers(0, 9, 200), dtype="Int64"),
        }
    )


def run(*arguments):
    return CliRunner().invoke(audit.app, ["contract", *arguments])


def hold(frame, name="lieferung.parquet"):
    """Return the failed checks of a delivery as {(check, subject): rows}, all options given."""
    result = run(
        *(save(frame, name), "--contract", "contract.yaml", "--as-of", "2025-01-09T12:00Z"),
        *("--against", "buch=buch.csv", "--json", "out.json", "--html", "page.html"),
    )
    assert result.exit_code in (0, 1), result.output
    found = json.loads(Path("out.json").read_text(encoding="utf-8"))["findings"]
    failed = {(row["check"], row["subject"]): row["rows"] for row in found if row["failed"]}
    assert bool(failed) == result.exit_code
    return failed


@pytest.mark.parametrize("name", ["ok.parquet", "ok.csv", "ok.csv.gz"])
def test_a_kept_contract_passes_in_every_format(name):
    gaps = table()
    gaps.loc[:9, "punkte"] = pd.NA
    assert hold(gaps, name) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    {
        "renamed": (
            lambda t: t.rename(columns={"betrag": "summe"}),
            {("missing column", "betrag"): 200, ("unexpected column", "summe"): 200},
        ),
        "cents": (lambda t: t.assign(betrag=t["betrag"] * 100), {("total", "books"): 0}),
        "twice": (
            lambda t: pd.concat([t, t.head(3)]).assign(betrag=lambda u: u["betrag"] / 1.0001),
            {("primary key", "beleg"): 6},
        ),
        "refunds": (
            lambda t: t.assign(betrag=t["betrag"].where(t.index != 4, -t["betrag"])),
            {("minimum", "betrag"): 1},
        ),
        "points lost": (
            lambda t: t.assign(punkte=t["punkte"].mask(t.index < 60)),
            {("missing values", "punkte"): 60},
        ),
    }.values(),
)
@pytest.mark.parametrize("name", ["bad.parquet", "bad.csv"])
def test_every_broken_promise_is_named_with_its_rows(change, expected, name):
    found = hold(change(table()), name)
    if ("minimum", "betrag") in expected or ("primary key", "beleg") in expected:
        found.pop(("total", "books"), None)  # a refund and a repeat move the total as well
    assert found == expected


def test_stale_delivery_and_one_with_times_that_are_none():
    assert ("freshness", "zeit") in hold(table().head(100))
    odd = table().assign(zeit=table()["zeit"].astype("str"))
    odd.loc[3, "zeit"] = "soon"
    odd.loc[4, "zeit"] = "2025-01-01 04:00:00"
    found = hold(odd, "odd.csv")
    assert found[("type", "zeit")] == 1
    assert found[("time zone", "zeit")] == 2


def test_ids_in_writing_keep_their_zeros():
    assert hold(table(), "zeros.csv") == {}
    assert ("type", "beleg") in hold(table().assign(beleg=range(200)), "numbers.parquet")


def test_what_could_not_be_checked_is_said():
    result = run(save(table(), "a.parquet"), "--contract", "contract.yaml")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "Freshness needs --as-of" in text
    assert text.count(" open ") == 2


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_draft_describes_the_file_it_came_from(name):
    result = run(save(table(), name), "--draft", "entwurf.yaml")
    assert result.exit_code == 0, result.output
    assert run(name, "--contract", "entwurf.yaml").exit_code == 0
    worse = table().assign(betrag=table()["betrag"] * 100)
    assert run(save(worse, f"worse-{name}"), "--contract", "entwurf.yaml").exit_code == 1


def test_draft_never_replaces_a_file():
    save(table(), "a.parquet")
    result = run("a.parquet", "--draft", "contract.yaml")
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert Path("contract.yaml").read_text(encoding="utf-8") == CONTRACT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONTRACT.replace("owner: kasse\n", ""), "'owner' is missing"),
        (CONTRACT.replace("owner:", "ovner:"), "did you mean 'owner'?"),
        (CONTRACT.replace("logicalType: number", "logicalType: decimal"), "'decimal'"),
        (CONTRACT.replace("version: 1.2.0", "version: 1.2"), "version"),
        (CONTRACT.replace("minimum: 0.01", "minimum: 5, maximum: 1"), "above maximum"),
        ("a: [", "contract.yaml"),
        ("", "expected a mapping"),
    ],
)
def test_malformed_contract_is_one_line(text, message):
    Path("contract.yaml").write_text(text, encoding="utf-8")
    result = run(save(table(), "a.parquet"), "--contract", "contract.yaml")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--contract CONTRACT.yaml, or --draft"),
        (("--contract", "contract.yaml", "--draft", "b.yaml"), "one of the two"),
        (("--contract", "nowhere.yaml"), "nowhere.yaml"),
        (("--contract", "contract.yaml", "--as-of", "soon"), "'soon'"),
        (("--contract", "contract.yaml", "--against", "buch.csv"), "expected NAME=FILE"),
        (("--contract", "contract.yaml", "--against", "buch=no.csv"), "no.csv: no such file"),
        (("--draft", "b.yaml", "--html", "b.yaml"), "read or written already"),
        (("--draft", "b.yaml", "--as-of", "2025-01-09"), "belong to --contract"),
        (("--draft", "b.yaml", "--against", "buch=buch.csv"), "belong to --contract"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    result = run(save(table(), "a.parquet"), *arguments)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert message in result.stderr
    assert not Path("b.yaml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beleg,betrag,betrag\n1,2,3\n", "the header has 'betrag' twice"),
        ("zeit,betrag\n1,2,3\n4,5,6\n", "more values than the header has names"),
    ],
)
def test_columns_of_a_csv_are_neither_renamed_nor_moved(text, message):
    Path("a.csv").write_text(text, encoding="utf-8")
    for option in (("--draft", "b.yaml"), ("--contract", "contract.yaml")):
        result = run("a.csv", *option)
        assert (result.exit_code, message in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "odd",
    {
        "no rows": lambda t: t.iloc[:0],
        "one row": lambda t: t.head(1),
        "all missing": lambda t: t.assign(betrag=np.nan, zeit=pd.NaT),
        "infinite": lambda t: t.assign(betrag=np.inf),
        "as text": lambda t: t.assign(betrag=t["betrag"].astype("str") + " USD"),
        "no zone": lambda t: t.assign(zeit=t["zeit"].dt.tz_localize(None)),
        "another table": lambda t: pd.DataFrame({"x": [1]}),
    }.values(),
)
@pytest.mark.parametrize("name", ["odd.parquet", "odd.csv"])
def test_odd_deliveries_are_reported(odd, name):
    assert hold(odd(table()), name)
