"""A lender on disk: one person in tables, versions, models, copies, and places nobody thinks of.

The project is a real git and DVC repository; what stands beside it is what grows around a model: a
CRM, an export, a log of what was served, a list for marketing. `features` and `train` are the
pipeline: the project's scripts call them, and so does whoever has to make an old version again.
"""

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit import repository
from mlkit.compliance.pseudonyms import naive_token
from mlkit.features import LOAN_FEATURES, loan_features
from mlkit.model import plain_model, round_fitted, save_model
from mlkit.params import checked
from mlkit.repository import remove, shell
from mlkit.tables import Tables, require_tables, write_bytes

__all__ = ["CANARY", "Trained", "build", "features", "remove", "shell", "train"]
RAW = ("users", "applications", "payments")
CANARY = 424_242  # the user_id of the planted person
EMAIL = "canary.quill424242@mail.example"
INCOME = 61_803.39  # with cents, as nobody else's
FIRST_LOAN = 900_001
EXPORTED_BEFORE = pd.Timestamp("2025-07-01", tz="UTC")
SAMPLE_EVERY = 5  # of the users, those in the file staged by mistake
SCRIPT = '''"""{title}"""
from mlkit.compliance import lender

lender.write_{name}(".")
'''
PIPELINE = """stages:
  features:
    cmd: python features.py
    deps:
      - data/raw
      - features.py
    outs:
      - data/features.parquet
  train:
    cmd: python train.py
    deps:
      - data/features.parquet
      - data/raw
      - train.py
    outs:
      - data/predictions.parquet
      - data/vectors.npz
      - model.skops
      - neighbours.skops
"""
STORES = """# Every place that holds people: path from the folder above the project, format,
# columns that hold keys with their kinds, and what it was made from.
stores:
  - {name: users, path: project/data/raw/users.parquet, format: parquet,
     keys: {user_id: user_id, email: email}, made_from: []}
  - {name: applications, path: project/data/raw/applications.parquet, format: parquet,
     keys: {application_id: application_id, user_id: user_id}, made_from: []}
  - {name: payments, path: project/data/raw/payments.parquet, format: parquet,
     keys: {application_id: application_id, user_id: user_id}, made_from: []}
  - {name: features, path: project/data/features.parquet, format: parquet,
     keys: {application_id: application_id, user_id: user_id},
     made_from: [applications, payments]}
  - {name: model, path: project/model.skops, format: skops, keys: {},
     made_from: [features, applications]}
  - {name: neighbours, path: project/neighbours.skops, format: skops, keys: {},
     made_from: [features, applications]}
  - {name: predictions, path: project/data/predictions.parquet, format: parquet,
     keys: {application_id: application_id, user_id: user_id}, made_from: [features, model]}
  - {name: vectors, path: project/data/vectors.npz, format: npz, keys: {user_id: user_id},
     made_from: [features]}
  - {name: cache, path: project/.dvc/cache, format: dvc, keys: {},
     made_from: [users, applications, payments, features, model, neighbours, predictions, vectors]}
  - {name: remote, path: store, format: dvc, keys: {}, made_from: [cache]}
  - {name: crm, path: crm.sqlite, format: sqlite, keys: {user_id: user_id, email: email},
     made_from: [users]}
  - {name: export, path: exports/2025-06.zip, format: zip,
     keys: {application_id: application_id, user_id: user_id, email: email},
     made_from: [users, applications]}
  - {name: log, path: logs/served.jsonl.gz, format: jsonl.gz,
     keys: {application_id: application_id}, made_from: [features, model]}
  - {name: marketing, path: marketing.csv, format: csv, keys: {email_sha256: email_sha256},
     made_from: [users]}
  - {name: git, path: project/.git, format: git, keys: {user_id: user_id, email: email},
     made_from: [users]}
"""
FILES = {
    "features.py": SCRIPT.format(title="Features of every application.", name="features"),
    "train.py": SCRIPT.format(title="Model, neighbours, predictions, vectors.", name="trained"),
    "dvc.yaml": PIPELINE,
    "stores.yaml": STORES,
    "data/raw.dvc": "outs:\n- hash: md5\n  path: raw\n",
    "data/.gitignore": "/raw\n/features.parquet\n/predictions.parquet\n/vectors.npz\n",
    ".gitignore": "/model.skops\n/neighbours.skops\n__pycache__/\n",
    ".dvcignore": "",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n",
}


class Trained(NamedTuple):
    """What training leaves behind: two fitted pipelines, a table, and arrays by name."""

    model: Any
    neighbours: Any
    predictions: pd.DataFrame
    vectors: dict[str, np.ndarray]


# The pipeline: pure, the same bytes for the same rows


def features(raw: Tables) -> pd.DataFrame:
    """Return the features of every application, from the raw tables.

    Raises
    ------
    KeyError, TypeError, ValueError: a table or column is missing, of another type, or empty
    """
    require_tables(raw, "applications", "payments")
    return loan_features(raw["applications"], raw["payments"])


def train(raw: Tables, computed: pd.DataFrame) -> Trained:
    """Return model, neighbours, predictions and vectors, from raw tables and their features.

    The rows of training are the applications whose answer is known today. `neighbours` holds these
    rows, standardised; `vectors` the latest application of every user, in logarithms.

    Raises
    ------
    KeyError: a table or column is missing
    ValueError: answers of one kind only
    """
    require_tables(raw, "applications")
    known = raw["applications"][["application_id", "defaulted"]].dropna()
    rows = known.merge(computed, on="application_id", validate="1:1")
    answers = rows["defaulted"].astype(bool)
    if answers.nunique() != 2:
        raise ValueError(f"defaulted: expected answers of both kinds, came {len(answers)} of one")
    X = rows[list(LOAN_FEATURES)]
    model = round_fitted(plain_model().fit(X, answers))
    score = np.round(model.predict_proba(computed[list(LOAN_FEATURES)])[:, 1], 6)
    keys = computed[["application_id", "user_id"]]
    predictions = keys.assign(score=score, decision=score >= 0.5)
    return Trained(model, _neighbours(X), predictions, _vectors(computed))


def _neighbours(X: pd.DataFrame) -> Any:
    """Return a fitted pipeline that ends in NearestNeighbors: it keeps the rows themselves."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    scaler = round_fitted(make_pipeline(FunctionTransformer(np.log1p), StandardScaler()).fit(X))
    rows = np.round(np.asarray(scaler.transform(X)), 10)
    nearest = NearestNeighbors(n_neighbors=5, algorithm="brute", n_jobs=1).fit(rows)
    return make_pipeline(*(step for _, step in scaler.steps), nearest)


def _vectors(computed: pd.DataFrame) -> dict[str, np.ndarray]:
    latest = computed.drop_duplicates("user_id", keep="last").sort_values("user_id")
    matrix = np.round(np.log1p(latest[list(LOAN_FEATURES)].to_numpy("float64")), 8)
    return {"user_id": latest["user_id"].to_numpy("int64"), "matrix": matrix}


# Files of the project, each written whole and with the same bytes on any day


def read_raw(project: Path | str) -> Tables:
    """Return the raw tables of a project."""
    place = Path(project) / "data" / "raw"
    return {name: pd.read_parquet(place / f"{name}.parquet") for name in RAW}


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write a table as parquet."""
    packed = io.BytesIO()
    table.to_parquet(packed, index=False, compression="zstd")
    write_bytes(packed.getvalue(), file)


def write_arrays(arrays: Mapping[str, np.ndarray], file: Path) -> None:
    """Write arrays as npz, compressed."""
    members = {}
    for name, array in arrays.items():
        packed = io.BytesIO()
        np.save(packed, array, allow_pickle=False)
        members[f"{name}.npy"] = packed.getvalue()
    write_zip(members, file)


def write_zip(members: Mapping[str, bytes], file: Path) -> None:
    """Write a zip archive dated 1980."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    write_bytes(packed.getvalue(), file)


def write_raw(raw: Tables, project: Path | str) -> None:
    """Write the raw tables of a project."""
    for name in RAW:
        write_table(raw[name], Path(project) / "data" / "raw" / f"{name}.parquet")


def write_features(project: Path | str) -> None:
    """Read the raw tables of a project and write its features: the stage `features`."""
    write_table(features(read_raw(project)), Path(project) / "data" / "features.parquet")


def write_trained(project: Path | str) -> None:
    """Read raw tables and features of a project and write what training leaves behind."""
    computed = pd.read_parquet(Path(project) / "data" / "features.parquet")
    save(train(read_raw(project), computed), project)


def save(trained: Trained, project: Path | str) -> None:
    """Write model, neighbours, predictions and vectors to their places in a project."""
    project = Path(project)
    save_model(trained.model, project / "model.skops")
    save_model(trained.neighbours, project / "neighbours.skops")
    write_table(trained.predictions, project / "data" / "predictions.parquet")
    write_arrays(trained.vectors, project / "data" / "vectors.npz")


# The folder


@checked
def build(
    folder: Path,
    world: Tables,
    *,
    versions: Annotated[int, Interval(ge=1, le=100)] = 3,
    canary: bool = False,
) -> Path:
    """Return a new folder with the lender's project, its store, and what stands beside it.

    Version i holds the applications of the first i-th part of the time, with their users and
    payments, and their answers as they are known today. One push for each: `dvc push --all-tags`
    (dvc 3.67) takes a relative path of a store in a tag for one from the root of the machine.

    Parameters
    ----------
    folder: a folder for this purpose alone (see `mlkit.repository.begin`)
    world: users, applications and payments
    versions: how many, each a commit, a tag v1, v2, ... and a push to the store
    canary: plant a person, `CANARY`, whose values nobody else has, in every store

    Raises
    ------
    KeyError: a table is missing
    ValueError: the folder holds something already; or the first version holds too few answers to
        train on
    """
    require_tables(world, *RAW)
    world = with_canary(world) if canary else {name: world[name] for name in RAW}
    folder, served, at = Path(folder), [], world["applications"]["applied_ts"]
    project = repository.begin(folder, FILES)
    shell(folder, "git init -q")
    for number in range(1, versions + 1):
        until = at.min() + number / versions * (at.max() - at.min())
        raw, day = tables_until(world, until), until.strftime("%Y-%m-%d")
        if number == 1:
            _staged_by_mistake(folder, raw["users"])
        computed, trained = _one_version(project, raw)
        served.append(computed.merge(trained.predictions[["application_id", "score"]]))
        shell(folder, "dvc commit -q -f", "git add .", f"git commit -q -m 'Version {number}'",
              f"git tag v{number}", "dvc push -q", on=day)  # fmt: skip
    _beside(folder, raw, pd.concat(served).drop_duplicates("application_id"))
    return folder


def tables_until(world: Tables, until: pd.Timestamp) -> Tables:
    """Return the raw tables of the applications up to a moment: with users and payments."""
    applications = world["applications"]
    applications = applications[applications["applied_ts"] <= until]
    known, payments = world["users"], world["payments"]
    paid = payments["application_id"].isin(applications["application_id"])
    users = known[known["user_id"].isin(applications["user_id"])]
    tables = {"users": users, "applications": applications, "payments": payments[paid]}
    return {name: table.reset_index(drop=True) for name, table in tables.items()}


def with_canary(world: Tables) -> Tables:
    """Return the raw tables with one person more, whose values nobody else has.

    She borrows three times: in the first twentieth of the time, in the middle, and near the end.

    Raises
    ------
    ValueError: she is in the tables already
    """
    users, applications, payments = (world[name] for name in RAW)
    if (users["user_id"] == CANARY).any():
        raise ValueError(f"users: {CANARY} is in the table already; plant the canary once")
    person = users.iloc[[0]].assign(user_id=CANARY, email=EMAIL, income_usd=INCOME, consent=True)
    answered = applications.dropna(subset=["defaulted"])
    at = answered["applied_ts"]
    moments = [at.min() + share * (at.max() - at.min()) for share in (0.04, 0.5, 0.95)]
    models = answered.iloc[at.searchsorted(moments)]
    numbers = FIRST_LOAN + np.arange(len(models))
    loans = models.assign(application_id=numbers, user_id=CANARY, income_usd=INCOME)
    loans["amount_usd"] = 12_345.67 + np.arange(len(models))
    due = payments[payments["application_id"].isin(models["application_id"])]
    renamed = due["application_id"].map(dict(zip(models["application_id"], numbers, strict=True)))
    due = due.assign(application_id=renamed, user_id=CANARY)
    added = {"users": person, "applications": loans, "payments": due}
    tables = {name: pd.concat([world[name], _typed(added[name], world[name])]) for name in RAW}
    tables["applications"] = tables["applications"].sort_values("applied_ts", kind="stable")
    return {name: table.reset_index(drop=True) for name, table in tables.items()}


def _typed(rows: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    return rows.astype(like.dtypes.to_dict())


def _one_version(project: Path, raw: Tables) -> tuple[pd.DataFrame, Trained]:
    computed = features(raw)
    trained = train(raw, computed)
    write_raw(raw, project)
    write_table(computed, project / "data" / "features.parquet")
    save(trained, project)
    return computed, trained


def _csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False, lineterminator="\n").encode()


def _staged_by_mistake(folder: Path, users: pd.DataFrame) -> None:
    """Leave an object in git that no commit holds: a sample of users, staged and taken back."""
    chosen = (np.arange(len(users)) % SAMPLE_EVERY == 0) | (users["user_id"] == CANARY)
    sample = folder / "project" / "sample.csv"
    write_bytes(_csv(users.loc[chosen, ["user_id", "email", "region"]]), sample)
    shell(folder, "git add sample.csv", "git rm -q --cached sample.csv")
    sample.unlink()


def _beside(folder: Path, raw: Tables, served: pd.DataFrame) -> None:
    """Write what stands beside the project: CRM, export, log of what was served, marketing."""
    users = raw["users"]
    _crm(users[["user_id", "email"]], folder / "crm.sqlite")
    early = raw["applications"][raw["applications"]["applied_ts"] < EXPORTED_BEFORE]
    known = users[users["user_id"].isin(early["user_id"])]
    members = {"users.csv": _csv(known), "applications.csv": _csv(early)}
    write_zip(members, folder / "exports" / "2025-06.zip")
    rows = served.drop(columns=["user_id", "applied_ts"]).to_dict("records")
    lines = "".join(
        json.dumps({"application_id": row.pop("application_id"), "score": row.pop("score"),
                    "features": row}) + "\n"
        for row in rows
    )  # fmt: skip
    write_bytes(gzip.compress(lines.encode(), mtime=0), folder / "logs" / "served.jsonl.gz")
    reached = users[users["consent"]]
    segment = np.select([reached["income_usd"] < 30_000, reached["income_usd"] < 60_000],
                        ["starter", "family"], "premium")  # fmt: skip
    listed = pd.DataFrame({"email_sha256": reached["email"].map(naive_token), "segment": segment})
    write_bytes(_csv(listed), folder / "marketing.csv")


def _crm(users: pd.DataFrame, file: Path) -> None:
    rows = [(int(user), email, f"Asked about rates; answer went to {email} the same day.")
            for user, email in users.itertuples(index=False)]  # fmt: skip
    with closing(sqlite3.connect(file)) as crm, crm:
        crm.execute("CREATE TABLE customers (user_id INTEGER, email TEXT, note TEXT)")
        crm.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)
