"""Checks for leakage on plain frames: each finds its leak, is silent without, and never crashes."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pytest

from mlkit.leakage import checks
from mlkit.leakage.columns import codes, kind, moments
from mlkit.params import stream

N = 400
SMALL = 60  # rows of each side in the null controls
SEEDS = range(100, 300)  # not those the limits were chosen on
START = pd.Timestamp("2025-01-01", tz="UTC")
COLUMNS = ["check", "subject", "value", "limit", "failed"]
REGISTRY = {"amount": {"known_after_days": 0}, "visits": {"known_after_days": -1}}
FEATURES = ["amount", "visits", "shop"]


def table(n=N, *, rng=None, **columns):
    """Return rows in order of time, each of an entity of its own, with a label that is noise."""
    rng = rng or np.random.default_rng(5)
    ts = START + pd.to_timedelta(np.arange(n), unit="D")
    return pd.DataFrame(
        {
            "row_id": np.arange(n),
            "user": np.arange(n) + 10_000,
            "ts": ts,
            "amount": np.round(rng.lognormal(3, 1, n), 2),
            "visits": rng.poisson(4, n),
            "shop": rng.choice(["north", "south", "west"], n),
            "label": rng.permutation(np.arange(n) % 2),
            "known": ts + pd.Timedelta(days=7),
            "booked": ts - pd.Timedelta(hours=1),
            **columns,
        }
    )


def split(frame, gap=7):
    """Return an honest split in time: a gap of as many rows as an answer takes days."""
    half = len(frame) // 2
    return frame[: half - gap], frame[half:]


def one(found):
    """Return the only row of findings, after looking at its shape."""
    assert list(found.columns[:5]) == COLUMNS
    assert (len(found), found["failed"].dtype) == (1, bool)
    assert found["failed"].equals(found["value"] > found["limit"])
    return found.iloc[0]


def by_check(found):
    return found.set_index("check")


def full(train, test, **options):
    """Return a report with every check in it."""
    named = {"label": "label", "time": "ts", "entity": "user", "known": "known"}
    book = {**REGISTRY, "shop": {"known_at": "booked"}, "row_id": {"known_after_days": 0}}
    return checks.split_report(
        train, test, **{**named, "registry": book, "production": test, **options}
    )


# The null: nothing is wrong, nothing is said


def test_every_check_is_silent_on_an_honest_split():
    found = full(*split(table()))
    assert set(found["check"]) == {
        *["repeated rows", "shared entities", "time order", "label horizon", "answer first"],
        *["single feature", "availability", "known later", "sampling"],
    }
    assert not found["failed"].any()


def test_small_honest_splits_raise_few_false_alarms():
    """In 200 worlds of 60 rows a side at most 1 in 100 has an alarm (measured: 0 in 300)."""
    alarms = []
    for seed in SEEDS:
        frame = table(2 * SMALL + 7, rng=stream(seed, "null"))
        found = full(
            *split(frame),
            features=FEATURES,
            production=table(500, rng=stream(seed, "production")),
        )
        alarms += [found["failed"].any()]
    assert np.mean(alarms) <= 0.01


def test_coarse_columns_repeat_without_an_alarm():
    alarms = []
    for seed in SEEDS:
        rng = stream(seed, "coarse")
        sides = [
            pd.DataFrame(
                {c: rng.integers(0, k, SMALL) for c, k in zip("abc", (2, 3, 9), strict=True)}
            )
            for _ in range(2)
        ]
        alarms += [one(checks.repeated_rows(*sides, columns=list("abc")))["failed"]]
    assert np.mean(alarms) <= 0.01


def test_customers_without_history_are_a_habit(shop):
    offers = shop["training"].sort_values("prediction_ts")
    columns = [name for name in offers if name not in ("offer_id", "user_id", "prediction_ts")]
    row = one(checks.repeated_rows(offers[:1800], offers[1800:], columns=columns))
    assert not row["failed"]
    assert row["habit"] > 0.001


@pytest.mark.parametrize(("n", "mean"), [(20, 0.60), (100, 0.56)])
def test_columns_without_meaning_have_an_auc_near_half(n, mean):
    """Folds of unlike answers would push the words below, and folding at 0.5 above."""
    words = []
    for seed in SEEDS:
        rng = stream(seed, "words")
        columns = {"word": rng.choice(list("abcdefghijklmnop"), n), "x": rng.normal(size=n)}
        frame = pd.DataFrame({**columns, "y": rng.permutation(np.arange(n) % 2)})
        found = checks.single_feature_power(frame, label="y")
        assert not found["failed"].any()
        words += [found["value"][0]]
    assert np.mean(words) < mean


@pytest.mark.parametrize("n", [20, 60, 1000])
def test_samples_of_one_population_are_alike(n):
    alarms = 0
    for seed in SEEDS:
        rng = stream(seed, "alike")
        sides = [
            pd.DataFrame({"x": rng.normal(size=k), "w": rng.choice(list("abcdefgh"), k)})
            for k in (n, 800)
        ]
        sides[0].loc[::7, "x"] = sides[1].loc[::7, "x"] = np.nan
        alarms += checks.sampling(*sides, columns=["x", "w"])["failed"].sum()
    assert alarms / (2 * len(SEEDS)) <= 0.01


# The leaks


def test_copies_on_both_sides_are_found():
    train, test = split(table())
    row = one(checks.repeated_rows(pd.concat([train, test[:20]]), test, columns=FEATURES))
    assert row["failed"]
    assert (row["value"], row["rows"], row["contents"]) == (0.1, 200, 20)


def test_oversampling_before_the_split_is_found_and_after_it_is_not():
    rng = np.random.default_rng(3)
    frame = table(1000, label=(np.arange(1000) % 20 == 0).astype(int))
    rare = frame[frame["label"] == 1]

    def more(rows):
        return pd.concat([rows, *[rows[rows["label"] == 1]] * 9]).sample(frac=1, random_state=2)

    mixed = more(frame)
    assert len(mixed) == 1000 + 9 * len(rare)
    before = checks.repeated_rows(mixed[:1000], mixed[1000:], columns=FEATURES)
    order = rng.permutation(1000)
    train, test = frame.iloc[order[:700]], frame.iloc[order[700:]]
    after = checks.repeated_rows(more(train), test, columns=FEATURES)
    assert (one(before)["failed"], one(after)["failed"]) == (True, False)


@pytest.mark.parametrize(("digits", "share"), [(0, 0.0), (3, 1.0)])
def test_near_duplicates_are_found_by_rounding(digits, share):
    train = pd.DataFrame({"a": [1234.0, 0.0, -5.67e-9, np.inf, np.nan], "b": [1.0, 2, 3, 4, 5]})
    test = train * (1 + 1e-6)
    test = test.assign(b=[1.0001, 2.0001, 3.0001, 4.0001, 5.0001])
    assert (
        one(checks.repeated_rows(train, test, columns=["a", "b"], digits=digits))["value"] == share
    )


@pytest.mark.parametrize("columns", [FEATURES, ["visits"], ["shop"]])
def test_the_same_table_twice_is_found_however_coarse(columns):
    assert one(checks.repeated_rows(table(), table(), columns=columns))["value"] == 1.0
    assert one(checks.repeated_rows(table(), table(), columns=columns))["failed"]


def test_shared_entities_are_counted():
    train, test = split(table(user=np.arange(N) % 250))
    row = one(checks.shared_entities(train, test, entity="user"))
    both = set(train["user"]) & set(test["user"])
    assert row["failed"]
    assert (row["value"], row["entities"]) == (test["user"].isin(both).mean(), len(both))


def test_an_entity_may_be_named_by_two_columns():
    train = pd.DataFrame({"site": ["a", "a"], "patient": [1, 2]})
    test = pd.DataFrame({"site": ["b", "a"], "patient": [1, 2]})
    assert one(checks.shared_entities(train, test, entity=["site", "patient"]))["value"] == 0.5


def test_rows_without_an_entity_are_a_finding_and_match_nobody():
    frame = table(user=[None, *range(1, N - 1), None])
    found = by_check(checks.shared_entities(*split(frame), entity="user"))
    assert found.loc["shared entities", "value"] == 0
    assert found.loc["no entity", "failed"]


def test_a_random_split_in_time_is_found():
    mixed = table().sample(frac=1, random_state=1)
    row = one(checks.time_order(mixed[:200], mixed[200:], time="ts"))
    first, last = mixed["ts"][200:].min(), mixed["ts"][:200].max()
    assert row["failed"]
    assert row["value"] == (mixed["ts"][:200] >= first).mean()
    assert row["days"] == (last - first).days
    assert row["test_share"] == (mixed["ts"][200:] <= last).mean()


def test_a_tie_with_the_first_test_row_is_out_of_order():
    frame = table(ts=START)
    assert one(checks.time_order(*split(frame), time="ts"))["value"] == 1


def test_one_stray_test_row_is_told_by_its_share():
    train, test = split(table())
    row = one(checks.time_order(train, pd.concat([table()[:1], test]), time="ts"))
    assert row["value"] == 1
    assert row["test_share"] == pytest.approx(1 / 201)


def test_answers_of_the_future_are_found_without_a_gap():
    found = by_check(checks.time_order(*split(table(), gap=0), time="ts", known="known"))
    assert not found.loc["time order", "failed"]
    assert found.loc["label horizon", ["value", "days", "failed"]].tolist() == [7 / 200, 6.0, True]


def test_an_answer_without_a_date_is_not_known():
    train, test = split(table())
    train = train.assign(known=train["known"].where(train.index > 9))
    found = by_check(checks.time_order(train, test, time="ts", known="known"))
    assert found.loc["label horizon", "value"] == 10 / len(train)


def test_swapped_clocks_are_found():
    train, test = split(table().rename(columns={"ts": "known", "known": "ts"}))
    found = by_check(checks.time_order(train, test, time="ts", known="known"))
    assert found.loc["answer first", ["value", "days", "failed"]].tolist() == [1.0, 7.0, True]


LEAKS = {
    "value": lambda y: y * 10 + np.random.default_rng(1).normal(size=len(y)),
    "bins": lambda y: np.where(y, 0, np.random.default_rng(1).choice([-1, 1], len(y))) * 9.0,
    "missing": lambda y: np.where(y, np.random.default_rng(1).normal(size=len(y)), np.nan),
    "categories": lambda y: np.where(y, "closed", "open"),
}


@pytest.mark.parametrize("way", LEAKS)
def test_a_feature_that_holds_the_answer_is_asked_about(way):
    frame = table()
    frame = frame.assign(leak=LEAKS[way](frame["label"].to_numpy()))[["amount", "leak", "label"]]
    found = checks.single_feature_power(frame, label="label").set_index("subject")
    assert found["failed"].to_dict() == {"amount": False, "leak": True}
    assert found.loc["leak", "way"] in {way, "bins"}


@pytest.mark.parametrize(
    "write",
    [
        lambda x: pd.Series(x).astype(str),
        lambda x: START + pd.to_timedelta(x, unit="h"),
        lambda x: (START + pd.to_timedelta(x, unit="h")).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda x: pd.to_timedelta(x, unit="h"),
        lambda x: pd.array(x, "Float32"),
        lambda x: pd.Series([decimal.Decimal(str(v)) for v in x]),
        lambda x: -1e300 * x,
    ],
    ids=["text", "time", "text time", "duration", "nullable", "decimal", "huge"],
)
def test_a_leak_is_found_however_it_is_written(write):
    frame = table()
    strong = frame["label"].to_numpy() * 1000.0 + np.arange(N)
    frame = frame.assign(leak=np.asarray(write(strong), dtype=object))
    for leak in (frame["leak"], frame["leak"].infer_objects()):
        found = checks.single_feature_power(
            frame.assign(leak=leak)[["leak", "label"]], label="label"
        )
        assert one(found)["value"] > 0.99


@pytest.mark.parametrize(
    "label",
    [
        lambda y: y.astype(bool),
        lambda y: y.map({0: "no", 1: "yes"}),
        lambda y: y.astype("category"),
        lambda y: y.astype(str),
        lambda y: y.where(y.index % 3 > 0),
        lambda y: y * 1000.0 + np.arange(len(y)) / 1000,
    ],
    ids=["bool", "words", "category", "text number", "missing", "numbers"],
)
def test_answers_of_any_kind(label):
    frame = table()
    frame = frame.assign(leak=frame["label"] * 2.0, label=label(frame["label"]))
    row = one(checks.single_feature_power(frame, label="label", features=["leak"]))
    assert (row["value"], row["rows"]) == (1.0, frame["label"].notna().sum())


def test_the_auc_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    frame = table().assign(visits=lambda f: f["visits"] + f["label"])
    row = one(checks.single_feature_power(frame, label="label", features=["visits"]))
    assert row["value"] == pytest.approx(roc_auc_score(frame["label"], frame["visits"]), abs=0.03)
    assert row["value"] >= roc_auc_score(frame["label"], frame["visits"])


def test_registry_names_what_is_late_and_what_it_does_not_know():
    book = {"a": {"known_after_days": 0, "note": "x"}, "b": {"known_after_days": 30}}
    book |= {"c": {"known_at": "booked"}, "d": {"known_after_days": float("inf")}}
    found = checks.availability([*"abcde"], book, decision="the loan")
    assert found["failed"].tolist() == [False, True, False, True, True]
    assert found["known"].tolist() == [
        *["known at the loan", "known 30 days after the loan", "known as booked says"],
        *["never known", "not in the registry"],
    ]
    assert checks.known_columns(book) == {"c": "booked"}


def test_values_that_arrived_late_are_counted():
    frame = table(10)
    frame["booked"] = frame["ts"] + pd.to_timedelta([0, 0, 2, 4, -1, -1, -1, 0, 0, 0], unit="D")
    frame.loc[9, "booked"] = pd.NaT
    frame.loc[8, "amount"] = np.nan
    row = one(checks.known_later(frame, time="ts", known={"amount": "booked"}))
    assert row["failed"]
    assert row[["value", "rows", "days", "undated"]].tolist() == [3 / 9, 9, 3.0, 1 / 9]


def test_what_is_known_at_the_decision_itself_is_known():
    assert one(checks.known_later(table(), time="ts", known={"amount": "ts"}))["value"] == 0


def test_a_column_without_any_value_has_nothing_to_be_late():
    frame = table(amount=np.nan, booked=START + pd.Timedelta(days=9999))
    row = one(checks.known_later(frame, time="ts", known={"amount": "booked"}))
    assert row[["value", "rows", "undated"]].tolist() == [0, 0, 0]


def test_a_filtered_test_set_is_found():
    frame = table(2000)
    test = frame[(frame["amount"] - frame["amount"].median()).abs() > 10]
    found = checks.sampling(test, frame, columns=["amount", "visits", "shop"])
    assert found["failed"].tolist() == [True, False, False]
    words = checks.sampling(frame[frame["shop"] != "west"], frame, columns=["shop"])
    assert one(words)["failed"]


def test_unseen_words_and_missing_values_are_differences():
    usual, odd = table(), table(shop="moon", amount=np.nan)
    found = checks.sampling(odd, usual, columns=["shop", "amount"])
    assert found["failed"].tolist() == [True, True]
    assert found["missing"].tolist() == [0, 1]


def test_the_report_finds_all_leaks_at_once_in_its_order():
    mixed = pd.concat([table(), table()[:80]]).sample(frac=1, random_state=1)
    mixed["note"] = np.where(mixed["label"] == 1, "called back", "")
    mixed["booked"] = mixed["ts"] + pd.Timedelta(days=1)
    found = full(mixed[:300], mixed[300:], production=mixed.assign(amount=1e6))
    assert found.loc[found["failed"], "check"].unique().tolist() == [
        *["repeated rows", "shared entities", "time order", "label horizon", "single feature"],
        *["availability", "known later", "sampling"],
    ]


def test_columns_that_number_the_rows_do_not_hide_repeats():
    train, test = split(table())
    train = pd.concat([train, test[:50].assign(row_id=range(9000, 9050), user=range(50))])
    found = checks.split_report(train, test, label="label", time="ts", entity="user")
    assert not by_check(found).loc["repeated rows", "failed"]  # not of the same entity
    found = checks.split_report(
        train, test, label="label", time="ts", features=["row_id", *FEATURES]
    )
    assert by_check(found).loc["repeated rows", "failed"]
    assert checks.without_keys(table(), ["row_id"]) == ["row_id"]


def test_many_rows_take_seconds_and_nothing_is_changed():
    import time

    rng = np.random.default_rng(1)
    frame = table(200_000, rng=rng)
    before = pd.util.hash_pandas_object(frame).sum()
    begin = time.process_time()
    full(*split(frame))
    assert time.process_time() - begin < 10  # about 1; a million rows a side take about 4
    assert pd.util.hash_pandas_object(frame).sum() == before


# Odd input: a finding or one clear line

SAME = {
    "minus zero": ([0.0, 1.5], [-0.0, 1.5]),
    "whole and decimal": ([1, 2], [1.0, 2.0]),
    "missing of another kind": (pd.array([1, None], "Int64"), [1.0, np.nan]),
    "none and nan": (["a", None], ["a", np.nan]),
    "nothing at all": ([None, None], [np.nan, np.nan]),
    "bool and number": ([True, False], [1, 0]),
    "infinity": ([np.inf, -np.inf], [np.inf, -np.inf]),
    "category": (pd.Categorical(["a", "b"]), ["a", "b"]),
    "category of numbers": (pd.Categorical([3, 1]), [3.0, 1.0]),
    "other zone": (
        pd.to_datetime(["2025-01-01T01:00+01:00", None], utc=True).tz_convert("Asia/Kolkata"),
        pd.to_datetime(["2025-01-01T00:00Z", None], utc=True),
    ),
    "date": ([dt.date(2025, 1, 1)] * 2, pd.to_datetime(["2025-01-01"] * 2)),
    "lists": ([[1], [2]], [[1], [2]]),
    "dictionaries": ([{"a": 1}, None], [{"a": 1}, None]),
    "decimal": ([decimal.Decimal("1.5"), None], [1.5, None]),
    "large ids": ([2**63 + 1, 2**63 + 3], [2**63 + 1, 2**63 + 3]),
}


@pytest.mark.parametrize("name", SAME)
def test_values_that_are_equal_compare_equal(name):
    left, right = (pd.Series(side) for side in SAME[name])
    code = codes(left, right)
    assert (code[:2] == code[2:]).all()


OTHER = {
    "neighbours in float64": ([2**62 + 1], np.array([2**62 + 2], "uint64")),
    "text case": (["a"], ["A"]),
    "missing and text": ([None], ["nan"]),
    "missing and zero": ([np.nan], [0.0]),
}


@pytest.mark.parametrize("name", OTHER)
def test_values_that_differ_compare_unequal(name):
    left, right = (pd.Series(side) for side in OTHER[name])
    assert len(set(codes(left, right))) == 2


ODD = {
    "one row": lambda f: f[:1],
    "constant": lambda f: f.assign(amount=1.0, visits=1, shop="a"),
    "all missing": lambda f: f.assign(amount=np.nan, visits=None, shop=None),
    "infinity": lambda f: f.assign(amount=np.where(f["visits"] > 4, np.inf, -np.inf)),
    "lists": lambda f: f.assign(shop=[[v] for v in f["visits"]]),
    "text numbers": lambda f: f.assign(amount=f["amount"].astype(str)),
    "duplicate times": lambda f: f.assign(ts=START, booked=START),
    "other zone": lambda f: f.assign(ts=f["ts"].dt.tz_convert("Asia/Kolkata")),
    "no zone": lambda f: f.assign(ts=f["ts"].dt.tz_localize(None)),
    "text times": lambda f: f.assign(ts=f["ts"].astype(str)),
    "number times": lambda f: f.assign(ts=np.arange(len(f)) * 1.0),
    "no times": lambda f: f.assign(ts=pd.NaT),
    "some times": lambda f: f.assign(ts=f["ts"].where(f["visits"] > 3)),
    "mixed ids": lambda f: f.assign(user=[1, "1"] * (len(f) // 2)),
    "text ids": lambda f: f.assign(user=f["user"].astype(str)),
    "some ids": lambda f: f.assign(user=f["user"].where(f["visits"] > 3)),
    "one answer": lambda f: f.assign(label=1),
    "no answer": lambda f: f.assign(label=None),
    "some answers": lambda f: f.assign(label=f["label"].where(f["visits"] > 3)),
    "mixed answers": lambda f: f.assign(label=[0, "1"] * (len(f) // 2)),
    "words": lambda f: f.assign(label=f["shop"]),
    "dates as answers": lambda f: f.assign(label=f["ts"]),
    "unseen words": lambda f: f.assign(shop="moon"),
    "mixed words": lambda f: f.assign(shop=["a", 1] * (len(f) // 2)),
    "category": lambda f: f.assign(shop=f["shop"].astype("category")),
    "index": lambda f: f.set_axis([0] * len(f)),
    "empty": lambda f: f[:0],
    "no columns": lambda f: f[[]],
    "twice a column": lambda f: pd.concat([f, f[["amount"]]], axis=1),
    "no frame": lambda f: None,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", ["train", "test", "both"])
@pytest.mark.parametrize("name", ODD)
def test_odd_tables_give_findings_or_one_clear_line(name, side):
    train, test = split(table())
    train = train[:192]
    train = ODD[name](train) if side != "test" else train
    test = ODD[name](test) if side != "train" else test
    try:
        found = full(train, test)
    except (ValueError, KeyError, TypeError) as error:
        text = str(error.args[0])
        assert "\n" not in text and len(text) > 30
        assert any(word in text for word in ("expected", "lacks", "unique", "no time zone"))
    else:
        assert found[COLUMNS].notna().all().all()
        assert found["failed"].dtype == bool


REFUSED = {
    "one answer": r"label 'label': expected at least 10 rows of either answer, came",
    "no answer": r"label 'label': expected two answers or numbers, came nothing",
    "mixed answers": r"label 'label': expected two answers or numbers, came a mixture",
    "words": r"label 'label': expected two answers, came 3 such as",
    "dates as answers": r"expected two answers or numbers, came time",
    "no zone": r"train.ts has no time zone, test.ts has one",
    "text times": r"train.ts: expected times or numbers, came text .*pd.to_datetime",
    "number times": r"expected times of one kind",
    "no times": r"train.ts: expected times, came 192 missing values",
    "mixed ids": r"train.user holds a mixture",
    "text ids": r"train.user holds text \(str\), test.user holds number",
    "text numbers": r"train.amount holds text",
    "mixed words": r"train.shop holds a mixture",
    "empty": r"train: expected at least one row",
    "no columns": r"no feature is on both sides|lacks|expected at least one row",
    "twice a column": r"train: column names must be unique",
    "no frame": r"train: expected a DataFrame, came NoneType",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused_with_the_reason(name):
    train, test = split(table())
    with pytest.raises((ValueError, KeyError, TypeError), match=REFUSED[name]):
        full(ODD[name](train[:192]), test)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a, b: checks.repeated_rows(a, b, columns=[]), "at least one column"),
        (lambda a, b: checks.repeated_rows(a, b, columns=["amuont"]), "Closest: .'amount'"),
        (lambda a, b: checks.repeated_rows(a, b, columns=["amount"], digits=-1), ">= 0"),
        (lambda a, b: checks.shared_entities(a, b, entity="usr"), "Closest: .'user'"),
        (lambda a, b: checks.shared_entities(a, b, entity="user", max_share=2), "<= 1"),
        (lambda a, b: checks.time_order(a, b, time="time"), "train lacks 'time'"),
        (lambda a, b: checks.single_feature_power(a, label="label", features=[]), "besides"),
        (lambda a, b: checks.single_feature_power(a, label="label", features=["label"]), "besides"),
        (lambda a, b: checks.single_feature_power(a, label="label", max_auc=0.4), ">= 0.5"),
        (lambda a, b: checks.known_later(a, time="ts", known={}), "came none"),
        (lambda a, b: checks.known_later(a, time="ts", known={"amount": "x"}), "lacks 'x'"),
        (lambda a, b: checks.sampling(a, b, columns=[]), "at least one column"),
        (
            lambda a, b: checks.sampling(
                a.assign(ts=a["ts"].dt.tz_localize(None)), b, columns=["ts"]
            ),
            "sample.ts has no time zone",
        ),
        (lambda a, b: checks.time_order(a, b.assign(ts=np.inf), time="ts"), "one kind"),
        (
            lambda a, b: checks.time_order(a, b.assign(row_id=np.inf), time="row_id"),
            "test.row_id: expected times, came 200 infinite",
        ),
        (lambda a, b: checks.split_report(a, b, label="label", known="known"), "time="),
        (lambda a, b: checks.split_report(a, b, label="label", features=[]), "at least one"),
    ],
)
def test_wrong_options_are_refused(call, words):
    with pytest.raises((ValueError, KeyError, TypeError), match=words):
        call(*split(table()))


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ([], "expected a mapping of features"),
        ({}, "at least one feature"),
        ({"a": 3}, r"registry.a = 3: expected a mapping such as"),
        ({"a": {}}, "expected one of known_after_days, known_at"),
        ({"a": {"known_after_days": 1, "known_at": "x"}}, "expected one of"),
        ({"a": {"known_after_day": 1}}, "did you mean 'known_after_days'"),
        ({"a": {"known_after_days": "soon"}}, "expected a number of days"),
        ({"a": {"known_after_days": True}}, "expected a number of days"),
        ({"a": {"known_after_days": float("nan")}}, "expected a number of days"),
        ({"a": {"known_at": 3}}, "expected the name of a column"),
    ],
)
def test_a_wrong_registry_is_refused(book, words):
    with pytest.raises((ValueError, TypeError), match=words):
        checks.availability(["a"], book)
    with pytest.raises(ValueError, match="came none"):
        checks.availability([], {"a": {"known_after_days": 0}})


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1, 2.5], "number"),
        ([True, None], "number"),
        (["a", None], "text"),
        (["a", 1], "a mixture"),
        ([None], "nothing"),
        ([dt.date(2025, 1, 1), None], "time"),
        ([dt.timedelta(1)], "duration"),
        ([[1]], "text"),
    ],
)
def test_kinds_of_columns(values, what):
    assert kind(pd.Series(values)) == what
    assert kind(pd.Series(values, dtype=object)) == {"duration": "text"}.get(what, what)


def test_moments_keep_microseconds_and_order():
    stamps = START + pd.to_timedelta([2, 1, 1], unit="us")
    (at,) = moments({"ts": pd.Series(stamps)})
    assert (at[0] - at[1], at[1] - at[2]) == (1, 0)
