"""Compliance: what each erasure leaves, who sees it, erasure by keys, and influence judged."""

import numpy as np
import pandas as pd
import pytest

from mlkit import compliance, model
from mlkit.compliance import faults, influence
from mlkit.compliance.checks import differ, with_key
from mlkit.compliance.pseudonyms import naive_token
from mlkit.params import stream
from mlkit.plots import compliance as figures
from mlkit.tables import content_hash, without_truth

LISTED = set(compliance.BY_HAND)
COPIES = {"served", "export", "tokens", "vectors"}
LEFT = {  # the stores in which people who asked are found
    "hand_list": COPIES,
    "soft_delete": LISTED | COPIES,
    "hashed": {"tokens"},
    "restored": LISTED,
    "log_keeps": {"erasure_log"},
    "too_much": {f"backup_{name}" for name in LISTED | COPIES},
    "not_retrained": set(),
}


@pytest.fixture(scope="module")
def lender(params):
    """Return a small lender's tables."""
    knobs = {**params["worlds"]["loans"], "n": 900}
    return model.make_world("loans", rng=stream(31, "loans", "make"), **knobs)


@pytest.fixture(scope="module")
def broken_by(lender):
    """Return a function that gives the lender after a faulty erasure of twelve, each made once."""
    made = {}

    def act(kind):
        if kind not in made:
            rng = stream(31, "compliance", "inject")
            made[kind] = compliance.inject(lender, rng=rng, kind=kind, n_subjects=12)
        return made[kind]

    return act


def failed(found, check):
    """Return the subjects of a check that failed."""
    return set(found.loc[found["failed"] & (found["check"] == check), "subject"])


def asked(lender, tables):
    """Return the ids of those who asked, by trying everybody."""
    known = set(tables["requests"]["digest"])
    return [i for i in lender["users"]["user_id"] if faults.digest("user_id", str(i)) in known]


# --- the faults and who sees them -----------------------------------------------------------------


@pytest.mark.parametrize("kind", compliance.KINDS)
def test_people_are_found_in_these_stores_and_no_other(kind, lender, broken_by):
    broken = broken_by(kind)
    found = compliance.detect(lender, broken)
    assert failed(found, "left") == LEFT[kind]
    assert failed(found, "others") == (LISTED | COPIES if kind == "too_much" else set())
    assert failed(found, "model") == ({"default"} if kind == "not_retrained" else set())
    assert not compliance.naive_detect(lender, broken)["failed"].any()


@pytest.mark.parametrize("kind", compliance.KINDS)
def test_truth_and_search_agree_on_which_stores_are_right(kind, lender, broken_by):
    broken = broken_by(kind)
    wrong = LEFT[kind] | (LISTED | COPIES if kind == "too_much" else set())
    scores = compliance.score(broken)
    assert scores["production"] == pytest.approx(1 - len(wrong) / len(broken["truth_stores"]))
    if kind != "too_much":  # whoever else went need not be among the known ones
        assert scores["honest"] == pytest.approx(scores["production"])


@pytest.mark.parametrize("kind", compliance.KINDS)
def test_erasure_by_keys_equals_a_lender_who_never_knew_them(kind, lender, broken_by):
    fixed, who = compliance.repair(broken_by(kind)), asked(lender, broken_by(kind))
    assert len(who) == 12
    for name, rows in faults.company(lender).items():
        if not name.startswith("truth_"):
            gone = lender["users"].loc[lender["users"]["user_id"].isin(who), "email"]
            keys = {"user_id": who, "email_sha256": gone.map(naive_token)}
            key = next(k for k in keys if k in rows)
            expected = rows[~rows[key].isin(keys[key])]
            assert content_hash({"t": fixed[name]}) == content_hash({"t": expected}), name
    assert not compliance.detect(lender, fixed)["failed"].any()
    assert compliance.score(fixed)["production"] == 1


def test_erasing_twice_is_erasing_once(broken_by):
    once = compliance.repair(broken_by("hand_list"))
    assert content_hash(compliance.repair(once)) == content_hash(once)


def test_the_list_again_heals_what_was_on_it_and_nothing_else(broken_by):
    again = {
        kind: compliance.repair(broken_by(kind), how="list") for kind in ("restored", "hand_list")
    }
    scores = {kind: compliance.score(tables)["production"] for kind, tables in again.items()}
    assert scores["restored"] == 1
    assert scores["hand_list"] == compliance.score(broken_by("hand_list"))["production"] < 1


@pytest.mark.parametrize("kind", compliance.KINDS)
def test_nobody_who_asked_is_named_but_where_that_is_the_fault(kind, lender, broken_by):
    tables, who = without_truth(broken_by(kind)), asked(lender, broken_by(kind))
    emails = lender["users"].set_index("user_id")["email"].loc[who]
    about = {n: t for n, t in tables.items() if n in (*faults.ABOUT, "erasure_log")}
    text = " ".join(t.to_csv() for t in about.values())
    assert any(mail in text for mail in emails) == (kind == "log_keeps")
    assert not any(naive_token(mail) in text for mail in emails)


def test_key_is_found_in_a_column_of_any_name_and_an_id_with_gaps(lender, broken_by):
    digests, who = broken_by("hand_list")["requests"]["digest"], asked(lender, broken_by("hashed"))
    mail = lender["users"].set_index("user_id")["email"].loc[who[0]]
    strange = pd.DataFrame({"contact": [None, naive_token(mail), mail, "x"], "n": [1, 2, 3, 4]})
    assert with_key(strange, digests).tolist() == [False, True, True, False]
    assert with_key(strange.astype({"contact": "category"}), digests).sum() == 2
    gaps = pd.DataFrame({"user_id": [np.nan, float(who[0]), -1.0]})
    assert with_key(gaps, digests).tolist() == [False, True, False]
    assert with_key(gaps.head(0), digests).tolist() == []


def test_rows_of_others_are_compared_by_content():
    one = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "x", "y"]})
    assert differ(one, one.iloc[::-1]) == 0
    assert differ(one, one.iloc[1:]) == 1
    assert differ(one, one.assign(b=["x", "x", "z"])) == 2
    assert differ(one, one[["a"]]) == 6


@pytest.mark.parametrize("column", ["score", "decision"])
def test_a_changed_row_of_somebody_else_is_seen(column, lender, broken_by):
    fixed = compliance.repair(broken_by("hand_list"))
    log = fixed["decisions"].copy()
    log.loc[0, column] = not log.loc[0, column] if column == "decision" else 0.123
    found = compliance.detect(lender, {**fixed, "decisions": log})
    assert failed(found, "others") == {"decisions"}


def test_a_store_that_is_gone_is_wrong_and_its_others_are_missed(lender, broken_by):
    fixed = without(compliance.repair(broken_by("hand_list")), "vectors")
    found = compliance.detect(lender, fixed)
    assert failed(found, "others") == {"vectors"}
    assert compliance.score(fixed)["production"] == pytest.approx(0.9)


def test_people_without_an_address_are_erased_by_their_other_keys(lender):
    users = lender["users"].copy()
    users.loc[users.index % 2 == 0, "email"] = None
    world = {**lender, "users": users}
    broken = compliance.inject(world, rng=stream(31, "x"), n_subjects=12)
    assert "email_sha256" in set(broken["requests"]["kind"])
    fixed = compliance.repair(broken)
    assert not compliance.detect(world, fixed)["failed"].any()
    assert fixed["tokens"]["email_sha256"].isna().any()


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        ([1], TypeError, "x: expected a DataFrame, came list"),
        (pd.DataFrame({"a": [[1], [2]]}), TypeError, "x.a: expected one value per row"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "x: column names must be unique"),
    ],
)
def test_a_table_that_cannot_be_searched_is_named(table, error, words, lender, broken_by):
    odd = {**broken_by("hand_list"), "x": table}
    for verb in (lambda: compliance.detect(lender, odd), lambda: compliance.repair(odd)):
        with pytest.raises(error, match=words):
            verb()


def test_a_report_a_request_or_a_register_without_its_columns_is_named(lender, broken_by):
    bare = pd.DataFrame({"a": [1]})
    for name in ("stores", "requests", "models"):
        check = compliance.naive_detect if name == "stores" else compliance.detect
        with pytest.raises(KeyError, match=f"{name} lacks"):
            check(lender, {**broken_by("hand_list"), name: bare})


def test_scores_about_the_lender_are_those_of_before_anybody_asks(lender, broken_by):
    clean, broken = compliance.score(lender), compliance.score(broken_by("hand_list"))
    assert set(broken) == {"offline", "honest", "production", "moved", "flipped"} < set(clean)


def test_severity_is_the_share_of_people_who_ask(lender):
    rng = stream(31, "compliance", "inject")
    few = compliance.inject(lender, rng=rng, severity=0.25, n_subjects=12)
    assert len(asked(lender, few)) == 3


def test_everybody_cannot_be_erased_and_tables_are_asked_for(lender):
    all_ = compliance.inject(lender, rng=stream(1, "x"), kind="log_keeps", n_subjects=10_000)
    assert (
        len(all_["erasure_log"]) == len(lender["users"]) - 10
    )  # the ten others whom the search knows
    with pytest.raises(KeyError, match="payments"):
        compliance.inject(without(lender, "payments"), rng=stream(1, "x"))
    with pytest.raises(ValueError, match="two or more, came 1"):
        compliance.inject({**lender, "users": lender["users"].head(1)}, rng=stream(1, "x"))


def without(tables, name):
    """Return the tables but one."""
    return {n: t for n, t in tables.items() if n != name}


# --- influence ------------------------------------------------------------------------------------


@pytest.mark.parametrize("trees", [False, True], ids=["logistic", "trees"])
def test_the_same_rows_give_the_same_model_and_others_do_not(trees, lender):
    table = influence.refits(lender, influence.cases(lender, n_people=3), trees=trees)
    assert list(table.index[2:]) == ["person 1", "person 2", "person 3"]
    assert table.loc["the same rows", ["rows", "largest", "flipped"]].tolist() == [0, 0, 0]
    assert (table["largest"].iloc[1:] > 0).all()
    assert (table["rows"].iloc[1:] >= 1).all()


def test_refit_equals_one_on_tables_that_lack_the_person(lender):
    person = influence.cases(lender)["person 1"]
    table = influence.refits(lender, {"x": person})
    rows = lender["training"][~lender["training"]["user_id"].isin(person)]
    again = model.decide(model.fit({**lender, "training": rows}), lender)
    log = lender["decisions"]
    moved = (again["score"] - log["score"]).abs()[~log["user_id"].isin(person)]
    assert table.loc["x", "largest"] == pytest.approx(moved.max(), abs=2e-6)


def test_one_percent_and_few_people_are_different_borrowers_of_the_past(lender):
    leave, rows = influence.cases(lender, n_people=4), lender["training"]
    alone = [ids[0] for name, ids in leave.items() if name.startswith("person")]
    assert len(set(alone)) == 4 and set(alone) <= set(rows["user_id"])
    assert len(leave["one percent"]) == 1  # of one hundred to two hundred
    everybody = influence.cases(lender, n_people=100_000)
    assert 100 <= len(everybody) - 2 < 200


def test_measures_are_those_of_five_refits(lender):
    measured = influence.measured(lender)
    for kind, trees in (("logistic", False), ("trees", True)):
        table = influence.refits(lender, influence.cases(lender, n_people=5), trees=trees).iloc[2:]
        said = [measured[f"{kind}_{name}"] for name in ("least", "most", "flipped")]
        means = table["mean"]
        assert said == pytest.approx([means.min(), means.max(), table["flipped"].median()])
    assert set(measured) <= set(compliance.score(lender))


def test_own_decisions_of_whoever_is_left_out_do_not_count(lender):
    log = lender["decisions"]
    half = log["user_id"].unique()[: log["user_id"].nunique() // 2]
    alone = {**lender, "decisions": log[~log["user_id"].isin(half)]}
    table = [influence.refits(world, {"half": half}).loc["half"] for world in (lender, alone)]
    pd.testing.assert_series_equal(*table)


def test_flips_tell_least_median_and_most():
    table = pd.DataFrame({"flipped": [0.0, 0.5, 0.1, 0.4, 0.2]}, index=[
        "the same rows", "one percent", "person 1", "person 2", "person 3"])  # fmt: skip
    assert list(influence.flips(table).values()) == [0.0, 0.1, 0.2, 0.4, 0.5]


def test_nobody_left_to_learn_from_is_said(lender):
    with pytest.raises(ValueError, match="all: left out"):
        influence.refits(lender, {"all": lender["users"]["user_id"]})


# --- figures --------------------------------------------------------------------------------------


def test_titles_of_figures_are_counted_from_their_data(lender):
    found = pd.Series({"users": 0, "export": 7, "tokens": 3})
    assert "2 of 3 stores" in figures.left(found, listed=["users"]).get_title()
    looks = {"raw before": ["a"], "raw after": ["a"],
             "decoding before": ["a", "b"], "decoding after": ["a", "b"]}  # fmt: skip
    looks = {name: pd.DataFrame({"store": stores}) for name, stores in looks.items()}
    ax = figures.searches(looks, ["a", "b", "c"], emptied=["b"])
    assert "in 2 of 3 stores; raw bytes show 1" in ax.get_title()
    words = [t.get_text() for t in ax.texts]
    assert words == ["finds", "finds", "", "still", "still", "", "finds", "takes rows", "",
                     "still", *[""] * 5]  # fmt: skip
    table = pd.DataFrame({"mean": [0.0, 0.03, 0.001, 0.004]}, index=[
        "the same rows", "one percent", "person 1", "person 2"])  # fmt: skip
    title = figures.moves({"logistic": table, "trees": table * 2}).get_title()
    assert title.endswith("logistic 4-fold, trees 4-fold")
