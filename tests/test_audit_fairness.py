"""`mlkit audit fairness`: gaps between groups of any file, and what few rows leave open."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_files import save
from typer.testing import CliRunner

from mlkit import audit, model
from mlkit.audit.fairness import _state
from mlkit.compliance import fairness, repairs
from mlkit.features import LOAN_FEATURES
from mlkit.params import stream

USUAL = "--label repaid --decision granted --group gender".split()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, so that file names are as short as a user would type them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def decisions(params):
    """Return a function that makes the decisions of a plain model on a world of loans."""

    def make(preset, *, seed=3000, n=6000):
        knobs = {**params["worlds"]["loans"], **params["presets"]["loans"][preset], "n": n}
        world = model.make_world("loans", rng=stream(seed, "loans", "make"), **knobs)
        past, later = fairness.cases(world)
        fitted = repairs.learn(past)
        score = fitted.predict_proba(later[list(LOAN_FEATURES)].astype(float))[:, 1]
        truth = ~world["truth_applications"].set_index("application_id")["defaulted"]
        return later[["gender", "repaid"]].assign(
            granted=score > 0.5, score=score, truly=truth.loc[later["application_id"]].to_numpy()
        )

    return make


@pytest.fixture(scope="module")
def by_preset(decisions):
    return {name: decisions(name) for name in ("mapping", "noise", "label_bias", "even")}


def table(n=2000, wrong=(0.05, 0.25), share_women=0.5, seed=0):
    """Return decisions that are wrong for a share of men and of women, both kinds alike."""
    rng = np.random.default_rng(seed)
    woman, repaid = rng.random(n) < share_women, rng.random(n) < 0.5
    mistake = rng.random(n) < np.where(woman, wrong[1], wrong[0])
    return pd.DataFrame(
        {"gender": np.where(woman, "F", "M"), "repaid": repaid, "granted": repaid ^ mistake}
    )


def run(frame, *options, name="d.parquet"):
    file = frame if isinstance(frame, str) else save(frame, name)
    return CliRunner().invoke(audit.app, ["fairness", file, *options])


def findings(frame, *options):
    """Return the findings as (check, subject) -> row."""
    result = run(frame, *(options or USUAL), "--json", "out.json")
    assert result.exit_code in (0, 1), result.stderr
    rows = json.loads(Path("out.json").read_text(encoding="utf-8"))["findings"]
    assert result.exit_code == any(row["failed"] for row in rows)
    return {(row["check"], row["subject"]): row for row in rows}


def failed(found):
    return {check for (check, _), row in found.items() if row["failed"]}


# The world of loans


@pytest.mark.parametrize("preset", ["mapping", "noise", "label_bias"])
def test_a_model_that_treats_women_otherwise_is_found(by_preset, preset):
    found = failed(findings(by_preset[preset]))
    assert {"accuracy", "equalized odds"} <= found


def test_even_groups_raise_no_alarm(by_preset, decisions):
    assert not failed(findings(by_preset["even"], *USUAL, "--score", "score", "--max-gap", "0.01"))
    small = [failed(findings(decisions("even", seed=3100 + i, n=1500))) for i in range(4)]
    assert small == [set()] * 4


def test_biased_labels_make_the_table_lie_and_it_says_so(by_preset):
    frame = by_preset["label_bias"]
    assert "accuracy" in failed(findings(frame))
    assert "accuracy" not in failed(findings(frame.assign(repaid=frame["truly"])))
    assert "Whether the labels are right" in run(frame, *USUAL).stdout


# Numbers


def test_every_rate_of_every_group_has_its_interval():
    found = findings(table())
    for group in "MF":
        row = found["size of group", f"gender: {group}"]
        for rate in fairness.RATES:
            assert row[f"{rate}_low"] < row[rate] < row[f"{rate}_high"]


def test_each_gap_is_the_difference_of_its_rate():
    frame = table(share_women=0.3)
    found = findings(frame)
    wrong = frame["repaid"] != frame["granted"]
    by_hand = {
        "demographic parity": frame["granted"],
        "accuracy": wrong,
        "false positives": wrong[~frame["repaid"]],
        "false negatives": wrong[frame["repaid"]],
    }
    gaps = {
        name: abs(np.subtract(*h.groupby(frame["gender"]).mean())) for name, h in by_hand.items()
    }
    assert {name: found[name, "gender"]["value"] for name in gaps} == pytest.approx(gaps)
    odds = found["equalized odds", "gender"]["value"]
    assert odds == pytest.approx(max(gaps["false positives"], gaps["false negatives"]))


def test_intervals_widen_with_the_number_of_comparisons():
    frame = table().assign(side=np.arange(2000) % 2)
    alone = findings(frame)["accuracy", "gender"]
    among = findings(frame, *USUAL, "--group", "side")["accuracy", "gender"]
    assert among["value"] == alone["value"]
    assert among["high"] - among["low"] > 1.05 * (alone["high"] - alone["low"])


@pytest.mark.parametrize(("limit", "state"), [(0.1, "failed"), (0.2, "open"), (0.5, "passed")])
def test_a_gap_fails_passes_or_stays_open(limit, state):
    row = findings(table(), *USUAL, "--max-gap", str(limit))["accuracy", "gender"]
    assert row["state"] == state


def test_a_small_group_is_never_green_in_silence():
    frame = pd.concat([table(500, (0.1, 0.1)), table(30, (1, 1)).assign(gender="X")])
    result = run(frame, *USUAL)
    assert "too few to say: gender: X" in result.stdout.splitlines()[0]
    row = findings(frame)["size of group", "gender: X"]
    assert (row["state"], row["failed"]) == ("too few", False)
    assert row["says"].startswith("13 labels of 0; +-2 points takes ")
    assert findings(frame, *USUAL, "--min-group", "5")["accuracy", "gender"]["failed"]


def test_all_groups_small_is_said():
    found = findings(table(60))
    assert found["accuracy", "gender"]["state"] == "too few"
    assert run(table(60), *USUAL).stdout.startswith("open: no gap could be judged; too few to say")


@pytest.mark.parametrize(("limit", "word"), [(0.1, "failed"), (0.2, "open"), (0.5, "passed")])
def test_what_is_open_is_not_called_passed(limit, word):
    result = run(table(4000), *USUAL, "--max-gap", str(limit), "--json", "out.json")
    assert result.exit_code == (word == "failed")
    assert result.stdout.startswith(f"{word}: ")
    assert json.loads(Path("out.json").read_text(encoding="utf-8"))["result"] == word


def test_a_narrow_gap_does_not_hide_an_open_one():
    """Of three groups two differ by little, surely; the third by less, but nobody knows."""
    sizes, wrong = {"M": 20_000, "F": 20_000, "X": 200}, {"M": 1000, "F": 1200, "X": 11}
    parts = [pd.DataFrame({"gender": g, "i": np.arange(n)}) for g, n in sizes.items()]
    frame = pd.concat(parts, ignore_index=True)
    frame["repaid"] = frame["i"] % 2
    frame["granted"] = frame["repaid"] ^ (frame["i"] < frame["gender"].map(wrong))
    row = findings(frame, *USUAL)["accuracy", "gender"]
    assert (row["state"], round(row["value"], 3)) == ("open", 0.005)


def test_intervals_widen_with_the_number_of_groups_that_are_judged():
    third = table(200, (0.15, 0.15)).assign(gender="X")
    frame = pd.concat([table(4000), third])
    few, many = (
        findings(frame, *USUAL, "--min-group", size)["accuracy", "gender"] for size in ("300", "50")
    )
    assert few["value"] == many["value"]
    assert many["high"] - many["low"] > 1.05 * (few["high"] - few["low"])


def test_a_rate_is_judged_by_the_rows_it_is_a_share_of():
    third = table(200, (0.1, 0.1)).assign(gender="X", repaid=lambda t: t.index >= 20)
    found = findings(pd.concat([table(4000), third]))
    assert "1 group too small" in found["false positives", "gender"]["says"]
    assert "too small" not in found["accuracy", "gender"]["says"]


def test_a_ratio_of_grants_has_its_interval():
    at = np.arange(1000)
    groups = [pd.DataFrame({"gender": g, "granted": at < n}) for g, n in (("M", 500), ("F", 300))]
    frame = pd.concat(groups).assign(repaid=np.tile([0, 1], 1000))
    says = findings(frame)["demographic parity", "gender"]["says"]
    # logarithms, 95 % for four gaps together: 0.6 * exp(+-2.498 * 0.0577)
    assert says.endswith("ratio 0.60 (0.52 to 0.69)")


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(-0.06, 0.0, "open"), (-0.06, -0.03, "failed"), (-0.02, 0.02, "passed"), (0.0, 0.06, "open")],
)
def test_a_difference_has_two_sides(low, high, state):
    assert _state(fairness.Gap((low + high) / 2, low, high), 0.02) == state


def test_equal_scores_are_not_parted_by_their_place_in_the_file():
    frame = table(3000, (0.1, 0.1)).sort_values("repaid").assign(score=0.5)
    found = findings(frame, *USUAL, "--score", "score")
    assert {found["calibration", f"gender: {g}"]["state"] for g in "MF"} <= {"open", "passed"}


def test_crossed_values_with_commas_stay_apart():
    four = [("a", "b, c"), ("a, b", "c"), ("a", "c"), ("a, b", "b, c")]
    frame = table(4000).join(pd.DataFrame(four * 1000, columns=["race", "side"]))
    found = findings(frame, *USUAL[:4], "--group", "race,side")
    assert sum(s.startswith("race x side: ") for check, s in found if check == "size of group") == 4


def test_crossed_groups_show_what_each_attribute_hides():
    frame = table(8000, (0.05, 0.05)).assign(side=np.arange(8000) % 2)
    hit = (frame["gender"] == "F") == (frame["side"] == 1)
    frame["granted"] ^= hit & (np.arange(8000) % 5 == 0)
    found = findings(frame, *USUAL, "--group", "side")
    bad = {subject for (check, subject), row in found.items() if row["failed"]}
    assert bad == {"gender x side"}


@pytest.mark.parametrize(("shift", "bad"), [(0.0, set()), (0.2, {"gender: F"})])
def test_a_score_is_held_against_what_happened_in_each_group(shift, bad):
    rng = np.random.default_rng(1)
    woman, score = rng.random(9000) < 0.5, rng.uniform(0.1, 0.9, 9000)
    frame = pd.DataFrame({"gender": np.where(woman, "F", "M"), "score": score})
    frame["repaid"] = rng.random(9000) < np.clip(score - shift * woman, 0, 1)
    frame["granted"] = score > 0.5
    found = findings(frame, *USUAL, "--score", "score")
    assert {s for (check, s), row in found.items() if row["failed"] and ": " in s} == bad


def test_missing_labels_and_attributes_are_counted():
    frame = table().assign(repaid=lambda t: t["repaid"].astype("boolean"))
    frame.loc[~frame["granted"], "repaid"] = pd.NA
    frame.loc[:199, "gender"] = None
    result = run(frame, *USUAL)
    assert result.exit_code == 1
    found = findings(frame)
    assert found["no attribute", "gender"]["value"] == 0.1
    assert found["no attribute", "gender"]["failed"]
    assert found["no label yet", "repaid"]["value"] == pytest.approx((~frame["granted"]).mean())
    assert "error rates are about those whose outcome was seen" in " ".join(result.stdout.split())
    assert not findings(frame, *USUAL, "--max-missing", "0.2")["no attribute", "gender"]["failed"]


def test_a_decision_that_means_the_opposite_is_asked_about():
    frame = table().assign(granted=lambda t: ~t["granted"])
    assert "is 1 in one of them what 0 is in the other?" in run(frame, *USUAL).stdout
    assert "A question" not in run(table(), *USUAL).stdout


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.parquet"])
def test_formats_and_types_say_the_same(name):
    expected = findings(table())
    for change in (lambda c: c, lambda c: c.astype("int8"), lambda c: c.astype("float64")):
        frame = table().assign(granted=change(table()["granted"]))
        frame["repaid"] = change(frame["repaid"]).astype("object").mask(frame.index < 0)
        assert findings(save(frame, name)) == expected


# Bad input


@pytest.mark.parametrize(
    ("change", "options", "message"),
    {
        "no column": (lambda t: t, ["--label", "repayd", *USUAL[2:]], "Closest: ['repaid']"),
        "no attribute": (lambda t: t.drop(columns="gender"), USUAL, "lacks 'gender'"),
        "empty group": (
            lambda t: t.astype({"gender": pd.CategoricalDtype(["F", "M", "X"])}),
            USUAL,
            "gender: no row of ['X']",
        ),
        "one group": (lambda t: t.assign(gender="F"), USUAL, "2 to 50 values, came 1"),
        "all missing": (lambda t: t.assign(gender=None), USUAL, "2 to 50 values, came 1"),
        "no attribute but a key": (lambda t: t.assign(gender=t.index), USUAL, "came 2000"),
        "single class": (lambda t: t.assign(repaid=True), USUAL, "outcomes of both kinds"),
        "no labels": (lambda t: t.assign(repaid=np.nan), USUAL, "came 0 labels"),
        "scores": (lambda t: t.assign(granted=0.3), USUAL, "granted: expected true and false"),
        "words": (lambda t: t.assign(repaid="yes"), USUAL, "came ['yes']"),
        "infinite": (lambda t: t.assign(repaid=np.inf), USUAL, "repaid: expected true and"),
        "no decision": (
            lambda t: t.assign(granted=t["granted"].astype("object").mask(t.index < 3)),
            USUAL,
            "3 rows without a decision",
        ),
        "infinite score": (
            lambda t: t.assign(s=np.inf),
            [*USUAL, "--score", "s"],
            "2000 of 2,000 missing or not from 0 to 1",
        ),
        "points": (lambda t: t.assign(s=650), [*USUAL, "--score", "s"], "probability"),
        "no rows": (lambda t: t.iloc[:0], USUAL, "at least one row"),
        "twice": (lambda t: t, [*USUAL, "--score", "granted"], "one column for each role"),
        "limit": (lambda t: t, [*USUAL, "--max-gap", "2"], "max_gap"),
        "level": (lambda t: t, [*USUAL, "--level", "1"], "level"),
        "file": (lambda t: t, [*USUAL, "--html", "d.parquet"], "read or written already"),
    }.values(),
)
def test_bad_input_is_one_line(change, options, message):
    result = run(change(table()), *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr


def test_page_needs_nothing_else_and_escapes_what_it_shows():
    frame = table().assign(gender=lambda t: t["gender"].replace("F", "<script>alert(1)</script>"))
    run(frame, *USUAL, "--html", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page
    assert "How each group fares" in page
