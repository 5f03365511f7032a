"""Training-serving skew: the features as they were served are those that training computes."""

import pandas as pd

KEY, FEATURES = ["customer", "asked_at"], ["basket", "visits"]


def test_served_features_are_those_of_training() -> None:
    """Fail with a few examples when more than one request in a hundred was served otherwise."""
    served = pd.read_csv("served.csv").drop_duplicates()
    truth = pd.read_csv("recomputed.csv")
    both = truth.merge(
        served, "left", on=KEY, suffixes=("", "_served"), validate="1:1", indicator=True
    )
    lost = (both["_merge"] == "left_only").sum()
    assert lost == 0, f"{lost} requests were never logged"
    for name in FEATURES:
        mine, theirs = both[name], both[f"{name}_served"]
        agree = (mine - theirs).abs() <= 0.01 * mine.abs()
        wrong = ~(agree | (mine.isna() & theirs.isna()))
        examples = both.loc[wrong, [*KEY, name, f"{name}_served"]].head(3).to_string(index=False)
        assert wrong.mean() <= 0.01, f"{name}: {wrong.mean():.0%} served otherwise\n{examples}"
