"""compliance.1: take a person out of all tables, by every key that leads to them."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from mlkit.exercises import Criterion, exercise, expect, kind_of, seeded

Register = dict[str, dict[str, str]]
MAIL = "mail.example"


def tables_by_name(value: Any) -> str:
    """Return what is wrong when a value is no dictionary of tables."""
    if not isinstance(value, dict):
        return f"expected a dictionary of tables, got {kind_of(value)}"
    odd = [name for name, table in value.items() if not isinstance(table, pd.DataFrame)]
    return f"{odd[0]}: expected a DataFrame, got {kind_of(value[odd[0]])}" if odd else ""


def plain(key: Any) -> str:
    """Return a key as it is compared: whole numbers without a point, addresses in one form."""
    if isinstance(key, (int, float, np.number)):
        return str(int(key))
    return str(key).strip().lower()


def keys_of(tables: dict[str, pd.DataFrame], user_id: int) -> dict[str, set[str]]:
    """Return the person's keys of each kind, as they are compared."""
    users, asked = tables["users"], tables["applications"]
    mails = {plain(m) for m in users["email"][users["user_id"] == user_id] if isinstance(m, str)}
    return {
        "user_id": {plain(user_id)},
        "email": mails,
        "email_sha256": {sha256(mail.encode()).hexdigest() for mail in mails},
        "application_id": set(map(plain, asked["application_id"][asked["user_id"] == user_id])),
    }


def marked(table: pd.DataFrame, kinds: dict[str, str], keys: dict[str, set[str]]) -> np.ndarray:
    """Return which rows hold a key, shape (n,), one cell at a time."""
    found = np.zeros(len(table), dtype=bool)
    for column, kind in kinds.items():
        if column in table:
            cells = table[column].tolist()
            hits = [not pd.isna(cell) and plain(cell) in keys[kind] for cell in cells]
            found |= np.array(hits, dtype=bool)
    return found


def world(rng: np.random.Generator) -> tuple[dict[str, pd.DataFrame], Register, int]:
    """Return a small lender, the register of its keys, and whom to take out."""
    who = int(rng.integers(21, 89))
    near = [10 * who + int(rng.integers(0, 10)), 100 + who, 101 * who]
    ids = rng.permutation([who, *near, *rng.choice(np.arange(11_000, 99_000), 26, replace=False)])
    mails = pd.Series([f"ana.berg{i}@{MAIL}" for i in ids])
    mails[ids == near[0]] = f"joana.berg{who}@{MAIL}"
    users = pd.DataFrame({"user_id": ids, "email": mails.where(ids != who, mails.str.title())})
    users["region"] = rng.integers(0, 12, len(ids)).astype("int8")
    owners = rng.permutation([who, who, *near, *ids[ids != who], *rng.choice(ids[ids != who], 9)])
    numbers = rng.permutation(np.arange(10, 10 + len(owners)) * 7 + 1)
    mine = owners == who
    numbers[mine] = [11, 23]  # parts of the numbers of others, whatever they are
    numbers[np.flatnonzero(~mine)[:3]] = [110, 2311, 1123]
    asked = pd.DataFrame({"application_id": numbers, "user_id": owners.astype("int32")})
    asked["amount_usd"] = rng.uniform(500, 9000, len(asked)).round(2)
    client = str(rng.choice(["customer", "client", "borrower"]))
    tables = {"users": users, "applications": asked, **_around(rng, users, asked, client)}
    register: Register = {
        "users": {"user_id": "user_id", "email": "email"},
        "applications": {"application_id": "application_id", "user_id": "user_id"},
        "payments": {"application_id": "application_id"},
        "requests": {"application": "application_id"},
        "calls": {client: "user_id"},
        "marketing": {"token": "email_sha256"},
        "crm": {"address": "email"},
        "rates": {},
    }
    return {name: tables[name] for name in rng.permutation(list(tables))}, register, who


def _around(
    rng: np.random.Generator, users: pd.DataFrame, asked: pd.DataFrame, client: str
) -> dict[str, pd.DataFrame]:
    n = len(asked)
    known = [plain(mail) for mail in users["email"]]
    loud = pd.Series([f" {mail.upper()}" for mail in known]).where(rng.random(len(known)) < 0.8)
    loud[users["user_id"] < 100] = f"  {known[int(users['user_id'].argmin())].title()} "
    text = asked["application_id"].map(str).where(rng.random(n) < 0.8)
    text[asked["application_id"] == 23] = "23"
    callers = users["user_id"].astype(float).where(rng.random(len(users)) < 0.8)
    callers[users["user_id"] < 100] = float(users["user_id"].min())
    late = pd.DataFrame({"application_id": np.repeat(asked["application_id"].to_numpy(), 3)})
    return {
        "payments": late.assign(late=rng.random(3 * n) < 0.2),
        "requests": pd.DataFrame({"application": text, "score": rng.random(n).round(4)}),
        "calls": pd.DataFrame({client: callers, "minutes": rng.integers(1, 30, len(users))}),
        "marketing": pd.DataFrame(
            {
                "token": [sha256(mail.encode()).hexdigest() for mail in known],
                "segment": rng.choice(["a", "b", "c"], len(known)),
            }
        ),
        "crm": pd.DataFrame({"address": loud, "note": rng.choice(["asked", "paid"], len(known))}),
        "rates": pd.DataFrame({"month": range(1, 13), "rate": rng.uniform(2, 5, 12).round(3)}),
    }


def by_cell(
    tables: dict[str, pd.DataFrame], register: Register, user_id: int
) -> dict[str, pd.DataFrame]:
    """Return the tables without the person."""
    keys = keys_of(tables, user_id)
    return {name: t[~marked(t, register[name], keys)] for name, t in tables.items()}


def unlike(got: dict[str, pd.DataFrame], want: dict[str, pd.DataFrame]) -> list[str]:
    """Return the names of the tables that are not the same, types and order included."""
    return [
        name
        for name, table in want.items()
        if name not in got
        or not got[name].reset_index(drop=True).equals(table.reset_index(drop=True))
    ]


GONE = {
    "users": "The person's row is still there. A row that is marked as deleted, or emptied, is "
    "still a row: whoever reads the file reads it.",
    "applications": "The person's applications are still there, and all that hangs on them.",
    "payments": "There is no user_id in this table, and the person is in it all the same: a "
    "payment leads to the application, and the application to the person. Follow the keys.",
    "requests": "A log holds the number of the application as text. A number and its text are not "
    "equal to the computer, and the same to whoever reads the log.",
    "calls": "Two traps. The column has another name here: what is in a column the register knows, "
    "not the column's name. And numbers with gaps are floats: as text they end in .0, and 42.0 is "
    "not 42. Make whole numbers of them before you compare.",
    "marketing": "The hash stands for one person: whoever has the address computes it and finds "
    "the row. That is a pseudonym, not an anonymous row. Compute it from the address in its usual "
    "form, without blanks and in lower case.",
    "crm": "An address typed by hand has blanks and capitals: compare addresses without blanks and "
    "in lower case, or the person stays wherever somebody typed.",
}
WHOLE = (
    "A table dropped whole takes everybody with it who stands in it. Erase rows, and give every "
    "table back."
)
NEAR = (
    "Somebody else's rows are gone: their number or address holds the person's as a part. Compare "
    "whole keys, never parts of a text."
)
GAPS = (
    "Rows without a key are gone: nobody knows whose they are, and nothing says that they are this "
    "person's. A missing key is equal to no key."
)
SAME = (
    "Everybody else's rows have to be as before: values, types, columns and order. Take rows "
    "away, and touch nothing else."
)
NONE_ASKED = "There is no application to follow; what leads to the person directly still does."
NO_MAIL = (
    "The person has no address, and neither have others: nothing is not a key. Whoever compares a "
    "missing address with missing addresses erases strangers."
)
UNKNOWN = "Nobody has this number: nothing is to be taken away, and that is not an error."
TWICE = (
    "A request is worked off twice sooner or later: after a crash, after a restored backup. The "
    "second time has to change nothing."
)


@exercise(
    "compliance.1",
    title="Out of every table",
    level=1,
    minutes=15,
    returns=tables_by_name,
    hints=[
        "A payment has no user_id. By which key do you get from the person to their payments?",
        "Fill in the keys first: addresses of the person, in lower case and without blanks, their "
        "hashes, the numbers of their applications. Then ask of each registered column which of "
        "its cells, in the same form, are among the keys of its kind. `isin` is never true for a "
        "part of a text; see to it that no missing value is among the keys.",
        "hit |= column.dropna().isin(mine[kind]).reindex(table.index, fill_value=False)",
    ],
    praise="You find a person by every key that leads to them, and leave everybody else in place.",
)
def compliance_1(without_person: Any) -> Iterator[Criterion]:
    """A person by number, application, address and hash; neighbours, gaps, and other people."""
    tables, register, who = world(seeded("compliance.1"))
    got, keys = without_person(tables, register, who), keys_of(tables, who)
    names = list(tables)
    yield expect(sorted(got) == sorted(names), "every table comes back", why=WHOLE)
    for name, why in GONE.items():
        left = got.get(name, tables[name].iloc[:0])
        rows = int(marked(left, register[name], keys).sum())
        yield expect(not rows, f"{name}: no row of the person", got=rows, want=0, why=why)
    yield from _others(got, tables, register, who)
    wrong = unlike(got, by_cell(tables, register, who))
    yield from _people(without_person, tables, register, who, told=wrong)


def _others(
    got: dict[str, pd.DataFrame], tables: dict[str, pd.DataFrame], register: Register, who: int
) -> Iterator[Criterion]:
    near = [u for u in tables["users"]["user_id"] if u != who and str(who) in str(u)]
    left = [u for u in got.get("users", tables["users"].iloc[:0])["user_id"] if u in near]
    text = "those whose numbers hold the person's number as a part are there"
    yield expect(left == near, text, got=len(left), want=len(near), why=NEAR)
    now, before = _gaps(got, register), _gaps(tables, register)
    yield expect(now == before, "rows without a key are there", got=now, want=before, why=GAPS)
    want = by_cell(tables, register, who)
    wrong = ", ".join(unlike(_less(got, register, keys_of(tables, who)), want))
    text = "everybody else's rows are as before"
    yield expect(not wrong, text, got=f"others in {wrong}", want="no others", why=SAME)


def _gaps(tables: dict[str, pd.DataFrame], register: Register) -> int:
    """Return how many keys are missing in all tables but that of users."""
    found = [
        tables[name].reindex(columns=list(kinds)).isna().sum().sum()
        for name, kinds in register.items()
        if name in tables and name != "users"
    ]
    return int(sum(found))


def _people(
    without: Any,
    tables: dict[str, pd.DataFrame],
    register: Register,
    who: int,
    *,
    told: list[str],
) -> Iterator[Criterion]:
    """Yield a criterion for each odd request; tables of which a mistake is told are left out."""
    users, asked = tables["users"], tables["applications"]
    quiet = {**tables, "applications": asked[asked["user_id"] != who]}
    secret = {**tables, "users": users.assign(email=users["email"].where(users["user_id"] != who))}
    for text, given, user, why in (
        ("a person without an application", quiet, who, NONE_ASKED),
        ("a person without an address: the rows of others", secret, who, NO_MAIL),
        ("a number that nobody has", tables, 7, UNKNOWN),
        ("the same request again", by_cell(tables, register, who), who, TWICE),
    ):
        got = without(given, register, user)
        if why == NO_MAIL:
            got = _less(got, register, keys_of(given, user))
        wrong = [name for name in unlike(got, by_cell(given, register, user)) if name not in told]
        seen = f"mistakes in {', '.join(wrong)}"
        yield expect(not wrong, text, got=seen, want="none", why=why)


def _less(
    got: dict[str, pd.DataFrame], register: Register, keys: dict[str, set[str]]
) -> dict[str, pd.DataFrame]:
    """Return the tables without what is left of a person: the rows of the others."""
    return {
        name: table[~marked(table, register.get(name, {}), keys)] for name, table in got.items()
    }
