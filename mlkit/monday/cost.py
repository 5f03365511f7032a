"""Cost: the cheaper pipeline says what the old one said, in files that are not too small."""

import pandas as pd

SMALL, DIGITS = 16_000_000, 9  # bytes of a file that is large enough; decimals that count


def test_the_cheaper_features_are_the_same() -> None:
    """Fail when columns, rows or values differ, in whatever order, or when files are too many."""
    old, new = (pd.read_csv(name).round(DIGITS).convert_dtypes() for name in ("old.csv", "new.csv"))
    odd = sorted(set(old) ^ set(new))
    assert not odd, f"columns on one side only: {odd}"
    assert len(old) == len(new), f"{len(old)} rows before, {len(new)} now"
    before, now = (
        pd.util.hash_pandas_object(table[sorted(old)].astype("str"), index=False)
        for table in (old, new)
    )
    other = ~now.isin(before)
    examples = new[other].head(3).to_string(index=False)
    same = before.sum() == now.sum()  # of the rows' hashes: no order, and copies count
    assert same, f"{other.mean():.1%} of the rows are not those of before\n{examples}"
    sizes = pd.read_csv("files.csv")["bytes"]  # a listing of the store: a row for each file
    needed = max(-(-sizes.sum() // SMALL), 1)
    assert len(sizes) <= 2 * needed, f"{len(sizes)} files where {needed} would do"
