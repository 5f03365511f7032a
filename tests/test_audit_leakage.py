"""`mlkit audit leakage`: verdicts, reports and exit statuses on splits of any origin."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_files import save
from typer.testing import CliRunner

from mlkit import audit
from mlkit.monday import leakage as monday

N = 300
START = pd.Timestamp("2025-03-01", tz="UTC")
OPTIONS = "--label y --time ts --known known --entity user".split()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, so that file names are as short as a user would type them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(**columns):
    """Return rows in order of time, each of a user of its own; `columns` replaces any."""
    rng = np.random.default_rng(5)
    ts = START + pd.to_timedelta(np.arange(N), unit="D")
    return pd.DataFrame(
        {
            "user": np.arange(N) + 100,
            "ts": ts,
            "known": ts + pd.Timedelta(days=5),
            "amount": np.round(rng.lognormal(3, 1, N), 2),
            "visits": rng.poisson(4, N),
            "y": rng.permutation(np.arange(N) % 2),
            **columns,
        }
    )


def split(frame=None, gap=5):
    frame = table() if frame is None else frame
    return frame[: 200 - gap], frame[200:]


def run(sides, *options):
    """Return the result of the command; frames are saved as parquet first."""
    files = [
        item if isinstance(item, str) else save(item, f"{side}.parquet")
        for side, item in zip(("train", "test"), sides, strict=True)
    ]
    return CliRunner().invoke(
        audit.app, ["leakage", "--train", files[0], "--test", files[1], *options]
    )


def findings(sides, *options):
    """Return the JSON report, and which rows failed as (check, subject)."""
    result = run(sides, *options, "--json", "out.json")
    assert result.exit_code in (0, 1), result.stderr
    content = json.loads(Path("out.json").read_text(encoding="utf-8"))
    bad = [(row["check"], row["subject"]) for row in content["findings"] if row["failed"]]
    return content, bad


def refused(result):
    """Return the one line that a refusal says, after checking that it is one."""
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    return result.stderr


# Verdicts


def test_an_honest_split_passes_with_status_0():
    result = run(split(), *OPTIONS)
    assert result.exit_code == 0
    assert result.stdout.startswith("passed: 0 of 6 checks object to this split\n")


def test_a_random_split_fails_with_status_1():
    mixed = table(user=np.arange(N) % 90).sample(frac=1, random_state=1)
    result = run((mixed[:200], mixed[200:]), *OPTIONS)
    assert result.exit_code == 1
    assert result.stdout.startswith("failed: 3 of 6 checks object to this split: shared entities, ")


def test_copies_are_found_without_any_option():
    train, test = split()
    result = run((pd.concat([train, test[:30]]), test))
    assert result.exit_code == 1
    assert result.stdout.startswith("failed: 1 of 1 check objects to this split: repeated rows\n")


def test_near_copies_are_found_by_digits():
    train, test = split(table()[["amount", "visits", "y"]])
    near = pd.concat([train, test.assign(amount=test["amount"] * 1.00001)])
    options = ["--features", "amount,visits"]
    assert run((near, test), *options).exit_code == 0
    assert run((near, test), *options, "--digits", "4").exit_code == 1


def test_answers_of_the_future_are_found():
    content, bad = findings(split(gap=0), *OPTIONS)
    assert bad == [("label horizon", "known")]
    assert content["verdict"].endswith("label horizon")


def test_a_feature_that_is_the_answer_is_a_question():
    leak = np.where(table()["y"] == 1, "closed", None)
    content, bad = findings(split(table(leak=leak)), *OPTIONS)
    assert bad == [("single feature", "leak")]
    assert content["notes"]["A question, not a proof"][0].startswith("leak: ")


def test_a_column_with_some_of_the_future_passes_as_the_report_says():
    future = table()["y"] * 1.5 + np.random.default_rng(2).normal(size=N)
    content, bad = findings(split(table(lifetime_mean=future)), *OPTIONS)
    assert not bad
    assert content["notes"]["What this check does not catch"][0].startswith(
        "A column that holds the future and stands in both files"
    )


def test_a_registry_is_held_against_the_features():
    Path("reg.yaml").write_text(
        "amount: {known_at: booked}\nvisits: {known_after_days: 30, note: as billing writes it}\n",
        encoding="utf-8",
    )
    frame = table(extra=1, booked=table()["ts"] + pd.to_timedelta(np.arange(N) % 2, unit="h"))
    content, bad = findings(split(frame), *OPTIONS, "--registry", "reg.yaml")
    assert bad == [("availability", "visits"), ("availability", "extra"), ("known later", "amount")]
    words = run(split(frame), *OPTIONS, "--registry", "reg.yaml").stdout
    assert "known 30 days after the decision" in words
    assert "not in the registry" in words
    assert content["asked"]["registry"] == "reg.yaml"


def test_a_test_set_unlike_production_is_found():
    save(table(amount=table()["amount"] * 9), "prod.csv")
    _, bad = findings(split(), *OPTIONS, "--production", "prod.csv")
    assert bad == [("sampling", "amount")]


@pytest.mark.parametrize(
    "suffixes", [(".csv", ".csv"), (".parquet", ".csv"), (".csv.gz", ".parquet")]
)
def test_files_of_either_kind_give_the_same_findings(suffixes):
    frame = table(user=[f"{i % 90:04d}" for i in range(N)], since=table()["ts"])
    frame["word"] = pd.Series("x", index=frame.index).where(frame["visits"] > 4)
    train, test = split(frame)
    train = pd.concat([train, test[:40]])
    rows = findings((train, test), *OPTIONS)[0]["findings"]
    files = save(train, f"a{suffixes[0]}"), save(test, f"b{suffixes[1]}")
    other = findings(files, *OPTIONS)[0]["findings"]
    assert [row["value"] for row in other] == pytest.approx([row["value"] for row in rows])
    assert rows[0]["failed"]


def test_empty_text_equals_what_a_csv_file_makes_of_it():
    frame = table(word=np.where(table()["visits"] > 4, "x", ""))
    train, test = split(frame)
    copies = pd.concat([train, test])
    content, bad = findings((save(copies, "a.csv"), test))
    assert bad == [("repeated rows", content["findings"][0]["subject"])]
    assert content["findings"][0]["value"] == 1


def test_ids_that_are_text_in_csv_match_numbers():
    train, test = split(table(user=np.arange(N) % 90))
    _, bad = findings((save(train, "a.csv"), test), *OPTIONS)
    assert bad == [("shared entities", "user")]


def test_column_names_of_any_origin():
    foreign = {
        "user": "Kunde Nr.",
        "ts": "value",
        "amount": "größe[m]",
        "y": "check",
        "known": "days",
    }
    options = ["--label", "check", "--time", "value", "--known", "days", "--entity", "Kunde Nr."]
    _, bad = findings([side.rename(columns=foreign) for side in split(gap=0)], *options)
    assert bad == [("label horizon", "days")]


def test_roles_are_no_features():
    subjects = {row["subject"] for row in findings(split(), *OPTIONS)[0]["findings"]}
    assert subjects == {"amount, visits, user", "user", "ts", "known", "amount", "visits"}


def test_limits_are_those_that_were_asked_for():
    mixed = table().sample(frac=1, random_state=1)
    options = ["--time", "ts", "--max-share", "1", "--max-auc", "1", "--max-repeats", "1"]
    assert run((mixed[:200], mixed[:200]), *options).exit_code == 0


# Reports


def test_the_report_says_what_was_not_judged_and_what_it_does_not_catch():
    text = " ".join(run(split(table(code=[f"c{i}" for i in range(N)]))).stdout.split())
    for line in ("give --label", "give --time", "give --entity", "give --known", "give --registry"):
        assert line in text
    assert "no part of repeated rows: user, ts, known, code" in text
    assert "mlkit audit skew" in text


def test_coarse_columns_are_said_to_tell_nothing():
    text = run(split(table()[["visits", "y"]])).stdout
    assert re.search(r"repeated rows: chance alone may repeat [5-9]\d", " ".join(text.split()))


def test_the_page_holds_the_same_and_needs_nothing_else():
    run(split(gap=0), *OPTIONS, "--html", "out.html")
    page = Path("out.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page
    assert "label horizon" in page and page.count("<svg") == page.count('<th scope="row">')
    assert not re.search(r'(width|x)="(-|nan|inf)', page)


def test_hostile_names_are_escaped():
    leak = {"<b>\x1b[2J": table()["y"]}
    run(split(table(**leak)), *OPTIONS, "--html", "out.html")
    page = Path("out.html").read_text(encoding="utf-8")
    assert "<b>\\x1b" not in page and "\x1b" not in page and "&lt;b&gt;" in page


def test_numbers_that_json_lacks_are_null():
    Path("reg.yaml").write_text("amount: {known_after_days: .inf}\n", encoding="utf-8")
    rows = findings(split(), *OPTIONS, "--registry", "reg.yaml")[0]["findings"]
    assert [row["value"] for row in rows if row["check"] == "availability"] == [None, None]


# Bad input: status 2, one line, nothing written


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "yy"], "train.parquet lacks 'yy'"),
        (["--time", "tss"], "Closest: ['ts']"),
        (["--known", "known"], "--known: is compared with the first test row; give --time"),
        (["--label", "y", "--time", "y"], "--time y: it is --label already"),
        (["--label", "y", "--features", "y"], "--features y: it is --label already"),
        (["--features", "amuont"], "Closest: ['amount']"),
        (["--registry", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--production", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--max-share", "2"], "split_report.max_share = 2.0: expected a number"),
        (["--max-auc", "nan"], "split_report.max_auc = nan: expected a number"),
        (["--digits", "-1"], "split_report.digits = -1: expected a whole number"),
        (["--label", "ts"], "expected two answers or numbers, came time"),
        (["--time", "word"], "expected times such as 2025-01-31T12:00:00Z"),
        (["--json", "train.parquet"], "train.parquet: is read or written already"),
    ],
)
def test_wrong_options_are_refused(options, words):
    assert words in refused(run(split(table(word="soon")), *options))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("amount: 3\n", "reg.yaml: registry.amount = 3: expected a mapping"),
        ("- amount\n", "reg.yaml: registry: expected a mapping of features"),
        ("a: {known_after_days: 1}\na: {known_after_days: 2}\n", "key 'a' comes twice"),
        ("amount: {known_at: boked}\n", "train.parquet lacks 'boked'"),
        ("", "reg.yaml: registry: expected a mapping"),
        ("a: [", "reg.yaml"),
    ],
)
def test_a_wrong_registry_is_refused(text, words):
    Path("reg.yaml").write_text(text, encoding="utf-8")
    assert words in refused(run(split(), "--time", "ts", "--registry", "reg.yaml"))


def test_a_registry_of_columns_needs_a_time():
    Path("reg.yaml").write_text("amount: {known_at: known}\n", encoding="utf-8")
    assert "time=" in refused(run(split(), "--registry", "reg.yaml"))


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (lambda a, b: ("nowhere.csv", b), "nowhere.csv: no such file"),
        (lambda a, b: (a[:0], b), "train.parquet: expected at least one row"),
        (lambda a, b: (a, b.drop(columns="ts")), "test.parquet lacks 'ts'"),
        (lambda a, b: (a, b.assign(ts=b["ts"].dt.tz_localize(None))), "test.ts has no time zone"),
        (lambda a, b: (a.assign(y=1), b), "expected at least 10 rows of either answer"),
        (lambda a, b: (a.assign(y=None), b), "came nothing"),
        (lambda a, b: (a, b.assign(amount="much")), "test.amount holds text"),
        (lambda a, b: (a, b.assign(user=b["user"].map("u{}".format))), "test.user holds text"),
    ],
)
def test_files_that_cannot_be_judged_are_refused(sides, words):
    assert words in refused(run(sides(*split()), *OPTIONS))


def test_help_shows_examples_and_statuses():
    coloured = CliRunner().invoke(audit.app, ["leakage", "--help"]).stdout
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", coloured).split())
    assert "mlkit audit leakage --train train.parquet" in text
    assert "Exit status: 0" in text


# The test to paste

NAMES = {"user": "customer", "ts": "asked_at", "known": "answered_at", "amount": "basket"}


def lay(train, test):
    for name, side in (("train", train), ("test", test)):
        side.rename(columns=NAMES).to_csv(f"{name}.csv", index=False)


def test_paste_is_green_on_an_honest_split_in_any_order():
    lay(*(side.sample(frac=1, random_state=1) for side in split()))
    monday.test_the_split_keeps_the_future_out_of_training()


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (lambda: split(table().sample(frac=1, random_state=1)), "is not older than test"),
        (lambda: split(gap=0), "of the answers were not known on"),
        (
            lambda: split(table(known=[None] * 39 + [START] * 261)),
            "20% of the answers were not known",
        ),
        (
            lambda: split(table(user=7, amount=1.0, visits=1)),
            "100% of the test rows stand in train",
        ),
        (lambda: split(table(user=np.arange(N) % 190)), "are of customers that train knows"),
    ],
)
def test_paste_is_red_on_a_leak(sides, words):
    lay(*sides())
    with pytest.raises(AssertionError, match=words):
        monday.test_the_split_keeps_the_future_out_of_training()


def test_paste_is_short_and_needs_pandas_alone():
    import ast

    tree = ast.parse(Path(monday.__file__).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["import pandas as pd"]
    assert tree.body[-1].end_lineno - tree.body[-1].lineno < 20
