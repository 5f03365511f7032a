"""Lifecycle rules: the bill by month against the closed form and a day by day count; bad rules."""

import copy

import numpy as np
import pytest

from mlkit.cost.lifecycle import (
    DAYS_PER_MONTH,
    Rules,
    StorageClass,
    bill,
    check_policy,
    from_policy,
    total,
)

CLASSES = {
    "STANDARD": StorageClass(0.023),
    "GLACIER": StorageClass(0.0036, 0.01, 0.03, 90, 32, 8),
    "DEEP_ARCHIVE": StorageClass(0.00099, 0.02, 0.05, 180, 32, 8),
}
BARE = {name: StorageClass(price.per_gb_month) for name, price in CLASSES.items()}
KEEP = Rules((("STANDARD", 0),))
TIERS = Rules((("STANDARD", 0), ("GLACIER", 90), ("DEEP_ARCHIVE", 365)), 2555)
POLICY = {
    "Rules": [
        {
            "ID": "old days",
            "Status": "Enabled",
            "Filter": {"Prefix": "raw/"},
            "Transitions": [
                {"Days": 90, "StorageClass": "GLACIER"},
                {"Days": 365, "StorageClass": "DEEP_ARCHIVE"},
            ],
            "Expiration": {"Days": 2555},
        }
    ]
}


def changed(**fields):
    policy = copy.deepcopy(POLICY)
    policy["Rules"][0].update(fields)
    return policy


def moves(*pairs):
    return [{"Days": day, "StorageClass": name} for day, name in pairs]


@pytest.mark.parametrize("rules", [KEEP, TIERS, Rules((("STANDARD", 0),), 90)], ids=str)
@pytest.mark.parametrize("months", [1, 3, 13, 60, 120])
def test_the_months_add_up_to_the_closed_form(rules, months):
    by_month = bill(rules, BARE, gb_per_day=3.0, months=months)
    assert by_month["storage"].sum() == pytest.approx(
        total(rules, BARE, gb_per_day=3.0, months=months)
    )
    assert by_month[["transition", "retrieval", "early"]].to_numpy().sum() == 0


@pytest.mark.parametrize("rules", [KEEP, TIERS], ids=str)
def test_the_closed_form_is_the_count_day_by_day(rules):
    days, spans = 3650, [*(day for _, day in rules.stays), rules.expires or 10**9]
    counted = 0.0
    for day in range(days):
        age = np.arange(day + 1)
        for (name, start), end in zip(rules.stays, spans[1:], strict=True):
            counted += BARE[name].per_gb_month * ((age >= start) & (age < end)).sum()
    assert total(rules, BARE, months=120) == pytest.approx(counted / DAYS_PER_MONTH, rel=2e-3)


def test_what_is_stored_stops_growing_when_old_days_are_deleted():
    stored = bill(Rules((("STANDARD", 0),), 90), CLASSES, months=12)["gb"]
    assert stored.iloc[-1] == stored.iloc[5] == 90


@pytest.mark.parametrize("gb", [0.1, 1.0, 50.0])
def test_tiers_save_storage_whatever_the_size(gb):
    cheap, dear = (bill(rules, CLASSES, gb_per_day=gb)["storage"].sum() for rules in (TIERS, KEEP))
    assert 0.75 < 1 - cheap / dear < 0.9


def test_trainings_that_reach_into_the_archive_pay_for_it():
    read = {"reads_per_month": 4.0}
    near = bill(TIERS, CLASSES, read_days=90, **read)["retrieval"].sum()
    far = bill(TIERS, CLASSES, read_days=180, **read)["retrieval"]
    assert near == 0
    assert far.iloc[-1] == pytest.approx(4 * 90 * 0.01)


def test_leaving_before_the_minimum_duration_is_paid_to_its_end():
    hasty = Rules((("STANDARD", 0), ("GLACIER", 90), ("DEEP_ARCHIVE", 120)), 300)
    early = bill(hasty, CLASSES, months=60)["early"]
    assert early.iloc[-1] == pytest.approx(60 * 0.0036)
    assert bill(TIERS, CLASSES, months=60)["early"].sum() == 0


def test_small_objects_may_cost_more_in_the_archive():
    archive = Rules((("STANDARD", 0), ("GLACIER", 30)))
    costs = {
        size: bill(archive, CLASSES, object_mb=size).drop(columns=["month", "gb"]).to_numpy().sum()
        for size in (128.0, 0.01)
    }
    keep = bill(KEEP, CLASSES)["storage"].sum()
    assert costs[128.0] < keep < costs[0.01]


def test_a_policy_of_s3_becomes_rules():
    assert from_policy(POLICY) == TIERS
    assert not check_policy(POLICY)["failed"].any()
    assert check_policy(POLICY).columns.tolist() == "check subject value limit failed".split()


@pytest.mark.parametrize(
    ("check", "fields"),
    [
        ("status", {"Status": "on"}),
        ("action", {"Transitions": [], "Expiration": {}}),
        ("action", {"Transitions": "GLACIER", "Expiration": None}),
        ("days", {"Transitions": moves((-1, "GLACIER"))}),
        ("days", {"Transitions": moves((1.5, "GLACIER"))}),
        ("days", {"Transitions": moves((True, "GLACIER"))}),
        ("days", {"Transitions": moves((None, "GLACIER"))}),
        ("days", {"Expiration": {"Days": 0}}),
        ("class", {"Transitions": moves((90, "GLACEIR"))}),
        ("class", {"Transitions": moves((90, ["GLACIER"]))}),
        ("order of days", {"Transitions": moves((365, "GLACIER"), (90, "DEEP_ARCHIVE"))}),
        ("order of classes", {"Transitions": moves((90, "DEEP_ARCHIVE"), (365, "GLACIER"))}),
        ("deleted before moved", {"Expiration": {"Days": 200}}),
        ("sooner than 30 days", {"Transitions": moves((7, "STANDARD_IA"))}),
    ],
)
def test_rules_that_a_store_would_refuse_are_found(check, fields):
    found = check_policy(changed(**fields)).set_index("check")
    assert found.loc[check, "failed"]
    with pytest.raises(ValueError, match="check_policy"):
        from_policy(changed(**fields))


def test_a_rule_without_filter_is_found_and_still_simulated():
    policy = changed()
    del policy["Rules"][0]["Filter"]
    assert check_policy(policy).query("failed")["check"].tolist() == ["filter"]
    assert from_policy(policy) == TIERS


@pytest.mark.parametrize("policy", [None, {}, {"Rules": []}, {"Rules": ["x"]}, {"Rules": "x"}])
def test_what_is_no_policy_is_refused(policy):
    with pytest.raises(ValueError, match="expected {'Rules'"):
        check_policy(policy)


def test_a_policy_in_which_nothing_is_enabled_is_refused():
    with pytest.raises(ValueError, match="Enabled"):
        from_policy(changed(Status="Disabled"))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (Rules((("STANDARD", 0), ("GLACIER", 0))), "each later"),
        (Rules((("STANDARD", 0), ("GLACIER", 90)), 80), "each later"),
        (Rules((("STANDARD", 0),), 0), "each later"),
        (Rules((("STANDARD", 5),)), "expected Rules"),
        (Rules(()), "expected Rules"),
        ("keep", "expected Rules"),
        (Rules((("TAPE", 0),)), "no prices for 'TAPE'; there are STANDARD"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(rules, message):
    for call in (bill, total):
        with pytest.raises(ValueError, match=message):
            call(rules, CLASSES)


@pytest.mark.parametrize("option", [{"gb_per_day": 0.0}, {"object_mb": -1.0}, {"months": 0}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        bill(KEEP, CLASSES, **option)
