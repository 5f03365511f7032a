"""Incidents: the same from the same seed, nothing given away, judged part by part."""

import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from mlkit import cli, incident
from mlkit.incident import judge, plans, ticket
from mlkit.incident.plans import WORDS, Fault, Plan
from mlkit.model import make_world
from mlkit.params import stream
from mlkit.tables import content_hash, read, without_truth

ROOT = Path(__file__).parents[1]
CAUSES = plans.causes(WORDS)
DRAWN = [name for name in CAUSES if name not in plans.NEVER]
BROUGHT = {  # columns and tables that a leak brings along: part of the puzzle
    "training": {"lifetime_avg", "vouchers", "loyalty", "week", "birth_year"}
    | {"income_usd", "region"},
    "loyalty": set(),
    "columns": set(),
}
LOST = {"avg_amount", "amount_variance"}  # for which a lifetime average stands
TOLD = ["drift.concept", "drift.season", "skew.rewrite", "leakage.dimension", "leakage.test_reuse"]
all_causes = pytest.mark.parametrize("name", DRAWN)


def plan(cause="", *, level=2, day=33, **more):
    """Return a plan by hand."""
    dated = cause.partition(".")[0] in plans.DATED
    fault = Fault(cause, 1.0, day if dated else None) if cause else None
    return Plan(3, level, WORDS, fault, **more)


@pytest.fixture(scope="module")
def healthy(params):
    """Return the world of incidents with seed 3."""
    return make_world("shop", rng=stream(3, "incident", "make"), **params["worlds"]["shop"])


@pytest.fixture(scope="module")
def made(healthy):
    """Return a function that gives the incident of a plan, each made once."""
    return cache(lambda plan: plans.befall(plan, healthy))


def run(capsys, monkeypatch, *words):
    """Return status, output and errors of `mlkit incident ...`."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["mlkit", "incident", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code, *capsys.readouterr()


def files(folder):
    """Return the content of every file below a folder."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- what is drawn --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2, 3])
def test_one_incident_in_five_is_none_and_every_other_cause_comes_up(level):
    drawn = Counter(
        p.cause.name if (p := plans.draw(seed, level, WORDS)).cause else "none"
        for seed in range(800)
    )
    possible = {name for name in DRAWN if level > 1 or plans.harm(name) == "yes"}
    assert set(drawn) == {"none", *possible}
    assert 110 < drawn["none"] < 210


def test_level_1_is_an_obvious_one_of_two_suspects():
    drawn = [plans.draw(seed, 1, WORDS) for seed in range(200)]
    for one in drawn:
        assert len(set(one.suspects)) == 2 and not one.lead and not one.twin
        assert one.cause is None or (one.cause.name in one.suspects and one.cause.severity == 1)
    first = [one.cause.name == one.suspects[0] for one in drawn if one.cause]
    assert 0.3 < sum(first) / len(first) < 0.7


def test_level_3_is_partial_with_a_false_lead_of_another_challenge():
    drawn = [one for seed in range(200) if (one := plans.draw(seed, 3, WORDS)).cause]
    for one in drawn:
        assert (one.cause.severity < 1) != (one.cause.name in plans.WHOLE)
        assert bool(one.lead) == (plans.harm(one.cause.name) == "yes")
        assert not one.lead or one.lead.word != one.cause.word
        assert not one.lead or plans.harm(one.lead.name) == "no"


def test_only_the_words_that_were_asked_for():
    for seed in range(100):
        one = plans.draw(seed, 3, ("drift",))
        assert not one.twin and not one.lead and (not one.cause or one.cause.word == "drift")


def test_words_come_in_their_order_however_they_are_given():
    assert incident.plans.words(["drift,skew", "skew"]) == ("skew", "drift")
    assert incident.plans.words(None) == WORDS


# --- what happens ---------------------------------------------------------------------------------


def test_healthy_tables_are_tidy_already(healthy):
    tidy = plans.tidy(healthy)
    assert all(tidy[name].equals(table) for name, table in healthy.items())


@all_causes
def test_good_check_fires(name, made):
    tables = without_truth(made(plan(name)).tables)
    assert plans.lesson(name.partition(".")[0]).detect(tables, tables)["failed"].any()


@pytest.mark.parametrize("twin", ["", *plans.TWINS])
def test_good_checks_are_silent_where_nothing_is_wrong(twin, made):
    tables = without_truth(made(plan(twin=twin)).tables)
    for word in WORDS:
        assert not plans.lesson(word).detect(tables, tables)["failed"].any(), word


@pytest.mark.parametrize("twin", plans.TWINS)
def test_honest_study_looks_like_the_leaking_one(twin, made):
    honest, leaking = (made(p).tables for p in (plan(twin=twin), plan(f"leakage.{twin}")))
    assert {n: list(t) for n, t in honest.items()} == {n: list(t) for n, t in leaking.items()}
    assert honest["plan"].equals(leaking["plan"])


@all_causes
def test_tables_carry_no_trace(name, made):
    healthy, broken = (made(p).tables for p in (plan(), plan(name)))
    for table in broken:
        if table not in healthy:
            assert table in BROUGHT
            continue
        extra = BROUGHT["training"] if table in ("training", "served") else set()
        theirs, mine = healthy[table].dtypes.to_dict(), broken[table].dtypes.to_dict()
        assert set(mine) - set(theirs) <= (extra if "leakage" in name else set())
        assert set(theirs) - set(mine) <= (LOST if name == "leakage.lifetime" else set())
        assert all(theirs[c] == dtype for c, dtype in mine.items() if c in theirs)
        assert isinstance(broken[table].index, pd.RangeIndex)


@all_causes
def test_numbers_of_rows_tell_nothing(name, made):
    tables = made(plan(name)).tables
    for table, key in (("offers", "offer_id"), ("transactions", "txn_id")):
        assert tables[table][key].tolist() == list(range(len(tables[table])))
    assert tables["offers"]["prediction_ts"].is_monotonic_increasing
    assert tables["transactions"]["event_ts"].is_monotonic_increasing
    asked = tables["decisions"].merge(tables["offers"], on="offer_id", validate="1:1")
    assert len(asked) == len(tables["decisions"])
    assert (asked["ts"] == asked["prediction_ts"]).all()
    assert (asked["user_id_x"] == asked["user_id_y"]).all()


@pytest.mark.parametrize("name", ["skew.window", "skew.unit", "drift.nulls", "drift.covariate"])
def test_nothing_happens_before_the_onset(name, made):
    one = made(plan(name))
    healthy, broken = (i.tables["decisions"].drop(columns="offer_id") for i in (made(plan()), one))
    old, new = (log[log["ts"] < one.onset] for log in (healthy, broken))
    pd.testing.assert_frame_equal(old, new)
    assert content_hash({"log": healthy}) != content_hash({"log": broken})


@pytest.mark.parametrize("word", ["drift", "leakage"])
def test_false_lead_is_there_beside_the_cause(word, made):
    lead = Fault("drift.covariate", 1.0, 45) if word == "leakage" else Fault("leakage.scaler")
    cause = {"leakage": "leakage.dimension", "drift": "drift.nulls"}[word]
    tables = made(plan(cause, lead=lead)).tables
    for name in WORDS[1:]:
        assert plans.lesson(name).detect(tables, tables)["failed"].any()


def test_too_short_a_world_is_refused(params):
    knobs = {**params["worlds"]["shop"], "n_days": 150, "n_users": 60}
    with pytest.raises(ValueError, match=r"production lasts \d+ days, an incident needs 70"):
        plans.happen(plan(), knobs)


# --- the folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *TOLD])
def test_folder_holds_no_truth_and_no_name(name, made, tmp_path):
    one = made(plan(name))
    ticket.write_folder(one, tmp_path / "it")
    assert not [p.name for p in (tmp_path / "it").rglob("truth_*")]
    now, before = read(tmp_path / "it/now"), read(tmp_path / "it/before")
    assert set(now) == set(without_truth(one.tables)) and set(before) == {"offers", "decisions"}
    assert not {"probability", "level"} & {c for t in now.values() for c in t}
    texts = [
        (tmp_path / "it" / file).read_text(encoding="utf-8")
        for file in (ticket.TICKET, ticket.STAMP, ticket.DAILY)
    ]
    texts += [" ".join([table, *now[table]]) for table in now]
    texts += [" ".join(now["plan"]["value"]), " ".join(map(str, now["study"]["part"].unique()))]
    names = {kind for known in CAUSES for kind in (known, known.partition(".")[2])}
    told = [kind for kind in names for text in texts if re.search(rf"\b{kind}\b", text, re.I)]
    assert not told


def test_columns_of_the_files_hold_no_name_of_their_own(made, tmp_path):
    ticket.write_folder(made(plan("skew.unit")), tmp_path / "it")
    raw = b"".join(content for content in files(tmp_path / "it").values())
    assert not re.search(rb"skew\.unit|inject|severity|incident\.plans", raw)


def test_before_is_quiet(made):
    one = made(plan("drift.concept", day=plans.ONSETS[0]))
    before = ticket.before(ticket.prepare(one), one.live_from)
    assert before["decisions"]["ts"].max() < one.onset
    assert before["offers"]["offer_id"].tolist() == before["decisions"]["offer_id"].tolist()


def test_ticket_says_what_was_promised_and_what_came(made):
    for name, falls in {"": False, "leakage.dimension": True}.items():
        promised, _, table = ticket.weeks(ticket.prepare(made(plan(name))))
        weighed = (table["study"] * table["answers"]).sum() / table["answers"].sum()
        assert (promised - weighed > 0.04) == falls
    live = ticket.weeks(ticket.prepare(made(plan("skew.unit"))))[2]["live"]
    assert live.iloc[:4].mean() - live.iloc[-2:].mean() > 0.15


def test_dashboard_counts_by_hand(made):
    log = made(plan("drift.nulls")).tables["decisions"]
    table, day = ticket.daily(log), "2025-09-20"
    rows = log[log["ts"].dt.strftime("%Y-%m-%d") == day]
    known = rows.dropna(subset=["label"])
    row = table.loc[day]
    assert row["requests"] == len(rows) and row["answered"] == len(known)
    assert row["accepted"] == round(known["label"].astype(bool).mean(), 4)
    assert row["right"] == round((known["decision"] == known["label"].astype(bool)).mean(), 4)
    assert row["avg_amount_missing"] == round(rows["avg_amount"].isna().mean(), 4) > 0.2


def test_suspects_stand_in_the_ticket_of_level_1_alone(made):
    one = plan("skew.unit", level=1, suspects=("drift.unit", "skew.unit"))
    assert "Two suspects, or neither" in ticket.ticket(made(one))
    assert "Any of the" in ticket.ticket(made(plan("skew.unit")))


def test_another_process_writes_the_same_bytes(tmp_path, params):
    words = ["incident", "--seed", "5", "--level", "3", "--folder", str(tmp_path / "one")]
    done = subprocess.run(
        [sys.executable, "-m", "mlkit", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "is running" in done.stdout and "README.md" in done.stdout
    again = incident.incident(seed=5, level=3, params=params)
    ticket.write_folder(again, tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    other = incident.incident(seed=6, level=3, params=params)
    assert content_hash(other.tables) != content_hash(again.tables)


# --- the judge ------------------------------------------------------------------------------------


def right_answer(one):
    """Return the answer that is right, as words of the command line."""
    name = one.plan.cause.name if one.plan.cause else "none"
    day = f"{one.onset:%Y-%m-%d}" if one.onset is not None else "none"
    return judge.answer(name, day, judge.repairs_of(name)[0], only=WORDS)


@pytest.mark.parametrize("name", ["", "skew.unit", "leakage.lifetime", "drift.concept"])
def test_right_answer_is_right_and_another_is_not(name, made, capsys):
    one = made(plan(name))
    assert incident.judged(one, right_answer(one)) == 0
    assert capsys.readouterr().out.count(" right ") == 3 + 1  # and "the right one"
    wrong = judge.answer("skew.window", "2025-08-20", "recalibrate", only=WORDS)
    assert incident.judged(one, wrong) == 1
    assert capsys.readouterr().out.count(" wrong ") == 3


@pytest.mark.parametrize(("days", "right"), [(0, True), (3, True), (-3, True), (4, False)])
def test_onset_may_be_three_days_off(days, right, made):
    one = made(plan("drift.concept"))
    given = right_answer(one)
    given = given._replace(onset=given.onset + pd.Timedelta(days=days))
    assert judge.verdict(one, given)[1].right == right


def test_a_day_is_wrong_where_there_is_none_and_none_where_there_is_one(made):
    for name, onset in {"": "2025-09-03", "leakage.lifetime": "2025-09-03"}.items():
        given = judge.answer("none", onset, "none", only=WORDS)
        assert not judge.verdict(made(plan(name)), given)[1].right
    given = judge.answer("none", "none", "none", only=WORDS)
    assert not judge.verdict(made(plan("skew.unit")), given)[1].right


@all_causes
def test_smallest_repair_follows_from_harm(name):
    wanted = judge.repairs_of(name)
    assert ("none" in wanted) == (plans.harm(name) != "yes")
    assert len(wanted) == 1 + (plans.harm(name) == "depends")
    assert set(wanted) <= set(incident.REPAIRS)


@pytest.mark.parametrize("name", ["skew.window", "drift.concept", "drift.unit"])
def test_right_repair_is_worth_more_than_none(name, made):
    one = made(plan(name))
    price = judge.cost(one, judge.Answer("none", None, "none"))
    assert price["right"] - price["left"] > 0.05 and price["yours"] == price["left"]


def test_retraining_on_a_bug_is_worth_less_than_mending_it(made):
    price = judge.cost(made(plan("drift.unit")), judge.Answer("drift.concept", None, "retrain"))
    assert price["right"] - price["yours"] > 0.05


def test_repair_of_another_sort_leaves_a_promise_broken(made):
    price = judge.cost(made(plan("leakage.dimension")), judge.Answer("none", None, "retrain"))
    assert price["left"] == price["yours"] > 0.05 > price["right"] + 0.02


def test_false_lead_is_named_when_one_falls_for_it(made, capsys):
    one = made(plan("drift.nulls", lead=Fault("leakage.scaler")))
    incident.judged(one, judge.answer("scaler", "none", "new_study", only=WORDS))
    assert "false lead, for which you fell: leakage.scaler" in capsys.readouterr().out


# --- the command ----------------------------------------------------------------------------------


def test_command_makes_then_judges(capsys, monkeypatch, tmp_path, params):
    words = ["--seed", 2, "--level", 2, "--only", "drift,skew", "--folder", tmp_path / "it"]
    assert run(capsys, monkeypatch, *words)[0] == 0
    assert "--only skew,drift" in (tmp_path / "it/README.md").read_text(encoding="utf-8")
    status, _, error = run(capsys, monkeypatch, *words)
    assert status == 2 and "never overwritten" in error and "--folder" in error
    given = right_answer(incident.incident(seed=2, level=2, only=["skew,drift"], params=params))
    said = ["--cause", given.cause, "--onset", given.onset or "none", "--repair", given.repair]
    before = files(tmp_path)
    assert run(capsys, monkeypatch, *words, *said)[0] == 0
    said[-1] = "as_of"
    status, out, _ = run(capsys, monkeypatch, *words, *said)
    assert status == 1 and "repair  wrong  got as_of, want" in out and "left alone" in out
    assert files(tmp_path) == before


def test_answer_to_a_folder_made_otherwise_is_refused(capsys, monkeypatch, tmp_path):
    (tmp_path / "incident.json").write_text(
        json.dumps({"seed": 2, "level": 2, "only": ["drift"], "tables": "0"}), encoding="utf-8"
    )
    said = ["--cause", "none", "--onset", "none", "--repair", "none", "--folder", tmp_path]
    status, _, error = run(capsys, monkeypatch, "--seed", 2, "--level", 2, *said)
    assert status == 2 and "was made with --only drift" in error
    words = ["--seed", 2, "--level", 2, "--only", "drift"]
    status, _, error = run(capsys, monkeypatch, *words, *said)
    assert status == 2 and "another version or another params.yaml" in error


ALL = {"--seed": 3, "--cause": "none", "--onset": "none", "--repair": "none"}


@pytest.mark.parametrize(
    ("change", "says"),
    {
        "no seed": ({"--seed": None}, "--seed is missing"),
        "seed": ({"--seed": -1}, r"incident.seed = -1: expected a whole number >= 0"),
        "level": ({"--level": 4}, r"incident.level = 4: expected a whole number >= 1 and <= 3"),
        "word": ({"--only": "skew,drfit"}, "'drfit'; did you mean 'drift'"),
        "half": ({"--onset": None}, "half an answer: --onset missing"),
        "a third": ({"--onset": None, "--repair": None}, "--onset and --repair missing"),
        "cause": ({"--cause": "stale_cash"}, "did you mean 'stale_cache'"),
        "cause elsewhere": ({"--only": "skew", "--cause": "concept"}, "one of skew.window"),
        "ambiguous": ({"--cause": "unit"}, "say skew.unit or drift.unit"),
        "day": ({"--onset": "3/9/2025"}, "expected a day such as 2025-09-03, or none"),
        "repair": ({"--repair": "retrian"}, "did you mean 'retrain'"),
    }.values(),
    ids=lambda value: str(value)[:20],
)
def test_bad_input_is_one_line_and_status_2(change, says, capsys, monkeypatch):
    given = {key: value for key, value in {**ALL, **change}.items() if value is not None}
    words = [word for pair in given.items() for word in pair]
    status, out, error = run(capsys, monkeypatch, *words)
    assert status == 2 and error.count("\n") == 1 and re.search(says, error) and not out


def test_folder_below_a_file_is_refused(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    words = ["--seed", 3, "--folder", tmp_path / "file/it"]
    status, _, error = run(capsys, monkeypatch, *words)
    assert status == 2 and "is a file, expected a folder" in error


def test_list_names_every_cause_and_repair(capsys, monkeypatch):
    status, out, _ = run(capsys, monkeypatch, "--list")
    assert status == 0 and all(name in out for name in [*CAUSES, *incident.REPAIRS])
    assert "skew." not in run(capsys, monkeypatch, "--list", "--only", "drift")[1]


def test_help_shows_examples(capsys, monkeypatch):
    status, out, _ = run(capsys, monkeypatch, "--help")
    assert status == 0 and "mlkit incident --seed 3" in out and "--onset 2025-09-03" in out
