"""Data leakage: no test row, customer or answer of the future stands in the training rows."""

import pandas as pd

WHO, WHEN, ANSWERED, FEATURES = "customer", "asked_at", "answered_at", ["basket", "visits"]
SHARED = 0.0  # 1.0 where the model will be asked about the same customers again


def test_the_split_keeps_the_future_out_of_training() -> None:
    """Fail when train holds rows of test, rows as late as test, or answers not yet known."""
    train = pd.read_csv("train.csv", parse_dates=[WHEN, ANSWERED])
    test = pd.read_csv("test.csv", parse_dates=[WHEN])
    first = test[WHEN].min()
    late = ~(train[WHEN] < first)
    assert not late.any(), f"{late.mean():.0%} of train is not older than test, {first}"
    unknown = ~(train[ANSWERED] < first)
    assert not unknown.any(), f"{unknown.mean():.0%} of the answers were not known on {first}"
    row = [WHO, *FEATURES]
    again = test[row].merge(train[row].drop_duplicates(), "left", row, indicator=True)["_merge"]
    copies = (again == "both").mean()
    assert copies <= 0.01, f"{copies:.0%} of the test rows stand in train too"
    share = test[WHO].isin(train[WHO]).mean()
    assert share <= SHARED, f"{share:.0%} of the test rows are of customers that train knows"
