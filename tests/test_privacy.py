"""Gallery 10c: pseudonyms, k-anonymity, minimisation, consent, membership inference, reasons."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from mlkit import model
from mlkit.compliance import consent, explain, membership, privacy
from mlkit.compliance.pseudonyms import keyed_token, naive_token
from mlkit.features import LOAN_FEATURES
from mlkit.params import stream
from mlkit.plots import compliance_gallery as figures

FEATURES = list(LOAN_FEATURES)
SEEDS = [300, 301, 302]
KEY = b"k" * 32


@pytest.fixture(scope="module")
def worlds(params):
    """Return loans of three seeds."""
    knobs = params["worlds"]["loans"]
    return [model.make_world("loans", rng=stream(seed, "loans", "make"), **knobs) for seed in SEEDS]


@pytest.fixture(scope="module")
def split(worlds):
    """Return (train, test) of each world."""
    rows = [consent.answered(world) for world in worlds]
    return [tuple(r[r["period"] == p] for p in ("train", "validate")) for r in rows]


@pytest.fixture(scope="module")
def emails(worlds):
    return worlds[0]["users"]["email"]


# --- pseudonyms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("digits", "salt"), [(128, ""), (12, ""), (128, "lender:")])
def test_plain_hashes_are_undone_cut_or_salted(emails, digits, salt):
    tokens = (salt + emails).map(naive_token).str[:digits]
    assert (privacy.undo(tokens, privacy.guesses(3000), salt=salt, digits=digits) == emails).all()


def test_list_does_not_undo_what_is_not_on_it(emails):
    assert privacy.undo(emails.map(naive_token), ["a@b.example"]).isna().all()


def test_key_undoes_keyed_tokens_and_nothing_else_does(emails):
    few = emails.head(200)
    tokens = few.map(partial(keyed_token, key=KEY))
    given = {keyed_token(mail, key=KEY): mail for mail in emails}
    other = few.map(partial(keyed_token, key=b"q" * 32))
    got = privacy.gives((tokens, tokens, other), few, tried=emails, secret=given)
    assert list(got.values()) == [0, 1, 1, 0]


def test_who_is_deleted_from_the_vault_has_no_token_left(emails):
    vault = privacy.vault([*emails, emails[0]], rng=stream(1, "vault"))
    assert vault.is_unique
    assert len(vault) == len(emails)
    assert not privacy.vault(emails, rng=stream(2, "vault")).isin(vault).any()
    assert emails[0] not in vault.drop(emails[0])


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (lambda m: naive_token(m), "token: sha256"),
        (lambda m: naive_token(m).upper(), "token: sha256"),
        (lambda m: naive_token(m)[:10], "token: sha256 (10 digits)"),
    ],
)
def test_dictionary_check_finds_plain_hashes_of_another_column(emails, change, subject):
    messy = " " + emails.str.upper()
    found = privacy.dictionary_check(emails.map(change).rename("token"), values=messy)
    assert found.loc[found["failed"], "subject"].tolist() == [subject]
    assert found.loc[found["failed"], "value"].tolist() == [1.0]


def test_dictionary_check_passes_keyed_tokens(emails):
    tokens = emails.map(partial(keyed_token, key=KEY))
    found = privacy.dictionary_check(tokens, values=emails)
    assert len(found)
    assert not found["failed"].any()


@pytest.mark.parametrize(
    "column",
    [[], [None, np.nan], [1, 2], ["x", 3, None], ["a@b.example"], [pd.Timestamp("2025-01-01")]],
)
def test_dictionary_check_has_nothing_to_say_about_other_columns(column):
    values = pd.Series(column, dtype=object)
    assert privacy.dictionary_check(values, values=["a", None, 3]).empty


def test_dictionary_check_wants_a_column():
    with pytest.raises(TypeError, match="expected a Series, came list"):
        privacy.dictionary_check(["a"], values=["a"])


# --- k-anonymity ----------------------------------------------------------------------------------

TABLE = pd.DataFrame(
    {"region": [1, 1, 1, 2, 2, None, None], "sex": list("FFFMMFF"), "ill": [1, 1, 1, 0, 1, 0, 1]}
)


def test_k_anonymity_of_a_table_counted_by_hand():
    found = privacy.k_anonymity(TABLE, quasi_identifiers=["region", "sex"], k=3, sensitive="ill")
    assert found["value"].round(6).tolist() == [2, 0, round(4 / 7, 6), 1, round(3 / 7, 6)]
    assert found["failed"].tolist() == [True, False, True, True, True]


def test_healthy_table_has_no_finding():
    table = pd.DataFrame({"region": [1] * 6, "ill": [0, 1] * 3})
    found = privacy.k_anonymity(table, quasi_identifiers=["region"], sensitive="ill")
    assert not found["failed"].any()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"quasi_identifiers": ["regions"]}, KeyError, "lacks 'regions'.*Closest"),
        ({"quasi_identifiers": []}, ValueError, "one column at least"),
        ({"sensitive": "sex"}, ValueError, "not the sensitive one"),
        ({"table": TABLE.head(0)}, ValueError, "at least one row"),
        ({"k": 0}, ValueError, "whole number >= 1"),
    ],
)
def test_k_anonymity_says_what_is_wrong(change, error, words):
    given = {"table": TABLE, "quasi_identifiers": ["sex"], **change}
    with pytest.raises(error, match=words):
        privacy.k_anonymity(given.pop("table"), **given)


def test_second_table_names_who_is_unique_until_k_is_five(worlds):
    quasi = ["gender", "birth_year", "region", "income_usd"]
    users = worlds[0]["users"]
    known, hidden = users.head(1500)[["email", *quasi]], users[quasi].assign(who=users["email"])
    met = privacy.link(hidden, known, quasi)
    assert len(met) > 1400
    assert (met["who"] == met["email"]).all()
    coarse, register = (
        privacy.generalise(t, years=10, regions=4, incomes=20_000) for t in (hidden, known)
    )
    crowded = coarse[privacy.class_sizes(coarse, quasi) >= 5]
    assert len(crowded) > 2500
    assert privacy.link(crowded, register, quasi).empty


def test_two_who_look_the_same_are_not_named():
    table = pd.DataFrame({"region": [1, 1, 2, 3]})
    register = pd.DataFrame({"region": [1, 2, 3, 3], "email": list("abcd")})
    assert privacy.link(table, register, ["region"])["email"].tolist() == ["b"]


def test_register_names_everybody_once():
    with pytest.raises(ValueError, match="one row per email"):
        privacy.link(TABLE, TABLE.assign(email="a"), ["sex"])


# --- minimisation and consent ---------------------------------------------------------------------


def test_three_columns_are_enough_and_none_of_them_is_personal(split):
    order = consent.by_worth(split[0][0], [*FEATURES, *consent.PERSONAL])
    assert not set(order[:3]) & set(consent.PERSONAL)
    for train, test in split:
        few, all_of_them = (consent.learned(train, test, order[:n]) for n in (3, 8))
        gained, low, high = consent.gain(test, all_of_them, few, rng=stream(1, "gain"), draws=50)
        assert low <= gained <= high
        assert gained < 0.02
        two = consent.learned(train, test, order[:2])
        assert consent.gain(test, few, two, rng=stream(1, "gain"), draws=50)[0] > 0


def test_bands_cost_less_the_finer_they_are(split):
    for train, test in split:
        aucs = []
        for bands in (2, 16):
            told = consent.rounded_to(pd.concat([train, test]), FEATURES, bands)
            score = consent.learned(told.loc[train.index], told.loc[test.index], FEATURES)
            aucs.append(consent.auc(test["defaulted"], score))
        assert aucs[0] < aucs[1] - 0.02


def test_consent_by_the_answer_biases_the_level_and_at_random_does_not(split):
    for seed, (train, test) in zip(SEEDS, split, strict=True):
        bias = {}
        for cause in ("nothing", "defaulted"):
            rng = stream(seed, "choosy")
            agreed = consent.inject_choosy(train, rng=rng, depends_on=cause)
            assert agreed.mean() == pytest.approx(0.6, abs=0.01)
            found = consent.lopsided(train, test, agreed, rng=rng, draws=5)
            bias[cause] = found["bias"] - found["bias_drawn"]
        assert bias["defaulted"] < -0.1 < -0.08 < bias["nothing"] < 0.08


REGISTER = pd.DataFrame(
    {
        "user_id": [1, 2, 3],
        "purpose": ["scoring", "scoring", "marketing"],
        "given_ts": pd.to_datetime(["2025-01-01"] * 3, utc=True),
        "withdrawn_ts": pd.to_datetime([None, "2025-06-01", None], utc=True),
    }
)


@pytest.mark.parametrize(
    ("at", "purpose", "expected"),
    [
        ("2024-12-31", "scoring", [False, False, False]),
        ("2025-05-31", "scoring", [True, True, False]),
        ("2025-06-01", "scoring", [True, False, False]),
        ("2025-06-01", "marketing", [False, False, True]),
    ],
)
def test_consent_is_valid_for_its_purpose_from_given_to_withdrawn(at, purpose, expected):
    rows = pd.DataFrame({"user_id": [1, 2, 3]})
    moment = pd.Timestamp(at, tz="UTC")
    assert consent.allowed(rows, REGISTER, purpose=purpose, at=moment).tolist() == expected


def test_consent_says_what_is_wrong():
    rows, at = pd.DataFrame({"user_id": [1]}), pd.Timestamp("2025-06-01", tz="UTC")
    with pytest.raises(ValueError, match=r"'score'.*register has marketing, scoring"):
        consent.allowed(rows, REGISTER, purpose="score", at=at)
    twice = pd.concat([REGISTER, REGISTER])
    with pytest.raises(ValueError, match="register of scoring: expected one row per user_id"):
        consent.allowed(rows, twice, purpose="scoring", at=at)


def test_register_of_consents_holds_only_who_agreed(worlds):
    users, until = worlds[0]["users"], pd.Timestamp("2029-01-01", tz="UTC")
    register = consent.consents(users, rng=stream(1, "consents"), until=until)
    scoring = register[register["purpose"] == "scoring"]
    assert set(scoring["user_id"]) == set(users.loc[users["consent"], "user_id"])
    early = consent.consents(users, rng=stream(1, "consents"), until=users["signup_ts"].median())
    assert len(early) < 0.6 * len(register)  # who signed up later is not in it
    register = pd.concat([register, early])
    gone = register.dropna(subset=["withdrawn_ts"])
    assert gone["withdrawn_ts"].between(gone["given_ts"], until).all()


# --- membership -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(split):
    """Return rows, answers, and shadow models of a full forest and of a logistic regression."""
    pool = split[0][0].head(900)
    X, y = pool[FEATURES].to_numpy(), pool["defaulted"].to_numpy()
    makes = membership.learners()
    return (
        X,
        y,
        {
            name: membership.shadows(makes[name], X, y, rng=stream(1, name), models=12)
            for name in ("full forest", "logistic regression")
        },
    )


def test_forest_gives_members_away_to_the_attack_by_row_and_the_control_is_chance(runs):
    mean = membership.attacked(runs[2]["full forest"]).groupby("attack")["found"].mean()
    assert mean["by row"] > 0.08
    assert mean["one threshold"] < 0.02
    assert 0.003 < mean["other model"] < 0.02


def test_average_of_one_threshold_hides_that_it_finds_nobody(runs):
    mean = membership.attacked(runs[2]["full forest"]).groupby("attack").mean()
    assert mean.loc["one threshold", "accuracy"] > 0.6
    assert mean.loc["one threshold", "found"] < 0.02


def test_logistic_regression_gives_nobody_away(runs):
    mean = membership.attacked(runs[2]["logistic regression"]).groupby("attack")["found"].mean()
    assert mean.max() < 0.03


def test_refit_without_the_found_hides_most_of_them(runs):
    X, y, made = runs
    make = membership.learners()["full forest"]
    still = membership.after_deletion(make, X, y, made["full forest"], rng=stream(1, "gone"))
    assert still["theirs"] < 0.35 < still["others"]


def test_attack_does_not_learn_from_the_model_under_attack(runs):
    made = runs[2]["full forest"]
    hidden = made.sure.copy()
    hidden[:2] = 0.5
    blind = membership.Runs(made.members, hidden)
    for apart in (None, 2):
        seen = membership.by_row(made, 0, apart=apart)
        assert (membership.by_row(blind, 0, sure=made.sure[0], apart=apart) == seen).all()


def test_halves_share_the_rows(runs):
    members = runs[2]["full forest"].members
    assert (members[::2] ^ members[1::2]).all()


def test_found_needs_members_and_others():
    with pytest.raises(ValueError, match="both kinds"):
        membership.found(np.arange(3.0), np.ones(3, bool))
    flat = membership.found(np.zeros(10), np.arange(10) < 5)
    assert flat == 0


# --- reasons --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boosted(split):
    """Return (model, known, refused) of each world."""
    made = []
    for train, test in split:
        known, asked = explain.eighths(train[FEATURES]), explain.eighths(test[FEATURES])
        fitted = explain.booster(known, train["defaulted"])
        refused = asked[fitted.decision_function(asked.to_numpy()) >= 0]
        made.append((fitted, known, refused.head(80)))
    return made


def test_contributions_add_up_to_the_log_odds(boosted):
    for fitted, known, refused in boosted:
        for background in (None, known.head(200), explain.near(fitted, known)):
            values, start = explain.contributions(fitted, refused, background=background)
            assert explain.additive_gap(fitted, refused, values, start) < 1e-5


def test_near_are_those_accepted_with_the_least_to_spare(boosted):
    fitted, known, _ = boosted[0]
    raw = fitted.decision_function(known.to_numpy())
    near = fitted.decision_function(explain.near(fitted, known).to_numpy())
    assert len(near) == round(0.1 * (raw < 0).sum())
    assert near.max() == raw[raw < 0].max()


def test_gap_is_seen_when_a_contribution_is_missing(boosted):
    fitted, _, refused = boosted[0]
    values, start = explain.contributions(fitted, refused)
    assert explain.additive_gap(fitted, refused, values.assign(credit_score=0.0), start) > 0.1


def test_background_moves_reasons_more_than_its_sample_does(boosted):
    moved = []
    for fitted, known, refused in boosted:
        backgrounds = (known.iloc[:200], known.iloc[200:400], explain.near(fitted, known))
        one, other, near = (
            explain.reason_codes(explain.contributions(fitted, refused, background=b)[0])
            for b in backgrounds
        )
        moved.append((explain.moved(one, near), explain.moved(one, other)))
    near, sample = np.mean(moved, axis=0)
    assert near > sample


def test_leak_takes_most_of_the_mass(split):
    offered = [*FEATURES, "late_payment_count"]
    for train, test in split:
        leaky = explain.booster(train[offered], train["defaulted"])
        share = explain.mass(explain.contributions(leaky, test[offered])[0])
        assert share.index[0] == "late_payment_count"
        assert share.iloc[0] > 0.6


def test_reasons_are_what_pushed_up_in_order():
    values = pd.DataFrame({"a": [0.1, -1.0], "b": [0.5, 0.2], "c": [-0.3, 0.0]})
    codes = explain.reason_codes(values, top=2)
    assert codes.fillna("").to_numpy().tolist() == [["b", "a"], ["b", ""]]


@pytest.mark.parametrize("name", explain.PROTECTED)
def test_protected_attribute_is_no_reason_and_no_recourse(boosted, name):
    with pytest.raises(ValueError, match="protected attribute"):
        explain.reason_codes(pd.DataFrame({name: [1.0]}))
    fitted, known, refused = boosted[0]
    with pytest.raises(ValueError, match=f"asked to change {name}"):
        explain.recourse(fitted, refused.iloc[0], known, actionable={name: 1})


class Line:
    """A model that refuses where a + b is below 100."""

    def decision_function(self, X):
        return 100 - X.sum(axis=1)


KNOWN = pd.DataFrame({"a": np.arange(101.0), "b": np.arange(101.0)})


def test_recourse_is_the_smallest_change_that_flips():
    row = pd.Series({"a": 60.0, "b": 20.0})
    ways = explain.recourse(Line(), row, KNOWN, actionable={"a": 1, "b": 1})
    assert ways["to"].tolist() == ["82", "42"]
    assert ways["cost"].tolist() == pytest.approx([22 / 101, 22 / 101])
    both = explain.recourse(Line(), row, KNOWN, together=2, actionable={"a": 1, "b": 1})
    assert both["cost"].tolist() == pytest.approx([22 / 101])


def test_steps_lie_beyond_the_value():
    row = pd.Series({"a": 60.0})
    assert explain.steps(row, KNOWN, "a", explain.UP).min() == 62
    assert explain.steps(row, KNOWN, "a", explain.DOWN).max() == 58


def test_recourse_says_where_there_is_none():
    row = pd.Series({"a": 60.0, "b": 20.0})
    ways = explain.recourse(Line(), row, KNOWN, actionable={"a": -1, "b": -1})
    assert ways["cost"].isna().all()


def test_first_reason_is_often_not_the_smallest_way(boosted):
    for fitted, known, refused in boosted:
        some = refused.head(15)
        values = explain.contributions(fitted, some, background=known.head(200))[0]
        reasons = explain.reason_codes(values)[1]
        ways = explain.against_reasons(fitted, some, reasons, known)
        assert (ways["reason"] != ways["cheapest"]).any()
        assert (ways["cost"] <= ways["cost_of_reason"].fillna(9)).all()
        stays = explain.followed(fitted, some, reasons, some.iloc[0])
        assert not stays.iloc[0]


# --- figures --------------------------------------------------------------------------------------

BARS = pd.DataFrame({"one": [0.2, -0.1], "two": [0.1, 0.3]}, index=["a", "b"])
DOTS = [("forest", a, 0.6, 0.02) for a in figures.ATTACKS]


@pytest.mark.parametrize(
    ("draw", "title"),
    [
        (lambda: figures.crowd(BARS.abs().set_axis(["unique", "small"], axis=1), k=5), "20% are"),
        (lambda: figures.pairs(BARS, unit="u", title="t"), "t"),
        (lambda: figures.waterfall(BARS["one"], BARS["two"], start=-0.5), "Most by a: +0.20 of"),
        (lambda: figures.worth({"n": pd.Series({1: 0.5, 3: 0.8})}), "the other 0 bring"),
        (
            lambda: figures.attacks(
                pd.DataFrame(DOTS, columns=["model", "attack", "accuracy", "found"])
            ),
            "2% of the members",
        ),
    ],
)
def test_figure_says_its_finding(draw, title):
    ax = draw()
    assert isinstance(ax, Axes)
    above = ax.figure.get_suptitle() or ax.get_title(loc="left") or ax.get_title()
    assert title in above
