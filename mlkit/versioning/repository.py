"""The repository of challenge 4: the files that train a model, and its history by content."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mlkit import repository
from mlkit.repository import output, remove, shell

TRAIN = '''"""Train the shop's model on the rows of the training period."""
import json
from pathlib import Path

import pandas as pd
import yaml

from mlkit.model import plain_model, round_fitted

params = yaml.safe_load(Path("params.yaml").read_text())
rows = pd.read_csv("data/train.csv")
rows = rows[rows["period"] == "train"]
X, y = rows.drop(columns=["offer_id", "period", "accepted"]), rows["accepted"]
model = round_fitted(plain_model(C=params["C"]).fit(X, y))
weights = dict(zip(X, model[-1].coef_[0].tolist(), strict=True))
Path("model.json").write_text(json.dumps(weights, indent=1) + "\\n", newline="\\n")
'''
PIPELINE = """stages:
  train:
    cmd: python train.py
    deps:
      - data/train.csv
      - train.py
    params:
      - C
    outs:
      - model.json
"""
FILES = {"train.py": TRAIN, "dvc.yaml": PIPELINE, "params.yaml": "C: 1.0\n"}
__all__ = ["FILES", "TRAIN", "begin", "history", "remove", "shell"]
FIELDS = ["commit", "date", "tag", "subject", "data", "code", "params", "model"]


def begin(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Return the project folder of a new throw-away folder, with the files that train a model.

    Parameters
    ----------
    folder: a folder for this purpose alone
    files: name to text, besides `FILES`

    Raises
    ------
    ValueError: the folder holds something already, or a name leads out of it
    RuntimeError: git is not installed
    """
    return repository.begin(folder, {**FILES, **(files or {})})


def history(folder: Path, *, where: str = "project") -> pd.DataFrame:
    """Return what each commit that changed dvc.lock says about its model, the newest first.

    Parameters
    ----------
    folder: see `begin`
    where: the clone to look into

    Returns
    -------
    Columns commit, date, tag, subject, and of the stage `train`: data, code and model (MD5 of
    data/train.csv, train.py and model.json) and params (as text).

    Raises
    ------
    ValueError: no commit holds a dvc.lock
    RuntimeError: not a repository
    """
    known = output(folder, "git log --all --format=%h%x09%cs%x09%D%x09%s -- dvc.lock", where=where)
    rows = [line.split("\t") for line in known.splitlines() if line.count("\t") == 3]
    if not rows:
        raise ValueError(f"{where}: no commit holds a dvc.lock; run `dvc repro` and commit it")
    return pd.DataFrame([_one(folder, row, where=where) for row in rows], columns=FIELDS)


def _one(folder: Path, row: list[str], where: str) -> dict[str, Any]:
    import yaml

    commit, date, names, subject = row
    tags = [name.removeprefix("tag: ") for name in names.split(", ") if name.startswith("tag: ")]
    lock = yaml.safe_load(output(folder, f"git show {commit}:dvc.lock", where=where))
    stage = lock["stages"]["train"]
    md5 = {entry["path"]: entry["md5"] for entry in [*stage["deps"], *stage["outs"]]}
    return {
        "commit": commit, "date": date, "tag": ", ".join(tags), "subject": subject,
        "data": md5["data/train.csv"], "code": md5["train.py"],
        "params": json.dumps(stage.get("params", {}).get("params.yaml", {})),
        "model": md5["model.json"],
    }  # fmt: skip
