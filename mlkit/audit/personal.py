"""Columns that look personal: told by what stands in them, or by their name and its plausibility.

A detector counts different values, since repeated rows are no further evidence. Where chance
gives a value the shape and the check digits of a card or an account, it has to come more often
than chance: a column of whole numbers is not a column of cards.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

import pandas as pd
from pandas.api.types import (
    is_bool_dtype,
    is_datetime64_any_dtype,
    is_float_dtype,
    is_integer_dtype,
    is_numeric_dtype,
)

MAIL = r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.(?!(?:png|jpe?g|gif|svg|webp)\b)[A-Za-z]{2,}"
CARD = r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12})"
NATIONAL = (
    r"(?:(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}"  # United States
    r"|(?![DFIQUV])[A-Z](?![DFIOQUV])[A-Z] ?\d\d ?\d\d ?\d\d ?[A-D]"  # United Kingdom
    r"|[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z])"  # Italy
)
CHECKED = r"(?:756\.?\d{4}\.?\d{4}\.?\d\d|[XYZ\d]\d{7}[A-Z]|[12]\d{2}(?:0[1-9]|1[0-2])\d{10})"
DATE = r"(?:(?:19|20)\d\d-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d)"
BORN = rf"(?:{DATE}|\d{{1,2}}[./-]\d{{1,2}}[./-]\d\d|(?:19|20)\d{{6}})(?:[T ]00:00:00.*)?"
PHONE = (
    rf"(?!{DATE}$|\d{{5}}-\d{{4}}$)"  # neither a date nor a US ZIP+4
    r"(?:(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){7,13}"  # with the country
    r"|\(?0\d{1,4}\)?[ /-] ?\d{2,4}(?:[ -]?\d{2,4}){1,3}"
    r"|(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4})"
)
POINT = r"\(?-?\d{1,2}\.\d{4,}[,; ]\s*-?\d{1,3}\.\d{4,}\)?"
SIGNED = r"(?:[A-Za-z][\w-]*[:$=])?"  # what may stand before a hash, such as sha256:
HEX = r"(?=.*[a-fA-F])(?=.*\d)[0-9a-fA-F]{12,128}"  # whole, or cut
BASE64 = r"(?:[\w+/-]{22}==|[\w+/-]{27}=|[\w+/-]{43}=|[\w+/-]{86}==)"
SURE = 1e-6  # chance of a false alarm from check digits, per column
OLD = 25  # years between early and late dates from which they may be birthdays
FINE = 4  # decimals from which a coordinate shows a house

END = r"(?:^|_)(?:{})(?:_?\d+)?$"
NAMED = {  # how a name ends, and what the values must be for it to be believed
    "name of a person": (
        r"(?:first|last|full|middle|maiden|family|given|sur|user|customer|client|patient"
        r"|employee|contact|person|nick)_?name|vorname|nachname",
        "text",
    ),
    "address": (r"street|street_address|home_address|postal_address|address|strasse", "text"),
    "secret": (r"password|passwd|pin_code|secret_answer", "text"),
    "identity document": (
        r"passport|passport_(?:no|number)|ssn|social_security(?:_number)?|national_id|tax_id"
        r"|driv(?:er|ing)_licen[cs]e|licen[cs]e_plate|health_insurance_(?:no|number)",
        "text or digits",
    ),
    "phone number": (
        r"(?:tele)?phone(?:_?(?:no|num|number))?|tel|telefon(?:nummer)?|mobile|mobil|handy|cell|fax"
        r"|msisdn",
        "digits",
    ),
    "e-mail address": (r"e_?mail|e_?mail_address", "text"),
    "date of birth": (r"birth_?(?:date|day)|date_of_birth|dob|born|geburts(?:datum|tag)", "date"),
}
QUASI = END.format(
    r"birth_?year|year_of_birth|age|gender|sex|zip|zip_?code|post(?:al)?_?code|plz|city|town"
    r"|region|country|nationality|ethnicity|race|religion|marital(?:_status)?|job|occupation"
    r"|profession|income(?:_usd)?"
)
COORDINATE = {"latitude": END.format("lat|latitude"), "longitude": END.format("lon|lng|longitude")}


def _luhn(text: str) -> bool:
    digits = [int(c) for c in reversed(text)]
    doubled = (d * 2 - 9 * (d > 4) for d in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _address(text: str) -> bool:
    try:
        address = ip_address(re.sub(r"^([\d.]+):\d+$", r"\1", text))  # without the port
    except ValueError:
        return False
    small = address.version == 4 and max(address.packed) < 32  # rather a version, such as 1.2.0.7
    return not (small or address.is_loopback or address.is_unspecified)


def _phone(text: str) -> bool:
    least = 12 if re.fullmatch(r"00\d+", text) else 9 - text.startswith("+")  # padded ids: 00123...
    return least <= sum(c.isdigit() for c in text) <= 15


def _national(text: str) -> bool:
    if text.startswith("756") and len(text) == 13:  # Switzerland
        return sum(int(d) * (1 + 2 * (i % 2)) for i, d in enumerate(text)) % 10 == 0
    if text[-1].isalpha():  # Spain
        return "TRWAGMYFPDXBNJZSQVHLCKE"[int(text[:-1].translate(SPAIN)) % 23] == text[-1]
    return 97 - int(text[:13]) % 97 == int(text[13:])  # France


SPAIN = str.maketrans("XYZ", "012")
URL_SAFE = str.maketrans("+/", "-_")


class Detector(NamedTuple):
    """A shape, what else must hold, and how often chance alone gives that to a shape."""

    kind: str
    shape: str
    says: str
    check: Callable[[str], bool] | None = None
    chance: float = 0.0
    limit: float = 0.0  # share of the different values that may have the shape
    strip: str = ""  # separators that do not count


DETECTORS = [
    Detector("e-mail address", MAIL, "have the form of an e-mail address"),
    Detector("bank account", r"(?i)[A-Z]{2}\d\d[A-Z0-9]{11,30}", "IBAN, check digits right", _iban,
             1 / 97, strip=" "),
    Detector("payment card", CARD, "card numbers, check digit right", _luhn, 0.1, strip=" -"),
    Detector("national id", CHECKED, "CH, ES or FR number, check digits right", _national, 0.1,
             strip=". "),
    Detector("national id", NATIONAL, "have the form of a US, UK or IT number", limit=0.01),
    Detector("IP address", r"[0-9.]{7,15}(?::\d+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*",
             "are IP addresses", _address, limit=0.01),
    Detector("device address", r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}",
             "have the form of a MAC address", limit=0.01),
    Detector("phone number", PHONE, "have the form of a phone number", _phone, limit=0.05),
    Detector("precise place", POINT, "coordinates to 4 decimals or more", limit=0.01),
]  # fmt: skip


def personal_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that look personal, and those that are worth a question.

    Returns
    -------
    check (the kind), subject (the column), value (share of its different values), limit, failed,
    rows (with such a value), says (in words), example (its shape alone, see `masked`). Findings
    that did not fail are questions: names without a proof, dates that may be birthdays, and
    columns by which others may know a person.
    """
    rows = []
    for name in map(str, table.columns):
        column = table[name]
        values = texts(column)
        if not len(values):
            continue
        found = _by_content(values) or _by_name(name, column, values)
        rows += [{"subject": name, **row} for row in found]
    rows += _coordinates(table)
    columns = ["check", "subject", "value", "limit", "failed", "rows", "says", "example"]
    found = pd.DataFrame(rows, columns=columns)
    return found.astype({"value": float, "limit": float, "failed": bool, "rows": int})


def texts(column: pd.Series) -> pd.Series:
    """Return how many rows hold each different value, indexed by the values as trimmed text.

    Empty for what can be nothing of the kind: truth values, broken numbers, times of day.
    """
    column = column.dropna()
    nothing = pd.Series(dtype="int64")
    if is_bool_dtype(column.dtype) or not len(column):
        return nothing
    if is_float_dtype(column.dtype):
        if not (column % 1 == 0).all():
            return nothing
        column = column.astype("float64").map("{:.0f}".format)
    elif is_datetime64_any_dtype(column.dtype):
        if (column.dt.normalize() != column).any():
            return nothing
        column = column.dt.strftime("%Y-%m-%d")
    return column.map(lambda value: str(value).strip()).astype(object).value_counts(sort=False)


def masked(text: str) -> str:
    """Return the shape of a text: letters as x, digits as 9, at most 24 signs.

    Examples
    --------
    >>> masked("Ana.Berg7@mail.example"), masked("+41 79 123")
    ('xxx.xxxx9@xxxx.xxxxxxx', '+99 99 999')
    """
    shape = re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", text))
    return shape if len(shape) <= 24 else f"{shape[:21]}..."


def hashes(column: pd.Series) -> bool:
    """Return whether nearly all values look like a hash: hexadecimal (also cut) or base64."""
    if is_numeric_dtype(column.dtype) or is_datetime64_any_dtype(column.dtype):
        return False
    values = column.dropna()
    if not len(values) or float(_like_hash(values.head(1000)).mean()) < 0.5:
        return False  # a look at the first rows spares a long one at all
    return float(_like_hash(values).mean()) >= 0.95


def _like_hash(values: pd.Series) -> pd.Series:
    return values.astype("str").str.strip().str.fullmatch(f"{SIGNED}(?:{HEX}|{BASE64})")


def as_hex(hashed: pd.Series) -> pd.Series:
    """Return hashes in hexadecimal, without what stands before them (sha256:), base64 decoded."""
    bare = hashed.astype("str").str.strip().str.replace(f"^{SIGNED}", "", regex=True)
    coded = bare.str.fullmatch(BASE64)
    read = bare[coded].map(lambda text: urlsafe_b64decode(text.translate(URL_SAFE)).hex())
    return bare.where(~coded, read)


# By content


def _by_content(values: pd.Series) -> list[dict]:
    keys = pd.Series(values.index, dtype=object)
    few: list[dict] = []
    for detector in DETECTORS:
        hits, limit = _hits(keys, detector)
        if hits.mean() > limit:
            return [_row(detector.kind, values, hits, detector.says, limit)]
        if hits.all() and detector.chance:
            says = f"{detector.says}, but too few to rule out chance"
            few = few or [{**_row(detector.kind, values, hits, says, limit), "failed": False}]
    inside = keys.str.contains("@", regex=False)
    inside &= keys.where(inside, "").str.contains(rf"(?:^|\W){MAIL}")
    if inside.any():
        return [_row("e-mail in text", values, inside, "hold an e-mail address in free text", 0.0)]
    return few


def _hits(keys: pd.Series, detector: Detector) -> tuple[pd.Series, float]:
    """Return which values are of a kind, and the share that is none yet."""
    bare = keys
    if detector.strip:
        bare = keys.str.replace(f"[{re.escape(detector.strip)}]", "", regex=True)
    shaped = bare.str.fullmatch(detector.shape)
    if detector.check is None or not shaped.any():
        return shaped, detector.limit
    hits = shaped.copy()
    hits[shaped] = bare[shaped].map(detector.check).astype(bool)
    if not detector.chance:
        return hits, detector.limit
    from scipy.stats import binom

    by_chance = binom.ppf(1 - SURE, int(shaped.sum()), detector.chance)
    return hits, float(by_chance) / len(keys)


def _row(kind: str, values: pd.Series, hits: pd.Series, says: str, limit: float) -> dict:
    which = hits.to_numpy(bool)
    return {
        "check": kind,
        "value": float(which.mean()),
        "limit": limit,
        "failed": True,
        "rows": int(values[which].sum()),
        "says": says,
        "example": masked(str(values.index[which][0])),
    }


# By name


def by_name_of_others(name: str) -> bool:
    """Return whether a column says by its name what others may know of a person."""
    return bool(re.search(QUASI, _plain(name)))


def _plain(name: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return re.sub(r"\W+", "_", words).strip("_")


def _by_name(name: str, column: pd.Series, values: pd.Series) -> list[dict]:
    if hashes(column):
        return []
    plain = _plain(name)
    every = pd.Series(True, index=values.index)
    for kind, (ending, plausible) in NAMED.items():
        if re.search(END.format(ending), plain) and PLAUSIBLE[plausible](column, values):
            row = _row(kind, values, every, "by its name, and the values fit", 0.0)
            return [{**row, "failed": kind != "e-mail address"}]
    if _birthdays(column, values):
        says = f"whole days over more than {OLD} years: birthdays?"
        return [{**_row("date of birth", values, every, says, 1.0), "failed": False}]
    if by_name_of_others(name) and len(values) > 1:
        says = "others may know this of a person"
        return [{**_row("quasi-identifier", values, every, says, 1.0), "failed": False}]
    return []


def _is_text(column: pd.Series, values: pd.Series) -> bool:
    letters = values.index.str.contains("[^\\W\\d_]").mean()
    return not is_numeric_dtype(column.dtype) and len(values) > 2 and float(letters) > 0.5


def _is_digits(column: pd.Series, values: pd.Series) -> bool:
    bare = values.index.str.replace(r"[ ()./+-]", "", regex=True)
    return float(bare.str.fullmatch(r"\d{7,15}").mean()) > 0.5


def _is_date(column: pd.Series, values: pd.Series) -> bool:
    days = values.index.str.fullmatch(BORN)
    return is_datetime64_any_dtype(column.dtype) or float(days.mean()) > 0.5


def _is_text_or_digits(column: pd.Series, values: pd.Series) -> bool:
    return _is_text(column, values) or float((values.index.str.len() >= 7).mean()) > 0.5


PLAUSIBLE: dict[str, Callable[[pd.Series, pd.Series], bool]] = {
    "text": _is_text,
    "digits": _is_digits,
    "date": _is_date,
    "text or digits": _is_text_or_digits,
}


def _birthdays(column: pd.Series, values: pd.Series) -> bool:
    if is_numeric_dtype(column.dtype):
        return False
    days = values.index[values.index.str.fullmatch(rf"{DATE}(?: 00:00:00.*)?")]
    if len(days) < 0.95 * len(values):
        return False
    years = days.str.extract(r"((?:19|20)\d\d)", expand=False).astype(int)
    late, early = pd.Series(years).quantile([0.95, 0.05])
    return float(late - early) > OLD


# By two columns


def _coordinates(table: pd.DataFrame) -> list[dict]:
    """Return latitude and longitude by name, where most values show a house."""
    rows = []
    for name in map(str, table.columns):
        column = table[name]
        fits = [re.search(end, name.lower()) for end in COORDINATE.values()]
        if not any(fits) or not is_float_dtype(column.dtype) or is_integer_dtype(column.dtype):
            continue
        numbers = column.dropna().astype("float64").drop_duplicates()
        fine = ((numbers * 10 ** (FINE - 1)) % 1).between(0.001, 0.999)
        if len(numbers) and numbers.abs().le(90 if fits[0] else 180).all() and fine.mean() > 0.5:
            rows.append(
                {
                    "check": "precise place",
                    "subject": name,
                    "value": float(fine.mean()),
                    "limit": 0.5,
                    "failed": True,
                    "rows": int(column.isin(numbers[fine]).sum()),
                    "says": f"coordinates to {FINE} decimals or more, by name and values",
                    "example": "99.9999",
                }
            )
    return rows
