"""A plain model, splits that respect time, and what running the model leaves behind.

The pipeline has two paths, each with a table of its own: `training` holds the features that the
training path computed, `served` those that the serving path computed for the same offers. In a
healthy world both come from the one definition in `mlkit.features`, so they agree.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlkit.features import FEATURES, asof_features
from mlkit.params import maker
from mlkit.tables import Tables, require, require_tables, require_unique, write_bytes

TRAIN_SHARE, VALIDATE_SHARE = 0.50, 0.70  # of the time between first and last offer
THRESHOLD = 0.5
TRUSTED = ["numpy.dtype"]  # besides what skops trusts by itself
OFFERS = {
    "offer_id": "int",
    "user_id": "int",
    "prediction_ts": "time",
    "accepted": "bool",
    "label_known_ts": "time",
}


def make_world(name: str, *, rng: np.random.Generator, **knobs: Any) -> Tables:
    """Return the tables of a world with its healthy model in operation.

    Raises
    ------
    ValueError: no such world, or a knob out of range
    """
    return operate(maker(name)(rng=rng, **knobs))


def operate(shop: Tables) -> Tables:
    """Return the shop with `training`, `served` and `decisions` of a healthy pipeline.

    Raises
    ------
    KeyError: the tables lack `transactions` or `offers`
    """
    require_tables(shop, "transactions", "offers")
    features = asof_features(shop["transactions"], shop["offers"])
    return log_decisions({**shop, "training": features, "served": features})


def periods(offers: pd.DataFrame) -> pd.Series:
    """Return train, validate, production or gap for each offer, by time.

    The cuts lie at fixed shares of the time between the first and the last offer. An offer whose
    answer was not yet known when the next period began belongs to no period: a gap of the label
    delay, so that no answer from the future is used.

    Raises
    ------
    KeyError, TypeError, ValueError: `offers` is not a table of offers
    """
    require(offers, "offers", OFFERS)
    at, known = offers["prediction_ts"], offers["label_known_ts"]
    span = at.max() - at.min()
    first_cut, go_live = at.min() + TRAIN_SHARE * span, at.min() + VALIDATE_SHARE * span
    period = np.select(
        [
            at >= go_live,
            (at >= first_cut) & (known < go_live),
            (at < first_cut) & (known < first_cut),
        ],
        ["production", "validate", "train"],
        "gap",
    )
    return pd.Series(period, index=offers.index, name="period")


def plain_model() -> Any:
    """Return an unfitted scikit-learn pipeline: logs, medians for missing, scaled, logistic."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return make_pipeline(
        FunctionTransformer(np.log1p),
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(solver="newton-cholesky"),
    )


def fit(tables: Tables) -> Any:
    """Return the plain model, fitted to the `training` rows of the training period.

    Coefficients are rounded to ten decimals, so that the same rows give the same bytes on any
    processor.

    Raises
    ------
    KeyError: `training` or `offers` is missing
    ValueError: no training rows, or answers of one kind only
    """
    X, y = labelled(tables, "training", "train")
    if y.nunique() != 2:
        raise ValueError(
            f"training: expected accepted and refused offers, came {len(y)} of one kind"
        )
    model = plain_model().fit(X, y)
    scaler, logistic = model[-2:]
    for part, names in ((scaler, ("mean_", "scale_", "var_")), (logistic, ("coef_", "intercept_"))):
        for name in names:
            setattr(part, name, np.round(getattr(part, name), 10))
    return model


def labelled(tables: Tables, path: str, period: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return features of one path ("training" or "served") and known answers of one period.

    Raises
    ------
    KeyError: a table or a column is missing
    ValueError: an offer comes twice, or the period has no labelled row
    """
    require_tables(tables, path, "offers")
    features = require(tables[path], path, {"offer_id": "int", **dict.fromkeys(FEATURES, "float")})
    require_unique(features, path, ["offer_id"])
    require_unique(tables["offers"], "offers", ["offer_id"])
    offers = tables["offers"][periods(tables["offers"]) == period]
    rows = offers.dropna(subset=["accepted"]).merge(features, on="offer_id", validate="1:1")
    if rows.empty:
        raise ValueError(f"{path}: no row of the {period} period has a known answer")
    return rows[list(FEATURES)], rows["accepted"].astype(bool)


def accuracy(model: Any, X: pd.DataFrame, y: pd.Series) -> float:
    """Return the share of rows in [0, 1] that the model gets right."""
    return float((model.predict(X[list(FEATURES)]) == y.to_numpy()).mean())


def decide(model: Any, tables: Tables) -> pd.DataFrame:
    """Return the decision log: what production was served, scored, decided and later learned.

    Returns
    -------
    One row per production offer: offer_id, user_id, ts, the features as served, score in
    [0, 1] (six decimals), decision, label (empty while unknown), label_known_ts.

    Raises
    ------
    KeyError: `served` or `offers` is missing, or one of their columns
    """
    require_tables(tables, "served", "offers")
    columns = {"offer_id": "int", **dict.fromkeys(FEATURES, "float")}
    served = require(tables["served"], "served", columns)
    require_unique(served, "served", ["offer_id"])
    offers = tables["offers"][periods(tables["offers"]) == "production"]
    rows = offers.merge(served[["offer_id", *FEATURES]], on="offer_id", validate="1:1")
    score = np.round(model.predict_proba(rows[list(FEATURES)])[:, 1], 6)
    rows = rows.rename(columns={"prediction_ts": "ts", "accepted": "label"})
    rows = rows.assign(score=score, decision=score >= THRESHOLD)
    last = ["score", "decision", "label", "label_known_ts"]
    return rows[["offer_id", "user_id", "ts", *FEATURES, *last]]


def log_decisions(tables: Tables) -> Tables:
    """Return the tables with `decisions` as the current paths and model produce them."""
    return {**tables, "decisions": decide(fit(tables), tables)}


def performance(tables: Tables) -> dict[str, float]:
    """Return offline, honest and production accuracy of the pipeline in `tables`, and its AUC.

    offline: on the validation rows of the training path, what the team would report.
    honest: on the logged `decisions` whose answer is known by now, the best estimate without
    hidden truth. production: on every decision, judged by `truth_offers`; auc likewise.

    Raises
    ------
    KeyError: `truth_offers` or another table is missing
    """
    from sklearn.metrics import roc_auc_score

    require_tables(tables, "decisions", "truth_offers")
    decisions = tables["decisions"]
    truth = tables["truth_offers"].set_index("offer_id")["accepted"].loc[decisions["offer_id"]]
    right = decisions["decision"].to_numpy() == truth.to_numpy()
    return {
        "offline": accuracy(fit(tables), *labelled(tables, "training", "validate")),
        "honest": float(right[decisions["label"].notna().to_numpy()].mean()),
        "production": float(right.mean()),
        "auc": float(roc_auc_score(truth, decisions["score"])),
    }


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
