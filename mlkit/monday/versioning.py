"""Versioning: the tables that a model learned from still say what they said."""

import pandas as pd


def test_the_tables_are_the_recorded_versions() -> None:
    """Fail when a table is not the version that versions.csv (table, rows, content) records."""
    recorded = pd.read_csv("versions.csv", dtype="str").set_index("table")
    assert len(recorded), "versions.csv records no table"
    now = recorded.copy()
    for name in recorded.index:
        table = pd.read_csv(f"{name}.csv", dtype="str", keep_default_na=False)
        table = table[sorted(table)]  # the order of columns is no content, nor is that of rows
        head = pd.DataFrame([list(table)])
        rows, names = (int(pd.util.hash_pandas_object(t, index=False).sum()) for t in (table, head))
        now.loc[name, "rows"] = str(len(table))
        now.loc[name, "content"] = f"{rows ^ names:016x}"
    other = (now != recorded).any(axis=1)
    both = pd.concat([recorded[other], now[other].add_suffix(" now")], axis=1).to_string()
    assert not other.any(), f"not the version that was recorded: {list(now.index[other])}\n{both}"
