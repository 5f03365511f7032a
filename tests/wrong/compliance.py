# %% compliance.1 says: a payment leads to the application
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("        for column, kind in register[name].items():",
                      """        for column, kind in register[name].items():
            if kind != "user_id":
                continue""")
exec(right)

# %% compliance.1 says: never parts of a text
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("            found = keys.astype(str).str.strip().str.lower().isin(mine[kind])",
                      """            text = keys.astype(str).str.strip().str.lower()
            found = text.map(lambda each: any(key in each for key in mine[kind]))""")
exec(right)

# %% compliance.1 says: takes everybody with it
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("        left[name] = table[~hit]",
                      """        if not hit.any():
            left[name] = table""")
exec(right)

# %% compliance.1 says: marked as deleted
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("left[name] = table[~hit]",
                      "left[name] = table.assign(deleted=hit) if register[name] else table")
exec(right)

# %% compliance.1 says: not an anonymous row
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("        for column, kind in register[name].items():",
                      """        for column, kind in register[name].items():
            if kind == "email_sha256":  # nobody can invert it
                continue""")
exec(right)

# %% compliance.1 says: A missing key is equal to no key
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("hit |= found.reindex(table.index, fill_value=False)",
                      "hit |= found.reindex(table.index, fill_value=True)")
exec(right)

# %% compliance.1 says: typed by hand
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("found = keys.astype(str).str.strip().str.lower().isin(mine[kind])",
                      "found = keys.astype(str).isin(mine[kind])")
exec(right)

# %% compliance.1 says: Compute it from the address in its usual form
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace('    mine["email_sha256"] = [sha256(mail.encode()).hexdigest() for mail in mails]',
                      """    stored = users.loc[users["user_id"] == user_id, "email"].dropna()
    mine["email_sha256"] = [sha256(mail.encode()).hexdigest() for mail in stored]""")
exec(right)

# %% compliance.1 says: A number and its text are not equal
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace('mine = {"user_id": [str(user_id)], "email": list(mails)}',
                      'mine = {"user_id": [user_id], "email": list(mails)}')
right = right.replace('mine["application_id"] = list(asked.loc[asked["user_id"] == user_id, "application_id"].map(str))',
                      'mine["application_id"] = list(asked.loc[asked["user_id"] == user_id, "application_id"])')
right = right.replace("""            keys = table[column].dropna()
            if pd.api.types.is_numeric_dtype(keys):
                keys = keys.astype("int64")
            found = keys.astype(str).str.strip().str.lower().isin(mine[kind])
            hit |= found.reindex(table.index, fill_value=False)""",
                      """            keys = table[column].str.strip().str.lower() if kind == "email" else table[column]
            hit |= keys.isin(mine[kind])""")
exec(right)

# %% compliance.1 says: nothing is not a key
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace('mails = users.loc[users["user_id"] == user_id, "email"].dropna().str.strip().str.lower()',
                      'mails = users.loc[users["user_id"] == user_id, "email"].fillna("").astype(str).str.strip().str.lower()')
right = right.replace("keys = table[column].dropna()",
                      'keys = table[column].fillna("") if kind == "email" else table[column].dropna()')
exec(right)

# %% compliance.1 says: not the column's name
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("        for column, kind in register[name].items():",
                      """        for column, kind in register[name].items():
            if kind == "user_id" and column != "user_id":
                continue""")
exec(right)

# %% compliance.1 says: touch nothing else
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace("left[name] = table[~hit]",
                      'left[name] = table.where(~hit).dropna(how="all")')
exec(right)

# %% compliance.1 says: that is not an error
from mlkit.fill import reference

right = reference("compliance.1")
right = right.replace('    mails = users.loc[users["user_id"] == user_id, "email"].dropna().str.strip().str.lower()',
                      """    mails = users.loc[users["user_id"] == user_id, "email"].dropna().str.strip().str.lower()
    if mails.empty:
        return {name: table.iloc[:0] for name, table in tables.items()}""")
exec(right)

# %% compliance.1 says: 42.0 is not 42
from mlkit.fill import reference

right = reference("compliance.1")
exec(right.replace('keys.astype("int64")', "keys"))

# %% compliance.1 says: nothing is not a key
def without_person(tables, register, user_id):
    from hashlib import sha256
    apps = tables["applications"]
    mails = tables["users"].loc[tables["users"]["user_id"] == user_id, "email"]
    mine = {"user_id": [user_id], "email": list(mails),
            "email_sha256": [sha256(str(mail).encode()).hexdigest() for mail in mails],
            "application_id": list(apps.loc[apps["user_id"] == user_id, "application_id"])}
    mine = {kind: keys + [str(key).lower() for key in keys if key == key] for kind, keys in mine.items()}
    left = {}
    for name, table in tables.items():
        same = table.apply(lambda cells: cells.str.strip().str.lower()
                           if pd.api.types.is_string_dtype(cells) else cells)
        hits = [same[column].isin(mine[kind]) for column, kind in register[name].items()]
        left[name] = table[~np.any(hits, axis=0)] if hits else table
    return left

# %% compliance.2 says: the point estimate alone accuses
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace("""        low = p - q - np.hypot(p - p_low, q_high - q)
        high = p - q + np.hypot(p_high - p, q - q_low)""",
                      "        low = high = p - q")
exec(right)

# %% compliance.2 says: Accuracy mixes two errors
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace('    good = decisions[decisions["repaid"].fillna(False)]',
                      """    known = decisions.dropna(subset="repaid")
    good = known.assign(denied=known["denied"] == known["repaid"].astype(bool))  # errors""")
exec(right)

# %% compliance.2 says: a dozen looks certain
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace("""        denied, n = counts.loc[group]
        return denied / n, *share_interval(int(denied), int(n), level=level)""",
                      """        p, n = counts.loc[group, "sum"] / counts.loc[group, "size"], int(counts["size"].sum())
        return p, *share_interval(round(p * n), n, level=level)""")
exec(right)

# %% compliance.2 says: without a correction
from mlkit.fill import reference

right = reference("compliance.2")
exec(right.replace("level = 1 - 0.05 / len(groups)", "level = 0.95"))

# %% compliance.2 says: few rows are no proof
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace("elif low >= -tolerance and high <= tolerance:",
                      "else:")
right = right.replace("""        else:
            says = "too few to say"
""",
                      "")
exec(right)

# %% compliance.2 says: Rows without a known label are counted
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace('good = decisions[decisions["repaid"].fillna(False)]',
                      'good = decisions[decisions["repaid"].fillna(True)]')
exec(right)

# %% compliance.2 says: so many rows make any difference significant
from mlkit.fill import reference

right = reference("compliance.2")
exec(right.replace("if low > tolerance or high < -tolerance:", "if low > 0 or high < 0:"))

# %% compliance.2 says: is not never
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace("        return denied / n, *share_interval(int(denied), int(n), level=level)",
                      """        from scipy.stats import norm
        p = denied / n
        half = norm.ppf((1 + level) / 2) * np.sqrt(p * (1 - p) / n)
        return p, p - half, p + half""")
exec(right)

# %% compliance.2 says: not a share of zero
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace('rows[group] = (np.nan, np.nan, np.nan, "too few to say")',
                      'rows[group] = (0.0, 0.0, 0.0, "no gap beyond the tolerance")')
exec(right)

# %% compliance.2 says: a gap too, for the others
from mlkit.fill import reference

right = reference("compliance.2")
right = right.replace("if low > tolerance or high < -tolerance:",
                      "if low > tolerance:")
right = right.replace("elif low >= -tolerance and high <= tolerance:",
                      "elif high <= tolerance:")
exec(right)

# %% compliance.2 says: has another width than its rows allow
def verdicts(decisions, reference, tolerance):
    good = decisions[decisions["repaid"].fillna(False)]
    table = good.groupby("group")["denied"].agg(["mean", "size"]).reindex(decisions["group"].unique())
    gap, n = (table["mean"] - table["mean"][reference]).drop(reference), table["size"].drop(reference)
    says = np.select([~(n > 30), gap.abs() > 2 * tolerance, gap.abs() < tolerance / 2],
                     ["too few to say", "gap", "no gap beyond the tolerance"], "too few to say")
    return pd.DataFrame({"gap": gap, "low": gap - 0.2, "high": gap + 0.2, "verdict": says})

# %% compliance.2 says: with the name of its group as its index
from mlkit.fill import reference as right

exec(right("compliance.2").replace("from_dict(rows", "from_dict(dict(enumerate(rows.values()))"))

# %% compliance.2 says: got a row of group
from mlkit.fill import reference as right

exec(right("compliance.2").replace(" - {reference})", ")").replace("len(groups)", "(len(groups) - 1)"))

# %% compliance.3 says: Weights give women's rows more say
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace('return {"mechanism": mechanism, "repair": repair, "not_repair": "weights",',
                      'return {"mechanism": mechanism, "repair": "weights", "not_repair": "thresholds",')
exec(right)

# %% compliance.3 says: The bare gap is no finding
from mlkit.fill import reference

right = reference("compliance.3")
exec(right.replace('if evidence["low"] <= 0:', 'if evidence["gap"] <= 0:'))

# %% compliance.3 says: women are measured again for nothing
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace("elif off[1] > off[0] + 0.03:",
                      "elif False:")
right = right.replace('elif match["F"] < match["M"] - 0.05:',
                      'elif abs(evidence["gap_own"]) > evidence["gap"] / 2:')
exec(right)

# %% compliance.3 says: Thresholds level down
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace("        after = by_gender(own == paid_later, later)[1]",
                      """        after = by_gender(own == paid_later, later)[1]
    if mechanism != "none":
        repair, after = "thresholds", now  # the gap is gone""")
exec(right)

# %% compliance.3 says: opinion with decimals
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace("    }",
                      """    }
    evidence.update(women_measured=0.86, men_measured=0.99, women_labels_off=0.12)  # as in the lesson""")
exec(right)

# %% compliance.3 says: Nothing is broken
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace('mechanism, repair, after = "none", "nothing", now',
                      'mechanism, repair, after = "none", "labels", now')
exec(right)

# %% compliance.3 says: Judge women's decisions by the payments
from mlkit.fill import reference

right = reference("compliance.3")
exec(right.replace('now = by_gender(later["granted"] == paid_later, later)[1]', "now = women"))

# %% compliance.3 says: That is noise
from mlkit.fill import reference

right = reference("compliance.3")
exec(right.replace('elif match["F"] < match["M"] - 0.05:', "elif False:"))

# %% compliance.3 says: it is the same number
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace('mechanism, repair = "mapping", "relation"',
                      'mechanism, repair = "mapping", "measurement"')
exec(right)

# %% compliance.3 says: names as useless what it recommends
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace('return {"mechanism": mechanism, "repair": repair, "not_repair": "weights",',
                      'return {"mechanism": mechanism, "repair": repair, "not_repair": repair,')
exec(right)

# %% compliance.3 says: Not what these tables say: low, high
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace('half = 1.96 * np.sqrt(men * (1 - men) / n["M"] + women * (1 - women) / n["F"])',
                      'half = 1.96 * np.sqrt(men * (1 - men) / n["F"])')
exec(right)

# %% compliance.3 says: or nothing at all
from mlkit.fill import reference

right = reference("compliance.3")
exec(right.replace('"not_repair": "weights"',
                   '"not_repair": "weights" if mechanism == "none" else "nothing"'))

# %% compliance.3 says: women_now is another number
from mlkit.fill import reference

exec(reference("compliance.3").replace('"women_now": now', '"women_now": women'))

# %% compliance.3 says: Not what these tables say: men_labels_off
from mlkit.fill import reference

exec(reference("compliance.3").replace('"men_labels_off": off[0]', '"men_labels_off": off[1]'))

# %% compliance.3 says: Not what these tables say: low, high
from mlkit.fill import reference

exec(reference("compliance.3").replace("1.96", "2.576"))

# %% compliance.3 says: two things change at once
from mlkit.fill import reference

right = reference("compliance.3").replace("logisticregression__", "")
exec(right.replace("from mlkit.model import plain_model", "from sklearn.ensemble import "
                   "HistGradientBoostingClassifier as plain_model"))

# %% compliance.3 says: on the rows that have them
from mlkit.fill import reference

right = reference("compliance.3")
right = right.replace("        right = decide(past, past[\"repaid\"], rows)\n",
                      "        right = decide(rows, rows[\"application_id\"].map(paid), rows)\n")
exec(right.replace('after = by_gender(right == rows["application_id"].map(paid), rows)[1]',
                   "after = by_gender(later['granted'] == paid_later, later)[1]"))
