# %% versioning.1
def commit_of(log, production):
    rows = log.sort_values("at")
    fits = (rows["model"] == production["model"]) & (rows["data"] == rows["trained_on"])
    found = rows.loc[fits & ~rows["dirty"], "commit"]
    return found.iloc[0] if len(found) else ""

# %% versioning.1 also
def commit_of(log, production):
    for _, row in log.sort_values("at", kind="stable").iterrows():
        if row["model"] != production["model"] or row["dirty"]:
            continue
        if row["data"] == row["trained_on"]:
            return row["commit"]
    return ""

# %% versioning.1 also
def commit_of(log, production):
    clean = log.query("not dirty and data == trained_on and model == @production['model']")
    return "" if clean.empty else clean.loc[clean["at"].idxmin(), "commit"]

# %% versioning.2
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = [(column, str(table[column].dtype)) for column in names]
        rows = table[names].itertuples(index=False, name=None)
        texts = [repr((schema, row)).encode() for row in rows]
        return sum(int(hashlib.sha256(text).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 also
def renamed(name, added, removed):
    number = int(name or 0)
    for table, sign in ((added, 1), (removed, -1)):
        ordered = table[sorted(table.columns)]
        schema = pd.DataFrame({"text": [repr([(c, str(ordered[c].dtype)) for c in ordered])]})
        kind = int(pd.util.hash_pandas_object(schema, index=False).iloc[0])
        for row in pd.util.hash_pandas_object(ordered, index=False).tolist():
            number += sign * (row + kind)
    return str(number) if number else ""

# %% versioning.2 also
def renamed(name, added, removed):
    import hashlib
    import json

    prime, product = 2**127 - 1, int(name or 1)
    for table, power in ((added, 1), (removed, -1)):
        for row in table.to_dict("records"):
            kept = {c: None if pd.isna(v) else repr(v) for c, v in row.items()}
            kinds = {c: str(table[c].dtype) for c in table}
            text = json.dumps([kept, kinds], sort_keys=True).encode()
            number = int(hashlib.md5(text).hexdigest(), 16) % prime
            product = product * pow(number, power, prime) % prime
    return str(product) if product != 1 else ""

# %% versioning.3
def blame(before, after, train_and_score):
    old, new = before.set_index("row_id"), after.set_index("row_id")
    both = old.index.intersection(new.index)
    old_only, new_only = old.drop(both), new.drop(both)
    a, b = old.loc[both], new.loc[both]
    changes = [c for c in old if not a[c].equals(b[c])]
    changes += sorted({*old_only["batch"], *new_only["batch"]})

    def lost(made):
        common = a.assign(**{c: b[c] for c in made if c in b})
        stays = old_only[~old_only["batch"].isin(made)]
        table = pd.concat([common, stays, new_only[new_only["batch"].isin(made)]])
        return good - train_and_score(table.reset_index()) > 0.03

    good, guilty, high = train_and_score(before), [], len(changes)
    if not lost(changes):
        return set()
    while not (guilty and lost(guilty)):
        low = 0  # with so many of the first changes it is not lost, with `high` of them it is
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if lost(changes[:middle] + guilty) else (middle, high)
        guilty.append(changes[high - 1])
        high -= 1
    return set(guilty)

# %% versioning.3 also
def blame(before, after, train_and_score):
    ids = set(before["row_id"]) & set(after["row_id"])
    a = before[before["row_id"].isin(ids)].sort_values("row_id").reset_index(drop=True)
    b = after[after["row_id"].isin(ids)].sort_values("row_id").reset_index(drop=True)
    gone, come = before[~before["row_id"].isin(ids)], after[~after["row_id"].isin(ids)]
    changes = [c for c in a if (a[c] != b[c]).any()]
    changes += list(gone["batch"].unique()) + list(come["batch"].unique())
    least = train_and_score(before) - 0.03
    if train_and_score(after) >= least:
        return set()

    def back(undone):  # is the score back when these changes are undone in the new table?
        table = b.copy()
        for c in undone:
            if c in table:
                table[c] = a[c]
        extra = gone[gone["batch"].isin(undone)], come[~come["batch"].isin(undone)]
        return train_and_score(pd.concat([table, *extra])) > least

    def search(suspects, innocent):  # delta debugging: everything innocent is undone already
        if len(suspects) == 1:
            return set(suspects)
        half = len(suspects) // 2
        one, two = suspects[:half], suspects[half:]
        if not back(innocent + two):
            return search(one, innocent + two)
        if not back(innocent + one):
            return search(two, innocent + one)
        first = search(one, innocent)
        return first | search(two, innocent + [c for c in one if c not in first])

    return search(changes, [])

# %% versioning.3 also
def blame(before, after, train_and_score):
    old, new = before.set_index("row_id"), after.set_index("row_id")
    kept = old.index.isin(new.index)
    same = new.index.isin(old.index)
    columns = [c for c in old if (old.loc[kept, c] != new[c].reindex(old.index[kept])).any()]
    batches = sorted(set(old["batch"]) ^ set(new["batch"]))
    order, memo = batches + columns, {}

    def drop(made):
        made = frozenset(made)
        if made not in memo:
            table = old[kept | ~old["batch"].isin(made)].copy()
            for c in made & set(columns):
                table.loc[old.index[kept], c] = new[c]
            added = new[~same & new["batch"].isin(made)]
            memo[made] = train_and_score(pd.concat([table, added]).reset_index())
        return memo[frozenset()] - memo[made] > 0.03

    drop([])
    found = set()
    while not (found and drop(found)):
        if not found and not drop(order):
            return set()
        reach = len(order)
        for step in (16, 8, 4, 2, 1):
            while reach - step >= 1 and drop([*order[: reach - step], *found]):
                reach -= step
        found.add(order[reach - 1])
        order = order[: reach - 1]
    return found

# %% versioning.quiz
answer("versioning", q1="b", q2="c", q3="d")
