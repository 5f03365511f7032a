"""Running production under a policy, review by review, and what it is worth in the end."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.drift import decide as gate
from mlkit.drift.decide import Deployment, X, beats, predict, source_breaks
from mlkit.drift.detectors import naive_ks, naive_psi, naive_should_retrain
from mlkit.drift.monitor import RULE, by_user, first_days, harm, last_days, matured
from mlkit.model import THRESHOLD, fit, performance, periods
from mlkit.params import Share, checked
from mlkit.stats import psi
from mlkit.tables import Tables, require_tables

Policy = Literal["gate", "retrain", "recalibrate"]
Window = Annotated[int, Interval(ge=3, le=100_000)]
Every = Annotated[int, Interval(ge=1, le=100_000)]
MONTH = 28  # days of the newest decisions by which production is judged
ASKED = 0.9  # level at which the gate looks for a challenger; who wins is tested once more
CLEARLY = 0.02  # what a new intercept has to gain
FEWEST = 150  # matured decisions without which a review decides nothing


class Live(NamedTuple):
    """A model in production and its row of `deployments`."""

    model: Any
    row: Deployment


@checked
def repair(
    suspect: Tables,
    *,
    how: Policy = "gate",
    review_days: Every = 7,
    window_days: Window = 14,
    max_loss: Share = 0.02,
    max_gap: Share = 0.05,
) -> Tables:
    """Return the tables with production run again under a policy that reviews it now and then.

    gate: upstream first, then harm on matured answers; a challenger or a new intercept only where
    harm is proven, and only after it has won; back to the model before where that one does better.
    retrain, recalibrate: at every review, no questions asked.

    A review with fewer than `FEWEST` matured decisions decides nothing and leaves no row: at one
    request per user and month, as in this shop, a window of 14 days needs more than 300 users. The
    gate trains nothing either while amounts come in a unit that it cannot name: what it calls
    upstream for then is in `source_breaks`, not in `deployments`.

    Parameters
    ----------
    suspect: tables of the shop in operation
    how: the policy
    review_days: days between reviews; a review knows what was known on its day
    window_days: days of the newest matured decisions that a review looks at
    max_loss, max_gap: see `monitor.harm`

    Returns
    -------
    New tables: `decisions` as they would have been, and `deployments`, one row per model or
    mending that went live (the fields of `decide.Deployment`). Where upstream was mended, its
    tables and the features too.

    Raises
    ------
    KeyError: a table is missing
    ValueError: an option out of range

    Source: challenge 6, mitigation strategies; Klinkenberg and Joachims, ICML 2000, on windows.
    """
    require_tables(suspect, "transactions", "offers", "training", "served", "decisions")
    tables = {name: table for name, table in suspect.items() if name != "deployments"}
    tables, history = _begin(tables, _reviews(tables, review_days), mend=how == "gate")
    base = _validation(tables, history[0].model)
    rest = how == "gate" and unknown_unit(tables)
    for now in _reviews(tables, review_days):
        recent = known(tables["decisions"], now, window_days)
        if len(recent) < FEWEST or rest:
            continue
        lived = _scored(recent, history[-1])
        found = harm(base, lived, max_loss=max_loss, max_gap=max_gap, level=ASKED)
        action = gate.decide(found) if how == "gate" else how
        fresh = how == "gate" and _roll_back(history, recent, now)
        fresh = fresh or _change(action, history[-1], recent, now, contest=how == "gate")
        history += [fresh] if fresh else []
    decided = _decided(tables["decisions"], suspect["decisions"], history)
    return {**tables, "decisions": decided, "deployments": pd.DataFrame([x.row for x in history])}


def unknown_unit(tables: Tables) -> bool:
    """Return whether amounts come in another unit that cannot be named."""
    _, factor = gate.wrong_unit(tables["transactions"], until=gate.trained_until(tables))
    return bool(np.isnan(factor))


def known(log: pd.DataFrame, now: pd.Timestamp, days: int) -> pd.DataFrame:
    """Return the newest `days` days of decisions among those whose answer was known by `now`."""
    answered = matured(log[log["label_known_ts"] <= now])
    return last_days(answered, days).sort_values("ts", kind="stable") if len(answered) else answered


def _reviews(tables: Tables, days: int) -> pd.DatetimeIndex:
    at = tables["decisions"]["ts"]
    return pd.date_range(at.min(), at.max(), freq=pd.Timedelta(days=days))[1:]


def _begin(tables: Tables, reviews: pd.DatetimeIndex, *, mend: bool) -> tuple[Tables, list[Live]]:
    """Return the tables, mended if need be, and the models live before the first review."""
    champion = fit(tables)
    history = [_champion(tables, champion)]
    if not mend:
        return tables, history
    found, mended = source_breaks(tables)
    due = reviews[reviews >= found.loc[found["failed"], "first"].min()]
    if gate.decide(found) != "fix upstream" or due.empty or found["factor"].isna().any():
        return tables, history
    row = history[0].row._replace(live_from=due[0], reason="fix upstream")
    return mended, [*history, Live(champion, row)]


def _champion(tables: Tables, model: Any) -> Live:
    asked, period = tables["offers"], periods(tables["offers"])
    trained = asked.loc[period == "train", "prediction_ts"]
    live = asked.loc[period == "production", "prediction_ts"].min()
    rows = _validation(tables, model)
    right = float(((rows["score"] >= THRESHOLD) == rows["label"]).mean())
    row = Deployment("champion", trained.min(), trained.max(), 0.0, live, "first", round(right, 6))
    return Live(model, row)


def _validation(tables: Tables, model: Any) -> pd.DataFrame:
    """Return user_id, score and label of the rows by which the champion was judged offline."""
    asked = tables["offers"][periods(tables["offers"]) == "validate"].dropna(subset=["accepted"])
    rows = asked[["offer_id", "user_id", "accepted"]].merge(
        tables["training"][["offer_id", *X]], on="offer_id"
    )
    return rows.assign(score=predict(model, rows), label=rows["accepted"].astype(bool))


def _scored(rows: pd.DataFrame, live: Live) -> pd.DataFrame:
    return rows.assign(score=predict(live.model, rows, live.row.shift))


def _change(
    action: str, live: Live, recent: pd.DataFrame, now: pd.Timestamp, *, contest: bool
) -> Live | None:
    """Return what goes live at a review, or nothing: it learns on two thirds, is judged on one."""
    cut = recent["ts"].iloc[2 * len(recent) // 3]
    learn, judge = recent[recent["ts"] < cut], recent[recent["ts"] >= cut]
    if action not in ("retrain", "recalibrate") or learn["label"].nunique() < 2:
        return None
    row = live.row._replace(live_from=now, reason=action)
    if action == "retrain":
        row = row._replace(
            model=f"challenger {now:%Y-%m-%d}",
            trained_from=learn["ts"].min(),
            trained_to=learn["ts"].max(),
            shift=0.0,
        )
        fresh = Live(gate.fit_rows(learn), row)
    else:
        shift = gate.recalibrate(predict(live.model, learn), learn["label"].to_numpy())
        fresh = Live(live.model, row._replace(shift=shift))
    new, old = _scored(judge, fresh), _scored(judge, live)
    better = beats(new["score"], old["score"], judge) if action == "retrain" else _closer(new, old)
    right = float(((new["score"] >= THRESHOLD) == judge["label"]).mean())
    fresh = fresh._replace(row=fresh.row._replace(matured=round(right, 6)))
    return fresh if better or not contest else None


def _closer(new: pd.DataFrame, old: pd.DataFrame) -> bool:
    """Return whether the mean score of the new is clearly nearer to the share of positives."""
    gaps = [abs(by_user(rows, "judge")["excess"].mean()) for rows in (new, old)]
    return bool(gaps[0] < gaps[1] - CLEARLY)


def _roll_back(history: list[Live], recent: pd.DataFrame, now: pd.Timestamp) -> Live | None:
    """Return the model before the present one, where it does better since that one is live."""
    if len(history) < 2 or history[-1].row.reason != "retrain":
        return None
    since = recent[recent["ts"] >= history[-1].row.live_from]
    before, present = history[-2], history[-1]
    if len(since) < FEWEST:
        return None
    scores = [_scored(since, live)["score"].to_numpy() for live in (before, present)]
    if not beats(*scores, since):
        return None
    return before._replace(row=before.row._replace(live_from=now, reason="roll back"))


def _decided(log: pd.DataFrame, served: pd.DataFrame, history: list[Live]) -> pd.DataFrame:
    """Return the log with each decision by the model and the features of its moment."""
    score = log["score"].to_numpy().copy()
    for live in history[1:]:
        later = (log["ts"] >= live.row.live_from).to_numpy()
        score[later] = predict(live.model, log[later], live.row.shift)
    decided = log.assign(score=score, decision=score >= THRESHOLD)
    mended = [live.row.live_from for live in history if live.row.reason == "fix upstream"]
    if not mended:
        return decided
    before = log["ts"] < mended[0]
    return pd.concat([served[before], decided[~before]], ignore_index=True)


@checked
def score(tables: Tables) -> dict[str, float]:
    """Return what the pipeline is worth now: on the newest four weeks of decisions.

    offline: on the rows by which the live model was judged before it went live. honest: on the
    newest four weeks with known answers. production: on the newest four weeks, judged by the
    truth; auc likewise. calibration: distance of mean score and share of acceptance there (0 is
    best). retrained: how many models were trained after the first. naive_rule: share of the weeks
    in production after which the rule of the syllabus would retrain. naive_psi, naive_psi_cents:
    the index as printed in the syllabus, of the log of the average amount against the training
    rows, and what it would be, had these weeks come in cents; psi_cents: the index done right.
    upstream_fixed: production, had upstream repaired a wrong unit in these four weeks (NaN where
    the unit is wrong and cannot be named; production where nothing wrong is found, see
    `decide.wrong_unit` for what is not).

    Raises
    ------
    KeyError: a table is missing; `truth_offers` is needed for production
    """
    require_tables(tables, "decisions", "truth_offers", "training", "offers")
    log = tables["decisions"]
    whole = performance({**tables, "decisions": last_days(log, MONTH)})
    honest = last_days(matured(log), MONTH)
    month = last_days(log, MONTH)
    truth = tables["truth_offers"].set_index("offer_id")["accepted"].loc[month["offer_id"]]
    ledger = tables.get("deployments")
    return {
        "offline": whole["offline"] if ledger is None else float(ledger["matured"].iloc[-1]),
        "honest": float((honest["decision"] == honest["label"]).mean()),
        "production": whole["production"],
        "auc": whole["auc"],
        "calibration": float(abs(month["score"].mean() - truth.mean())),
        "retrained": 0.0 if ledger is None else float((ledger["reason"] == "retrain").sum()),
        "naive_rule": float(np.mean(rule_weeks(tables))),
        **_index_in_cents(tables, month),
        "upstream_fixed": _upstream_fixed(tables, month, truth),
    }


def _trained_on(tables: Tables) -> pd.DataFrame:
    """Return the features of the training period."""
    trained = tables["offers"].loc[periods(tables["offers"]) == "train", "offer_id"]
    return tables["training"][tables["training"]["offer_id"].isin(trained)]


def _index_in_cents(tables: Tables, month: pd.DataFrame) -> dict[str, float]:
    """Return what two indices say of the average amount, had the month come in cents."""
    before, now = (np.log(rows["avg_amount"]) for rows in (_trained_on(tables), month))
    cents = now + np.log(100)
    return {
        "naive_psi": naive_psi(before, now),
        "naive_psi_cents": naive_psi(before, cents),
        "psi_cents": psi(before, cents),
    }


def rule_weeks(tables: Tables, *, features: Sequence[str] = tuple(RULE)) -> list[bool]:
    """Return for each week of production whether the rule of the syllabus would retrain.

    It compares the requests of the week with the rows of the training period.

    Raises
    ------
    KeyError: a table or a column is missing
    """
    reference, log, alarms = _trained_on(tables), tables["decisions"], []
    for end in _reviews(tables, 7):
        week = log[(log["ts"] < end) & (log["ts"] >= end - pd.Timedelta(days=7))]
        found = naive_ks(reference, week, features=list(features))
        alarms.append(naive_should_retrain(found))
    return alarms


def _upstream_fixed(tables: Tables, month: pd.DataFrame, truth: pd.Series) -> float:
    """Return the accuracy of the live model on the features of a mended source."""
    hit, factor = gate.wrong_unit(tables["transactions"], until=gate.trained_until(tables))
    if np.isnan(factor):
        return float("nan")
    rows = month
    if hit.any():
        _, mended = source_breaks(tables)
        rows = mended["decisions"].set_index("offer_id").loc[month["offer_id"]]
    ledger = tables.get("deployments")
    if ledger is None or not hit.any():
        return float((rows["decision"].to_numpy() == truth.to_numpy()).mean())
    row = next(ledger.iloc[[-1]].itertuples())
    decision = predict(gate.model_of(tables, row), rows, row.shift) >= THRESHOLD
    return float((decision == truth.to_numpy()).mean())


def weekly(reference: Tables, suspect: Tables) -> pd.DataFrame:
    """Return per week of production how loud the features are and how right the decisions.

    Parameters
    ----------
    reference: tables with `decisions`, the first four weeks of which are compared with
    suspect: tables with `decisions` and `truth_offers`

    Returns
    -------
    Index: the begin of the week (UTC). psi: the largest index of any feature. accuracy: share of
    right decisions by the truth, in [0, 1]. accepted: share of positive answers by the truth.

    Raises
    ------
    KeyError: a table or a column is missing
    """
    require_tables(suspect, "decisions", "truth_offers")
    before = first_days(reference["decisions"], MONTH)
    log = suspect["decisions"].merge(
        suspect["truth_offers"].rename(columns={"accepted": "truth"}), on="offer_id"
    )
    rows = {}
    for begin in pd.date_range(log["ts"].min(), log["ts"].max(), freq="7D")[:-1]:
        week = log[(log["ts"] >= begin) & (log["ts"] < begin + pd.Timedelta(days=7))]
        loudest = max(psi(before[name], week[name]) for name in X)
        right = (week["decision"] == week["truth"]).mean()
        rows[begin] = {"psi": loudest, "accuracy": right, "accepted": week["truth"].mean()}
    return pd.DataFrame(rows).T
