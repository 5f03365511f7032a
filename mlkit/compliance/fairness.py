"""Does a model treat two groups alike? Tables with intervals, and measures on the loans world.

The favourable answer is the positive one here: a loan is granted, a borrower repaid. So the false
negatives are good borrowers who were denied, and the false positives bad risks who were granted.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.compliance import repairs
from mlkit.features import LOAN_FEATURES
from mlkit.model import periods
from mlkit.params import checked
from mlkit.stats import Level, difference_interval, share_interval
from mlkit.tables import Tables, require_tables
from mlkit.tasks import TASKS

RATES = ("base_rate", "selection_rate", "accuracy", "fpr", "fnr")
MEASURES = ("men", "women", "truth_men", "truth_women", "gap", "truth_gap", "denied_gap", "ratio")
REPAIRS = {  # suffix of what `measured` returns, and the repair in words
    "": "none",
    "_gender_weights": "weights by gender",
    "_reweighing": "Kamiran & Calders",
    "_thresholds": "own thresholds",
    "_own_model": "own model",
    "_aware": "gender as a feature",
    "_measured_again": "measure again",
    "_relabelled": "audit the labels",
}
MISSING = "(missing)"  # rows whose group nobody knows are a group of their own


class Gap(NamedTuple):
    """A difference of two shares (first group minus second) with its interval."""

    gap: float
    low: float
    high: float


@checked
def by_group(
    decisions: pd.DataFrame, *, label: str, decision: str, group: str, level: Level = 0.95
) -> pd.DataFrame:
    """Return for each group how many there are and how they fare, with Wilson's intervals.

    Parameters
    ----------
    decisions: one row per decision
    label, decision, group: its columns; label (may be missing where the outcome is unknown) and
        decision are bool or 0/1, and true is the favourable answer in both
    level: of the intervals

    Returns
    -------
    Index: the groups, the largest first. n (rows), labelled (rows with a label), positives and
    negatives (by the label), then base_rate (label true), selection_rate (decision true; of all
    n), accuracy, fpr (decision true where the label is false) and fnr (decision false where the
    label is true), each followed by its bounds, such as accuracy_low and accuracy_high (all NaN
    where there is no row to count); half_width (of the accuracy's interval) and smallest (bool:
    the group with fewest labelled rows).

    Raises
    ------
    KeyError: a column is missing
    TypeError: label or decision is neither bool nor 0/1
    ValueError: a decision is missing, one group only, a group without rows (a category that
        nobody has), or labels of one kind only

    Source: challenge 10, fairness audit.
    """
    names = {"label": label, "decision": decision, "group": group}
    frame = pd.DataFrame({k: _column(decisions, name, k) for k, name in names.items()})
    truth, said = yes_no(frame["label"], label), yes_no(frame["decision"], decision)
    if said.isna().any():
        raise ValueError(f"{decision}: {said.isna().sum()} rows without a decision; drop them")
    if truth.dropna().nunique() != 2:
        raise ValueError(
            f"{label}: expected outcomes of both kinds, came {truth.notna().sum()} labels of one; "
            "error rates need both"
        )
    groups = _groups(frame["group"], group)
    both = pd.DataFrame({"truth": truth, "said": said})
    rows = {name: _rates(part, level) for name, part in both.groupby(groups.to_numpy())}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(group)
    table["smallest"] = np.arange(len(table)) == int(table["labelled"].argmin())
    return table.sort_values("n", ascending=False, kind="stable")


def _column(frame: pd.DataFrame, name: str, role: str) -> pd.Series:
    if name not in frame:
        raise KeyError(f"decisions lacks {name!r}, the {role}; has {list(frame.columns)}")
    return frame[name]


def _groups(column: pd.Series, name: str) -> pd.Series:
    """Return the group of each row, of which there are two or more and none without rows."""
    refuse_empty(column, name)
    groups = column.astype("object").where(column.notna(), MISSING)
    if groups.nunique() < 2:
        raise ValueError(f"{name}: expected two groups or more, came {groups.unique().tolist()}")
    return groups


def refuse_empty(column: pd.Series, name: str) -> None:
    """Return nothing when each category that a column declares has a row.

    Raises
    ------
    ValueError: a group is empty: nobody can say how it fares, and leaving it out must be a choice
    """
    declared = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else []
    if empty := [one for one in declared if not (column == one).any()]:
        raise ValueError(
            f"{name}: no row of {empty}; find out where they are, or leave the names out with "
            ".cat.remove_unused_categories()"
        )


def yes_no(column: pd.Series, name: str) -> pd.Series:
    """Return a column of bool or 0/1 as "boolean", missing values kept.

    Raises
    ------
    TypeError: anything else
    """
    present = column.dropna()
    text = len(present) and pd.api.types.is_string_dtype(present)
    if text or not present.isin([0, 1]).all():
        raise TypeError(
            f"{name}: expected true and false or 1 and 0, came {present.unique()[:3].tolist()}; "
            "write the favourable answer as 1"
        )
    return column.astype("boolean")


def _rates(rows: pd.DataFrame, level: float) -> dict[str, Any]:
    """Return the counts and rates of one group."""
    known = rows.dropna()
    truth, said = (known[name].to_numpy(bool) for name in ("truth", "said"))
    counts = {"n": len(rows), "labelled": len(known)}
    counts |= {"positives": int(truth.sum()), "negatives": int((~truth).sum())}
    of = {
        "base_rate": truth,
        "selection_rate": rows["said"].to_numpy(bool),
        "accuracy": truth == said,
        "fpr": said[~truth],
        "fnr": ~said[truth],
    }
    shares: dict[str, float] = {}
    for name, hits in of.items():
        low, high = (
            share_interval(int(hits.sum()), len(hits), level=level) if len(hits) else [np.nan] * 2
        )
        mean = float(hits.mean()) if len(hits) else np.nan
        shares |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    width = (shares["accuracy_high"] - shares["accuracy_low"]) / 2
    return {**counts, **shares, "half_width": width}


def gap(table: pd.DataFrame, rate: str, *, between: tuple[Any, Any] = ("M", "F")) -> Gap:
    """Return by how much a rate of the first group exceeds that of the second, with its interval.

    Parameters
    ----------
    table: what `by_group` returns
    rate: one of its rates, such as "accuracy"
    between: two of its groups

    Raises
    ------
    KeyError: no such rate or group

    Source: Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10.
    """
    for name, known in [(rate, RATES), *((one, table.index) for one in between)]:
        if name not in known:
            raise KeyError(f"{name!r}: expected one of {list(known)}")
    columns = [rate, f"{rate}_low", f"{rate}_high"]
    a, b = (tuple(table.loc[one, columns].astype(float)) for one in between)
    return Gap(float(a[0] - b[0]), *difference_interval(a, b))


def rows_needed(
    half_width: Annotated[float, Interval(gt=0, lt=0.5)], *, rate: float, level: Level = 0.95
) -> int:
    """Return how many rows a group needs for a rate to be known within +- `half_width`.

    Source: the usual approximation, z**2 p (1 - p) / half_width**2.
    """
    from scipy.stats import norm

    z = norm.ppf((1 + level) / 2)
    return int(np.ceil(z**2 * rate * (1 - rate) / half_width**2))


def cases(tables: Tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the applications with a known outcome: those to learn from, and all that came after.

    Returns
    -------
    Two tables: application_id, user_id, gender, birth_year, the features of the training path, and
    repaid (bool, what the lender's record says).

    Raises
    ------
    KeyError: a table or a column is missing, for example the protected attribute
    """
    require_tables(tables, "applications", "training", "users")
    task = TASKS["loans"]
    users, asked = tables["users"], tables["applications"]
    if "gender" not in users:
        raise KeyError("users lacks 'gender': without the protected attribute no gap is measurable")
    at = asked["applied_ts"]
    later = at >= at.min() + task.cuts[0] * (at.max() - at.min())
    period = np.select([periods(asked, task) == "train", later], ["past", "later"], "gap")
    rows = asked[["application_id", "user_id", task.label]].assign(period=period).dropna()
    rows = rows.merge(users[["user_id", "gender", "birth_year"]], on="user_id")
    rows = rows.merge(tables["training"][["application_id", *LOAN_FEATURES]], on="application_id")
    rows["repaid"] = ~rows.pop(task.label).astype(bool)
    rows = rows.sort_values("application_id", kind="stable")
    past, after = (rows[rows["period"] == name] for name in ("past", "later"))
    return tuple(part.drop(columns="period").reset_index(drop=True) for part in (past, after))


def measured(tables: Tables) -> dict[str, float]:
    """Return accuracies and gaps between men and women: plain, and after each repair.

    Keys: men, women, gap (their accuracy on the record after the training period), truth_men,
    truth_women, truth_gap (on the truth), denied_gap (share of good borrowers that is denied, women
    minus men, on the truth), ratio (share granted, women over men); the same with each suffix of
    REPAIRS after it. All NaN where one of the genders is missing among those to learn from or to
    judge, or has outcomes of one kind only.

    Raises
    ------
    KeyError: a table is missing
    """
    require_tables(tables, "truth_applications", "payments")
    past, later = cases(tables)
    kinds = [rows.groupby("gender", observed=True)["repaid"].nunique() for rows in (past, later)]
    if any(len(kind) < 2 or kind.min() < 2 for kind in kinds):
        return {k + name: float("nan") for name in REPAIRS for k in MEASURES}
    return _measure(tables, later, repaired(tables, past, later))


def compare(tables: Tables) -> pd.DataFrame:
    """Return the measures of each repair, and of equal error rates, which take a search.

    Returns
    -------
    Index: repairs in words, "none" first. Columns: MEASURES.

    Raises
    ------
    KeyError: a table is missing
    """
    past, later = cases(tables)
    alike = repairs.errors_alike(past, later)
    values = measured(tables)
    values |= _measure(tables, later, {"_errors_alike": (alike, later["repaid"].to_numpy(bool))})
    words = {"": REPAIRS[""], "_errors_alike": "equal error rates", **REPAIRS}
    rows = {word: {key: values[key + name] for key in MEASURES} for name, word in words.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("repair")


def _measure(
    tables: Tables, later: pd.DataFrame, said: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, float]:
    """Return the measures of what was granted and the record, each under its suffix."""
    truth = ~tables["truth_applications"].set_index("application_id")["defaulted"]
    truly = truth.loc[later["application_id"]].to_numpy(bool)
    values: dict[str, float] = {}
    for name, (granted, record) in said.items():
        values |= {k + name: v for k, v in _gaps(later["gender"], granted, record, truly).items()}
    return values


def repaired(
    tables: Tables, past: pd.DataFrame, later: pd.DataFrame
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return what is granted after each repair ("": none), and the record that it is judged by."""
    record = later["repaid"].to_numpy(bool)
    exact = tables["truth_applications"]
    audited = [repairs.relabelled(rows, tables["payments"]) for rows in (past, later)]
    again = [repairs.measured_again(rows, exact) for rows in (past, later)]
    weights = (repairs.gender_weights(past), repairs.reweighing(past))
    plain, by_gender, reweighed = (
        repairs.granted(repairs.learn(past, weights=w), later) for w in (None, *weights)
    )
    return {
        "": (plain, record),
        "_gender_weights": (by_gender, record),
        "_reweighing": (reweighed, record),
        "_own_model": (repairs.own_model(past, later), record),
        "_thresholds": (repairs.thresholds(past, later), record),
        "_aware": (repairs.aware(past, later), record),
        "_measured_again": (repairs.granted(repairs.learn(again[0]), again[1]), record),
        "_relabelled": (
            repairs.granted(repairs.learn(audited[0]), audited[1]),
            audited[1]["repaid"].to_numpy(bool),
        ),
    }


def _gaps(
    gender: pd.Series, granted: np.ndarray, record: np.ndarray, truly: np.ndarray
) -> dict[str, float]:
    """Return accuracy of both genders on record and truth, and who of the good is denied."""
    sides = {"men": (gender == "M").to_numpy(), "women": (gender == "F").to_numpy()}
    values = {k: _mean((granted == record)[rows]) for k, rows in sides.items()}
    values |= {f"truth_{k}": _mean((granted == truly)[rows]) for k, rows in sides.items()}
    denied = {k: _mean(~granted[rows & truly]) for k, rows in sides.items()}
    chosen = {k: _mean(granted[rows]) for k, rows in sides.items()}
    return {
        **values,
        "gap": values["men"] - values["women"],
        "truth_gap": values["truth_men"] - values["truth_women"],
        "denied_gap": denied["women"] - denied["men"],
        "ratio": chosen["women"] / chosen["men"] if chosen["men"] else float("nan"),
    }


def _mean(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def chance_gaps(
    rows: pd.DataFrame, *, sizes: tuple[int, ...], draws: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the gap in accuracy between men and women in random samples of decided cases.

    Parameters
    ----------
    rows: gender, repaid and granted
    sizes, draws: rows of a sample, and samples of each size

    Returns
    -------
    One row per sample: size, women (how many), gap, and excludes_0 (bool: its interval does). A
    sample without one of the genders or kinds of outcome is drawn again.

    Raises
    ------
    ValueError: a size above the number of rows
    """
    if max(sizes) > len(rows):
        raise ValueError(f"sizes = {sizes}: expected at most {len(rows)}, the rows there are")
    found: list[dict[str, Any]] = []
    for size in sizes:
        while sum(one["size"] == size for one in found) < draws:
            sample = rows.iloc[rng.choice(len(rows), size, replace=False)]
            if sample["gender"].nunique() < 2 or sample["repaid"].nunique() < 2:
                continue
            table = by_group(sample, label="repaid", decision="granted", group="gender")
            one = gap(table, "accuracy")
            outside = one.low > 0 or one.high < 0
            women = int(table.loc["F", "n"])
            found.append({"size": size, "women": women, "gap": one.gap, "excludes_0": outside})
    return pd.DataFrame(found)


def gap_by_person(
    rows: pd.DataFrame, *, draws: int, rng: np.random.Generator, level: Level = 0.95
) -> Gap:
    """Return the gap in accuracy, men minus women, with an interval from resampled persons.

    Several loans of one person are not independent; a person is drawn with all of hers.

    Parameters
    ----------
    rows: user_id, gender, repaid and granted
    """
    right = (rows["granted"] == rows["repaid"]).astype(float)
    table = right.groupby([rows["gender"].astype(str), rows["user_id"]]).agg(["sum", "size"])

    def accuracy(gender: str) -> tuple[float, np.ndarray]:
        hits, n = table.loc[gender].to_numpy().T
        times = rng.multinomial(len(n), np.full(len(n), 1 / len(n)), size=draws)
        return hits.sum() / n.sum(), (times @ hits) / (times @ n)

    (men, drawn_men), (women, drawn_women) = accuracy("M"), accuracy("F")
    low, high = np.quantile(drawn_men - drawn_women, [(1 - level) / 2, (1 + level) / 2])
    return Gap(float(men - women), float(low), float(high))
