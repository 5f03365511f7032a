"""Compliance: nobody who asked to be forgotten is in any table of the project."""

import hmac
from pathlib import Path

import pandas as pd

KEYS = {"customer": "user_id", "email": "email"}  # column that says who a row is about, its kind


def test_nobody_on_the_suppression_list_is_in_a_table() -> None:
    """Fail where somebody is; suppressed.txt has HMAC-SHA256 of "kind:value" under the key."""
    key = bytes.fromhex(Path("erasure/key").read_text(encoding="utf-8"))
    lines = Path("erasure/suppressed.txt").read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if len(line) == 64}
    found: dict[str, int] = {}
    looked = 0
    for file in sorted(Path("data").rglob("*.parquet")):
        table = pd.read_parquet(file).reset_index()
        for column in table.columns.intersection(list(KEYS)):
            values = table[column].dropna().convert_dtypes().astype("str")  # 7.0 is 7
            values = values.str.strip().str.lower()
            texts = {value: f"{KEYS[column]}:{value}".encode() for value in values.unique()}
            digests = {v: hmac.new(key, text, "sha256").hexdigest() for v, text in texts.items()}
            held, looked = int(values.map(digests).isin(listed).sum()), looked + len(values)
            found |= {f"{file.as_posix()}, {column}: {held} rows": held} if held else {}
    assert listed and looked, f"{len(listed)} on the list, {looked} keys in data: nothing was tried"
    assert not found, "people who asked to be forgotten are in\n" + "\n".join(found)
