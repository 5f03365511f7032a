# %% versioning.1 says: what the team works on
def commit_of(log, production):
    return log.sort_values("at")["commit"].iloc[-1]

# %% versioning.1 says: a guess from the clock
def commit_of(log, production):
    rows = log.sort_values("at")
    return rows.loc[rows["at"] <= production["deployed"], "commit"].iloc[-1]

# %% versioning.1 says: A name is not a version
def commit_of(log, production):
    rows = log.sort_values("at")
    fits = (rows["table"] == production["table"]) & (rows["data"] == rows["trained_on"])
    found = rows.loc[fits & ~rows["dirty"], "commit"]
    return found.iloc[0] if len(found) else ""

# %% versioning.1 says: does not make the same model
def commit_of(log, production):
    rows = log.sort_values("at")
    data = rows.loc[rows["model"] == production["model"], "trained_on"]
    fits = rows["trained_on"].isin(data) & (rows["data"] == rows["trained_on"])
    found = rows.loc[fits & ~rows["dirty"], "commit"]
    return found.iloc[0] if len(found) else ""

# %% versioning.1 says: one made it
def commit_of(log, production):
    rows = log.sort_values("at")
    fits = (rows["model"] == production["model"]) & (rows["data"] == rows["trained_on"])
    found = rows.loc[fits & ~rows["dirty"], "commit"]
    return found.iloc[-1] if len(found) else ""

# %% versioning.1 says: rows that it has never seen
def commit_of(log, production):
    rows = log.sort_values("at")
    fits = rows["model"] == production["model"]
    found = rows.loc[fits & ~rows["dirty"], "commit"]
    return found.iloc[0] if len(found) else ""

# %% versioning.1 says: The tree was dirty
def commit_of(log, production):
    rows = log.sort_values("at")
    fits = (rows["model"] == production["model"]) & (rows["data"] == rows["trained_on"])
    found = rows.loc[fits, "commit"]
    return found.iloc[0] if len(found) else ""

# %% versioning.1 says: The nearest one would be believed
def commit_of(log, production):
    rows = log.sort_values("at")
    fits = (rows["model"] == production["model"]) & (rows["data"] == rows["trained_on"])
    found = rows.loc[fits & ~rows["dirty"], "commit"]
    return found.iloc[0] if len(found) else rows["commit"].iloc[-1]

# %% versioning.2 says: The clock or chance is in it
def renamed(name, added, removed):
    import time
    import uuid

    return time.strftime("v_%Y%m%d_%H%M%S_") + uuid.uuid4().hex

# %% versioning.2 says: counted in it, is not its content
def renamed(name, added, removed):
    rows = int(name.split()[0] if name else 0) + len(added) - len(removed)
    return f"{rows} rows of {', '.join(sorted(added.columns))}"[:128] if rows else ""

# %% versioning.2 says: every run would seem to have new data
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = [(c, str(table[c].dtype)) for c in names]
        rows = enumerate(table[names].itertuples(index=False, name=None))
        texts = [repr((schema, i, row)) for i, row in rows]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: it is not content
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = [(c, str(table[c].dtype)) for c in names]
        texts = [repr((schema, row)) for row in table[names].itertuples(name=None)]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: Identify rows, not columns
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = [(c, str(table[c].dtype)) for c in names]
        texts = [repr((schema, c, v)) for c in names for v in table[c].tolist()]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: Missing is not zero
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        fill = {c: 0 if table[c].dtype.kind == "f" else "" for c in names}
        full = table[names].assign(**{c: table[c].fillna(fill[c]) for c in names})
        schema = [(c, str(table[c].dtype)) for c in names]
        texts = [repr((schema, row)) for row in full.itertuples(index=False, name=None)]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: The dtype is part of the table
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = names
        texts = [repr((schema, [*map(str, row)])) for row in table[names].itertuples(index=False)]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: every query that asks for the old one fails
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = sorted(str(table[c].dtype) for c in names)
        rows = table[names].itertuples(index=False, name=None)
        texts = [repr((schema, sorted(map(repr, row)))) for row in rows]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: A row that is there twice counts twice
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = [(c, str(table[c].dtype)) for c in names]
        texts = {repr((schema, row)) for row in table[names].itertuples(index=False, name=None)}
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: Rounding is a decision
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        short = table[names].round(6)
        schema = [(c, str(table[c].dtype)) for c in names]
        texts = [repr((schema, row)) for row in short.itertuples(index=False, name=None)]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: two rows share one name
def renamed(name, added, removed):
    import hashlib

    def total(table):
        names = sorted(table.columns)
        schema = [(c, str(table[c].dtype)) for c in names]
        texts = [
            repr(schema) + "".join(v if isinstance(v, str) else f"|{v!r}|" for v in row)
            for row in table[names].itertuples(index=False, name=None)
        ]
        return sum(int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in texts)

    number = (int(name or "0", 16) + total(added) - total(removed)) % 2**256
    return f"{number:x}" if number else ""

# %% versioning.2 says: cancel each other out
def renamed(name, added, removed):
    import hashlib

    number = int(name or "0", 16)
    for table in (added, removed):
        names = sorted(table.columns)
        schema = [(c, str(table[c].dtype)) for c in names]
        for row in table[names].itertuples(index=False, name=None):
            text = repr((schema, row)).encode()
            number ^= int(hashlib.sha256(text).hexdigest(), 16)
    return f"{number:x}" if number else ""

# %% versioning.2 says: on which way you came here
def renamed(name, added, removed):
    import hashlib

    parts = [name]
    for table in (added, removed):
        names = sorted(table.columns)
        schema = [(c, str(table[c].dtype)) for c in names]
        rows = sorted(map(repr, table[names].itertuples(index=False, name=None)))
        parts.append(repr((schema, rows)))
    return hashlib.sha256("".join(parts).encode()).hexdigest()

# %% versioning.2 says: have left a trace
def renamed(name, added, removed):
    import hashlib

    names = sorted(added.columns)
    schema = [(c, str(added[c].dtype)) for c in names]
    number = int(name or "0", 16)
    for row in added[names].itertuples(index=False, name=None):
        number += int(hashlib.sha256(repr((schema, row)).encode()).hexdigest(), 16)
    return f"{number:x}" if number else ""

# %% versioning.2 says: has to fit in a lock file
def renamed(name, added, removed):
    rows = name.splitlines()
    names = sorted(added.columns)
    schema = [(c, str(added[c].dtype)) for c in names]
    rows += [repr((schema, row)) for row in added[names].itertuples(index=False, name=None)]
    for row in removed[names].itertuples(index=False, name=None):
        rows.remove(repr((schema, row)))
    return "\n".join(sorted(rows))

# %% versioning.3 says: The largest change is not the one that hurts
def blame(before, after, train_and_score):
    both = before.merge(after, on="row_id", suffixes=("", "_new"))
    columns = [c for c in before if c not in ("row_id", "batch")]
    moved = {c: (both[c] - both[f"{c}_new"]).abs().mean() for c in columns}
    return {max(moved, key=moved.get)}

# %% versioning.3 says: Everything that changed is to blame, so nothing is
def blame(before, after, train_and_score):
    both = before.merge(after, on="row_id", suffixes=("", "_new"))
    columns = [c for c in before if c not in ("row_id", "batch")]
    changed = {c for c in columns if (both[c] != both[f"{c}_new"]).any()}
    return changed | (set(before["batch"]) ^ set(after["batch"]))

# %% versioning.3 says: One training for every change
def blame(before, after, train_and_score):
    old, new = before.set_index("row_id"), after.set_index("row_id")
    both = old.index.intersection(new.index)
    good = train_and_score(before)
    if good - train_and_score(after) <= 0.03:
        return set()
    changed = [c for c in old if (old.loc[both, c] != new.loc[both, c]).any()]
    changed += sorted(set(old["batch"]) ^ set(new["batch"]))
    made = set(changed)
    for one in changed:
        rest = made - {one}
        table = old.copy()
        for c in rest & set(old.columns):
            table.loc[both, c] = new.loc[both, c]
        table = table[table.index.isin(both) | ~table["batch"].isin(rest)]
        added = new[~new.index.isin(both) & new["batch"].isin(rest)]
        if good - train_and_score(pd.concat([table, added]).reset_index()) > 0.03:
            made = rest
    return made

# %% versioning.3 says: Each of the two alone is harmless
def blame(before, after, train_and_score):
    old, new = before.set_index("row_id"), after.set_index("row_id")
    both = old.index.intersection(new.index)
    good, guilty = train_and_score(before), set()
    changed = [c for c in old if (old.loc[both, c] != new.loc[both, c]).any()]
    for one in [*changed, *sorted(set(old["batch"]) ^ set(new["batch"]))]:
        table = old.copy()
        if one in table:
            table.loc[both, one] = new.loc[both, one]
        table = table[table.index.isin(both) | (table["batch"] != one)]
        added = new[~new.index.isin(both) & (new["batch"] == one)]
        if good - train_and_score(pd.concat([table, added]).reset_index()) > 0.03:
            guilty.add(one)
    return guilty

# %% versioning.3 says: These are rows, not a column
def blame(before, after, train_and_score):
    old, new = before.set_index("row_id"), after.set_index("row_id")
    both = old.index.intersection(new.index)
    changes = [c for c in old if (old.loc[both, c] != new.loc[both, c]).any()]
    good = train_and_score(before)

    def lost(made):
        table = old.copy()
        for c in made:
            table.loc[both, c] = new.loc[both, c]
        return good - train_and_score(table.reset_index()) > 0.03

    guilty, high = [], len(changes)
    if not lost(changes):
        return set()
    while not (guilty and lost(guilty)):
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if lost(changes[:middle] + guilty) else (middle, high)
        guilty.append(changes[high - 1])
        high -= 1
    return set(guilty)

# %% versioning.3 says: a column like any other
def blame(before, after, train_and_score):
    old, new = before.set_index("row_id"), after.set_index("row_id")
    both = old.index.intersection(new.index)
    names = [c for c in old if c not in ("batch", "label")]
    changes = [c for c in names if (old.loc[both, c] != new.loc[both, c]).any()]
    changes += sorted(set(old["batch"]) ^ set(new["batch"]))
    good = train_and_score(before)

    def lost(made):
        table = old.copy()
        for c in [c for c in made if c in table]:
            table.loc[both, c] = new.loc[both, c]
        table = table[table.index.isin(both) | ~table["batch"].isin(made)]
        added = new[~new.index.isin(both) & new["batch"].isin(made)]
        return good - train_and_score(pd.concat([table, added]).reset_index()) > 0.03

    guilty, high = [], len(changes)
    if not lost(changes):
        return set()
    while not (guilty and lost(guilty)):
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if lost(changes[:middle] + guilty) else (middle, high)
        guilty.append(changes[high - 1])
        high -= 1
    return set(guilty)

# %% versioning.3 says: Nothing was lost
def blame(before, after, train_and_score):
    old, new = before.set_index("row_id"), after.set_index("row_id")
    both = old.index.intersection(new.index)
    changes = [c for c in old if (old.loc[both, c] != new.loc[both, c]).any()]
    changes += sorted(set(old["batch"]) ^ set(new["batch"]))
    good = train_and_score(before)

    def lost(made):
        table = old.copy()
        for c in [c for c in made if c in table]:
            table.loc[both, c] = new.loc[both, c]
        table = table[table.index.isin(both) | ~table["batch"].isin(made)]
        added = new[~new.index.isin(both) & new["batch"].isin(made)]
        return good - train_and_score(pd.concat([table, added]).reset_index()) > 0.03

    guilty, high = [], len(changes)
    for _ in range(2):
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if lost(changes[:middle] + guilty) else (middle, high)
        guilty.append(changes[high - 1])
        high -= 1
        if lost(guilty):
            break
    return set(guilty)
