"""`mlkit audit drift`: verdicts, reports and exit statuses on files of any origin."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_files import save
from typer.testing import CliRunner

from mlkit import audit
from mlkit.monday import drift as monday

N, M = 1200, 600


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, so that file names are as short as a user would type them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(seed=0, n=N, **columns):
    """Return a table with foreign column names and every usual kind; `columns` replaces any."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "kunde": rng.integers(0, 300, n),
            "zeit": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), "h"),
            "betrag": rng.lognormal(3, 1, n).round(2),
            "besuche": rng.poisson(4, n),
            "stadt": rng.choice(["Basel", "Bern", "Genf"], n),
            "vip": rng.random(n) < 0.2,
            **columns,
        }
    )


def week(**columns):
    return table(1, M, **columns)


def run(reference, current, *options):
    """Return the result of the command: the reference saved as parquet, the current as CSV."""
    files = [
        item if isinstance(item, str) else save(item, name)
        for item, name in ((reference, "reference.parquet"), (current, "current.csv"))
    ]
    line = ["drift", "--reference", files[0], "--current", files[1], *options]
    return CliRunner().invoke(audit.app, line)


def failures(reference, current, *options):
    run(reference, current, *options, "--json", "out.json")
    content = json.loads(Path("out.json").read_text(encoding="utf-8"))
    return {(row["check"], row["subject"]) for row in content["findings"] if row["failed"]}


def refused(result):
    """Return the one line that a refusal says, after checking that it is one."""
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    return result.stderr


def cents(**columns):
    return week(betrag=week()["betrag"] * 100, **columns)


# Verdicts


@pytest.mark.parametrize("options", [(), ("--entity", "kunde")])
def test_a_quiet_week_passes_with_status_0(options):
    result = run(table(), week(), *options)
    assert result.exit_code == 0
    assert re.match(r"passed: 0 of \d columns moved\n", result.stdout)


@pytest.mark.parametrize("options", [(), ("--entity", "kunde")])
def test_a_finding_ends_with_status_1(options):
    result = run(table(), cents(), *options)
    assert result.exit_code == 1
    assert result.stdout.startswith("failed: 1 of ")


def test_cents_for_dollars_are_found_and_guessed():
    assert failures(table(), cents()) >= {("psi", "betrag"), ("ks", "betrag")}
    assert "betrag: looks like a unit: current is about 1" in run(table(), cents()).stdout


def test_no_unit_is_guessed_for_a_shift():
    moved = week(betrag=week()["betrag"] + 30)
    assert "looks like a unit" not in run(table(), moved).stdout


def test_nulls_are_found():
    burst = week(betrag=week()["betrag"].where(np.arange(M) > 100))
    assert ("missing", "betrag") in failures(table(), burst)


def test_a_new_city_is_found_and_named():
    moved = week(stadt=week()["stadt"].mask(np.arange(M) < 60, "Zug"))
    result = run(table(), moved)
    assert re.search(r"stadt +categories not seen before +failed .* Zug", result.stdout)


def test_a_lost_column_is_a_finding():
    result = run(table(), week().drop(columns="vip"))
    assert "columns of the reference are gone" in result.stdout
    assert "only in reference: vip" in result.stdout


def test_columns_that_part_company_are_found_by_the_classifier():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, N))
    a, b = pd.DataFrame({"x": x[0], "y": x[1]}), pd.DataFrame({"x": x[0], "y": x[0]})
    assert failures(a, b) == {("domain", "(all columns)")}


def test_too_few_rows_are_a_finding():
    result = run(table(), week()[:5])
    assert result.exit_code == 1
    assert "a large move could go unseen" in result.stdout


def test_a_column_that_holds_nothing_any_more_is_a_finding():
    assert ("ks", "betrag") in failures(table(), week(betrag=np.nan), "--html", "out.html")
    assert "nan" not in Path("out.html").read_text(encoding="utf-8").lower()


def test_tolerances_are_options():
    moved = week(betrag=week()["betrag"] * 1.3)
    assert failures(table(), moved, "--features", "betrag")
    calm = ("--psi-limit", "0.5", "--ks-limit", "0.3", "--wasserstein-limit", "1")
    assert not failures(table(), moved, "--features", "betrag", *calm)


def test_only_the_features_asked_for_are_compared():
    found = run(table(), cents(), "--features", "besuche,vip")
    assert found.exit_code == 0
    assert "betrag" not in found.stdout


# Files of any origin


def test_times_are_named_as_not_compared_whether_typed_or_written():
    for name in ("current.csv", "current.parquet"):
        result = run(table(), save(week(zeit=week()["zeit"] + pd.Timedelta(days=90)), name))
        assert result.exit_code == 0
        assert "times, which always move: zeit" in result.stdout


def test_time_zones_and_repeated_times_do_not_matter():
    local = week(zeit=pd.Timestamp("2025-06-01 12:00", tz="Asia/Kolkata"))
    assert run(table(), save(local, "current.parquet")).exit_code == 0


def test_text_where_numbers_were_is_a_finding():
    assert ("kind", "betrag") in failures(table(), week(betrag="viel"))


def test_flags_written_as_zero_and_one_are_flags():
    assert run(table(), week(vip=week()["vip"].astype(int))).exit_code == 0


def test_control_characters_in_names_are_shown_not_obeyed():
    name = {"betrag": "a\x1b[2J\nb"}
    result = run(table().rename(columns=name), cents().rename(columns=name))
    assert "a\\x1b[2J\\nb" in result.stdout


def test_column_names_that_are_numbers():
    frames = (pd.DataFrame({0: np.arange(200.0)}) for _ in range(2))
    result = run(*(save(f, name) for f, name in zip(frames, ("a.csv", "b.csv"), strict=True)))
    assert result.exit_code == 0


# Bad input: status 2, one line, nothing written


BAD = {
    "no file": (lambda: ("nowhere.csv", week()), "nowhere.csv: no such file"),
    "no rows": (lambda: (table(), week()[:0]), "current.csv: expected at least one row"),
    "suffix": (lambda: ("a.xlsx", week()), "a.xlsx: expected a name that ends in"),
    "feature": (
        lambda: (table(), week(), "--features", "betrga"),
        r"reference.parquet lacks 'betrga'.*Closest: \['betrag'\]",
    ),
    "entity": (lambda: (table(), week(), "--entity", "user"), "lacks 'user'"),
    "entity missing": (
        lambda: (table(), week(kunde=None), "--entity", "kunde"),
        "kunde: expected an entity in every row, came 600 rows without",
    ),
    "times": (lambda: (table(), week(), "--features", "zeit"), "zeit: holds times"),
    "no feature": (lambda: (table(), week(), "--features", ","), "at least one column"),
    "level": (lambda: (table(), week(), "--level", "0"), "level = 0.0: expected a number"),
    "limit": (lambda: (table(), week(), "--ks-limit", "nan"), "ks_limit = nan: expected"),
    "nothing shared": (
        lambda: (table()[["vip"]], week()[["stadt"]]),
        r"no column to compare: reference has \['vip'\], current \['stadt'\]",
    ),
    "overwrite": (
        lambda: (table(), week(), "--json", "reference.parquet"),
        "is read or written already",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(arguments, message):
    assert re.search(message, refused(run(*arguments(), "--html", "out.html")))
    assert not Path("out.html").exists()


# Reports


def test_the_page_says_the_verdict_and_needs_nothing_else():
    run(table(), cents(), "--html", "out.html")
    text = Path("out.html").read_text(encoding="utf-8")
    assert '<p class="word failed">failed</p>' in text
    assert not re.search(r"http|<script|<link|<img|@import|url\(|src=", text)


def test_json_holds_what_was_asked_and_standard_numbers_only():
    run(table(), week(betrag=np.nan), "--entity", "kunde", "--json", "out.json")
    content = json.loads(Path("out.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content["asked"]["entity"] == "kunde"
    assert list(content["findings"][0]) == (
        "check subject value limit failed tolerance n m p note".split()
    )


def test_reports_are_the_same_bytes_each_time():
    pages = []
    for _ in range(2):
        run(table(), cents(), "--entity", "kunde", "--html", "out.html")
        pages.append(Path("out.html").read_bytes())
    assert pages[0] == pages[1]


def test_what_it_cannot_see_is_said():
    text = " ".join(run(table(), week()).stdout.split())
    assert "A move is not harm" in text
    assert "concept drift" in text


def test_help_shows_examples_and_statuses():
    coloured = CliRunner().invoke(audit.app, ["drift", "--help"]).stdout
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", coloured).split())
    assert "mlkit audit drift --reference train.parquet" in text
    assert "Exit status: 0" in text


# The test to paste

NAMES = {"betrag": "basket", "besuche": "visits"}


def lay(current):
    for frame, name in ((table(), "train.csv"), (current, "week.csv")):
        frame.rename(columns=NAMES).to_csv(name, index=False)


def test_paste_is_short_and_needs_pandas_alone():
    text = Path(monday.__file__).read_text(encoding="utf-8")
    nodes = ast.parse(text).body
    found = [ast.unparse(n) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    assert found == ["import pandas as pd"]
    assert len(ast.get_source_segment(text, nodes[-1]).splitlines()) <= 20


@pytest.mark.parametrize("seed", range(20))
def test_paste_is_green_in_a_quiet_week(seed):
    lay(table(seed + 1, M))
    monday.test_features_of_this_week_are_spread_as_in_training()


@pytest.mark.parametrize(
    "moved",
    [
        lambda t: t.assign(betrag=t["betrag"] * 100),
        lambda t: t.assign(betrag=t["betrag"].mask(t.index < 100)),
        lambda t: t.assign(betrag=np.nan),
        lambda t: t.assign(betrag=t["betrag"].mask(t.index % 5 == 0, np.inf)),
        lambda t: t.assign(betrag=t["betrag"].mask(t.index % 5 == 0, -np.inf)),
    ],
    ids=["unit", "nulls", "gone", "infinite", "minus infinite"],
)
def test_paste_is_red_when_a_feature_moved(moved):
    lay(moved(week()))
    with pytest.raises(AssertionError, match="basket: .* of the rows moved"):
        monday.test_features_of_this_week_are_spread_as_in_training()


def test_paste_says_when_there_are_too_few_rows():
    lay(week()[:100])
    with pytest.raises(AssertionError, match="too few rows"):
        monday.test_features_of_this_week_are_spread_as_in_training()
