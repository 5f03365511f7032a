"""A plain model, splits that respect time, and what running the model leaves behind.

The pipeline has two paths, each with a table of its own: `training` holds the features that the
training path computed, `served` those that the serving path computed for the same offers. In a
healthy world both come from the one definition in `mlkit.features`, so they agree. What is asked,
from which features and judged how, is the world's `mlkit.tasks.Task`.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlkit.params import maker
from mlkit.tables import Tables, require, require_tables, require_unique, write_bytes
from mlkit.tasks import TASKS, Task, task_of

THRESHOLD = 0.5  # where the task has no capacity for review of its own
TRUSTED = ["numpy.dtype"]  # besides what skops trusts by itself


def make_world(name: str, *, rng: np.random.Generator, **knobs: Any) -> Tables:
    """Return the tables of a world with its healthy model in operation.

    Raises
    ------
    ValueError: no such world, or a knob out of range
    """
    return operate(maker(name)(rng=rng, **knobs))


def operate(world: Tables) -> Tables:
    """Return the world with `training`, `served` and `decisions` of a healthy pipeline.

    Raises
    ------
    KeyError: the tables lack the requests, or what their features are made of
    """
    task = task_of(world)
    require_tables(world, *task.needs)
    features = task.compute(world)
    return log_decisions({**world, "training": features, "served": features})


def periods(requests: pd.DataFrame, task: Task = TASKS["shop"]) -> pd.Series:
    """Return train, validate, production or gap for each request, by time.

    The cuts lie at fixed shares of the time between the first and the last request. A request
    whose answer was not yet known when the next period began belongs to no period: a gap of the
    label delay, so that no answer from the future is used.

    Raises
    ------
    KeyError, TypeError, ValueError: `requests` is not the table of requests of the task
    """
    require(requests, task.requests, task.columns)
    at, known = requests[task.time], requests["label_known_ts"]
    span = at.max() - at.min()
    first_cut, go_live = (at.min() + share * span for share in task.cuts)
    period = np.select(
        [
            at >= go_live,
            (at >= first_cut) & (known < go_live),
            (at < first_cut) & (known < first_cut),
        ],
        ["production", "validate", "train"],
        "gap",
    )
    return pd.Series(period, index=requests.index, name="period")


def plain_model(*, C: float = 1.0) -> Any:
    """Return an unfitted scikit-learn pipeline: logs, medians for missing, scaled, logistic.

    Parameters
    ----------
    C: inverse of the regularisation, above 0; the smaller, the closer to zero the coefficients
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return make_pipeline(
        FunctionTransformer(np.log1p),
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(C=C, solver="newton-cholesky"),
    )


def fit(tables: Tables) -> Any:
    """Return the plain model, fitted to the `training` rows of the training period.

    Raises
    ------
    KeyError: `training` or the table of requests is missing
    ValueError: no training rows, or answers of one kind only
    """
    task = task_of(tables)
    X, y = labelled(tables, "training", "train")
    if y.nunique() != 2:
        raise ValueError(
            f"training: expected answers of both kinds ({task.label} and not), "
            f"came {len(y)} of one kind"
        )
    return round_fitted(plain_model(C=task.C).fit(X, y), decimals=task.decimals)


def round_fitted(model: Any, *, decimals: int = 10) -> Any:
    """Return a fitted pipeline whose numbers are rounded.

    So the same rows give the same bytes on any processor: logarithms and sums differ in their last
    bit from one to the next. The model is changed in place.
    """
    names = ("statistics_", "mean_", "scale_", "var_", "coef_", "intercept_")
    for _, part in model.steps:
        for name in names:
            if hasattr(part, name):
                setattr(part, name, np.round(getattr(part, name), decimals))
    return model


def labelled(tables: Tables, path: str, period: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return features of one path ("training" or "served") and known answers of one period.

    Raises
    ------
    KeyError: a table or a column is missing
    ValueError: a request comes twice, or the period has no labelled row
    """
    task = task_of(tables)
    require_tables(tables, path, task.requests)
    features = _features(tables, path, task)
    requests = tables[task.requests]
    require_unique(requests, task.requests, [task.key])
    requests = requests[periods(requests, task) == period]
    rows = requests[[task.key, task.label]].dropna()
    rows = rows.merge(features, on=task.key, validate="1:1")
    if rows.empty:
        raise ValueError(f"{path}: no row of the {period} period has a known answer")
    return rows[list(task.features)], rows[task.label].astype(bool)


def _features(tables: Tables, path: str, task: Task) -> pd.DataFrame:
    columns = {task.key: "int", **dict.fromkeys(task.features, "float")}
    features = require(tables[path], path, columns)
    require_unique(features, path, [task.key])
    return features[list(columns)]


def decide(model: Any, tables: Tables) -> pd.DataFrame:
    """Return the decision log: what production was served, scored, decided and later learned.

    Returns
    -------
    One row per request in production: its key, user_id, ts, the features as served, score in
    [0, 1] (six decimals), decision, label (empty while unknown), label_known_ts. Where the task
    has a capacity for review, the decision is a score among the highest of the training rows.

    Raises
    ------
    KeyError: `served` or the table of requests is missing, or one of their columns
    """
    task = task_of(tables)
    require_tables(tables, "served", task.requests)
    served, requests = _features(tables, "served", task), tables[task.requests]
    keys = [task.key, "user_id", task.time, task.label, "label_known_ts"]
    rows = requests.loc[periods(requests, task) == "production", keys]
    rows = rows.merge(served, on=task.key, validate="1:1")
    score = np.round(model.predict_proba(rows[list(task.features)])[:, 1], 6)
    rows = rows.rename(columns={task.time: "ts", task.label: "label"})
    rows = rows.assign(score=score, decision=score >= _threshold(model, tables, task))
    last = ["score", "decision", "label", "label_known_ts"]
    return rows[[task.key, "user_id", "ts", *task.features, *last]]


def _threshold(model: Any, tables: Tables, task: Task) -> float:
    """Return the score from which the model acts."""
    if task.review is None:
        return THRESHOLD
    X, _ = labelled(tables, "training", "train")
    return round(float(np.quantile(model.predict_proba(X)[:, 1], 1 - task.review)), 6)


def log_decisions(tables: Tables) -> Tables:
    """Return the tables with `decisions` as the current paths and model produce them."""
    return {**tables, "decisions": decide(fit(tables), tables)}


def performance(tables: Tables) -> dict[str, float]:
    """Return offline, honest and production score of the pipeline in `tables`, and its AUC.

    The score is what the world's task is judged by: accuracy for the shop, AUC for loans, average
    precision for cards (at one fraud in a hundred, doing nothing is right in ninety-nine).

    offline: on the validation rows of the training path, what the team would report.
    honest: on the logged `decisions` whose answer is known by now, the best estimate without
    hidden truth. production: on every decision, judged by the world's truth; auc likewise, and,
    where the task is not judged by accuracy, recall (the share of the truly positive that the
    decision finds, in [0, 1]).

    Raises
    ------
    KeyError: the table of truth or another table is missing
    """
    from sklearn.metrics import recall_score

    task = task_of(tables)
    require_tables(tables, "decisions", task.truth)
    decisions, truth = tables["decisions"], tables[task.truth].set_index(task.key)[task.label]
    truth = truth.loc[decisions[task.key]]
    known = decisions.dropna(subset=["label"])
    X, y = labelled(tables, "training", "validate")
    model = fit(tables)
    scores = {
        "offline": _judge(task, y, model.predict_proba(X)[:, 1], model.predict(X)),
        "honest": _judge(task, known["label"], known["score"], known["decision"]),
        "production": _judge(task, truth, decisions["score"], decisions["decision"]),
        "auc": _auc(truth.to_numpy(bool), decisions["score"]),
    }
    if task.judge != "accuracy":
        scores["recall"] = float(recall_score(truth, decisions["decision"], zero_division=0))
    return scores


def _judge(task: Task, answer: pd.Series, score: Any, decision: Any) -> float:
    """Return the score by which a task is judged, in [0, 1]; NaN where there is one class only."""
    from sklearn.metrics import average_precision_score

    truth = answer.to_numpy(bool)
    if task.judge == "accuracy":
        return float((np.asarray(decision) == truth).mean())
    if task.judge == "auc":
        return _auc(truth, score)
    return float(average_precision_score(truth, score)) if truth.any() else float("nan")


def _auc(truth: np.ndarray, score: Any) -> float:
    from sklearn.metrics import roc_auc_score

    one_class = truth.all() or not truth.any()
    return float("nan") if one_class else float(roc_auc_score(truth, score))


def save_model(model: Any, file: Path) -> None:
    """Write a model as skops, the same bytes for the same model.

    skops names members after memory addresses; here they are renumbered in order of appearance,
    sorted, and dated 1980.
    """
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = members.pop("schema.json").decode()
    number: dict[str, str] = {}
    for found in re.finditer(r'"__id__": (\d+)|"(\d+)\.np[yz]"', schema):
        number.setdefault(found[1] or found[2], str(len(number) + 1))
    schema = re.sub(r'(?<="__id__": )\d+|(?<=")\d+(?=\.np[yz]")', lambda m: number[m[0]], schema)
    members = {
        f"{number[name.split('.')[0]]}.{name.split('.')[1]}": b for name, b in members.items()
    }
    members["schema.json"] = json.dumps(json.loads(schema), indent=1).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, members[name], zipfile.ZIP_DEFLATED)
    write_bytes(packed.getvalue(), file)


def load_model(file: Path) -> Any:
    """Return a model from a skops file; nothing in it is executed.

    Raises
    ------
    ValueError: the file holds a type that is neither scikit-learn's nor numpy's
    """
    import skops.io

    strange = sorted(set(skops.io.get_untrusted_types(file=file)) - set(TRUSTED))
    if strange:
        raise ValueError(f"{file}: holds types that are not trusted: {strange}. Do not load it")
    return skops.io.load(file, trusted=TRUSTED)
