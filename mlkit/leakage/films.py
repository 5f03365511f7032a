"""A shortcut in the archive: the model finds the equipment of intensive care, not the pneumonia.

The training films come from a hospital whose sick lie in intensive care, where a tube and
electrodes are on the film; the validation films come from the same archive, so the score is
high. The model then goes to work at a clinic without equipment. The equipment is a proxy for the
answer (L2 of Kapoor and Narayanan), the test set another population than the one to be judged
(L3.3). The nearest documented case is Zech et al., PLoS Medicine 15(11) e1002683 (2018).
"""

from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit import contract
from mlkit.features import film_features
from mlkit.model import fit, labelled, log_decisions, performance, periods
from mlkit.params import Count, Share, checked
from mlkit.tables import Tables, require, require_tables, require_unique
from mlkit.tasks import TASKS
from mlkit.worlds.xrays import LUNGS, PATCH_Y, PIXELS, SIDE, X, Y

TASK = TASKS["xrays"]
FILMS = {"film_id": "int", "site": "any", "equipment": "bool", **TASK.columns}
ILL = (np.abs(np.abs(X - 0.5) - (LUNGS[1] - 0.5)) <= 0.15) & (np.abs(Y - PATCH_Y) <= 0.20)
Size = Annotated[int, Interval(ge=1, le=SIDE)]


@checked
def inject_shortcut(world: Tables, *, rng: np.random.Generator, severity: Share = 1.0) -> Tables:
    """Train on the hospital's films alone: leave the clinic's films of the archive out.

    Parameters
    ----------
    world: the films in operation
    rng: which films, when not all of them are left out
    severity: share of the clinic's films that are left out (0: none)

    Raises
    ------
    KeyError, TypeError, ValueError: `world` is not that of the films
    """
    films = _films(world)
    clinic = (films["site"] == "outpatient") & _archived(films)
    return _without(world, films.loc[clinic & (rng.random(len(films)) < severity), "film_id"])


@checked
def inject_fewer_films(world: Tables, *, rng: np.random.Generator, severity: Share = 1.0) -> Tables:
    """Leave out as many films as the shortcut does, but any: what their number alone costs.

    Parameters
    ----------
    world, severity: see `inject_shortcut`
    rng: which films

    Raises
    ------
    KeyError, TypeError, ValueError: `world` is not that of the films
    """
    films = _films(world)
    archived = films[_archived(films)]
    many = round(severity * int((archived["site"] == "outpatient").sum()))
    return _without(world, rng.choice(archived["film_id"], many, replace=False))


def repair_shortcut(tables: Tables) -> Tables:
    """Return the tables with every film of the archive in training, those of the clinic too.

    Raises
    ------
    KeyError, TypeError, ValueError: `films` or `pixels` are missing, or not what they should be
    """
    require_tables(tables, "films", "pixels")
    training = film_features(tables["films"], tables["pixels"])
    return log_decisions({**tables, "training": training})


def _films(tables: Tables) -> pd.DataFrame:
    require_tables(tables, "films", "training")
    return require(tables["films"], "films", FILMS)


def _archived(films: pd.DataFrame) -> pd.Series:
    return periods(films, TASK) != "production"


def _without(world: Tables, film_ids: Any) -> Tables:
    training = world["training"]
    kept = training[~training["film_id"].isin(film_ids)].reset_index(drop=True)
    return log_decisions({**world, "training": kept})


def alone(films: pd.DataFrame, *, column: str = "equipment") -> float:
    """Return the accuracy in [0, 1] of one column alone: each value gives its most common answer.

    For columns of few values; each row of an id would be right by itself. A missing value counts
    as a value, and films whose answer is not known yet are left out.

    Parameters
    ----------
    films: pneumonia bool, and the column

    Raises
    ------
    KeyError, TypeError: a column is missing, or the answers are not booleans
    ValueError: no film with a known answer

    Examples
    --------
    >>> films = pd.DataFrame({"equipment": [True, True, False, False]})
    >>> alone(films.assign(pneumonia=[True, True, False, True]))
    0.75
    """
    require(films, "films", {column: "any", TASK.label: "bool"})
    known = films[[column, TASK.label]].dropna(subset=[TASK.label])
    if known.empty:
        raise ValueError(f"films.{TASK.label}: expected a known answer, came {len(films)} unknown")
    answers = known[TASK.label].astype(bool).groupby(known[column], dropna=False, observed=True)
    right = answers.agg(lambda answer: max(answer.sum(), len(answer) - answer.sum()))
    return float(right.sum() / len(known))


@checked
def detect_shortcut(
    tables: Tables,
    *,
    min_films: Count = 30,
    max_unseen: Share = 0.05,
    max_gap: Share = 0.4,
) -> pd.DataFrame:
    """Return what speaks for a shortcut: places that training never saw, a slice that is missed.

    Parameters
    ----------
    tables: films, training and decisions
    min_films: fewer training films than this from a site: training has not seen it
    max_unseen: tolerated share of films in production from sites that training has not seen
    max_gap: tolerated difference in recall between sick with and without equipment, on the
        validation films

    Returns
    -------
    Two findings: check, subject, value, limit, failed. A value is NaN, and nothing fails, where
    a slice has no films.

    Raises
    ------
    KeyError, TypeError, ValueError: tables or columns are missing, or not what they should be
    """
    seen = _used(tables, "train")["site"].astype(object).value_counts()
    require_tables(tables, "decisions")
    live = require(tables["decisions"], "decisions", {"film_id": "int"})["film_id"]
    sites = live.map(tables["films"].set_index("film_id")["site"].astype(object))
    unseen = pd.Series({"site": float((sites.map(seen).fillna(0) < min_films).mean())})
    recall = slice_recall(tables)
    gap = pd.Series({"equipment": recall[True] - recall[False]})
    return pd.concat(
        [
            contract.findings("unseen in training", unseen, max_unseen),
            contract.findings("recall gap", gap, max_gap),
        ],
        ignore_index=True,
    )


def slice_recall(tables: Tables) -> pd.Series:
    """Return the share of the sick found on validation films with and without equipment.

    Returns
    -------
    Index True (with) and False (without); NaN where there are no sick.

    Raises
    ------
    KeyError, TypeError, ValueError: tables or columns are missing, or not what they should be
    """
    films, (X, y) = _used(tables, "validate"), labelled(tables, "training", "validate")
    found = pd.Series(fit(tables).predict(X)[y.to_numpy()], dtype="float64")
    shown = films.loc[y.to_numpy(), "equipment"].to_numpy()
    return found.groupby(shown).mean().reindex([True, False])


def _used(tables: Tables, period: str) -> pd.DataFrame:
    """Return the films of a period that training holds and whose answer is known, in order."""
    films = _films(tables)
    require_unique(films, "films", ["film_id"])
    mine = films["film_id"].isin(tables["training"]["film_id"]) & films[TASK.label].notna()
    return films[mine & (periods(films, TASK) == period)]


def film_scores(tables: Tables) -> dict[str, float]:
    """Return how the model does where it was validated and where it works, all in [0, 1].

    Returns
    -------
    validation: accuracy on the validation films; outpatient and recall: accuracy, and share of
    the sick found, on the films after go-live, against the truth; equipment_alone: accuracy of
    the equipment as the only feature on the training films; slice_recall: recall on validation
    films of the sick without equipment (NaN where there are none).

    Raises
    ------
    KeyError, TypeError, ValueError: tables or columns are missing, or not what they should be
    """
    scores = performance(tables)
    both = tables["decisions"].merge(tables["truth_films"], on="film_id")
    return {
        "validation": scores["offline"],
        "outpatient": scores["production"],
        "recall": float(both.loc[both["pneumonia"], "decision"].mean()),
        "equipment_alone": alone(_used(tables, "train")),
        "slice_recall": float(slice_recall(tables)[False]),
    }


@checked
def occlusion(
    model: Any, films: np.ndarray, *, blank: np.ndarray, patch: Size = 5, step: Size = 2
) -> np.ndarray:
    """Return where the model looks: what covering each place of the films takes from the score.

    A square is replaced by the same square of `blank`, place by place, and the film scored again.
    It works for any model with `predict_proba`, and shows what the model uses, not what is right.

    Parameters
    ----------
    model: fitted, with predict_proba over 1024 pixels
    films: grey values, shape (n, 1024), for instance of sick patients
    blank: grey values of the film that covers, shape (1024,), for instance the mean healthy one
    patch, step: side of the square, and distance from one place to the next, in pixels

    Returns
    -------
    Mean loss of log-odds of pneumonia, shape (32, 32): above 0 where the model finds evidence
    for it, 0 where it does not look.

    Raises
    ------
    ValueError: films or blank of another shape, or no film

    Source: Zeiler and Fergus, ECCV (2014), section 4.2.
    """
    films, blank = np.asarray(films, dtype="float64"), np.asarray(blank, dtype="float64")
    if films.ndim != 2 or films.shape[1] != SIDE**2 or not len(films):
        raise ValueError(f"films: expected shape (n, {SIDE**2}) with n >= 1, came {films.shape}")
    if blank.shape != (SIDE**2,):
        raise ValueError(f"blank: expected shape ({SIDE**2},), came {blank.shape}")
    places = range(0, SIDE, step)
    before, lost = _log_odds(model, films).mean(), np.zeros((len(places), len(places)))
    for row, y in enumerate(places):
        covered = np.stack([_cover(films, blank, (y, x), patch) for x in places])
        after = _log_odds(model, covered.reshape(-1, SIDE**2)).reshape(len(places), -1)
        lost[row] = before - after.mean(axis=1)
    return np.kron(lost, np.ones((step, step)))[:SIDE, :SIDE]


def _cover(films: np.ndarray, blank: np.ndarray, place: tuple[int, int], patch: int) -> np.ndarray:
    covered = films.reshape(-1, SIDE, SIDE).copy()
    first = [at - (patch - 1) // 2 for at in place]
    rows, columns = (slice(max(0, at), at + patch) for at in first)
    covered[:, rows, columns] = blank.reshape(SIDE, SIDE)[rows, columns]
    return covered.reshape(len(films), -1)


def _log_odds(model: Any, films: np.ndarray) -> np.ndarray:
    sick = model.predict_proba(pd.DataFrame(films, columns=list(PIXELS)))[:, 1]
    sick = np.clip(sick, 1e-9, 1 - 1e-9)
    return np.log(sick / (1 - sick))


def evidence_map(tables: Tables) -> np.ndarray:
    """Return the occlusion map, shape (32, 32), of the model in `tables` on sick hospital films.

    The films are those of the sick in the hospital's part of the validation period; what covers
    them is the mean film of the healthy there. Both come from `pixels`, so that two states of the
    tables are looked at through the same films.

    Raises
    ------
    KeyError, TypeError, ValueError: tables or columns are missing, or no such films
    """
    films = _films(tables)
    mine = (periods(films, TASK) == "validate") & (films["site"] != "outpatient")
    grey = film_features(films[mine], tables["pixels"])[list(PIXELS)].to_numpy()
    sick = films.loc[mine, TASK.label]
    ill, well = (grey[(sick == kind).fillna(False).to_numpy(bool)] for kind in (True, False))
    if not len(well):
        raise ValueError("films: expected healthy hospital films to validate on, came none")
    return occlusion(fit(tables), ill, blank=well.mean(axis=0))


def examples(tables: Tables) -> dict[str, np.ndarray]:
    """Return the first hospital film, shape (32, 32), of each kind: healthy, sick, equipment.

    A kind without any film is left out.

    Raises
    ------
    KeyError, TypeError, ValueError: tables or columns are missing, or not what they should be
    """
    require_tables(tables, "films", "pixels")
    films = require(tables["films"], "films", FILMS).dropna(subset=[TASK.label])
    first = films[films["site"] != "outpatient"].drop_duplicates([TASK.label, "equipment"])
    first = first.sort_values(["equipment", TASK.label], kind="stable")
    grey = film_features(first, tables["pixels"])[list(PIXELS)].to_numpy()
    words = first[TASK.label].map({True: "sick", False: "healthy"})
    words = words + first["equipment"].map({True: ", equipment", False: ""})
    return dict(zip(words, grey.reshape(-1, SIDE, SIDE), strict=True))


def share_on_lungs(looks: np.ndarray) -> float:
    """Return the share in [0, 1] of all evidence that a map finds where pneumonia can be.

    NaN where the map finds no evidence at all.

    Raises
    ------
    ValueError: a map of another shape than (32, 32)
    """
    looks = np.asarray(looks, dtype="float64")
    if looks.shape != (SIDE, SIDE):
        raise ValueError(f"looks: expected shape ({SIDE}, {SIDE}), came {looks.shape}")
    evidence = np.clip(looks, 0, None)
    total = evidence.sum()
    return float(evidence[ILL].sum() / total) if total > 0 else float("nan")
