"""What people do against a gap between groups, each a few lines; which one helps is another matter.

`past` are applications to learn from and `later` those to decide, as `fairness.cases` makes them.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from mlkit.features import LOAN_FEATURES
from mlkit.model import plain_model
from mlkit.tables import require


def learn(past: pd.DataFrame, *, weights: Any = None, columns: Any = LOAN_FEATURES) -> Any:
    """Return the plain model of who repays, fitted to weighted rows.

    Raises
    ------
    ValueError: outcomes of one kind only
    """
    if past["repaid"].nunique() != 2:
        raise ValueError(f"repaid: expected outcomes of both kinds, came {len(past)} rows of one")
    X = past[list(columns)].astype(float)
    return plain_model().fit(X, past["repaid"], logisticregression__sample_weight=weights)


def gender_weights(past: pd.DataFrame) -> np.ndarray:
    """Return the weights that give both genders the same mass, and nothing else (the syllabus)."""
    from sklearn.utils.class_weight import compute_sample_weight

    return compute_sample_weight("balanced", y=past["gender"].astype(str))


def reweighing(past: pd.DataFrame, *, label: str = "repaid", group: str = "gender") -> np.ndarray:
    """Return P(group) P(label) / P(group, label): the weights that make both independent.

    So the *training labels* have demographic parity; nothing is said about errors.

    Source: Kamiran and Calders, Knowledge and Information Systems 33 (2012) 1-33.
    """
    share = past[group].astype(str).map(past[group].astype(str).value_counts(normalize=True))
    base = past[label].map(past[label].value_counts(normalize=True)).astype(float)
    cell = past.groupby([group, label], observed=True)[label].transform("size") / len(past)
    return (share * base / cell).to_numpy(float)


def granted(model: Any, rows: pd.DataFrame, *, columns: Any = LOAN_FEATURES) -> np.ndarray:
    """Return which loans the model grants, shape (n,), bool."""
    return model.predict(rows[list(columns)].astype(float)).astype(bool)


def scores(model: Any, rows: pd.DataFrame) -> np.ndarray:
    """Return the estimated probability that a loan is repaid, shape (n,)."""
    return model.predict_proba(rows[list(LOAN_FEATURES)].astype(float))[:, 1]


def own_model(past: pd.DataFrame, later: pd.DataFrame, *, group: str = "gender") -> np.ndarray:
    """Return what a model for each group decides about that group: the attribute is an input.

    Raises
    ------
    ValueError: a group that nothing was learned about
    """
    said = np.zeros(len(later), dtype=bool)
    for name in later[group].unique():
        own, its = past[past[group] == name], (later[group] == name).to_numpy()
        if own.empty:
            known = sorted(map(str, past[group].unique()))
            raise ValueError(f"{group} {name!r}: no row to learn from; known groups: {known}")
        said[its] = granted(learn(own), later[its])
    return said


def aware(past: pd.DataFrame, later: pd.DataFrame, *, weights: Any = None) -> np.ndarray:
    """Return what a model decides that has the gender among its features, shape (n,), bool."""
    columns = (*LOAN_FEATURES, "woman")
    rows = [table.assign(woman=(table["gender"] == "F").astype(float)) for table in (past, later)]
    return granted(learn(rows[0], weights=weights, columns=columns), rows[1], columns=columns)


def thresholds(
    past: pd.DataFrame, later: pd.DataFrame, *, constraint: str = "equalized_odds", draw: int = 0
) -> np.ndarray:
    """Return what thresholds for each gender decide, shape (n,), bool: gender is an input.

    So that the criterion holds on the record of the past, lots decide between two thresholds on
    the score of one model; what one draw of them decides is returned.

    Source: Hardt, Price and Srebro, NeurIPS 2016; fairlearn.
    """
    from fairlearn.postprocessing import ThresholdOptimizer

    X, later_X = (rows[list(LOAN_FEATURES)].astype(float) for rows in (past, later))
    options = {"constraints": constraint, "prefit": True, "predict_method": "predict_proba"}
    adjusted = ThresholdOptimizer(estimator=learn(past), **options)
    with warnings.catch_warnings():  # fairlearn uses what pandas will rename
        warnings.simplefilter("ignore")
        adjusted.fit(X, past["repaid"], sensitive_features=past["gender"].astype(str))
        said = adjusted.predict(
            later_X, sensitive_features=later["gender"].astype(str), random_state=draw
        )
    return np.asarray(said, dtype=bool)


def errors_alike(past: pd.DataFrame, later: pd.DataFrame, *, rounds: int = 10) -> np.ndarray:
    """Return what models decide that are fitted to equal error rates of the genders on the record.

    A mixture of `rounds` models at most, of which lots choose one for each row (one draw of them
    is returned); gender is needed to learn and not to decide.

    Source: Agarwal et al., ICML 2018; fairlearn.
    """
    from fairlearn.reductions import ErrorRateParity, ExponentiatedGradient
    from sklearn.linear_model import LogisticRegression

    scale = learn(past)[:-1]
    X, later_X = (
        scale.transform(rows[list(LOAN_FEATURES)].astype(float)) for rows in (past, later)
    )
    parity = ErrorRateParity(difference_bound=0.02)
    search = ExponentiatedGradient(LogisticRegression(), parity, max_iter=rounds)
    with warnings.catch_warnings():  # fairlearn uses what pandas will rename
        warnings.simplefilter("ignore")
        search.fit(X, past["repaid"], sensitive_features=past["gender"].astype(str))
        return np.asarray(search.predict(later_X, random_state=0), dtype=bool)


def defaulted_by_payments(payments: pd.DataFrame, *, in_a_row: int = 3) -> pd.Series:
    """Return application_id to whether so many payments in a row were late, by the record.

    An application without a payment on record is not in the result.

    Raises
    ------
    KeyError, TypeError: a column is missing, or of another type
    """
    columns = {"application_id": "int", "due_ts": "time", "late": "bool"}
    due = require(payments, "payments", columns).sort_values(["application_id", "due_ts"])
    late = due["late"].astype(bool)
    streak = late.astype(int).groupby([due["application_id"], (~late).cumsum()]).sum()
    return streak.groupby("application_id").max() >= in_a_row


def relabelled(rows: pd.DataFrame, payments: pd.DataFrame) -> pd.DataFrame:
    """Return the cases with the outcome that the payments tell, not the one on record."""
    defaulted = rows["application_id"].map(defaulted_by_payments(payments))
    return rows.assign(repaid=~defaulted.fillna(~rows["repaid"]).astype(bool))


def measured_again(rows: pd.DataFrame, exact: pd.DataFrame) -> pd.DataFrame:
    """Return the cases with measurements replaced: as if the file had been collected again.

    Parameters
    ----------
    exact: application_id and better measurements (in the simulation, those without error)
    """
    better = exact.set_index("application_id").loc[rows["application_id"]]
    names = [name for name in LOAN_FEATURES if name in better]
    return rows.assign(**{name: better[name].to_numpy(float) for name in names})
