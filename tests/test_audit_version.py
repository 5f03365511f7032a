"""`mlkit audit version`: what changed between two files of any origin."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_files import save
from typer.testing import CliRunner

from mlkit import audit


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, so that file names are as short as a user would type them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "kunde": np.arange(300),
            "zeit": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(300), "h"),
            "betrag": rng.lognormal(3, 1, 300).round(2),
            "stadt": rng.choice(["Basel", "Bern", "Genf"], 300),
        }
    )


def run(old, new, *options):
    """Return the result of the command: the old version saved as parquet, the new one as well."""
    files = [
        item if isinstance(item, str) else save(item, name)
        for item, name in ((old, "old.parquet"), (new, "new.parquet"))
    ]
    return CliRunner().invoke(audit.app, ["version", *files, *options])


def facts(*arguments):
    """Return the failed findings as {(check, subject): rows}."""
    result = run(*arguments, "--json", "out.json")
    assert result.exit_code == 1, result.output
    found = json.loads(Path("out.json").read_text(encoding="utf-8"))["findings"]
    return {(row["check"], row["subject"]): row["rows"] for row in found if row["failed"]}


@pytest.mark.parametrize("name", ["new.parquet", "new.csv", "new.csv.gz"])
def test_the_same_rows_in_any_order_and_format_are_one_version(name):
    shuffled = table().sample(frac=1, random_state=1)[["stadt", "betrag", "kunde", "zeit"]]
    for options in ([], ["--on", "kunde"], ["--on", "kunde,zeit"]):
        result = run(table(), save(shuffled, name), *options)
        assert result.exit_code == 0, result.output
        first, second = [
            line.split()[-1] for line in result.stdout.splitlines() if "content" in line
        ]
        assert len(first) == len(second) == 16


def test_each_kind_of_change_is_counted():
    new = table().iloc[3:].rename(columns={"stadt": "ort"})
    new = pd.concat([new, new.tail(2).assign(kunde=[900, 901])]).assign(neu=1)
    new.loc[new["kunde"].between(10, 29), "betrag"] *= 100
    assert facts(table(), new, "--on", "kunde") == {
        ("renamed", "stadt"): 299,
        ("column added", "neu"): 299,
        ("removed", "all"): 3,
        ("added", "all"): 2,
        ("changed", "betrag"): 20,
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    {
        "a value gone": (lambda t: t.assign(stadt=t["stadt"].mask(t.index < 7)), 7),
        "swapped": (lambda t: t.assign(kunde=t["kunde"].iloc[::-1].to_numpy()), None),
        "one cent": (lambda t: t.assign(betrag=t["betrag"] + 0.01 * (t.index == 5)), 1),
    }.values(),
)
def test_values_are_paired_by_key(change, expected):
    found = facts(table(), change(table()), "--on", "kunde")
    assert {check for check, _ in found} == {"changed"}
    assert expected is None or set(found.values()) == {expected}


def test_a_unit_is_guessed_and_noise_is_not():
    new = table()
    new.loc[:99, "betrag"] *= 100
    assert (
        "betrag: all 100 changed values are 100 times what they were"
        in run(table(), new, "--on", "kunde").stdout
    )
    new = table().assign(betrag=table()["betrag"] + np.arange(300))
    assert "A guess" not in run(table(), new, "--on", "kunde").stdout


@pytest.mark.parametrize(
    ("old", "new", "words"),
    {
        "lost": (
            lambda t: t["betrag"],
            lambda t: t["betrag"].where(t.index > 99, 0.0),
            "betrag: all 100 changed values are 0 now",
        ),
        "one came from nothing": (
            lambda t: t["betrag"].where(t.index != 9, 0.0),
            lambda t: t["betrag"] * 100,
            "",
        ),
        "one was missing": (
            lambda t: t["kunde"].astype("Int64").mask(t.index == 9),
            lambda t: t["kunde"].astype("Int64") * 100,
            "",
        ),
        "yes and no": (lambda t: t["betrag"] > 0, lambda t: t.index > 99, ""),
    }.values(),
)
def test_a_guess_is_about_every_changed_value(old, new, words):
    sides = [table().assign(betrag=change) for change in (old, new)]
    said = run(*sides, "--on", "kunde").stdout
    assert (words in said) if words else ("A guess" not in said)


@pytest.mark.parametrize("name", ["new.csv", "new.parquet"])
def test_leading_zeros_are_a_part_of_a_value(name):
    old = pd.DataFrame({"kunde": [1, 2, 3], "plz": ["0815", "0007", "9000"]})
    save(old, "old.csv")
    assert run("old.csv", save(old, name), "--on", "kunde").exit_code == 0
    new = save(old.assign(plz=["0815", "7", "9000"]), name)
    assert facts("old.csv", new, "--on", "kunde") == {("changed", "plz"): 1}


def test_type_is_a_change_between_files_of_one_format():
    found = facts(table(), table().assign(kunde=lambda t: t["kunde"].astype("float64")))
    assert found == {("dtype", "kunde"): 300}


def test_limits_let_some_change_pass():
    new = pd.concat([table(), table().tail(3).assign(kunde=[900, 901, 902])])
    passed = run(table(), new, "--on", "kunde", "--max-added", "0.01")
    assert passed.exit_code == 0 and "two versions all the same" in passed.stdout
    assert "The files are one version" in run(table(), table().iloc[::-1]).stdout
    assert run(table(), new, "--on", "kunde", "--max-added", "0.005").exit_code == 1
    fewer = table().iloc[3:].assign(stadt=lambda t: t["stadt"].mask(t.index < 6))
    both = ("--max-removed", "0.01", "--max-changed", "0.02")
    assert run(table(), fewer, "--on", "kunde", *both).exit_code == 0
    for options in (both[:2], both[2:]):
        assert run(table(), fewer, "--on", "kunde", *options).exit_code == 1
    close = table().assign(betrag=lambda t: t["betrag"] * (1 + 1e-12))
    assert run(table(), close, "--on", "kunde", "--rtol", "1e-9").exit_code == 0


@pytest.mark.parametrize(
    "odd",
    {
        "no rows": lambda t: t.iloc[:0],
        "another table": lambda t: pd.DataFrame({"kunde": [1], "x": ["y"]}),
        "all missing": lambda t: t.assign(betrag=np.nan, stadt=None),
        "infinite": lambda t: t.assign(betrag=np.inf),
        "lists": lambda t: t.assign(stadt=[[1]] * len(t)),
        "mixed": lambda t: t.assign(stadt=[b"a", *[b"b"] * (len(t) - 1)]),
        "no zone": lambda t: t.assign(zeit=t["zeit"].dt.tz_localize(None)),
        "categories": lambda t: t.assign(stadt=t["stadt"].astype("category")),
    }.values(),
)
@pytest.mark.parametrize("options", [[], ["--on", "kunde"]], ids=["rows", "key"])
def test_odd_versions_are_reported(odd, options):
    result = run(table(), odd(table()), *options, "--html", "page.html", "--json", "out.json")
    assert result.exit_code == 1, result.output
    assert run(odd(table()), odd(table()), *options).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--on", "kund"), "Closest: ['kunde']"),
        (("--on", "stadt"), "expected one row per stadt"),
        (("--rtol", "-1"), "rtol"),
        (("--max-added", "2"), "max_added"),
        (("--html", "old.parquet"), "read or written already"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    result = run(table(), table(), *arguments)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert message in result.stderr


def test_report_begins_with_what_failed_and_shows_both_values():
    old = table().assign(betrag=table()["betrag"].mask(table().index == 0, 12.5))
    new = table().assign(betrag=table()["betrag"].mask(table().index == 0, 77.0))
    grown = pd.concat([new, new.tail(1).assign(kunde=900)])
    said = run(old, grown, "--on", "kunde", "--max-added", "0.1").stdout
    assert said.index("values changed   failed") < said.index("rows added       passed")
    assert "1 row added, and values of 1 column changed" in said
    assert "kunde 0" in said and "12.5" in said and "77" in said
    assert "Without a key" not in said and "Without a key" in run(old, grown).stdout


def test_missing_file_is_one_line():
    result = run(table(), "nowhere.csv")
    assert (result.exit_code, result.stderr) == (
        2,
        "mlkit audit version: nowhere.csv: no such file\n",
    )


def test_page_needs_nothing_else_and_escapes_what_it_shows():
    new = table().assign(stadt="<script>alert(1)</script>")
    run(table(), new, "--on", "kunde", "--html", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page
    assert "values changed" in page
