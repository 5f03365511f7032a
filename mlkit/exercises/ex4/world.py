"""The deliveries of exercise 4: charges in daily files, late rows, files that come again."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from mlkit.exercises.ex4.store import encoded
from mlkit.params import stream

WINDOW = 28  # days of the features of a window
HOME = "DE"
FEATURES = ["purchases_28", "spent_28", "largest_28", "abroad_28", "purchases"]
NEEDED = ["user_id", "day", "amount", "country"]
COLUMNS = ["tx_id", "user_id", "day", "amount", "country", "channel", "device", "note"]
FILES = 2  # a day


@dataclass(frozen=True)
class Deliveries:
    """What the source delivers: by day of arrival, name of a file to its rows.

    `first` is the day of the pipeline's first run; whatever comes before lies there already.
    """

    files: dict[int, dict[str, pd.DataFrame]]
    first: int
    runs: tuple[int, ...] = ()

    @property
    def days(self) -> list[int]:
        """The days on which the pipeline runs."""
        return list(self.runs) or [day for day in self.files if day >= self.first]


def make_rows(rng: np.random.Generator, *, days: int, a_day: int, users: int) -> pd.DataFrame:
    """Return charges, each known on the day it happened; every twelfth user has one in all.

    Columns tx_id, user_id, day, amount (cents), country, channel, device, note, arrived.
    """
    rare = np.arange(0, users, 12)
    n = days * a_day
    weight = rng.gamma(0.7, size=users)
    weight[rare] = 0
    user = np.concatenate([rng.choice(users, n - len(rare), p=weight / weight.sum()), rare])
    rows = pd.DataFrame({"user_id": user + 100, "day": rng.permutation(np.arange(n) % days) + 1})
    rows["amount"] = np.round(np.exp(rng.normal(7.5, 1.1, n))).astype(int) + 1
    rows["country"] = rng.choice([HOME, "FR", "PL", "US"], n, p=[0.9, 0.05, 0.03, 0.02])
    rows["channel"] = rng.choice(["card present", "online", "recurring"], n)
    rows["device"] = [f"{high:016x}" for high in rng.integers(0, 2**62, users)[user]]
    rows["note"] = rng.choice(["", "gift", "order by phone", "delivered to a neighbour"], n)
    rows = rows.sort_values("day", kind="stable", ignore_index=True)
    rows.insert(0, "tx_id", np.arange(n) + 1_000_000)
    return rows.assign(arrived=rows["day"])


def files_of(rows: pd.DataFrame, *, parts: int = FILES) -> dict[int, dict[str, pd.DataFrame]]:
    """Return rows as the files in which they arrive: some a day, whatever is in them."""
    found: dict[int, dict[str, pd.DataFrame]] = {}
    for arrived, group in rows.groupby("arrived"):
        part = group["tx_id"] % parts
        found[int(arrived)] = {
            file_name(int(arrived), int(k)): few[COLUMNS].reset_index(drop=True)
            for k, few in group.groupby(part)
        }
    return found


def file_name(day: int, part: int) -> str:
    """Return the name of a file of the source."""
    return f"raw/{day:03d}/part-{part}.csv"


def contents(files: dict[str, pd.DataFrame]) -> dict[str, bytes]:
    """Return tables as the bytes that the source delivers."""
    return {name: encoded(name, table) for name, table in files.items()}


def delay(
    rows: pd.DataFrame, delays: list[int], *, share: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the rows, a share of them known only some days after they happened."""
    late = rng.random(len(rows)) < share
    arrived = rows["day"] + np.where(late, rng.choice(delays, len(rows)), 0)
    return rows.assign(arrived=arrived)[arrived <= rows["day"].max()]


def corrected(files: dict[str, pd.DataFrame], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Return files as they come again: some amounts are others, some rows were never charges."""
    again = {}
    for name, table in files.items():
        other = rng.random(len(table)) < 0.3
        amount = np.where(other, table["amount"] * 2 + 7, table["amount"])
        again[name] = table.assign(amount=amount)[rng.random(len(table)) > 0.1]
    return again


# What is right


def features(rows: pd.DataFrame, day: int) -> pd.DataFrame:
    """Return the features at the end of a day, from all rows that are known by then.

    One row for each user who ever had a charge; window features count the last 28 days of charges.
    """
    recent = rows[(rows["day"] > day - WINDOW) & (rows["day"] <= day)]
    users = recent.groupby("user_id")
    table = pd.DataFrame({"purchases": rows.groupby("user_id").size()})
    table["purchases_28"] = users.size()
    table["spent_28"], table["largest_28"] = users["amount"].sum(), users["amount"].max()
    table["abroad_28"] = (recent["country"] != HOME).groupby(recent["user_id"]).sum()
    return table[FEATURES].fillna(0).astype("int64").reset_index()


def expected(deliveries: Deliveries) -> dict[int, pd.DataFrame]:
    """Return the right features of each day on which the pipeline runs."""
    known: dict[str, pd.DataFrame] = {}
    found = {}
    for day, files in deliveries.files.items():
        known |= files
        if day in deliveries.days:
            found[day] = features(pd.concat(known.values(), ignore_index=True), day)
    return found


# The pipeline's own month


@cache
def month(seed: int) -> Deliveries:
    """Return the deliveries that the bill is for: late rows, rare users, two files that come again.

    Thirty-two days lie there, then the pipeline runs on eight.
    """
    rng = stream(seed, "exercise", "ex4", "month")
    rows = make_rows(rng, days=40, a_day=720, users=260)
    files = files_of(delay(rows, [1, 2, 3, 5, 9, 21], share=0.04, rng=rng))
    for day, old in ((36, 34), (38, 20)):
        name = file_name(old, int(rng.integers(FILES)))
        files[day] |= corrected({name: files[old][name]}, rng)
    return Deliveries(files, 33)
