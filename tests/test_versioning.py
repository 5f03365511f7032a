"""Versioning: the data as one table, changes told apart, checks, repairs and scores."""

import numpy as np
import pandas as pd
import pytest

from mlkit import versioning
from mlkit.features import FEATURES
from mlkit.model import fit
from mlkit.params import stream
from mlkit.plots import versioning as figures
from mlkit.tables import content_hash, without_truth
from mlkit.versioning import faults, versions
from mlkit.versioning.runs import CAUSES
from mlkit.versioning.versions import past, told_apart, with_change, with_past

COLUMNS = ["check", "subject", "value", "limit", "failed"]


def inject(world, kind="fix_and_relabel", seed=1, **options):
    """Return the world after a load of a kind."""
    return versioning.inject(world, rng=stream(seed, "versioning"), kind=kind, **options)


def failed(findings):
    """Return check and subject of the findings that failed."""
    rows = findings[findings["failed"]]
    return set(zip(rows["check"], rows["subject"], strict=True))


@pytest.fixture(scope="module")
def loaded(shop):
    """Return the small shop after the lesson's load."""
    return inject(shop)


@pytest.fixture(scope="module")
def rows(shop):
    """Return the training data of the small shop."""
    return past(shop)


# --- versions -------------------------------------------------------------------------------------


def test_past_holds_answered_offers_before_go_live(shop, rows):
    live = shop["decisions"]["offer_id"]
    assert not rows["offer_id"].isin(live).any()
    assert set(rows["period"]) == {"train", "validate", "gap"}
    offers = shop["offers"].set_index("offer_id").loc[rows["offer_id"]]
    assert (offers["accepted"].to_numpy(bool) == rows["accepted"]).all()
    before = shop["offers"].set_index("offer_id").drop(live)["accepted"].notna().sum()
    assert len(rows) == before
    pd.testing.assert_frame_equal(past({**shop, "offers": shop["offers"].iloc[::-1]}), rows)


def test_past_put_back_is_the_world(shop, rows):
    assert content_hash(with_past(shop, rows)) == content_hash(shop)


def test_data_hash_asks_for_content_not_for_order(rows):
    assert versions.data_hash(rows) == versions.data_hash(rows.iloc[::-1])
    other = rows.assign(accepted=rows["accepted"] ^ (rows.index == 3))
    assert versions.data_hash(rows) != versions.data_hash(other)


def test_model_hash_sees_one_number(shop):
    model = fit(shop)
    before = versions.model_hash(model)
    model[-1].intercept_ += 1e-10
    assert versions.model_hash(model) != before


def test_one_change_and_no_other():
    before = pd.DataFrame({"offer_id": [1, 2, 3], "a": [1.0, 2.0, 3.0], "b": [1, 1, 1]})
    after = pd.DataFrame({"offer_id": [3, 1], "a": [30.0, np.nan], "b": [9, 9]})
    mixed = with_change(before, after, "a")
    assert mixed["a"].fillna(-1).tolist() == [-1, 2, 30] and mixed["b"].tolist() == [1, 1, 1]
    with pytest.raises(KeyError, match="after lacks 'c'"):
        with_change(before.assign(c=1), after, "c")


def test_changes_are_judged_one_by_one(shop, loaded, rows):
    table = told_apart(loaded, rows, past(loaded)).set_index("change")
    assert list(table.index) == ["amount_variance", "accepted", versions.TOGETHER]
    only = with_past(shop, rows.assign(accepted=past(loaded)["accepted"]))
    known = shop["decisions"].dropna(subset=["label"])
    by_hand = (fit(only).predict(known[list(FEATURES)]) == known["label"]).mean()
    assert table.loc["accepted", "accuracy"] == pytest.approx(by_hand)
    touched = (past(loaded).drop(columns="offer_id").fillna(-1) != rows.drop(columns="offer_id")
               .fillna(-1)).any(axis=1)  # fmt: skip
    assert table.loc[versions.TOGETHER, "rows"] == touched.sum()


def test_nothing_changed_is_an_empty_table(shop, rows):
    assert told_apart(shop, rows, rows).empty


# --- inject ---------------------------------------------------------------------------------------


def test_load_touches_only_the_past(shop, loaded):
    live = shop["decisions"]["offer_id"]
    for name in ("training", "offers"):
        both = [t[name][t[name]["offer_id"].isin(live)] for t in (shop, loaded)]
        pd.testing.assert_frame_equal(*both)
    pd.testing.assert_frame_equal(shop["served"], loaded["served"])


def test_disputed_answers_are_those_of_idle_customers(rows, loaded):
    changed = rows["accepted"] & ~past(loaded)["accepted"]
    active = rows["days_since_last_purchase"] < 14
    assert changed.any() and not (changed & active).any()
    assert not past(loaded).loc[~active, "accepted"].any()


@pytest.mark.parametrize("severity", [0.3, 0.7])
def test_severity_is_the_share_that_is_touched(shop, rows, severity):
    after = past(inject(shop, severity=severity, column="purchases_30d"))
    assert after["purchases_30d"].isna().mean() == pytest.approx(severity / 2, abs=0.04)
    idle = rows["accepted"] & ~(rows["days_since_last_purchase"] < 14)
    assert (~after.loc[idle, "accepted"]).mean() == pytest.approx(severity, abs=0.08)


def test_runs_write_down_what_they_read(shop, loaded):
    first, second = loaded["runs"].to_dict("records")
    assert first["data"] == versions.data_hash(past(shop))
    assert second["data"] == versions.data_hash(past(loaded))
    assert first["folder"] == second["folder"] and first["rows_read"] == second["rows_read"]
    assert second["model"] == versions.model_hash(fit(loaded))


# --- checks, repair, score ------------------------------------------------------------------------


def test_each_change_is_seen_and_one_is_blamed(shop, loaded):
    found = versioning.detect(shop, loaded)
    seen = {("content", "data"), ("values", "amount_variance"), ("values", "accepted")}
    assert failed(found) == {*seen, ("alone", "accepted")}
    assert not versioning.naive_detect(shop, loaded)["failed"].any()
    assert failed(versioning.detect(loaded, loaded)) == {("content", "data")}


def test_score_says_what_each_change_costs(loaded, rows):
    score = versioning.score(loaded)
    table = told_apart(loaded, rows, past(loaded)).set_index("change")
    assert score["changed"] == pytest.approx(table.loc[versions.TOGETHER, "rows"] / len(rows))
    assert score["labels_loss"] == table.loc["accepted", "loss"] > 0.02
    assert score["column_loss"] == table.loc["amount_variance", "loss"]
    assert score["reproduced"] == 0


@pytest.mark.parametrize(("kind", "cause"), faults.CAUSE.items())
def test_cause_is_named_and_a_pinned_recipe_is_silent(shop, kind, cause):
    twice = inject(shop, kind)
    assert failed(versioning.detect(shop, twice)) == {("rerun", cause)}
    score = versioning.score(twice)
    assert list(CAUSES)[int(score["cause"]) - 1] == cause and score["reproduced"] == 0
    first, second = twice["runs"].to_dict("records")
    assert score["unlike"] == second["unlike"] and first["unlike"] == 0
    assert score["unlike"] > 0.001 or cause in ("threads", "clock")
    assert score["gap"] == pytest.approx(abs(first["offline"] - second["offline"]))
    again = pd.concat([twice["runs"], twice["runs"].tail(1)])
    assert not versioning.detect(shop, {**twice, "runs": again})["failed"].any()
    fixed = versioning.repair(twice)
    assert not versioning.detect(shop, fixed)["failed"].any()
    assert versioning.score(fixed)["reproduced"] == 1


def test_usual_check_sees_lost_rows_types_and_a_fall(shop):
    few = {**shop, "training": shop["training"].iloc[::2]}
    kinds = {**shop, "training": shop["training"].astype({"user_id": "int64"})}
    other = {**shop, "runs": inject(shop)["runs"].assign(folder=["a", "b"])}
    fallen = inject(shop, "blanked", column="avg_amount", blank_share=0.9)
    checks = [{check for check, _ in failed(versioning.naive_detect(shop, suspect))}
              for suspect in (few, kinds, other, fallen)]  # fmt: skip
    assert "rows" in checks[0] and checks[1:] == [{"schema"}, {"folder"}, {"offline"}]


def test_rows_that_went_are_found(shop):
    gone = {**shop, "training": shop["training"].iloc[5:]}
    assert {("content", "data"), ("values", "rows removed")} <= failed(
        versioning.detect(shop, gone)
    )


def test_pinned_is_the_world_again(shop, loaded):
    fixed = versioning.repair(loaded)
    for name in ("training", "offers", "decisions"):
        pd.testing.assert_frame_equal(fixed[name], shop[name])
    assert fixed["runs"]["model"].iloc[-1] == fixed["runs"]["model"].iloc[0]
    assert not versioning.naive_detect(shop, fixed)["failed"].any()
    assert versioning.repair(shop).keys() == shop.keys()


def test_harmless_change_is_kept(shop, loaded):
    third = versioning.repair(loaded, how="keep_harmless")
    assert third["runs"]["folder"].iloc[-1] not in set(loaded["runs"]["folder"])
    kept = past(third)
    assert kept["accepted"].equals(past(shop)["accepted"])
    assert kept["amount_variance"].equals(past(loaded)["amount_variance"])


def test_version_that_was_tampered_with_is_refused(loaded):
    odd = loaded["versions"].assign(accepted=True)
    with pytest.raises(ValueError, match="'first' does not have the content"):
        versioning.repair({**loaded, "versions": odd})


def test_what_cannot_be_pinned_is_said(loaded):
    lost = {name: table for name, table in loaded.items() if name != "versions"}
    with pytest.raises(KeyError, match="lacks 'versions'"):
        versioning.repair(lost)
    with pytest.raises(ValueError, match="rows of the version are gone"):
        versioning.repair({**loaded, "training": loaded["training"].iloc[9:]})


def test_score_needs_no_versions_and_repair_no_truth(shop, loaded):
    clean = versioning.score(shop)
    assert clean["reproduced"] == 1 and clean["labels_loss"] == clean["cause"] == 0
    blind = versioning.repair(without_truth(loaded))
    assert content_hash(blind) == content_hash(without_truth(versioning.repair(loaded)))


@pytest.mark.parametrize(
    ("table", "change", "error", "words"),
    [
        ("decisions", lambda t: t.assign(label=pd.NA), ValueError, "no answer is known yet"),
        ("decisions", lambda t: t.drop(columns="label"), KeyError, "decisions lacks 'label'"),
        ("training", lambda t: pd.concat([t, t]), ValueError, "training: expected one row per"),
        ("training", lambda t: t.astype({"avg_amount": str}), TypeError, "training.avg_amount"),
        ("training", lambda t: t.assign(avg_amount=np.inf), ValueError, "avg_amount: .* infinite"),
        ("training", lambda t: t.iloc[:0], ValueError, "training: expected at least one row"),
        ("runs", lambda t: t.drop(columns="data"), KeyError, "runs lacks 'data'"),
    ],
)
def test_tables_that_are_not_as_expected_are_named(shop, loaded, table, change, error, words):
    with pytest.raises(error, match=words):
        versioning.detect(shop, {**loaded, table: change(loaded[table])})


@pytest.mark.parametrize("options", [{"kind": "lost"}, {"column": "x"}, {"blank_share": 2.0}])
def test_options_out_of_range_are_named(shop, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        versioning.inject(shop, rng=stream(1, "x"), **options)


# --- figures --------------------------------------------------------------------------------------


def test_titles_state_what_the_data_say(loaded, rows):
    scores = pd.DataFrame({"offline": [0.8, 0.9], "production": [0.8, 0.6]}, index=["a", "b"])
    title = figures.before_and_after(scores).get_title()
    assert title == "Retrained: +0.10 by the report, -0.20 in production"
    table = told_apart(loaded, rows, past(loaded))
    ax = figures.told_apart(table, healthy=0.8)
    assert f"accepted alone costs {table['loss'].iloc[1]:.2f}" in ax.get_title()
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [0, 0, 1, 1]
