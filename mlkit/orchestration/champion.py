"""Deploy only if better than the champion: better by what, on which rows, and by how much?"""

from typing import Annotated, Literal, get_args

import numpy as np
import pandas as pd
from annotated_types import Interval

from mlkit.params import Count, Share, checked

Rule = Literal["always", "above its record", "same rows", "same rows, margin"]
RULES: tuple[Rule, ...] = get_args(Rule)
Gain = Annotated[float, Interval(ge=-0.2, le=0.2)]
Z = 1.645  # one-sided 5 %


@checked
def challenges(
    *,
    rng: np.random.Generator,
    rule: Rule = "same rows",
    weeks: Count = 26,
    rows: Count = 500,
    level: Share = 0.8,
    spread: Share = 0.01,
    differ: Share = 0.1,
    gain: Gain = 0.0,
) -> pd.DataFrame:
    """Return one row per week in which a retrained model challenges the champion.

    Each challenger's true accuracy is drawn around the same level, so that retraining as such gains
    nothing; the one of the last week is better than the champion by `gain`. They meet on fresh test
    rows, on a share of which (`differ`) exactly one of the two is right.

    Parameters
    ----------
    rule: deploy always; above the score that the champion had in the week of its own test; above
        the champion on this week's rows; the same by more than chance (sign test, normal, 5 %)
    rows: test rows of a week
    level, spread: mean and standard deviation of true accuracies

    Returns
    -------
    week, champion, challenger (true accuracies), record (the champion's remembered score), score
    (the challenger's), deployed, and worse (deployed, and truly worse than what it replaced)
    """
    champion = float(np.clip(rng.normal(level, spread), 0, 1))
    record, found = float(rng.binomial(rows, champion)) / rows, []
    for week in range(1, weeks + 1):
        last = week == weeks
        truth = champion + gain if last and gain else rng.normal(level, spread)
        truth = float(np.clip(truth, 0, 1))
        score, lead, noise = _meet(champion, truth, rows, differ, rng)
        deployed = {
            "always": True,
            "above its record": score > record,
            "same rows": lead > 0,
            "same rows, margin": lead > Z * noise,
        }[rule]
        found.append(
            (week, champion, truth, record, score, deployed, deployed & (truth < champion))
        )
        if deployed:
            champion, record = truth, score
    columns = ["week", "champion", "challenger", "record", "score", "deployed", "worse"]
    return pd.DataFrame(found, columns=columns)


def _meet(
    champion: float, truth: float, rows: int, differ: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The challenger's score, its lead over the champion on the same rows, and the lead's noise."""
    gain, both = truth - champion, truth + champion
    apart = np.clip(differ, abs(gain), min(both, 2 - both))  # no two models differ on other shares
    cells = np.array([apart + gain, apart - gain, both - apart, 2 - both - apart]) / 2
    won, lost, shared, _ = rng.multinomial(rows, np.clip(cells, 0, 1))
    return (won + shared) / rows, (won - lost) / rows, float(np.sqrt(max(won + lost, 1))) / rows
