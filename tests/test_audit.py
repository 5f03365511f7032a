"""`mlkit audit`: verdicts, reports and exit statuses on files of any origin."""

import datetime as dt
import decimal
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_files import save
from typer.testing import CliRunner

from mlkit import audit, params, skew
from mlkit.audit import report as reports
from mlkit.audit.files import alike, names
from mlkit.model import make_world

ROOT = Path(__file__).parents[1]
N = 200
START = pd.Timestamp("2025-03-01", tz="UTC")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, so that file names are as short as a user would type them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def shop():
    knobs = params.load(ROOT / "params.yaml")["worlds"]["shop"]
    return make_world("shop", rng=params.stream(3, "audit"), **{**knobs, "n_users": 150})


def table(**columns):
    """Return a table of N rows with a key, a time and two features; `columns` replaces any."""
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "user_id": np.arange(N),
            "ts": START + pd.to_timedelta(np.arange(N), unit="h"),
            "amount": np.round(rng.lognormal(3, 1, N), 2),
            "visits": rng.poisson(4, N),
            **columns,
        }
    )


def run(served, recomputed, *options, on="user_id,ts"):
    """Return the result of the command; frames are saved as parquet first."""
    files = [
        item if isinstance(item, str) else save(item, f"{side}.parquet")
        for side, item in (("served", served), ("recomputed", recomputed))
    ]
    line = ["skew", "--served", files[0], "--recomputed", files[1], "--on", on, *options]
    return CliRunner().invoke(audit.app, line)


def findings(served, recomputed, *options, **keys):
    """Return verdict and findings as the JSON report has them, findings by subject."""
    run(served, recomputed, *options, "--json", "out.json", **keys)
    content = json.loads(Path("out.json").read_text(encoding="utf-8"))
    return content, {row["subject"]: row for row in content["findings"]}


def refused(result):
    """Return the one line that a refusal says, after checking that it is one."""
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    return result.stderr


# Verdicts


def test_healthy_shop_passes_with_status_0(shop):
    result = run(shop["served"], shop["training"], on="user_id,prediction_ts")
    assert result.exit_code == 0
    assert result.stdout.startswith("passed: 0 of 7 features disagree between serving and training")


def test_window_skew_of_the_shop_fails_avg_amount_alone(shop):
    broken = skew.inject(shop, rng=params.stream(3, "window"), kind="window")
    content, rows = findings(broken["served"], shop["training"], on="offer_id")
    assert [name for name, row in rows.items() if row["failed"]] == ["avg_amount"]
    assert content["verdict"].startswith("1 of ")


def test_a_finding_ends_with_status_1():
    assert run(table(amount=1.0), table()).exit_code == 1


def test_the_verdict_counts_failed_features():
    result = run(table(amount=1.0, visits=99), table())
    assert result.stdout.splitlines()[0] == (
        "failed: 2 of 2 features disagree between serving and training"
    )


def test_keys_on_one_side_only_are_a_finding():
    content, _ = findings(table()[:150], table())
    assert content["verdict"].endswith("and 25% of the keys are on one side only")


def test_column_names_of_any_origin_are_compared():
    foreign = {"user_id": "Kunde Nr.", "ts": "_time", "amount": "größe[m]", "visits": "value"}
    served, recomputed = table().rename(columns=foreign), table(amount=1).rename(columns=foreign)
    _, rows = findings(served, recomputed, on="Kunde Nr.,_time")
    assert (rows["größe[m]"]["failed"], rows["value"]["failed"]) == (True, False)


def test_keys_named_like_the_report_do_not_disturb_it():
    keyed = {"user_id": "served", "ts": "recomputed"}
    result = run(
        table(amount=1).rename(columns=keyed), table().rename(columns=keyed), on="served,recomputed"
    )
    assert result.exit_code == 1


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv_and_parquet_give_the_same_findings(suffix):
    served, recomputed = table(amount=table()["amount"] * 1.5), table()
    by_parquet = findings(served, recomputed)[1]
    files = save(served, f"a{suffix}"), save(recomputed, f"b{suffix}")
    assert findings(*files)[1] == by_parquet


def test_the_time_column_dates_the_first_disagreement():
    served = table(when=table()["ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    served.loc[[50, 90], "amount"] += 100
    _, rows = findings(served, table(), "--time", "when", "--max-share", "0", on="user_id")
    assert rows["amount"]["first"] == "2025-03-03T02:00:00.000Z"


def test_features_limits_the_comparison_and_the_report_says_so():
    result = run(table(amount=1, host="a"), table(), "--features", "visits")
    assert result.exit_code == 0
    assert "only in served.parquet: host\n  in both, not asked for: amount" in result.stdout


def test_share_and_interval_are_those_of_wilson():
    served = table()
    served.loc[:19, "amount"] += 100
    row = findings(served, table())[1]["amount"]
    z, p = 1.959963984540054, 0.1
    middle = (p + z**2 / (2 * N)) / (1 + z**2 / N)
    half = z / (1 + z**2 / N) * (p * (1 - p) / N + z**2 / (4 * N**2)) ** 0.5
    assert [row["value"], row["low"], row["high"]] == pytest.approx(
        [p, middle - half, middle + half]
    )


def test_one_row_is_enough_and_its_interval_is_wide():
    _, rows = findings(table()[:1], table()[:1])
    assert rows["amount"]["high"] == pytest.approx(0.793, abs=0.001)


def test_examples_are_the_first_disagreements_in_time():
    served = table()
    served.loc[[150, 7, 30], "visits"] += 50
    result = run(served.sample(frac=1, random_state=1), table())
    shown = re.findall(r"^ (\d+)\s+2025", result.stdout, flags=re.MULTILINE)
    assert shown == ["7", "30", "150"]


def test_labels_are_compared_as_text():
    served, recomputed = table(shop=["a", "b"] * 100), table(shop=pd.Categorical(["a", "c"] * 100))
    assert findings(served, recomputed)[1]["shop"]["value"] == 0.5


# Columns that mean the same


@pytest.mark.parametrize(
    "column",
    [
        [True, False] * 100,
        [True, None] * 100,
        [decimal.Decimal("1.50"), None] * 100,
        [dt.date(2025, 1, 31)] * N,
        pd.array([1, None] * 100, dtype="Int8"),
        [None] * N,
    ],
    ids=["bool", "bool-missing", "decimal", "date", "nullable", "all-missing"],
)
def test_a_column_agrees_with_itself_through_csv(column):
    frame = table(extra=column)
    assert findings(save(frame, "a.csv"), save(frame, "b.parquet"))[1]["extra"]["value"] == 0


def test_small_integers_do_not_overflow():
    served, recomputed = table(visits=np.uint8(101)), table(visits=np.uint8(102))
    assert run(served, recomputed).exit_code == 0


def test_text_times_match_times_whatever_their_zone():
    berlin = table()["ts"].dt.tz_convert("Europe/Berlin").astype("str")
    assert run(save(table(ts=berlin), "a.csv"), table()).exit_code == 0


def test_two_text_columns_of_times_are_compared_as_moments():
    utc = table()["ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    delhi = table()["ts"].dt.tz_convert("Asia/Kolkata").astype("str")
    assert run(save(table(ts=utc), "a.csv"), save(table(ts=delhi), "b.csv")).exit_code == 0


def test_text_ids_match_numbers_when_nothing_is_lost():
    assert run(table(user_id=table()["user_id"].astype("str")), table()).exit_code == 0


def test_leading_zeros_of_a_csv_stay():
    ids = [f"{i:05d}" for i in range(N)]
    assert run(save(table(user_id=ids), "a.csv"), table(user_id=ids)).exit_code == 0


def test_a_key_in_the_index_of_a_parquet_file_is_found():
    table().set_index(["user_id", "ts"]).to_parquet("a.parquet")
    assert run("a.parquet", table()).exit_code == 0


def test_alike_leaves_its_input_as_it_was():
    sides = table()["visits"], table()["visits"].astype("str")
    alike(sides, "visits", key=True)
    assert [str(side.dtype) for side in sides] == ["int64", "str"]


def test_keys_can_be_given_by_comma_or_by_repetition():
    assert names(["user_id, ts", "shop"]) == names(["user_id", "ts", "shop"])


# Bad input: status 2, one line, nothing written


def test_a_missing_file_is_named():
    assert "nowhere.csv: no such file" in refused(run("nowhere.csv", table()))


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz"])
def test_an_unreadable_file_is_named(name):
    Path(name).write_bytes(b"not what the name says")
    assert f"{name}: cannot be read as {name[2:]}" in refused(run(name, table()))


def test_csv_that_is_no_text_is_named():
    Path("a.csv").write_bytes(b"user_id,ts\n\xff\xfe\x00,1\n")
    assert "a.csv: cannot be read as csv" in refused(run("a.csv", table()))


def test_an_empty_file_is_named():
    Path("a.csv").touch()
    assert "a.csv: cannot be read as csv" in refused(run("a.csv", table()))


def test_a_file_with_a_header_only_is_named():
    name = save(table()[:0], "a.csv")
    assert "a.csv: expected at least one row" in refused(run(name, table()))


def test_another_suffix_is_refused_with_those_allowed():
    Path("a.xlsx").touch()
    assert "a.xlsx: expected a name that ends in .parquet, .csv" in refused(run("a.xlsx", table()))


def test_a_missing_key_column_comes_with_the_nearest_name():
    message = refused(run(table().rename(columns={"user_id": "userid"}), table()))
    assert "served.parquet lacks 'user_id'" in message
    assert "Closest: ['userid']" in message


def test_an_unknown_feature_comes_with_the_nearest_name():
    message = refused(run(table(), table(), "--features", "amuont"))
    assert "served.parquet lacks 'amuont'" in message
    assert "Closest: ['amount']" in message


def test_an_unknown_time_column_is_refused():
    assert "served.parquet lacks 'when'" in refused(run(table(), table(), "--time", "when"))


def test_a_time_column_that_is_no_time_is_refused():
    served = table(when="yesterday")
    assert "served.when: expected times" in refused(run(served, table(), "--time", "when"))


def test_a_key_is_no_feature():
    assert "it is a key" in refused(run(table(), table(), "--features", "ts"))


def test_no_key_at_all_is_refused():
    assert "expected the key columns" in refused(run(table(), table(), on=" , "))


def test_files_without_a_common_feature_are_refused():
    message = refused(
        run(table()[["user_id", "amount"]], table()[["user_id", "visits"]], on="user_id")
    )
    assert "nothing to compare" in message


@pytest.mark.parametrize("name", ["_merge", "amount_recomputed", "0"])
def test_no_column_name_is_special(name):
    result = run(table(**{name: 1}), table(**{name: 2}))
    assert result.exit_code == 1 and name in result.stdout


def test_a_day_that_is_not_in_the_calendar_is_quoted():
    message = refused(run(save(table(ts="2025-13-45T00:00Z"), "a.csv"), table()))
    assert "served.ts: expected times such as" in message
    assert "2025-13-45" in message


def test_repeated_keys_are_counted():
    message = refused(run(table(), pd.concat([table(), table()[:3]])))
    assert "recomputed: expected one row per user_id, ts; 3 rows are repeats" in message


def test_keys_without_a_match_are_shown_from_both_sides():
    message = refused(run(table(user_id=range(1000, 1000 + N)), table(), on="user_id"))
    assert re.search(r"share no key.*1000.*the other with {'user_id': 0}", message)


def test_missing_keys_are_counted():
    keys = table()["user_id"].astype("float64").where(table()["user_id"] > 4)
    message = refused(run(table(user_id=keys), table()))
    assert "served.parquet: expected a key in every row, came 5 of 200 rows without" in message


def test_naive_against_aware_times_are_refused():
    message = refused(run(table(ts=table()["ts"].dt.tz_localize(None)), table()))
    assert "served.ts has no time zone, recomputed.ts is UTC" in message


def test_times_with_and_without_a_zone_in_one_column_are_refused():
    mixed = table()["ts"].astype("str")
    mixed[3] = "2025-03-01 03:00:00"
    message = refused(run(save(table(ts=mixed), "a.csv"), table()))
    assert "served.ts: 1 of 200 times have no time zone" in message


def test_text_that_is_no_time_is_quoted():
    message = refused(run(save(table(ts="last week"), "a.csv"), table()))
    assert "served.ts: expected times such as" in message
    assert "'last week'" in message


def test_ids_that_can_never_match_are_quoted():
    ids = [f"{i:03d}" for i in range(N)]
    message = refused(run(table(user_id=ids), table()))
    assert "user_id: served has text such as '000', recomputed has numbers such as 0" in message


def test_numbers_against_words_are_refused():
    message = refused(run(table(amount="much"), table()))
    assert "amount: served is" in message


@pytest.mark.parametrize("option", ["--rtol", "--max-share"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf"])
def test_options_out_of_range_are_refused(option, value):
    message = refused(run(table(), table(), option, value))
    assert option.strip("-").replace("-", "_") in message
    assert "expected a number" in message


def test_bad_input_leaves_older_reports_alone():
    for name in ("out.html", "out.json"):
        Path(name).write_text("older", encoding="utf-8")
    refused(run("nowhere.csv", table(), "--html", "out.html", "--json", "out.json"))
    assert {Path(n).read_text(encoding="utf-8") for n in ("out.html", "out.json")} == {"older"}


def test_a_report_never_overwrites_an_input():
    before = table()
    message = refused(run(before, table(), "--html", "served.parquet"))
    assert "served.parquet: is read or written already" in message
    pd.testing.assert_frame_equal(pd.read_parquet("served.parquet"), before)


def test_a_folder_as_target_is_refused():
    Path("out").mkdir()
    assert "out: expected the name of a file" in refused(run(table(), table(), "--html", "out"))


def test_a_target_below_a_file_is_refused_before_the_other_is_written():
    options = ("--html", "out.html", "--json", "served.parquet/out.json")
    assert "cannot be written" in refused(run(table(), table(), *options))
    assert not Path("out.html").exists()


def test_folders_of_reports_are_made():
    run(table(), table(), "--html", "new/deep/out.html")
    assert Path("new/deep/out.html").is_file()


# Guesses


def test_a_constant_ratio_is_guessed_to_be_a_unit():
    row = findings(table(amount=table()["amount"] * 100), table())[1]["amount"]
    assert row["guess"] == "looks like a unit: served is 100 times recomputed"


def test_a_unit_is_guessed_when_a_part_of_the_hosts_has_it():
    amount = table()["amount"]
    row = findings(table(amount=amount.where(amount.index % 3 > 0, amount / 1000)), table())[1]
    assert row["amount"]["guess"] == "looks like a unit: served is 0.001 times recomputed"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x + 10,
        lambda x: x * np.random.default_rng(1).uniform(1, 3, N),
        lambda x: x * np.random.default_rng(1).normal(1, 0.05, N),
        lambda x: x[::-1].to_numpy(),
        lambda x: 0.0,
    ],
    ids=["offset", "varying-ratio", "noise", "shuffled", "zero"],
)
def test_no_unit_is_guessed_without_a_constant_ratio(wrong):
    row = findings(table(amount=wrong(table()["amount"])), table())[1]["amount"]
    assert (row["failed"], row["guess"]) == (True, None)


def test_no_unit_is_guessed_from_a_few_pairs():
    row = findings(table(amount=table()["amount"] * 100)[:10], table()[:10])[1]["amount"]
    assert (row["failed"], row["guess"]) == (True, None)


@pytest.mark.parametrize(("constant", "word"), [(0.0, "0"), (-1.0, "-1")])
def test_missing_against_one_value_is_guessed(constant, word):
    amount = table()["amount"].where(table()["visits"] > 3)
    row = findings(table(amount=amount.fillna(constant)), table(amount=amount))[1]["amount"]
    assert row["guess"] == f"missing is served as {word}"


def test_missing_in_serving_against_one_value_is_guessed():
    amount = table()["amount"].where(table()["visits"] > 3)
    row = findings(table(amount=amount), table(amount=amount.fillna(0)))[1]["amount"]
    assert row["guess"] == "missing is recomputed as 0"


def test_missing_against_many_values_is_not_guessed():
    amount = table()["amount"].where(table()["visits"] > 3)
    row = findings(table(), table(amount=amount))[1]["amount"]
    assert (row["missing"] > 0, row["guess"]) == (True, None)


def test_a_guess_is_called_one():
    result = run(table(amount=table()["amount"] * 100), table())
    assert "A guess, not a finding:\n  amount: looks like a unit" in result.stdout


# Reports


def page(*options):
    result = run(table(amount=1.0), table(), "--html", "out.html", *options)
    assert result.exit_code == 1
    return Path("out.html").read_text(encoding="utf-8")


def test_text_has_no_colours_and_a_stable_width(monkeypatch):
    plain = run(table(amount=1.0), table()).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert run(table(amount=1.0), table()).stdout == plain
    assert "\x1b" not in plain


def test_text_fits_its_width_whatever_the_names():
    name = "feature_" * 30
    wide = {"amount": name}
    result = run(table(amount=1.0).rename(columns=wide), table().rename(columns=wide))
    rows = result.stdout.split("Not compared")[0].splitlines()
    assert max(map(len, rows[1:20])) <= reports.WIDTH


def test_control_characters_in_names_are_shown_not_obeyed():
    name = {"amount": "a\x1b[2J\nb"}
    result = run(table(amount=1.0).rename(columns=name), table().rename(columns=name))
    assert "a\\x1b[2J\\nb" in result.stdout


def test_the_page_says_the_verdict_in_words():
    text = page()
    assert '<p class="word failed">failed</p>' in text
    assert "<h1>1 of 2 features disagrees between serving and training</h1>" in text


def test_the_page_needs_nothing_else():
    text = page()
    assert not re.search(r"http|<script|<link|<img|@import|url\(|src=", text)


def test_the_page_is_marked_up_for_readers_of_every_kind():
    text = page()
    assert '<html lang="en">' in text
    assert text.count('scope="col"') == 8 + 4
    assert len(re.findall(r"<svg [^>]*aria-hidden", text)) == text.count("<svg") == 3


def test_the_page_escapes_what_comes_from_the_files():
    bad = {"amount": '<script>"x"</script>', "visits": "<b>&"}
    served, recomputed = (
        table(amount="<i>").rename(columns=bad),
        table(amount="&").rename(columns=bad),
    )
    run(served, recomputed, "--html", "out.html")
    text = Path("out.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<i>|<b>&", text)
    assert "&lt;script&gt;&quot;x&quot;&lt;/script&gt;" in text


def test_reports_hold_the_file_names_as_typed_and_no_other_path(folder):
    result = run(table(amount=1), table(), "--html", "out.html", "--json", "out.json")
    texts = [
        result.stdout,
        *(Path(n).read_text(encoding="utf-8") for n in ("out.html", "out.json")),
    ]
    assert not any(str(folder) in text for text in texts)
    assert all("served.parquet" in text for text in texts[1:])


def test_reports_are_the_same_bytes_each_time():
    assert page() == page()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_the_page_has_enough_contrast(scheme):
    light, dark = reports.STYLE.split("@media (prefers-color-scheme: dark)")[:2]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", {"light": light, "dark": dark}[scheme]))
    for ink in ("text", "quiet", "failed", "passed"):
        assert contrast(colours[ink], colours["page"]) >= 4.5, ink


def contrast(one, other):
    """Return the contrast ratio of two colours as WCAG 2 defines it."""
    luminance = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        luminance.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(luminance) + 0.05) / (min(luminance) + 0.05)


def test_json_has_its_keys_in_a_fixed_order():
    content, rows = findings(table(amount=1), table())
    assert list(content) == ["check", "result", "verdict", "asked", "findings", "notes"]
    assert list(rows["amount"]) == (
        "check subject value low high limit failed pairs gap missing first guess".split()
    )


def test_json_holds_what_was_asked():
    content, _ = findings(table(), table(), "--rtol", "0.1")
    assert content["asked"] == {
        "served": "served.parquet",
        "recomputed": "recomputed.parquet",
        "on": ["user_id", "ts"],
        "rtol": 0.1,
        "max_share": 0.01,
    }


def test_json_has_a_row_for_the_keys_and_one_per_feature():
    _, rows = findings(table(), table())
    assert list(rows) == ["user_id, ts", "amount", "visits"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0%"), (1e-9, "<0.01%"), (0.5, "50%"), (0.99999, "100%"), (99, "9,900%"), (np.nan, "")],
)
def test_shares_are_written_as_percentages(value, words):
    assert reports.share(value) == words


def test_help_shows_examples_and_statuses():
    coloured = CliRunner().invoke(audit.app, ["skew", "--help"]).stdout
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", coloured).split())
    assert "mlkit audit skew --served log.parquet" in text
    assert "Exit status: 0" in text


def test_importing_the_audits_loads_nothing_heavy():
    import subprocess
    import sys

    code = "import sys, mlkit.audit; print('pandas' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
