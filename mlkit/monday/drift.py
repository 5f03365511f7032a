"""Data drift: this week's features are spread as those the model learned from."""

import pandas as pd

FEATURES, INFINITY = ["basket", "visits"], float("inf")


def test_features_of_this_week_are_spread_as_in_training() -> None:
    """Fail when more than a tenth of the rows of a feature would have to change their bin."""
    train, week = pd.read_csv("train.csv"), pd.read_csv("week.csv")
    assert min(len(train), len(week)) >= 500, "too few rows: chance alone moves this much"
    deciles = [tenth / 10 for tenth in range(1, 10)]
    for name in FEATURES:
        edges = [-INFINITY, *train[name].quantile(deciles).dropna().unique(), INFINITY]
        before, now = (
            pd.cut(table[name], edges, include_lowest=True)
            .value_counts(normalize=True, dropna=False)  # missing values are a bin too
            .rename(index=str)
            for table in (train, week)
        )
        moved = before.sub(now, fill_value=0).abs().sum() / 2
        table = pd.DataFrame({"training": before, "this week": now}).round(3).to_string()
        assert moved <= 0.1, f"{name}: {moved:.0%} of the rows moved\n{table}"
