"""Governance: today's delivery keeps what its contract promises, totals included."""

import pandas as pd

KEY, DAY = "purchase", "day"
BOUNDS = {"customer": (1, float("inf")), "amount": (0.01, 10_000)}  # least and largest value


def test_the_delivery_keeps_its_contract() -> None:
    """Fail with every breach, not the first; finance.csv (day, amount) has the books' totals."""
    delivery, books = pd.read_csv("delivery.csv"), pd.read_csv("finance.csv").set_index(DAY)
    lost = sorted({KEY, DAY, *BOUNDS} - set(delivery))
    assert not lost, f"columns are gone: {lost}"
    breaches = {f"{KEY}: repeated": delivery[KEY].duplicated()}
    for name, (least, most) in BOUNDS.items():
        numbers = pd.to_numeric(delivery[name], errors="coerce")
        breaches[f"{name}: missing, or no number"] = numbers.isna()
        breaches[f"{name}: out of bounds"] = (numbers < least) | (numbers > most)
    totals = pd.to_numeric(delivery["amount"], errors="coerce").groupby(delivery[DAY]).sum()
    gap = totals.sub(books["amount"], fill_value=0).abs()
    breaches["totals: not those of the books, days"] = gap > 0.005
    said = [f"{words}: {int(rows.sum())}" for words, rows in breaches.items() if rows.any()]
    assert not said, "\n".join(said)
