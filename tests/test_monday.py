"""Tests to paste: short, pandas alone, red on broken files and green on healthy ones."""

import ast
import importlib
from pathlib import Path

import pytest

from mlkit import CHALLENGES
from mlkit.monday import skew as monday

FOLDER = Path(__file__).parents[1] / "mlkit/monday"
NAMES = {"user_id": "customer", "prediction_ts": "asked_at"}
NAMES |= {"avg_amount": "basket", "purchases_30d": "visits"}


@pytest.mark.parametrize("word", CHALLENGES)
def test_paste_needs_pandas_alone(word):
    tree = ast.parse((FOLDER / f"{word}.py").read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in found] == ["import pandas as pd"]


@pytest.mark.parametrize("word", CHALLENGES)
def test_paste_has_at_most_20_lines(word):
    text = (FOLDER / f"{word}.py").read_text(encoding="utf-8")
    body = ast.get_source_segment(text, ast.parse(text).body[-1])
    assert body.startswith("def test_")
    assert len(body.splitlines()) <= 20
    assert importlib.import_module(f"mlkit.monday.{word}").__doc__


@pytest.fixture
def files(tmp_path, monkeypatch, shop, broken):
    """Return a function that lays the two files of a skew test into the current folder."""
    monkeypatch.chdir(tmp_path)

    def lay(served):
        for name, table in {"served": served, "recomputed": shop["training"]}.items():
            table[list(NAMES)].rename(columns=NAMES).to_csv(f"{name}.csv", index=False)

    return lay


def test_skew_is_red_on_the_broken_shop(files, broken):
    files(broken["served"])
    with pytest.raises(AssertionError, match="basket: .* served otherwise"):
        monday.test_served_features_are_those_of_training()


def test_skew_is_green_on_the_healthy_shop_in_any_order(files, shop):
    files(shop["served"].sample(frac=1, random_state=1))
    monday.test_served_features_are_those_of_training()


def test_skew_counts_lost_requests(files, shop):
    files(shop["served"].iloc[5:])
    with pytest.raises(AssertionError, match="5 requests were never logged"):
        monday.test_served_features_are_those_of_training()


def test_skew_sees_zero_for_missing(files, shop):
    shifted = shop["served"].copy()
    shifted["avg_amount"] = shifted["avg_amount"].mask(shifted["purchases_30d"] == 0)
    files(shifted)
    with pytest.raises(AssertionError, match="basket"):
        monday.test_served_features_are_those_of_training()
