"""The search for a person: she is found in each store by itself, and nobody where he is not."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import sqlite3
import tarfile
import zipfile
import zlib
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mlkit.compliance import decode, lender, search
from mlkit.compliance.search import MEASURED, Needles, find, naive_delete, naive_search, needles
from mlkit.repository import output, shell

TABLES = {"user_id", "application_id"}
FOUND = {  # by what the canary is found in each store
    "users": {"user_id", "email"},
    "applications": {*TABLES, "row of numbers"},
    "payments": TABLES,
    "features": {*TABLES, "row of numbers"},
    "model": set(),  # it holds coefficients, nobody's row
    "neighbours": {"row of numbers"},
    "predictions": TABLES,
    "vectors": {"user_id", "row of numbers"},
    "cache": {*TABLES, "email", "row of numbers"},
    "remote": {*TABLES, "email", "row of numbers"},
    "crm": {"user_id", "email"},
    "export": {*TABLES, "email", "row of numbers"},
    "log": {"application_id", "row of numbers"},
    "marketing": {"email_sha256"},
    "git": {"user_id", "email"},
}
OTHER = Needles(17, (170,), "jo.berg17@mail.example", "e0" * 32, np.array([[600.0, 2.0, 3e4, 9e3]]))


@pytest.fixture(scope="module")
def canary(lender_folder):
    """Return what the planted person is recognised by."""
    return needles(lender_folder, lender.CANARY)


@pytest.fixture
def copy(lender_folder, tmp_path):
    """Return a copy of the lender, to be changed."""
    return shutil.copytree(lender_folder, tmp_path / "copy")


def things(found):
    """Return store to what was found in it."""
    return found.groupby("store")["what"].agg(set).to_dict()


# --- the lender -----------------------------------------------------------------------------------


def test_canary_is_found_in_every_store_but_the_model(lender_folder, canary):
    found = find(lender_folder, canary)
    assert things(found) == {store: what for store, what in FOUND.items() if what}
    assert set(found["user_id"]) == {lender.CANARY}


@pytest.mark.parametrize("store", FOUND)
def test_canary_is_found_in_a_store_that_stands_alone(lender_folder, canary, store, tmp_path):
    register = yaml.safe_load((lender_folder / "project/stores.yaml").read_text())["stores"]
    path = next(entry["path"] for entry in register if entry["name"] == store)
    for each in {path, "project/stores.yaml"}:
        source, target = lender_folder / each, tmp_path / each
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    assert things(find(tmp_path, canary)) == ({store: FOUND[store]} if FOUND[store] else {})


def test_everybody_is_found_where_the_tables_say_and_nowhere_else(lender_folder):
    raw = lender.read_raw(lender_folder / "project")
    users, loans = raw["users"], raw["applications"]
    found = find(lender_folder, [needles(raw, user) for user in users["user_id"]])
    first = lender.tables_until(raw, loans["applied_ts"].min() + np.ptp(loans["applied_ts"]) / 2)
    sample = first["users"]["user_id"]
    expected = {
        "export": loans.loc[loans["applied_ts"] < lender.EXPORTED_BEFORE, "user_id"],
        "marketing": users.loc[users["consent"], "user_id"],
        "neighbours": loans.loc[loans["defaulted"].notna(), "user_id"],
        "payments": raw["payments"]["user_id"],
        "git": [*sample[:: lender.SAMPLE_EVERY], lender.CANARY],
        **dict.fromkeys(("users", "crm", "cache", "log", "vectors"), users["user_id"]),
    }
    for store, there in expected.items():
        assert set(found.loc[found["store"] == store, "user_id"]) == set(there), store
    assert (found["what"] != "not readable").all()


def test_stranger_is_found_nowhere(lender_folder):
    email = "not.there@mail.example"
    digest = hashlib.sha256(email.encode()).hexdigest()
    stranger = Needles(999_999, (888_888,), email, digest, np.array([[600.0, 2.0, 3.0, 4.0]]))
    assert find(lender_folder, stranger).empty


def test_search_of_raw_bytes_misses_all_but_two_stores(lender_folder, canary):
    assert things(naive_search(lender_folder, canary)) == {
        "crm": {"email"}, "marketing": {"email_sha256"}}  # fmt: skip


def test_delete_of_the_usual_tables_leaves_her_in_nine_stores(copy, canary):
    rows = naive_delete(copy, lender.CANARY)
    assert rows == {"users": 1, "applications": 3, "payments": rows["payments"], "features": 3,
                    "predictions": 3, "crm": 1}  # fmt: skip
    left = find(copy, canary)
    gone = {"users", "applications", "payments", "features", "predictions", "model"}
    assert set(left["store"]) == set(FOUND) - gone and len(set(FOUND) - gone) == 9
    assert left.loc[left["store"] == "crm", "place"].tolist() == ["crm.sqlite!bytes"]
    with closing(sqlite3.connect(copy / "crm.sqlite")) as crm:
        crm.execute("VACUUM")
    assert "crm" not in set(find(copy, canary)["store"])


def test_packed_object_is_found_and_a_broken_pack_reported(copy, canary):
    shell(copy, "git add -f data/raw/users.parquet", "git commit -q -m Mistake", "git gc -q")
    places = find(copy, canary)["place"]
    assert places.str.contains(r"git!blob \w+ data/raw/users.parquet!email").any()
    for pack in (copy / "project/.git/objects/pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:50])
    broken = find(copy, canary).query("store == 'git'")
    lost = broken[broken["place"].str.contains("git cannot list its objects")]
    assert lost["what"].tolist() == ["not readable"]
    assert "email" in set(broken["what"])  # the loose object, opened without git


# --- one file of each format ----------------------------------------------------------------------


def csv_of(person):
    rows = pd.DataFrame(person.rows, columns=MEASURED)
    return rows.assign(user_id=person.user_id, email=person.email).to_csv(index=False).encode()


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(content):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("rows.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def arrays(**named):
    packed = io.BytesIO()
    np.savez_compressed(packed, **named)
    return packed.getvalue()


def parquet(columns, **options):
    packed = io.BytesIO()
    pq.write_table(pa.table(columns), packed, **options)
    return packed.getvalue()


def standardised(person):
    """Return arrays as a scaler and what it made of the rows, in single precision."""
    rows = np.log1p(np.vstack([person.rows, OTHER.rows * 1.1, OTHER.rows * 0.7]))
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    return arrays(a=mean, b=scale, c=((rows - mean) / scale).astype("float32"))


def database(*statements):
    with closing(sqlite3.connect(":memory:")) as base:
        for statement in statements:
            base.execute(statement)
            base.commit()
        return base.serialize()


def rows(person):
    blob = gzip.compress(person.email.encode()).hex()
    return database("CREATE TABLE t (user_id INTEGER, email TEXT, blob BLOB)",
                    f"INSERT INTO t VALUES ({person.user_id}, NULL, x'{blob}')")  # fmt: skip


def freed(person, first="PRAGMA user_version"):
    return database(first, "PRAGMA secure_delete = OFF", "CREATE TABLE t (email TEXT)",
                    f"INSERT INTO t VALUES ('{person.email}')", "DROP TABLE t")  # fmt: skip


FORMATS = {
    "csv": (csv_of, {"user_id", "email", "row of numbers"}),
    "csv_semicolons": (lambda p: csv_of(p).replace(b",", b";"), {"user_id", "email",
                                                                 "row of numbers"}),
    "csv_utf16": (lambda p: csv_of(p).decode().encode("utf-16"), {"user_id", "email",
                                                                  "row of numbers"}),
    "csv_ragged": (lambda p: f"user_id,a\n1,2,3\n{p.user_id}\n".encode(), {"user_id"}),
    "text": (lambda p: f"Wrote to <{p.email.upper()}>.".encode(), {"email"}),
    "text_log": (lambda p: f"INFO scored application_id={p.application_ids[0]}\n".encode(),
                 {"application_id"}),
    "text_hash": (lambda p: f"sha256:{p.email_sha256} x".encode(), {"email_sha256"}),
    "digest": (lambda p: bytes.fromhex(p.email_sha256), {"email_sha256"}),
    "json": (lambda p: json.dumps({"user_id": {"0": p.user_id}, "x": [{"to": p.email}]}).encode(),
             {"user_id", "email"}),
    "json_lines": (lambda p: b'{"a": 1}\n' + json.dumps(
        {"f": dict(zip(MEASURED, p.rows[0], strict=True))}).encode(), {"row of numbers"}),
    "gzip": (lambda p: gzip.compress(csv_of(p)), {"user_id", "email", "row of numbers"}),
    "bz2": (lambda p: bz2.compress(p.email.encode()), {"email"}),
    "xz": (lambda p: lzma.compress(p.email.encode()), {"email"}),
    "zlib": (lambda p: zlib.compress(f"{p.email}\n".encode() * 9), {"email"}),
    "zstd": (lambda p: pa.compress(p.email.encode(), "zstd", asbytes=True), {"email"}),
    "tar_gz": (lambda p: gzip.compress(tarred(csv_of(p))), {"user_id", "email",
                                                           "row of numbers"}),
    "zip_in_zip": (lambda p: zipped({"b.zip": zipped({"c.csv": csv_of(p)})}),
                   {"user_id", "email", "row of numbers"}),
    "npz_keys": (lambda p: arrays(user_id=np.array([1, p.user_id])), {"user_id"}),
    "npz_words": (lambda p: arrays(who=np.array([p.email])), {"email"}),
    "npz_rows": (lambda p: arrays(m=p.rows), {"row of numbers"}),
    "npz_logs": (lambda p: arrays(m=np.log1p(p.rows)), {"row of numbers"}),
    "npz_flat": (lambda p: arrays(m=p.rows.ravel()), {"row of numbers"}),
    "npz_fields": (lambda p: arrays(m=np.array([(p.user_id, 1.0)],
                                               [("user_id", "i8"), ("b", "f8")])), {"user_id"}),
    "standardised": (standardised, {"row of numbers"}),
    "sqlite": (rows, {"user_id", "email"}),
    "sqlite_freed": (freed, {"email"}),
    "parquet": (lambda p: parquet({"user_id": [p.user_id], "a": [{"b": [p.email]}]}),
                {"user_id", "email"}),
    "parquet_bytes": (lambda p: parquet({"a": [p.email.encode()]}), {"email"}),
    "parquet_decimals": (lambda p: parquet(
        {name: [Decimal(str(value))] for name, value in zip(MEASURED, p.rows[0], strict=True)}),
        {"row of numbers"}),
    "parquet_words": (lambda p: parquet(
        {name: [str(value)] for name, value in zip(MEASURED, p.rows[0], strict=True)}),
        {"row of numbers"}),
    "parquet_note": (lambda p: parquet({"a": [f"see user_id={p.user_id}"]}), {"user_id"}),
    "parquet_float_ids": (lambda p: parquet({"user_id": [float(p.user_id), None]}), {"user_id"}),
    "parquet_metadata": (lambda p: parquet(pa.table({"a": [1]}).replace_schema_metadata(
        {"by": p.email})), {"email"}),
    "parquet_metadata_json": (lambda p: parquet(pa.table({"a": [1]}).replace_schema_metadata(
        {"by": json.dumps({"user_id": [p.user_id]})})), {"user_id"}),
    "parquet_unused_word": (lambda p: parquet({"a": pa.DictionaryArray.from_arrays(
        pa.array([0]), pa.array(["x", p.email + " " * 99]))}, store_schema=False), {"email"}),
    "parquet_column": (lambda p: parquet({f"user_id={p.user_id}": [1]}), {"user_id"}),
    "parquet_lists": (lambda p: parquet({"user_id": [[1, p.user_id]]}), {"user_id"}),
    "parquet_map": (lambda p: parquet({"a": pa.array([[("user_id", p.user_id)]], pa.map_(
        pa.string(), pa.int64()))}), {"user_id"}),
    "parquet_digest": (lambda p: parquet({"a": [b"x", bytes.fromhex(p.email_sha256)]}),
                       {"email_sha256"}),
    "csv_of_ids": (lambda p: f"user_id\n{p.user_id}\n".encode(), {"user_id"}),
    "csv_names_later": (lambda p: f"# of user_id\nuser_id_x,b\r{p.user_id},1\r".encode(),
                        {"user_id"}),
    "json_twice": (lambda p: f'{{"user_id": {p.user_id}, "user_id": 1}}'.encode(), {"user_id"}),
    "json_camel": (lambda p: f'{{"userId": {p.user_id}}}'.encode(), {"user_id"}),
    "yaml_list": (lambda p: f"user_id:\n  - 5\n  - {p.user_id}\n".encode(), {"user_id"}),
    "xml": (lambda p: f"<USER_ID>{p.user_id}</USER_ID>".encode(), {"user_id"}),
    "link": (lambda p: f"/a?to={p.email.replace('@', '%40')}".encode(), {"email"}),
    "gzip_name": (lambda p: b"\x1f\x8b\x08\x08" + bytes(6) + p.email.encode() + b"\0"
                  + gzip.compress(b"x")[10:], {"email"}),
    "zip_name": (lambda p: zipped({f"{p.email}/": b"", f"user_id={p.user_id}.txt": b""}),
                 {"email", "user_id"}),
    "tar_twice": (lambda p: tarred(b"a") + tarred(csv_of(p)), {"user_id", "email",
                                                               "row of numbers"}),
    "npz_bytes": (lambda p: arrays(a=np.frombuffer(p.email.encode(), "u1")), {"email"}),
    "sqlite_freed_utf16": (lambda p: freed(p, "PRAGMA encoding = 'UTF-16le'"), {"email"}),
    "git_index": (lambda p: b"DIRC\0\0\0\2" + p.email.encode() + b"\0\xff", {"email"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_person_is_found_by_content_and_another_is_not(tmp_path, canary, name):
    make, what = FORMATS[name]
    (tmp_path / "x").write_bytes(make(canary))
    assert set(find(tmp_path, canary)["what"]) == what
    assert find(tmp_path, OTHER).empty
    (tmp_path / "x").write_bytes(make(OTHER))
    assert find(tmp_path, canary).empty


def test_what_a_file_says_once_is_counted_once(tmp_path, canary):
    with zipfile.ZipFile(tmp_path / "stored.zip", "w") as archive:
        archive.writestr("a", canary.email)
    (tmp_path / "a.json").write_text(json.dumps({"a": canary.email}))
    found = find(tmp_path, canary).set_index("place")["times"].to_dict()
    assert found == {"stored.zip!a": 1, "a.json": 1}


def test_statistics_in_a_footer_are_searched_by_themselves(tmp_path, canary):
    about = pq.ParquetFile(io.BytesIO(parquet({"user_id": [canary.user_id]}))).metadata
    about.write_metadata_file(tmp_path / "_metadata")  # it has no rows, and cannot be read as such
    found = find(tmp_path, canary).set_index("what")["place"]
    assert found["user_id"] == "_metadata!footer!user_id" and "not readable" in found


def test_row_in_a_write_ahead_log_is_found(tmp_path, canary):
    with closing(sqlite3.connect(tmp_path / "a.db")) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("CREATE TABLE t (user_id INTEGER)")
        base.commit()
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.execute("INSERT INTO t VALUES (?)", [canary.user_id])
        base.commit()
        found = find(tmp_path, canary)
        assert found["place"].tolist() == ["a.db-wal!applied!t!user_id"]


def test_object_that_git_skips_and_pack_that_it_does_not_know_are_findings(copy, canary):
    objects = copy / "project/.git/objects"
    (objects / "pack").mkdir(exist_ok=True)
    (objects / "pack/pack-ab.idx").write_text(canary.email)
    assert "email" in set(find(copy, canary).query("place.str.contains('pack-ab')")["what"])
    (objects / "pack/pack-ab.pack").write_text(canary.email)  # git complains, and ends well
    assert "email" in set(find(copy, canary).query("place.str.contains('pack-ab.pack')")["what"])
    (objects / "pack/pack-ab.idx").unlink()
    lost = output(copy, "git fsck --unreachable --no-reflogs").split()[-1]
    loose = objects / lost[:2] / lost[2:]
    loose.chmod(0o600)
    loose.write_bytes(b"no object")  # git says so, leaves it out, and ends well
    found = find(copy, canary).query("store == 'git'")
    assert found["place"].str.contains("git cannot list its objects").any()


def test_file_that_only_looks_like_an_object_of_git_is_opened(tmp_path, canary):
    (tmp_path / "objects/ab").mkdir(parents=True)
    (tmp_path / "objects/ab" / ("0" * 38)).write_text(canary.email)
    assert find(tmp_path, canary)["what"].tolist() == ["email"]


def test_person_in_the_name_of_an_empty_folder_or_in_a_link_is_found(tmp_path, canary):
    (tmp_path / canary.email).mkdir()
    (tmp_path / "BZh").write_text("x")
    if os.name != "nt":
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "link").symlink_to(f"user_id={canary.user_id}")
    found = find(tmp_path, canary)
    assert set(found["what"]) == ({"email"} if os.name == "nt" else {"email", "user_id"})


def test_person_in_the_name_of_a_folder_is_found(tmp_path, canary):
    (tmp_path / f"user_id={canary.user_id}").mkdir()
    (tmp_path / f"user_id={canary.user_id}/part.txt").write_text("")
    assert find(tmp_path, canary)["what"].tolist() == ["user_id"]


# --- false alarms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    {
        "id_elsewhere": "amount,late\n424242,900001\n",
        "longer_address": "x.canary.quill424242@mail.example canary.quill424242@mail.example.org",
        "longer_hash": "a{0}",
        "rows_apart": "a,b,c,d\n671,4.3,61803.39,12345.99\n671,4.4,61803.39,12345.67\n",
        "part_of_id": "user_id,application_id\n4242421,1900001\n14242,90000\n",
        "fractions": "user_id,b\n424242.5,1\n",
        "list_and_date": "user_id=5\n424242 done\nuser_id: [5, 6]\n424242",
    }.values(),
)  # fmt: skip
def test_what_only_looks_alike_is_no_finding(tmp_path, canary, text):
    (tmp_path / "a").write_text(text.format(canary.email_sha256))
    assert find(tmp_path, canary).empty


# --- what cannot be opened ------------------------------------------------------------------------

BROKEN = {
    "gzip": gzip.compress(b"x" * 999)[:-9],
    "parquet": parquet({"a": [1]})[:-6],
    "zip": zipped({"a": "x" * 99})[:-30],
    "sqlite": b"SQLite format 3\0" + bytes(range(256)) * 8,
    "unknown": bytes(range(256)),
    "objects": arrays(a=np.array([{}], dtype=object)),
    "json_lines": b'{"a": 1}\n{"a": ',
    "json_number": b'{"a": [1%s, 2, 3, 4]}' % (b"0" * 400),
    "zip_with_more": zipped({"a": "x"}) + gzip.compress(b"x" * 99),
    "text_and_zero": b"user_id,x\n424242,1\n\0",
    "complex": arrays(a=np.array([1j])),
    "zlib": zlib.compress(b"a text\n" * 99)[:-5],
}
BOMBS = {  # each of 10**7 bytes or more when unpacked
    "gzip": lambda: gzip.compress(bytes(10**7)),
    "bz2": lambda: bz2.compress(bytes(10**7)),
    "xz": lambda: lzma.compress(bytes(10**7), preset=0),
    "zlib": lambda: zlib.compress(bytes(10**7)),
    "zstd": lambda: pa.compress(bytes(10**7), "zstd", asbytes=True),
    "zip": lambda: zipped({"a": "a" * 10**7}),
    "zips": lambda: zipped({str(i): zipped({"a": "a" * 90_000}) for i in range(99)}),
    "parquet_texts": lambda: parquet({"a": pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(1000, "int32")), pa.array(["x" * 10_000]))}),
    "parquet_lists": lambda: parquet({"a": [["x" * 10_000] * 1000]}),
    "parquet_bytes": lambda: parquet({"a": [b"x" * 10_000] * 1000}),
    "parquet_nulls": lambda: parquet({"a": pa.nulls(10**7)}),
    "npz": lambda: arrays(a=np.zeros(10**7)),
    "sqlite": lambda: database("CREATE TABLE t (a, b AS (hex(zeroblob(99999))))",
                               *["INSERT INTO t VALUES (1)"] * 99),
    "csv": lambda: b"a," * 50_000,
    "large": lambda: b"a" * 10**7,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_fill_the_memory_is_a_finding(tmp_path, canary, name, monkeypatch):
    for module in (decode, search):
        monkeypatch.setattr(module, "LARGEST", 10**6)
    (tmp_path / "x").write_bytes(BOMBS[name]())
    found = find(tmp_path, canary)
    assert set(found["what"]) == {"not readable"}
    assert found["place"].str.contains("more than|too many").all()


def test_log_of_a_database_that_names_a_page_far_away_is_a_finding(tmp_path, canary):
    head = b"7\x7f\x06\x82" + bytes(4) + (4096).to_bytes(4, "big") + bytes(20)
    for name, log in (("a", head[:6]), ("b", head + b"\xff" * 5000)):
        (tmp_path / name).write_bytes(b"")
        (tmp_path / f"{name}-wal").write_bytes(log)
    assert find(tmp_path, canary)["what"].tolist() == ["not readable"] * 2


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_decoded_is_a_finding(tmp_path, canary, name):
    (tmp_path / "x").write_bytes(BROKEN[name])
    found = find(tmp_path, canary)
    assert found["what"].tolist() == ["not readable"] and found["user_id"].isna().all()


def test_file_inside_too_many_files_is_a_finding(tmp_path, canary):
    content = canary.email.encode()
    for _ in range(12):
        content = gzip.compress(content)
    (tmp_path / "x").write_bytes(content)
    assert find(tmp_path, canary)["what"].tolist() == ["not readable"]


@pytest.mark.skipif(os.name == "nt", reason="links and pipes as on Unix")
def test_link_is_not_followed_and_one_that_leads_out_is_a_finding(tmp_path, canary):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/secret.txt").write_text(canary.email)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").symlink_to(tmp_path / "out/secret.txt")
    (tmp_path / "in/folder").symlink_to(tmp_path / "out", target_is_directory=True)
    os.mkfifo(tmp_path / "in/pipe")
    found = find(tmp_path / "in", canary)
    assert found["what"].tolist() == ["not readable"] * 3


def test_search_and_eraser_share_no_code():
    folder = Path(search.__file__).parent
    ours = {"search", "decode", "pieces"}
    for file in folder.glob("*.py"):
        imported = set(re.findall(r"mlkit\.compliance\.(\w+)", file.read_text("utf-8")))
        assert not imported & ours or file.stem in ours, file.name
        assert imported <= ours or file.stem not in ours, file.name


def test_unknown_person_or_folder_is_an_error(lender_folder, tmp_path):
    with pytest.raises(KeyError, match="user_id 7000000: not among the"):
        needles(lender_folder, 7_000_000)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find(tmp_path / "nowhere", OTHER)
