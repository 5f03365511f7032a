"""What the exercises of governance stand on: drawn worlds that are fair, and a picture."""

import pandas as pd
import pytest

from mlkit import plots
from mlkit.exercises.governance import payouts
from mlkit.exercises.governance.reliance import by_loop, promises_of, uses_of
from mlkit.plots import quizzes

SEEDS = [7, 11, 1025]


@pytest.mark.parametrize("seed", SEEDS)
def test_harm_and_none_differ_by_learner_and_are_ten_each(seed):
    bad, good = payouts.changes_of(seed)
    assert len(bad) == len(good) == 10
    assert not any(change.delivery.rows.empty for change in bad + good)
    largest = max(day["amount_usd"].max() for day in payouts.history_of(seed))
    cents = next(change for change in bad if "cents" in change.name).delivery.rows
    assert cents["amount_usd"].max() < payouts.MOST  # no bound tells, only the figure does
    assert good[5].delivery.rows["amount_usd"].max() > largest
    assert payouts.world_of(payouts.stream(seed, "a")) != payouts.world_of(
        payouts.stream(seed + 1, "a")
    )


def test_a_promise_holds_a_use_or_breaks_it():
    use = ("model", "amount", 0.0, 500.0, False)
    for promise, broken in (
        (("amount", 0, 500, False), set()),
        (("amount", 0, 501, False), {"model"}),
        (("amount", 0, 500, True), {"model"}),
        (("price", 0, 500, False), {"model"}),
    ):
        assert by_loop(uses_of(use), promises_of(promise)) == broken


def test_four_bands_share_a_scale_and_keep_gaps():
    days = pd.DataFrame({"low": [9.0, 10, 11], "middle": [30.0, 30, 30], "high": [90.0, 95, 99]})
    gap = days.copy()
    gap.loc[1] = float("nan")
    drawn = quizzes.four_bands({"A": days, "B": 8 * days, "C": gap}, unit="USD")
    panels = drawn.figure.axes
    assert [ax.get_title() for ax in panels] == ["A", "B", "C"]
    assert len({ax.get_ylim() for ax in panels}) == 1
    assert pd.isna(panels[2].lines[0].get_ydata()[1])
    again = quizzes.four_bands({"A": days, "B": 8 * days, "C": gap}, unit="USD")
    assert plots.png(drawn) == plots.png(again)
