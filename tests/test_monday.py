"""Tests to paste: short, pandas alone, red on broken files and green on healthy ones."""

import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlkit import CHALLENGES
from mlkit.compliance.pseudonyms import keyed_token
from mlkit.monday import compliance as forgotten
from mlkit.monday import cost as cheaper
from mlkit.monday import dualmode as streams
from mlkit.monday import governance as deliveries
from mlkit.monday import orchestration as loads
from mlkit.monday import scale as incremental
from mlkit.monday import skew as monday
from mlkit.monday import versioning as versions
from mlkit.params import stream

FOLDER = Path(__file__).parents[1] / "mlkit/monday"
PASTES = sorted({*CHALLENGES, "versioning", "orchestration", "governance", "compliance"})
NAMES = {"user_id": "customer", "prediction_ts": "asked_at"}
NAMES |= {"avg_amount": "basket", "purchases_30d": "visits"}


@pytest.mark.parametrize("word", PASTES)
def test_paste_needs_pandas_alone(word):
    tree = ast.parse((FOLDER / f"{word}.py").read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = [getattr(node, "module", None) or node.names[0].name for node in found]
    assert [name for name in modules if name not in sys.stdlib_module_names] == ["pandas"]


@pytest.mark.parametrize("word", PASTES)
def test_paste_has_at_most_20_lines(word):
    text = (FOLDER / f"{word}.py").read_text(encoding="utf-8")
    body = ast.get_source_segment(text, ast.parse(text).body[-1])
    assert body.startswith("def test_")
    assert len(body.splitlines()) <= 20
    assert importlib.import_module(f"mlkit.monday.{word}").__doc__


@pytest.fixture
def files(tmp_path, monkeypatch, shop, broken):
    """Return a function that lays the two files of a skew test into the current folder."""
    monkeypatch.chdir(tmp_path)

    def lay(served):
        for name, table in {"served": served, "recomputed": shop["training"]}.items():
            table[list(NAMES)].rename(columns=NAMES).to_csv(f"{name}.csv", index=False)

    return lay


def test_skew_is_red_on_the_broken_shop(files, broken):
    files(broken["served"])
    with pytest.raises(AssertionError, match="basket: .* served otherwise"):
        monday.test_served_features_are_those_of_training()


def test_skew_is_green_on_the_healthy_shop_in_any_order(files, shop):
    files(shop["served"].sample(frac=1, random_state=1))
    monday.test_served_features_are_those_of_training()


def test_skew_counts_lost_requests(files, shop):
    files(shop["served"].iloc[5:])
    with pytest.raises(AssertionError, match="5 requests were never logged"):
        monday.test_served_features_are_those_of_training()


def test_skew_sees_zero_for_missing(files, shop):
    shifted = shop["served"].copy()
    shifted["avg_amount"] = shifted["avg_amount"].mask(shifted["purchases_30d"] == 0)
    files(shifted)
    with pytest.raises(AssertionError, match="basket"):
        monday.test_served_features_are_those_of_training()


# Cost: the same features for less


@pytest.fixture
def cheaper_files(tmp_path, monkeypatch, shop):
    """Return a function that lays features before and after, and a listing of the files."""
    monkeypatch.chdir(tmp_path)
    old = shop["training"][list(NAMES)].rename(columns=NAMES)

    def lay(change=lambda table: table, sizes=(40_000_000, 30_000_000)):
        old.to_csv("old.csv", index=False)
        change(old.copy()).to_csv("new.csv", index=False)
        pd.DataFrame({"name": range(len(sizes)), "bytes": sizes}).to_csv("files.csv", index=False)

    return lay


def test_cost_is_green_in_any_order_of_rows_and_columns(cheaper_files):
    cheaper_files(lambda old: old.sample(frac=1, random_state=1)[old.columns[::-1]])
    cheaper.test_the_cheaper_features_are_the_same()


def test_cost_is_green_when_sums_differ_in_their_last_bits(cheaper_files):
    cheaper_files(lambda old: old.assign(basket=old["basket"] * (1 + 1e-15)))
    cheaper.test_the_cheaper_features_are_the_same()


def test_cost_is_green_when_whole_numbers_are_written_with_a_point(cheaper_files):
    cheaper_files(lambda old: old.assign(visits=old["visits"].astype("float64")))
    cheaper.test_the_cheaper_features_are_the_same()
    cheaper_files(lambda old: old.assign(visits=old["visits"].astype("int64")))
    cheaper.test_the_cheaper_features_are_the_same()


@pytest.mark.parametrize(
    ("cheat", "message"),
    {
        "a dropped column": (lambda old: old.drop(columns="visits"), "one side only.*visits"),
        "late rows skipped": (lambda old: old.iloc[:-3], "rows before"),
        "a sample": (
            lambda old: old.sample(len(old), replace=True, random_state=1),
            "not those of before",
        ),
        "a stale cache": (
            lambda old: old.assign(visits=old["visits"].where(old.index > 5, old["visits"] + 1)),
            "rows are not those of before",
        ),
        "values lost": (lambda old: old.assign(basket=old["basket"].mask(old.index < 5)), "rows"),
    }.values(),
)
def test_cost_is_red_on_every_cheat(cheaper_files, cheat, message):
    cheaper_files(cheat)
    with pytest.raises(AssertionError, match=message):
        cheaper.test_the_cheaper_features_are_the_same()


def test_cost_is_red_on_many_small_files(cheaper_files):
    cheaper_files(sizes=[8_000] * 180)
    with pytest.raises(AssertionError, match="180 files where 1 would do"):
        cheaper.test_the_cheaper_features_are_the_same()


def test_cost_is_green_on_one_small_file(cheaper_files):
    cheaper_files(sizes=[8_000])
    cheaper.test_the_cheaper_features_are_the_same()


# Scale: incremental equals full


@pytest.fixture
def kept_files(tmp_path, monkeypatch):
    """Return a function that lays a log of purchases, corrected and deleted, and what is kept."""
    monkeypatch.chdir(tmp_path)
    rng = stream(0, "test", "monday", "scale")
    n = 2000
    first = pd.DataFrame(
        {
            "purchase": np.arange(n),
            "customer": rng.integers(0, 200, n),
            "amount": rng.lognormal(3, 1, n).round(2),
            "written_at": pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(n), "h"),
            "deleted": False,
        }
    )
    later = {"written_at": pd.Timestamp("2026-01-01")}
    corrected = first.iloc[:100].assign(amount=9.5, **later)
    gone = first.iloc[100:150].assign(deleted=True, **later)
    log = pd.concat([first, corrected, gone, first.iloc[900:950]], ignore_index=True)
    log.sample(frac=1, random_state=1).to_csv("log.csv", index=False)

    def lay(counted):
        sums = counted.groupby("customer")["amount"].agg(visits="count", spent="sum")
        sums.reset_index().to_csv("kept.csv", index=False)

    return lay, log, pd.concat([corrected, first.iloc[150:]])


def test_scale_is_green_when_corrections_and_deletions_are_carried_out(kept_files):
    lay, _, valid = kept_files
    lay(valid)
    incremental.test_incremental_equals_full_on_a_sample()


@pytest.mark.parametrize(
    "fault",
    {
        "a day run twice": lambda log, valid: pd.concat([valid, valid.iloc[-24:]]),
        "late rows skipped": lambda log, valid: valid.iloc[:-24],
        "deletions and corrections not seen": lambda log, valid: log[~log["deleted"]],
        "customers lost": lambda log, valid: valid[valid["customer"] > 5],
        "customers nobody knows": lambda log, valid: pd.concat(
            [valid, valid.assign(customer=valid["customer"] + 1000)]
        ),
    }.values(),
)
def test_scale_is_red_when_the_merge_is_wrong(kept_files, fault):
    lay, log, valid = kept_files
    lay(fault(log, valid))
    with pytest.raises(AssertionError, match="of customers differ"):
        incremental.test_incremental_equals_full_on_a_sample()


# Dual mode: stream equals replay


@pytest.fixture
def stream_files(tmp_path, monkeypatch):
    """Return a function that lays a log with late and repeated charges, and what was served."""
    monkeypatch.chdir(tmp_path)
    rng = stream(0, "test", "monday", "dualmode")
    n = 3000
    happened = pd.Timestamp("2025-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 86400, n)), "s")
    log = pd.DataFrame(
        {
            "charge": np.arange(n),
            "card": rng.integers(0, 20, n),
            "happened_at": happened,
            "arrived_at": happened + pd.to_timedelta(rng.exponential(30, n), "s"),
        }
    )
    again = log.sample(frac=0.05, random_state=1)
    again = again.assign(arrived_at=again["arrived_at"] + pd.Timedelta(seconds=40))
    log = pd.concat([log, again]).sort_values("arrived_at", ignore_index=True)
    log.to_csv("log.csv", index=False)
    asked = log.drop_duplicates("charge")[["charge", "card", "happened_at"]]
    asked = asked.set_axis(["request", "card", "asked_at"], axis=1)

    def lay(rows=None, by="happened_at"):
        rows = log.drop_duplicates("charge") if rows is None else rows
        asked["charges_5m"] = [
            int(
                (
                    (rows["card"] == card)
                    & (rows["arrived_at"] <= at)
                    & (rows["happened_at"] < at)
                    & (rows[by] >= at - pd.Timedelta(minutes=5))
                ).sum()
            )
            for card, at in zip(asked["card"], asked["asked_at"], strict=True)
        ]
        asked.to_csv("served.csv", index=False)

    return lay, log


def test_dualmode_is_green_when_ids_count_once(stream_files):
    stream_files[0]()
    streams.test_the_stream_counts_as_a_replay_of_the_log_does()


def test_dualmode_is_red_when_repeated_charges_count_twice(stream_files):
    lay, log = stream_files
    lay(rows=log)
    with pytest.raises(AssertionError, match="counted otherwise"):
        streams.test_the_stream_counts_as_a_replay_of_the_log_does()


def test_dualmode_is_red_when_windows_are_cut_by_arrival(stream_files):
    stream_files[0](by="arrived_at")
    with pytest.raises(AssertionError, match="counted otherwise"):
        streams.test_the_stream_counts_as_a_replay_of_the_log_does()


def test_dualmode_is_red_when_charges_are_lost(stream_files):
    lay, log = stream_files
    lay(rows=log.drop_duplicates("charge").iloc[::2])
    with pytest.raises(AssertionError, match="counted otherwise"):
        streams.test_the_stream_counts_as_a_replay_of_the_log_does()


def test_dualmode_is_red_when_nothing_was_counted(stream_files):
    stream_files[0]()
    pd.read_csv("served.csv").assign(charges_5m=np.nan).to_csv("served.csv", index=False)
    with pytest.raises(AssertionError, match="counted otherwise"):
        streams.test_the_stream_counts_as_a_replay_of_the_log_does()


# Versioning: the recorded version


@pytest.fixture
def recorded_files(tmp_path, monkeypatch):
    """Return a table and a function that lays it; versions.csv holds what it was at first."""
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(
        {"customer": [1, 2, 2, 4], "city": ["Bern", "", "NA", "Ulm"], "spent": [0.1, 2.0, 2.0, 3.5]}
    )
    table.to_csv("train.csv", index=False)
    record(0, "")
    with pytest.raises(AssertionError, match="train") as raised:
        versions.test_the_tables_are_the_recorded_versions()
    record(*str(raised.value).split()[-2:])  # as a user copies it

    def lay(change):
        change(table.copy()).to_csv("train.csv", index=False)

    return lay


def record(rows, content):
    pd.DataFrame({"table": ["train"], "rows": [rows], "content": [content]}).to_csv(
        "versions.csv", index=False
    )


def test_version_is_green_in_any_order_of_rows_and_columns(recorded_files):
    recorded_files(lambda t: t.iloc[::-1][["spent", "customer", "city"]])
    versions.test_the_tables_are_the_recorded_versions()


@pytest.mark.parametrize(
    "change",
    {
        "a value": lambda t: t.assign(spent=t["spent"].where(t.index > 0, 0.2)),
        "a row more": lambda t: pd.concat([t, t.tail(1)]),
        "a row less": lambda t: t.head(3),
        "two values of a column swapped": lambda t: t.assign(customer=[4, 2, 2, 1]),
        "a column renamed": lambda t: t.rename(columns={"spent": "spent_usd"}),
        "two columns renamed into one another": lambda t: t.rename(
            columns={"spent": "customer", "customer": "spent"}
        ),
        "text for an empty field": lambda t: t.assign(city=["Bern", "NA", "NA", "Ulm"]),
    }.values(),
)
def test_version_is_red_on_any_change(recorded_files, change):
    recorded_files(change)
    with pytest.raises(AssertionError, match=r"not the version that was recorded: \['train'\]"):
        versions.test_the_tables_are_the_recorded_versions()


def test_version_of_nothing_is_red(recorded_files):
    recorded_files(lambda t: t)
    pd.DataFrame(columns=["table", "rows", "content"]).to_csv("versions.csv", index=False)
    with pytest.raises(AssertionError, match=r"versions\.csv records no table"):
        versions.test_the_tables_are_the_recorded_versions()


# Orchestration: each day whole, and once


@pytest.fixture
def loaded_files(tmp_path, monkeypatch):
    """Return a function that lays ten days of sales, honest repeats among them, and a load."""
    monkeypatch.chdir(tmp_path)
    days = [f"2025-03-{day:02d}" for day in range(1, 11)]
    source = pd.DataFrame({"day": np.repeat(days, 6), "user": [1, 2, 2, 3, 3, 3] * 10})
    source = source.assign(price=4.5, coupon=[None, "NA"] * 30)
    source.to_csv("source.csv", index=False)

    def lay(change=lambda rows: rows):
        change(source.copy()).to_csv("loaded.csv", index=False)

    return lay


def test_load_is_green_in_any_order(loaded_files):
    loaded_files(lambda rows: rows.sample(frac=1, random_state=1)[rows.columns[::-1]])
    loads.test_each_day_is_loaded_whole_and_once()


@pytest.mark.parametrize(
    ("fault", "days"),
    {
        "a day appended twice": (lambda r: pd.concat([r, r[r["day"] == "2025-03-04"]]), 1),
        "honest repeats deleted": (lambda r: r.drop_duplicates(), 10),
        "a day lost": (lambda r: r[r["day"] != "2025-03-10"], 1),
        "half of a day": (lambda r: r.drop(index=range(3)), 1),
        "a day in another's place": (lambda r: r.replace({"day": {"2025-03-02": "2025-03-03"}}), 2),
        "nothing loaded": (lambda r: r.iloc[:0], 10),
        "a text lost that reads like nothing": (lambda r: r.replace({"coupon": {"NA": ""}}), 10),
    }.values(),
)
def test_load_is_red(loaded_files, fault, days):
    loaded_files(fault)
    with pytest.raises(AssertionError, match=f"^{days} days are not what the source holds"):
        loads.test_each_day_is_loaded_whole_and_once()


def test_a_source_without_rows_is_no_proof(loaded_files):
    Path("source.csv").write_text("day,user,price,coupon\n", encoding="utf-8")
    loaded_files(lambda rows: rows.iloc[:0])
    with pytest.raises(AssertionError, match="expected rows with a column day"):
        loads.test_each_day_is_loaded_whole_and_once()


# Governance: the contract of a delivery


@pytest.fixture
def delivered_files(tmp_path, monkeypatch):
    """Return a function that lays the books and a delivery."""
    monkeypatch.chdir(tmp_path)
    rng = stream(0, "test", "monday", "governance")
    n = 500
    sales = pd.DataFrame(
        {
            "purchase": np.arange(n),
            "customer": rng.integers(1, 90, n),
            "day": [f"2025-03-{1 + i % 20:02d}" for i in range(n)],
            "amount": rng.lognormal(3, 1, n).round(2),
        }
    )
    sales.groupby("day")["amount"].sum().round(2).to_csv("finance.csv")

    def lay(change=lambda sales: sales):
        change(sales.copy()).to_csv("delivery.csv", index=False)

    return lay


@pytest.mark.parametrize(
    "legal",
    {
        "as ever": lambda t: t,
        "a column more": lambda t: t.assign(channel="web"),
        "another order": lambda t: t.iloc[::-1][t.columns[::-1]],
    }.values(),
)
def test_delivery_is_green(delivered_files, legal):
    delivered_files(legal)
    deliveries.test_the_delivery_keeps_its_contract()


@pytest.mark.parametrize(
    ("fault", "message"),
    {
        "renamed": (lambda t: t.rename(columns={"amount": "sum"}), "columns are gone: .*amount"),
        "cents": (lambda t: t.assign(amount=t["amount"] * 100), "totals.*: 20"),
        "as text": (lambda t: t.assign(amount="$" + t["amount"].astype("str")), "no number: 500"),
        "nulls": (lambda t: t.assign(amount=t["amount"].mask(t.index < 9)), "no number: 9"),
        "refunds": (lambda t: t.assign(amount=-t["amount"]), "out of bounds: 500"),
        "twice": (lambda t: pd.concat([t, t]), "repeated: 500"),
        "a day lost": (lambda t: t[t["day"] != "2025-03-07"], "totals.*: 1$"),
        "a customer nobody is": (lambda t: t.assign(customer=0), "customer: out of bounds: 500"),
        "nothing": (lambda t: t.iloc[:0], "totals.*: 20"),
    }.values(),
)
def test_delivery_is_red(delivered_files, fault, message):
    delivered_files(fault)
    with pytest.raises(AssertionError, match=message):
        deliveries.test_the_delivery_keeps_its_contract()


# Compliance: nobody who asked to be forgotten


@pytest.fixture
def forgetful_files(tmp_path, monkeypatch):
    """Return tables and a function that lays them beside a list with customer 7 and an e-mail."""
    monkeypatch.chdir(tmp_path)
    key = b"thirty-two bytes of a secret key"
    gone = ["user_id:7", "email:ana@mail.example"]
    Path("erasure").mkdir()
    Path("erasure/key").write_text(key.hex(), encoding="utf-8")
    digests = [keyed_token(text, key=key) for text in gone]
    Path("erasure/suppressed.txt").write_text("\n".join(["digests", *digests]), encoding="utf-8")
    people = pd.DataFrame({"customer": range(8, 90), "email": "ben@mail.example", "visits": 7})

    def lay(file, change=lambda table: table):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        change(people.copy()).to_parquet(file)

    lay("data/people.parquet")
    return lay


def test_forgotten_is_green_where_nobody_of_the_list_is(forgetful_files):
    forgetful_files("data/deep/more.parquet", lambda t: t.drop(columns="customer"))
    forgetful_files("data/none.parquet", lambda t: t[["visits"]])
    forgotten.test_nobody_on_the_suppression_list_is_in_a_table()


@pytest.mark.parametrize(
    ("change", "message"),
    {
        "a row": (lambda t: t.assign(customer=t["customer"] - 1), "customer: 1 rows"),
        "broken numbers": (lambda t: t.assign(customer=t["customer"] - 1.0), "customer: 1 rows"),
        "beside missing ones": (
            lambda t: t.assign(customer=(t["customer"] - 1).where(t.index < 9)),
            "customer: 1 rows",
        ),
        "as text": (lambda t: t.assign(customer=(t["customer"] - 1).astype("str")), "customer: 1"),
        "the index": (lambda t: t.assign(customer=7).set_index("customer"), "customer: 82 rows"),
        "written otherwise": (lambda t: t.assign(email=" Ana@Mail.example"), "email: 82 rows"),
        "a category": (
            lambda t: t.assign(email=pd.Categorical(["ana@mail.example"] * len(t))),
            "email: 82 rows",
        ),
    }.values(),
)
def test_forgotten_is_red_where_somebody_is_left(forgetful_files, change, message):
    forgetful_files("data/old/2024.parquet", change)
    with pytest.raises(AssertionError, match=rf"data/old/2024\.parquet, {message}"):
        forgotten.test_nobody_on_the_suppression_list_is_in_a_table()


@pytest.mark.parametrize(
    "empty",
    {
        "no list": lambda: Path("erasure/suppressed.txt").write_text("digests\n", encoding="utf-8"),
        "no table": lambda: Path("data/people.parquet").unlink(),
    }.values(),
)
def test_forgotten_is_red_when_nothing_was_tried(forgetful_files, empty):
    empty()
    with pytest.raises(AssertionError, match="nothing was tried"):
        forgotten.test_nobody_on_the_suppression_list_is_in_a_table()
