"""The lender on disk: versions, store, what stands beside the project, and the planted person."""

import hashlib
import io
import shutil
import sqlite3
from contextlib import closing

import pandas as pd
import pytest
import yaml

from mlkit.compliance import lender
from mlkit.model import load_model
from mlkit.repository import output, shell
from mlkit.tables import content_hash


@pytest.fixture(scope="module")
def raw(lender_folder):
    """Return the raw tables of the newest version."""
    return lender.read_raw(lender_folder / "project")


def stored(folder, tag, path):
    """Return the bytes that the store has for an output of a version."""
    lock = yaml.safe_load(output(folder, f"git show {tag}:dvc.lock"))
    md5 = {out["path"]: out["md5"] for s in lock["stages"].values() for out in s["outs"]}[path]
    return (folder / "store/files/md5" / md5[:2] / md5[2:]).read_bytes()


def test_version_holds_the_applications_of_its_part_of_the_time(lender_folder, raw):
    at = raw["applications"]["applied_ts"]
    half = at.min() + (at.max() - at.min()) / 2
    for tag, until in (("v1", half), ("v2", at.max())):
        content = stored(lender_folder, tag, "data/predictions.parquet")
        scored = pd.read_parquet(io.BytesIO(content))["application_id"]
        expected = raw["applications"].loc[at <= until, "application_id"]
        assert scored.tolist() == expected.tolist()


def test_users_and_payments_of_a_version_belong_to_its_applications(raw):
    middle = raw["applications"]["applied_ts"].iloc[100]
    early = lender.tables_until(raw, middle)
    ids = set(early["applications"]["application_id"])
    assert len(ids) == 101 and set(early["payments"]["application_id"]) <= ids
    assert set(early["users"]["user_id"]) == set(early["applications"]["user_id"])


def test_pipeline_gives_the_bytes_that_the_stages_recorded(lender_folder, raw, tmp_path):
    before = content_hash(raw)
    lender.write_raw(raw, tmp_path)
    lender.write_features(tmp_path)
    lender.write_trained(tmp_path)
    paths = ["data/features.parquet", "data/predictions.parquet", "data/vectors.npz",
             "model.skops", "neighbours.skops"]  # fmt: skip
    assert content_hash(raw) == before
    for path in paths:
        assert (tmp_path / path).read_bytes() == stored(lender_folder, "v2", path), path


def test_neighbours_and_model_can_be_used(lender_folder):
    project = lender_folder / "project"
    features = pd.read_parquet(project / "data/features.parquet")
    *scaler, nearest = (part for _, part in load_model(project / "neighbours.skops").steps)
    rows = features[list(lender.LOAN_FEATURES)].head(3)
    for step in scaler:
        rows = step.transform(rows)
    distance, _ = nearest.kneighbors(rows, n_neighbors=1)
    assert distance.max() < 1e-6  # they are training rows themselves
    scores = load_model(project / "model.skops").predict_proba(
        features[list(lender.LOAN_FEATURES)])[:, 1]  # fmt: skip
    known = pd.read_parquet(project / "data/predictions.parquet")["score"]
    assert abs(scores - known).max() < 1e-6


@pytest.mark.slow
def test_repro_has_nothing_to_do_and_by_force_changes_nothing(lender_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(lender_folder, folder)
    assert "up to date" in shell(folder, "dvc repro")
    shell(folder, "dvc repro -q -f")
    assert output(folder, "git status --short") == ""


def test_one_object_of_git_belongs_to_no_commit(lender_folder):
    lost = output(lender_folder, "git fsck --unreachable --no-reflogs").split()
    assert lost.count("unreachable") == lost.count("blob") == 1
    assert lender.EMAIL in output(lender_folder, f"git cat-file -p {lost[-1]}")
    assert not output(lender_folder, "git status --short")


def test_register_names_what_is_there(lender_folder):
    stores = yaml.safe_load((lender_folder / "project/stores.yaml").read_text())["stores"]
    names = [store["name"] for store in stores]
    assert len(set(names)) == len(names) == 15
    for store in stores:
        path = lender_folder / store["path"]
        assert path.exists() and set(store["made_from"]) <= set(names)
        if store["format"] == "parquet":
            assert set(store["keys"]) <= set(pd.read_parquet(path).columns)


def test_nothing_in_git_names_this_machine(lender_folder):
    for name in output(lender_folder, "git ls-files").split():
        content = (lender_folder / "project" / name).read_text()
        assert str(lender_folder.parent) not in content, name


def test_canary_has_values_of_her_own_and_is_there_from_the_first_version_on(raw):
    hers = {name: table[table["user_id"] == lender.CANARY] for name, table in raw.items()}
    assert (raw["applications"]["income_usd"] == lender.INCOME).sum() == 3
    assert (raw["users"]["email"] == lender.EMAIL).sum() == 1
    assert hers["users"]["consent"].all() and hers["applications"]["defaulted"].notna().all()
    at = raw["applications"]["applied_ts"]
    assert hers["applications"]["applied_ts"].min() < at.min() + (at.max() - at.min()) / 10
    assert set(hers["payments"]["application_id"]) == set(hers["applications"]["application_id"])


def test_planting_changes_no_other_row_and_not_twice(raw):
    plain = {n: t[t["user_id"] != lender.CANARY].reset_index(drop=True) for n, t in raw.items()}
    before = content_hash(plain)
    planted = lender.with_canary(plain)
    others = {n: t[t["user_id"] != lender.CANARY] for n, t in planted.items()}
    assert content_hash(others) == content_hash(plain) == before
    with pytest.raises(ValueError, match="424242 is in the table already"):
        lender.with_canary(planted)


def test_crm_has_every_user_with_the_address_in_its_note(lender_folder, raw):
    with closing(sqlite3.connect(lender_folder / "crm.sqlite")) as crm:
        rows = crm.execute("SELECT user_id, email, note FROM customers").fetchall()
    assert [row[0] for row in rows] == raw["users"]["user_id"].tolist()
    assert all(email in note for _, email, note in rows)


def test_marketing_has_plain_hashes_of_those_who_consented(lender_folder, raw):
    listed = pd.read_csv(lender_folder / "marketing.csv")["email_sha256"].tolist()
    agreed = raw["users"].loc[raw["users"]["consent"], "email"]
    assert listed == [hashlib.sha256(email.encode()).hexdigest() for email in agreed]


def test_errors_say_what_is_wrong(raw, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    with pytest.raises(ValueError, match="expected an empty folder"):
        lender.build(tmp_path / "full", raw)
    with pytest.raises(KeyError, match="lacks 'payments'"):
        lender.build(tmp_path / "a", {"users": raw["users"], "applications": raw["applications"]})
    with pytest.raises(ValueError, match=r"versions = 0: expected a whole number >= 1"):
        lender.build(tmp_path / "b", raw, versions=0)
    good = raw["applications"].assign(defaulted=False)
    with pytest.raises(ValueError, match="answers of both kinds"):
        lender.train({"applications": good}, lender.features(raw))
