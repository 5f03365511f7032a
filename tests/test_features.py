"""Features: one text, two databases, and a brute-force answer to compare both with."""

import itertools
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit.features import FEATURES, asof_features, feature_sql, run_sql
from mlkit.tables import Tables

ENGINES = ["duckdb", "sqlite"]
NOW = pd.Timestamp("2025-06-01 12:00", tz="UTC")
DAY, SECOND = pd.Timedelta(days=1), pd.Timedelta(seconds=1)


def purchases(*rows: tuple) -> pd.DataFrame:
    """Return transactions of user 1 from rows of (age, amount[, delay of arrival])."""
    full = [(*row, SECOND)[:3] for row in rows]
    events = [NOW - age for age, _, _ in full]
    return pd.DataFrame(
        {
            "txn_id": range(len(full)),
            "user_id": 1,
            "event_ts": events,
            "ingest_ts": [at + late for at, (_, _, late) in zip(events, full, strict=True)],
            "amount_usd": [float(amount) for _, amount, _ in full],
            "category": pd.Categorical([f"c{i % 3}" for i in range(len(full))], ["c0", "c1", "c2"]),
        }
    )


def requests(*users: int, at: pd.Timestamp = NOW) -> pd.DataFrame:
    """Return one request per user at a moment."""
    return pd.DataFrame({"offer_id": range(len(users)), "user_id": users, "prediction_ts": at})


def features(*rows: tuple, engine: str = "duckdb") -> pd.Series:
    """Return the features of user 1 after the given purchases."""
    return asof_features(purchases(*rows), requests(1), engine=engine).iloc[0][list(FEATURES)]


def oracle(transactions: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return the features by a plain loop over requests and rows."""
    return pd.DataFrame([_one(transactions, request) for request in asked.itertuples()])


def _one(transactions, request) -> dict[str, float]:
    at, mine = request.prediction_ts, transactions[transactions["user_id"] == request.user_id]
    known = [row for row in mine.itertuples() if row.event_ts < at and row.ingest_ts <= at]
    known.sort(key=lambda row: (row.event_ts, row.txn_id), reverse=True)
    recent = [row.amount_usd for row in known if at - row.event_ts <= 30 * DAY]
    usual = recent or [row.amount_usd for row in known[:3]]
    codes = list(transactions["category"].cat.categories)
    return {
        "avg_amount": statistics.fmean(usual) if usual else np.nan,
        "amount_variance": statistics.variance(recent) if len(recent) > 1 else np.nan,
        "purchases_30d": len(recent),
        "total_purchases": len(known),
        "days_since_last_purchase": (at - known[0].event_ts) / DAY if known else np.nan,
        "last_category": codes.index(known[0].category) if known else np.nan,
    }


def same(left: pd.DataFrame, right: pd.DataFrame, atol: float = 1e-9) -> None:
    """Fail unless the features of both are equal to 1e-9, missing ones included."""
    left, right = (frame[list(FEATURES)].to_numpy("float64") for frame in (left, right))
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=atol)


@pytest.fixture(scope="module")
def asked(shop: Tables) -> pd.DataFrame:
    """Return 300 offers drawn from the shop."""
    return shop["offers"].sample(300, random_state=5)


# --- the same answer from everybody ---------------------------------------------------------------


def test_both_databases_agree_on_the_whole_shop(shop):
    duck, lite = (asof_features(shop["transactions"], shop["offers"], engine=e) for e in ENGINES)
    same(duck, lite)


@pytest.mark.parametrize("engine", ENGINES)
def test_text_equals_brute_force(shop, asked, engine):
    ours = asof_features(shop["transactions"], asked, engine=engine)
    same(ours, oracle(shop["transactions"], asked), atol=1e-7)


HOURS = st.integers(-2, 2) | st.sampled_from([-24 * 30 - 1, -24 * 30, -24 * 30 + 1, -2000])
ROW = st.tuples(
    st.integers(1, 2),  # user
    HOURS,  # of the purchase, counted from a moment at which requests come too
    st.sampled_from([0, 1, 24 * 40]),  # hours until it arrives
    st.integers(1, 100_000),  # cents
    st.integers(0, 2),  # category
)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(
    st.lists(ROW, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(1, 3), HOURS), min_size=1, max_size=3),
)
def test_text_equals_brute_force_on_any_rows(rows, asked):
    hours = [pd.Timedelta(hours=row[1]) for row in rows]
    transactions = pd.DataFrame(
        {
            "txn_id": range(len(rows)),
            "user_id": [row[0] for row in rows],
            "event_ts": [NOW + age for age in hours],
            "ingest_ts": [
                NOW + age + pd.Timedelta(hours=row[2]) for age, row in zip(hours, rows, strict=True)
            ],
            "amount_usd": [row[3] / 100 for row in rows],
            "category": pd.Categorical.from_codes([row[4] for row in rows], ["a", "b", "c"]),
        }
    )
    moments = [NOW + pd.Timedelta(hours=hour) for _, hour in asked]
    wanted = requests(*(user for user, _ in asked)).assign(prediction_ts=moments)
    for engine in ENGINES:
        ours = asof_features(transactions, wanted, engine=engine)
        same(ours, oracle(transactions, wanted), atol=1e-6)


# --- what counts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_hand_checked_history(engine):
    got = features((40 * DAY, 100), (20 * DAY, 10), (10 * DAY, 20), (2 * DAY, 60), engine=engine)
    assert got.to_dict() == pytest.approx(
        {
            "avg_amount": 30.0,  # of 10, 20, 60
            "amount_variance": 700.0,  # (400 + 100 + 900) / 2
            "purchases_30d": 3.0,
            "total_purchases": 4.0,
            "days_since_last_purchase": 2.0,
            "last_category": 0.0,
        }
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_purchase_at_the_moment_of_the_request_does_not_count(engine):
    assert features((0 * DAY, 10, 0 * DAY), engine=engine)["total_purchases"] == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("late", "counts"), [(0, 1), (1, 0)], ids=["just in time", "too late"])
def test_purchase_counts_once_it_has_arrived(engine, late, counts):
    just_after = DAY + pd.Timedelta(microseconds=late)
    assert features((DAY, 10, just_after), engine=engine)["total_purchases"] == counts


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("older", "counts"), [(0, 1), (1, 0)], ids=["30 days", "a moment more"])
def test_window_ends_after_exactly_30_days(engine, older, counts):
    age = 30 * DAY + pd.Timedelta(microseconds=older)
    assert features((age, 10), engine=engine)["purchases_30d"] == counts


@pytest.mark.parametrize("engine", ENGINES)
def test_latest_of_two_purchases_at_one_time_is_the_one_with_the_larger_id(engine):
    rows = purchases((DAY, 10), (DAY, 20)).iloc[::-1]
    assert asof_features(rows, requests(1), engine=engine)["last_category"].item() == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_idle_user_is_described_by_the_last_three_purchases(engine):
    got = features((90 * DAY, 1000), (80 * DAY, 30), (70 * DAY, 20), (60 * DAY, 10), engine=engine)
    assert got["avg_amount"] == 20
    assert got["purchases_30d"] == 0
    assert np.isnan(got["amount_variance"])


@pytest.mark.parametrize("engine", ENGINES)
def test_user_without_history_has_zero_counts_and_nothing_else(engine):
    got = asof_features(purchases((DAY, 10)), requests(99), engine=engine).iloc[0]
    counts = ["purchases_30d", "total_purchases"]
    assert got[counts].tolist() == [0, 0]
    assert got[[name for name in FEATURES if name not in counts]].isna().all()


@pytest.mark.parametrize("engine", ENGINES)
def test_one_purchase_has_no_variance(engine):
    assert np.isnan(features((DAY, 10), engine=engine)["amount_variance"])


# --- what comes back ------------------------------------------------------------------------------


def test_rows_come_in_the_order_of_the_requests(shop, asked):
    got = asof_features(shop["transactions"], asked)
    pd.testing.assert_frame_equal(
        got[["offer_id", "user_id", "prediction_ts"]],
        asked[["offer_id", "user_id", "prediction_ts"]].reset_index(drop=True),
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_features_are_floats(engine):
    got = asof_features(purchases((DAY, 10)), requests(1), engine=engine)
    assert (got[list(FEATURES)].dtypes == "float64").all()


def test_order_of_purchases_does_not_matter(shop, asked):
    shuffled = shop["transactions"].sample(frac=1, random_state=9)
    ours = asof_features(shuffled, asked)
    same(ours, asof_features(shop["transactions"], asked))


def test_codes_do_for_categories(shop, asked):
    coded = shop["transactions"].assign(category=shop["transactions"]["category"].cat.codes)
    same(asof_features(coded, asked), asof_features(shop["transactions"], asked))


def test_inputs_stay_as_they_were(shop, asked):
    transactions, wanted = shop["transactions"].copy(), asked.copy()
    asof_features(transactions, wanted)
    pd.testing.assert_frame_equal(transactions, shop["transactions"])
    pd.testing.assert_frame_equal(wanted, asked)


def test_repeated_purchase_counts_twice():
    """Whether a repeat is one is a question for the pipeline, not for the feature."""
    twice = pd.concat([purchases((DAY, 10))] * 2)
    assert asof_features(twice, requests(1))["total_purchases"].item() == 2


def test_definitions_can_be_replaced():
    largest = {"largest": "MAX(h.amount_usd)"}
    got = asof_features(purchases((DAY, 10), (DAY, 30)), requests(1), definitions=largest)
    assert got["largest"].item() == 30


def test_text_is_plain_enough_for_any_database():
    words = feature_sql().upper()
    assert not [word for word in ("INTERVAL", "ASOF", "QUALIFY", "STDDEV", "VAR_") if word in words]


# --- what is refused ------------------------------------------------------------------------------

TRANSACTIONS = purchases((DAY, 10), (2 * DAY, 20))
REQUESTS = requests(1, 2)
MIXED = TRANSACTIONS["event_ts"].astype(object).copy()
MIXED.iloc[0] = MIXED.iloc[0].tz_convert("Europe/Berlin")

BAD = {
    "missing column": (
        TRANSACTIONS.drop(columns="ingest_ts"), REQUESTS, KeyError, "transactions lacks 'ingest_ts'"
    ),
    "renamed column": (
        TRANSACTIONS.rename(columns={"amount_usd": "amount"}), REQUESTS, KeyError,
        r"transactions lacks 'amount_usd'.*Renamed upstream\? Closest: \['amount'\]",
    ),
    "renamed key": (
        TRANSACTIONS, REQUESTS.rename(columns={"offer_id": "offer"}), KeyError,
        r"requests lacks 'offer_id'.*Closest: \['offer'",
    ),
    "text for amounts": (
        TRANSACTIONS.astype({"amount_usd": str}), REQUESTS, TypeError,
        r"transactions.amount_usd: expected float, came (str|object).*pd.to_numeric",
    ),
    "float for ids": (
        TRANSACTIONS.astype({"user_id": float}), REQUESTS, TypeError,
        "transactions.user_id: expected int, came float64",
    ),
    "text for categories": (
        TRANSACTIONS.astype({"category": str}), REQUESTS, TypeError,
        "category: expected a categorical or its int codes, came (str|object)",
    ),
    "naive time": (
        TRANSACTIONS.assign(event_ts=TRANSACTIONS["event_ts"].dt.tz_localize(None)), REQUESTS,
        TypeError, r"transactions.event_ts: expected UTC time, came datetime64\[.*utc=True",
    ),
    "naive moment": (
        TRANSACTIONS, REQUESTS.assign(prediction_ts=NOW.tz_localize(None)), TypeError,
        "requests.prediction_ts: expected UTC time",
    ),
    "another zone": (
        TRANSACTIONS, REQUESTS.assign(prediction_ts=NOW.tz_convert("Europe/Berlin")), TypeError,
        "requests.prediction_ts: expected UTC time, came .*Europe/Berlin",
    ),
    "mixed zones": (
        TRANSACTIONS.assign(event_ts=MIXED), REQUESTS, TypeError, "expected UTC time, came object"
    ),
    "no purchases": (
        TRANSACTIONS.iloc[:0], REQUESTS, ValueError, "transactions: expected at least one row"
    ),
    "no requests": (
        TRANSACTIONS, REQUESTS.iloc[:0], ValueError, "requests: expected at least one row"
    ),
    "repeated requests": (
        TRANSACTIONS, pd.concat([REQUESTS, REQUESTS]), ValueError,
        "requests: expected one row per offer_id; 2 rows are repeats",
    ),
    "no frame": (TRANSACTIONS, [1, 2], TypeError, "requests: expected a DataFrame, came list"),
}  # fmt: skip


@pytest.mark.parametrize(("transactions", "asked", "error", "says"), BAD.values(), ids=BAD)
def test_bad_input_is_named(transactions, asked, error, says):
    with pytest.raises(error, match=says):
        asof_features(transactions, asked)


def with_gap(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the frame with the first value of a column missing, ids as nullable integers."""
    nullable = frame.astype({c: "Int64" for c in frame if frame[c].dtype == "int64"})
    return nullable.assign(**{column: nullable[column].mask(nullable.index == 0)})


GAPS = [
    *itertools.product(["transactions"], TRANSACTIONS),
    *itertools.product(["requests"], REQUESTS),
]


@pytest.mark.parametrize(("table", "column"), GAPS, ids=map(".".join, GAPS))
def test_missing_value_is_named(table, column):
    given_ = {"transactions": TRANSACTIONS, "requests": REQUESTS}
    given_[table] = with_gap(given_[table], column)
    with pytest.raises(ValueError, match=rf"{table}\.{column}: expected no missing values, came 1"):
        asof_features(**given_)


def test_other_engine_is_refused():
    with pytest.raises(ValueError, match="engine = 'postgres': expected 'duckdb' or 'sqlite'"):
        run_sql("SELECT 1", engine="postgres")
