"""Criteria of fairness that cannot all hold, and groups within groups.

With unequal base rates and imperfect prediction a score that means the same in two groups cannot
also treat the good (and the bad) of both alike (Kleinberg, Mullainathan and Raghavan, ITCS 2017;
Chouldechova, Big Data 5 (2017) 153-163).
"""

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.compliance.fairness import MISSING
from mlkit.params import NotNegative, Share, checked


@checked
def divide(
    of: pd.Series,
    *,
    tilt: Annotated[float, Interval(ge=-100, le=100)],
    rng: np.random.Generator,
) -> pd.Series:
    """Return a district for each row: the higher its value of `of`, the more likely "north".

    Two districts in one world, constructed: who repays is decided by the same rule in both, only
    the people differ.

    Parameters
    ----------
    of: a feature
    tilt: log-odds of the north per standard deviation of it; 0: the districts are alike
    """
    z = (of - of.mean()) / of.std()
    north = rng.random(len(of)) < 1 / (1 + np.exp(-tilt * z))
    return pd.Series(np.where(north, "north", "south"), index=of.index, name="district")


@checked
def criteria(
    score: np.ndarray, label: np.ndarray, group: pd.Series, *, threshold: Share = 0.5
) -> pd.DataFrame:
    """Return for each group what the criteria of fairness compare.

    Parameters
    ----------
    score: estimated probability of the favourable outcome, shape (n,)
    label: whether it came about, shape (n,), bool
    group: shape (n,)
    threshold: scores from there on are granted

    Returns
    -------
    Index: groups. base_rate; calibration_error (within the group); score_good and score_bad (mean
    score of those who repaid and who did not: "balance"); ppv, fpr and fnr of the decision.

    Raises
    ------
    ValueError: a group is empty of good or of bad outcomes

    Source: challenge 10, criteria conflict.
    """
    rows = pd.DataFrame({"score": score, "label": np.asarray(label, dtype=bool)})
    rows["granted"] = rows["score"] >= threshold
    result = {}
    for name, its in rows.groupby(np.asarray(group)):
        good, bad = its[its["label"]], its[~its["label"]]
        if good.empty or bad.empty:
            raise ValueError(f"group {name!r}: expected outcomes of both kinds in {len(its)} rows")
        result[name] = {
            "base_rate": its["label"].mean(),
            "calibration_error": calibration_error(its["score"].to_numpy(), its["label"]),
            "score_good": good["score"].mean(),
            "score_bad": bad["score"].mean(),
            "ppv": its.loc[its["granted"], "label"].mean(),
            "fpr": bad["granted"].mean(),
            "fnr": 1 - good["granted"].mean(),
        }
    return pd.DataFrame.from_dict(result, orient="index")


def calibration_error(score: np.ndarray, label: np.ndarray, *, bins: int = 5) -> float:
    """Return by how much mean score and share of good outcomes differ in bins of the score.

    The mean over bins of equally many rows (equal scores fall into one bin): 0 if calibrated.
    """
    edges = np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1])
    rows = pd.DataFrame({"score": score, "label": np.asarray(label, dtype=float)})
    parts = rows.groupby(np.searchsorted(edges, score, side="right"))
    off = (parts["score"].mean() - parts["label"].mean()).abs()
    return float((off * parts.size()).sum() / len(rows))


def crossed(
    rows: pd.DataFrame, *, ages: tuple[str, ...] = ("older", "middle", "younger")
) -> pd.Series:
    """Return gender and age band of each row, such as "F younger"; bands of equal size."""
    ranks = rows["birth_year"].rank(method="average", pct=True)
    place = np.ceil(ranks * len(ages)).astype(int).clip(1, len(ages)) - 1
    names = np.asarray(ages, dtype=object)[place]
    return (rows["gender"].astype("object").fillna(MISSING) + " " + names).rename("cell")


@checked
def inject_noise(
    rows: pd.DataFrame, where: np.ndarray, *, sd: NotNegative, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the rows with credit score and years in the job measured with an error in some.

    Parameters
    ----------
    where: which rows, shape (n,), bool
    sd: of the error, in standard deviations of the measured thing (0: no effect)
    """
    noise = sd * rng.normal(size=(len(rows), 2)) * np.asarray(where)[:, None]
    score = (rows["credit_score"] + 75 * noise[:, 0]).clip(300, 850)
    return rows.assign(
        credit_score=score, years_in_job=rows["years_in_job"] * np.exp(noise[:, 1] / 2)
    )


@checked
def inject_hidden(rows: pd.DataFrame, *, sd: NotNegative, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows with younger women and older men measured badly, and their cell and age.

    Constructed so that, with as many women as men, neither gender and neither age stands out.

    Returns
    -------
    The rows with noise in two cells, and the columns cell ("F younger") and age.
    """
    cell = crossed(rows, ages=("older", "younger"))
    bad = cell.isin(["F younger", "M older"]).to_numpy()
    return inject_noise(rows, bad, sd=sd, rng=rng).assign(cell=cell, age=cell.str.split().str[1])


def worse_than_rest(wrong: np.ndarray, group: pd.Series) -> pd.DataFrame:
    """Return for each group whether it has more wrong decisions than chance gives it.

    Returns
    -------
    Index: groups. n, wrong (their share), p (of so many or more wrong ones, were all groups alike:
    the hypergeometric tail) and p_all (Bonferroni: p times the number of groups, 1 at most).

    Raises
    ------
    ValueError: one group only
    """
    from scipy.stats import hypergeom

    wrong = np.asarray(wrong, dtype=bool)
    count = pd.Series(wrong).groupby(np.asarray(group)).agg(["size", "sum"])
    if len(count) < 2:
        raise ValueError(f"group: expected two groups or more, came {list(count.index)}")
    p = hypergeom.sf(count["sum"] - 1, len(wrong), wrong.sum(), count["size"])
    shares = {"n": count["size"], "wrong": count["sum"] / count["size"], "p": p}
    return pd.DataFrame(shares).assign(p_all=np.minimum(1, p * len(count)))


def false_alarms(
    wrong: np.ndarray, group: pd.Series, *, draws: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return how often some group looks worse at 5 % when who belongs to which is shuffled.

    Returns
    -------
    plain (any p below 0.05) and corrected (any p_all), as shares of the draws.
    """
    names = np.asarray(group)
    tables = [worse_than_rest(wrong, rng.permutation(names)) for _ in range(draws)]
    hits = {"plain": "p", "corrected": "p_all"}
    return {k: float(np.mean([(t[p] < 0.05).any() for t in tables])) for k, p in hits.items()}
