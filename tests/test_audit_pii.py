"""`mlkit audit pii`: what looks personal in files of any origin, and what only looks alike."""

import hashlib
import importlib
import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_files import save
from typer.testing import CliRunner

from mlkit import audit, model
from mlkit.audit.personal import personal_columns
from mlkit.compliance.pseudonyms import keyed_token
from mlkit.params import stream

N = 200
FEW = ("--ids", "1000")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, so that file names are as short as a user would type them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(frame, *options, name="p.parquet"):
    file = frame if isinstance(frame, str) else save(frame, name)
    return CliRunner().invoke(audit.app, ["pii", file, *FEW, *options])


def findings(frame, *options):
    """Return the findings as (check, subject) -> row."""
    result = run(frame, *options, "--json", "out.json")
    assert result.exit_code in (0, 1), result.stderr or result.exception
    rows = json.loads(Path("out.json").read_text(encoding="utf-8"))["findings"]
    assert result.exit_code == any(row["failed"] for row in rows)
    return {(row["check"], row["subject"]): row for row in rows}


def failed(found):
    return {key for key, row in found.items() if row["failed"]}


def luhn(body):
    digits = [int(c) for c in reversed(body)]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[::2]]
    return body + str(-(sum(digits[1::2]) + sum(doubled)) % 10)


def iban(number):
    body = f"{number:018d}"
    return f"DE{98 - int(f'{body}131400') % 97:02d}{body}"


def ahv(number):
    body = f"756{number:09d}"
    return body + str(-sum(int(d) * (1 + 2 * (i % 2)) for i, d in enumerate(body)) % 10)


def plain(value, algorithm="sha256"):
    return hashlib.new(algorithm, str(value).encode()).hexdigest()


MAILS = [f"ana.berg{i}@mail.example" for i in range(N)]
BIRTHDAYS = (pd.Timestamp("1950-01-01") + pd.to_timedelta(np.arange(N) * 90, "D")).strftime("%F")
PERSONAL = {
    "e-mail address": MAILS,
    "e-mail in text": ["called"] * (N - 1) + ["write to (ana@mail.example), please"],
    "phone number": [f"+41 79 {100 + i} 12 34" for i in range(N)],
    "bank account": [iban(7919 * i) for i in range(N)],
    "payment card": [int(luhn(f"4{10**13 + 7919 * i}")) for i in range(N)],
    "national id": [int(ahv(7919 * i)) for i in range(N)],
    "IP address": [f"81.17.{i}.7" for i in range(N)],
    "precise place": [f"{47 + i / 7000:.5f}, 8.54321" for i in range(N)],
}
NAMED = {
    "date of birth": ("birth_date", BIRTHDAYS),
    "name of a person": ("lastName", ["Berg", "Cruz", "Ito", "Khan"] * (N // 4)),
    "phone number": ("contact_phone", 41_790_000_000 + np.arange(N)),
    "address": ("street", [f"High Street {i}" for i in range(N)]),
    "identity document": ("passport_no", [f"X{1234567 + i}" for i in range(N)]),
    "secret": ("password", [f"hunter{i}" for i in range(N)]),
    "precise place": ("home_lat", 47 + np.arange(N) / 7001),
}


# What is personal


@pytest.mark.parametrize("kind", PERSONAL)
def test_content_is_found_under_any_name(kind):
    frame = pd.DataFrame({"x": PERSONAL[kind], "amount": np.arange(N) / 7})
    assert failed(findings(frame)) == {(kind, "x")}
    assert {kind} == set(personal_columns(frame)["check"])
    as_text = run(save(frame, "p.csv"))
    assert as_text.exit_code == 1 and kind in as_text.stdout


@pytest.mark.parametrize("kind", NAMED)
def test_a_name_is_believed_when_the_values_fit(kind):
    name, values = NAMED[kind]
    frame = pd.DataFrame({name: values})
    assert failed(findings(frame)) == {(kind, name)}
    assert not failed(findings(frame.assign(**{name: np.arange(N) % 2 == 0})))
    other = frame.rename(columns={name: "x"})
    found = findings(other)
    assert not failed(found)
    assert (("date of birth", "x") in found) == (kind == "date of birth")  # a question


def test_one_address_in_a_column_of_other_text_is_found():
    frame = pd.DataFrame({"x": [f"order {i}" for i in range(N - 1)] + MAILS[:1]})
    assert findings(frame)["e-mail address", "x"]["rows"] == 1


def test_no_value_of_a_personal_column_is_shown():
    texts = {kind: pd.Series(values).astype("str") for kind, values in PERSONAL.items()}
    frame = pd.DataFrame({**texts, **dict(NAMED.values())})
    result = run(frame, "--html", "page.html", "--json", "out.json", "--quasi", "street")
    said = (
        result.stdout + Path("page.html").read_text("utf-8") + Path("out.json").read_text("utf-8")
    )
    values = {str(v) for name in frame for v in frame[name] if str(v) != "called"}
    assert len(values) > 10 * N
    assert not [value for value in values if value in said]
    assert "xxx.xxxx9@xxxx.xxxxxxx" in said and "<script" not in said


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (
            "date of birth",
            "dob",
            [f"{1 + i % 28:02d}.{1 + i % 12:02d}.{i % 99:02d}" for i in range(N)],
        ),
        ("date of birth", "birth_date", 19500101 + np.arange(N) % 28),
        ("phone number", "tel", [f"079{i:07d}" for i in range(N)]),
        ("phone number", "x", [f"004179{i:07d}" for i in range(N)]),
        ("bank account", "x", [iban(7919 * i).lower() for i in range(N)]),
        ("IP address", "x", [f"81.17.{i}.7:443" for i in range(N)]),
        ("IP address", "x", [f"2001:DB8::{i:x}" for i in range(N)]),
        ("device address", "x", [f"00:1B:44:11:3A:{i:02x}" for i in range(N)]),
    ],
)
def test_other_spellings_are_found(kind, name, values):
    found = personal_columns(pd.DataFrame({name: values}))
    assert found.loc[found["failed"], "check"].tolist() == [kind]


@pytest.mark.parametrize("card", [luhn("411111111111111"), int(luhn("411111111111111"))])
def test_one_card_is_a_question(card):
    found = personal_columns(pd.DataFrame({"x": [card]}))
    assert found[["check", "failed"]].to_numpy().tolist() == [["payment card", False]]
    assert personal_columns(pd.DataFrame({"x": [int(card) + 1]})).empty


# What only looks alike


def innocent(rng):
    day = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 400, N), "D")
    return pd.DataFrame(
        {
            "id": rng.permutation(N),
            "code11": rng.integers(10**10, 10**11, N),
            "code13": 7_560_000_000_000 + rng.integers(0, 10**10, N),
            "code16": rng.integers(4 * 10**15, 5 * 10**15, N),
            "micros": day.as_unit("us").asi8,
            "article": [f"{a:04d}-{b:02d}" for a, b in rng.integers(0, 99, (N, 2))],
            "lot": [f"DE{a}{b}" for a, b in rng.integers(10**9, 10**10, (N, 2))],
            "day": day.strftime("%d-%m-%Y"),
            "at": day,
            "version": [f"{a}.{b}.0" for a, b in rng.integers(0, 99, (N, 2))],
            "clock": [f"{a:02d}:{b:02d}:00" for a, b in rng.integers(0, 24, (N, 2))],
            "part": rng.random(N).round(6).astype("str"),
            "firmware": [f"{a}.{b}.0.{a}" for a, b in rng.integers(0, 20, (N, 2))],
            "padded": [f"{a:010d}" for a in rng.integers(0, 10**8, N)],
            "zip": [f"0{a}-{b}" for a, b in rng.integers(1000, 9999, (N, 2))],
            "icon": [f"icon{i}@2x.png" for i in range(N)],
            "comma": [f"{a},{b:04d}" for a, b in rng.integers(0, 99, (N, 2))],
            "id9": rng.integers(10**8, 10**9, N),
            "handle": [f"@team{i % 5}" for i in range(N)],
            "email_count": rng.poisson(3, N),
            "phone_calls": rng.poisson(3, N),
            "lat": rng.uniform(-80, 80, N).round(1),
            "address_changed": rng.random(N) < 0.5,
            "checksum": [rng.bytes(32).hex() for _ in range(N)],
        }
    )


def test_innocent_columns_raise_no_alarm():
    for seed in range(8):
        found = personal_columns(innocent(stream(seed, "test", "pii")))
        assert found[found["failed"]].empty
    frame = innocent(stream(0, "test", "pii"))
    for file in ("p.parquet", "p.csv"):
        result = run(save(frame, file))
        assert result.exit_code == 0, result.stdout
        assert "looks like a hash; nothing that was tried undid it" in " ".join(
            result.stdout.split()
        )


@pytest.mark.parametrize("world", ["shop", "loans", "cards"])
def test_of_the_tables_of_the_kit_only_email_is_named(world, params, shop):
    knobs = params["worlds"][world] | ({"n": 600} if world == "loans" else {"n_users": 60})
    tables = shop
    if world != "shop":
        tables = model.make_world(world, rng=stream(7, world, "make"), **knobs)
    found = [
        personal_columns(table.head(3000)).assign(table=name) for name, table in tables.items()
    ]
    bad = pd.concat(found).query("failed")
    assert list(zip(bad["table"], bad["subject"], strict=True)) == [("users", "email")]


def test_a_clean_file_passes():
    result = run(pd.DataFrame({"amount": np.arange(N) / 7, "id": range(N)}))
    assert result.exit_code == 0
    assert result.stdout.startswith("passed: no column looks personal, no hash is undone, by what")


# Hashes


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_hash_of_another_column_of_the_file_is_undone(algorithm):
    frame = pd.DataFrame({"sku": [f"A{i}" for i in range(N)]})
    frame["token"] = [plain(value, algorithm).upper() for value in frame["sku"]]
    row = findings(frame)["plain hash", "token"]
    assert (row["value"], row["failed"]) == (1.0, True)
    assert f"the plain {algorithm} of column sku" in row["says"]
    assert failed(findings(frame[["token"]])) == set()


@pytest.mark.parametrize(
    "written",
    [
        lambda token: f"sha256:{token}",
        lambda token: token[:12],
        lambda token: b64encode(bytes.fromhex(token)).decode(),
        lambda token: urlsafe_b64encode(bytes.fromhex(token)).decode(),
    ],
)
def test_hash_is_undone_as_it_may_be_written(written):
    frame = pd.DataFrame({"token": [written(plain(i)) for i in range(N)]})
    assert findings(frame)["plain hash", "token"]["value"] == 1
    frame["token"] = [written(keyed_token(str(i), key=b"k" * 32)) for i in range(N)]
    assert findings(frame)["plain hash", "token"]["state"] == "look"


def test_a_long_column_is_tried_in_part(monkeypatch):
    monkeypatch.setattr(importlib.import_module("mlkit.audit.pii"), "MOST_VALUES", N // 4)
    frame = pd.DataFrame({"sku": [f"A{i}" for i in range(N)]})
    frame["token"] = frame["sku"].map(plain)
    assert findings(frame)["plain hash", "token"]["value"] == 0.25


def test_hash_of_a_number_is_undone_as_far_as_numbers_are_tried(monkeypatch):
    frame = pd.DataFrame({"token": [plain(i) for i in range(0, 2 * N, 2)]})
    assert findings(frame)["plain hash", "token"]["value"] == 1
    monkeypatch.setattr(importlib.import_module("mlkit.audit.pii"), "CHUNK", 70)
    half = findings(frame, "--ids", str(N))["plain hash", "token"]
    assert (half["value"], half["failed"]) == (0.5, True)
    assert not failed(findings(frame, "--ids", "0"))


def test_hash_of_known_values_is_undone_and_a_keyed_one_is_not():
    save(pd.DataFrame({"mail": [mail.upper() for mail in MAILS[: N // 4]]}), "known.csv")
    frame = pd.DataFrame({"who": [plain(mail) for mail in MAILS]})
    assert findings(frame, "--known", "known.csv")["plain hash", "who"]["value"] == 0.25
    frame["who"] = [keyed_token(mail, key=b"k" * 32) for mail in MAILS]
    found = findings(frame, "--known", "known.csv")
    assert found["plain hash", "who"]["state"] == "look"
    assert not failed(found)


# Rows that stand alone


def people(repeats=5):
    rows = [(year, sex) for year in range(1960, 1980) for sex in "FM"] * repeats
    frame = pd.DataFrame(rows, columns=["birth_year", "sex"])
    return frame.assign(ill=np.arange(len(frame)) // 40 % 2 == 0)


QUASI = ("--quasi", "birth_year,sex")


def test_k_anonymity_of_named_columns():
    assert not failed(findings(people(5), *QUASI, "--sensitive", "ill"))
    found = findings(people(4), *QUASI)
    assert found["smallest class", "birth_year, sex"]["value"] == 4
    assert found["rows in classes below k", "birth_year, sex"]["value"] == 1
    assert not failed(findings(people(4), *QUASI, "--k", "4"))
    one = pd.concat([people(5), people(1).head(1).assign(birth_year=1900)])
    found = findings(one, *QUASI)
    assert found["unique rows", "birth_year, sex"]["rows"] == 1
    assert len(failed(found)) == 3
    assert not failed(findings(one, *QUASI, "--max-below", "0.01"))


def test_a_class_of_one_sensitive_value_gives_it_away():
    frame = people(5)
    frame.loc[frame["birth_year"] == 1960, "ill"] = True
    found = findings(frame, *QUASI, "--sensitive", "ill")
    assert failed(found) == {("least diverse class", "ill"), ("rows in uniform classes", "ill")}
    assert found["rows in uniform classes", "ill"]["rows"] == 10


def test_combinations_are_guessed_and_fail_nothing():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"birth_year": rng.integers(1950, 2000, N), "zip": rng.integers(0, 40, N)})
    found = findings(frame.assign(visits=rng.poisson(2, N)))
    alone = int((~frame.duplicated(keep=False)).sum())
    assert found["unique combination", "birth_year, zip"]["rows"] == alone > N / 2
    assert not failed(found)


def test_what_is_meant_to_be_there_is_skipped():
    frame = pd.DataFrame({"email": MAILS, "amount": np.arange(N) / 7})
    assert run(frame).exit_code == 1
    assert run(frame, "--skip", "email").exit_code == 0


# Odd and bad input


@pytest.mark.parametrize(
    "odd",
    {
        "one row": lambda t: t.head(1),
        "all missing": lambda t: t.assign(x=np.nan, y=None),
        "infinite": lambda t: t.assign(x=np.inf, lat=-np.inf),
        "lists": lambda t: t.assign(y=[[1]] * len(t)),
        "mixed": lambda t: t.assign(y=[b"a", *[b"b"] * (len(t) - 1)]),
        "zones": lambda t: t.assign(at=pd.Timestamp("1960-01-01", tz="Asia/Tokyo")),
        "categories": lambda t: t.assign(y=t["y"].astype("category")),
        "numbers for names": lambda t: t.rename(columns={"x": 7}).set_axis(["7", "y"], axis=1),
    }.values(),
)
def test_odd_tables_are_reported(odd):
    frame = odd(pd.DataFrame({"x": np.arange(N) / 7, "y": [f"a{i % 9}" for i in range(N)]}))
    result = run(frame, "--html", "page.html", "--json", "out.json")
    assert result.exit_code == 0, (result.stderr, result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--quasi", "birthyear"), "Closest: ['birth_year']"),
        (("--skip", "ills"), "Closest: ['ill']"),
        ((*QUASI, "--sensitive", "il"), "Closest: ['ill']"),
        ((*QUASI, "--sensitive", "sex"), "not the sensitive one"),
        (("--sensitive", "ill"), "by --quasi"),
        (("--known", "nowhere.csv"), "nowhere.csv: no such file"),
        (("--ids", "-1"), "ids"),
        (("--k", "0"), "k = 0"),
        (("--json", "p.parquet"), "read or written already"),
    ],
)
def test_bad_input_is_one_line(options, message):
    result = run(people(), *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr


def test_a_table_without_rows_is_no_proof():
    result = run(people().iloc[:0])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "at least one row" in result.stderr


def test_a_file_without_a_header_does_not_show_its_first_row():
    Path("p.csv").write_text(f"{MAILS[0]},1\n{MAILS[1]},2\n", encoding="utf-8")
    result = run("p.csv")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "the header holds a value (e-mail address)" in result.stderr
    assert MAILS[0] not in result.stderr


def test_signs_and_zeros_of_csv_are_kept():
    phones = pd.DataFrame({"x": [f"+4179{i:07d}" for i in range(N)], "plus": np.arange(N) / 7})
    assert failed(findings(save(phones, "p.csv"))) == {("phone number", "x")}
