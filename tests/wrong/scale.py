# %% scale.1 says: average of averages
def together(parts):
    n = parts["rows"] - parts["missing"]
    mean = parts["mean"].mean()
    squares = ((n - 1) * parts["std"] ** 2).sum() + (n * (parts["mean"] - mean) ** 2).sum()
    std = np.sqrt(squares / (n.sum() - 1))
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: weighted by rows
def together(parts):
    n = parts["rows"] - parts["missing"]
    weights = parts["rows"]
    mean = (weights * parts["mean"]).sum() / weights.sum()
    squares = ((n - 1) * parts["std"] ** 2).sum() + (n * (parts["mean"] - mean) ** 2).sum()
    std = np.sqrt(squares / (n.sum() - 1))
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: spread within the days
def together(parts):
    n = parts["rows"] - parts["missing"]
    mean = (n * parts["mean"]).sum() / n.sum()
    squares = ((n - 1) * parts["std"] ** 2).sum()
    std = np.sqrt(squares / (n.sum() - 1))
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: spread within the days
def together(parts):
    n = parts["rows"] - parts["missing"]
    mean = (n * parts["mean"]).sum() / n.sum()
    std = (n * parts["std"]).sum() / n.sum()  # the average of the spreads
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: divisor is off
def together(parts):
    n = parts["rows"] - parts["missing"]
    mean = (n * parts["mean"]).sum() / n.sum()
    squares = (n * parts["std"] ** 2).sum() + (n * (parts["mean"] - mean) ** 2).sum()
    std = np.sqrt(squares / n.sum())
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: day of one value
def together(parts):
    rows, missing = parts["rows"].sum(), parts["missing"].sum()
    parts = parts.dropna()
    n = parts["rows"] - parts["missing"]
    mean = (n * parts["mean"]).sum() / n.sum()
    squares = ((n - 1) * parts["std"] ** 2).sum() + (n * (parts["mean"] - mean) ** 2).sum()
    std = np.sqrt(squares / (n.sum() - 1))
    return {"rows": rows, "missing": missing, "mean": mean, "std": std}

# %% scale.1 says: weighs nothing
def together(parts):
    n = parts["rows"] - parts["missing"]
    mean = np.sum((n * parts["mean"]).to_numpy()) / n.sum()
    squares = ((n - 1) * parts["std"] ** 2).sum() + (n * (parts["mean"] - mean) ** 2).sum()
    std = np.sqrt(squares / (n.sum() - 1))
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: so that the result can be added to again
def together(parts):
    parts = parts[parts["rows"] > parts["missing"]]
    n = parts["rows"] - parts["missing"]
    mean = (n * parts["mean"]).sum() / n.sum()
    squares = ((n - 1) * parts["std"] ** 2).sum() + (n * (parts["mean"] - mean) ** 2).sum()
    std = np.sqrt(squares / (n.sum() - 1))
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: never varies
def together(parts):
    n = parts["rows"] - parts["missing"]
    mean = (n * parts["mean"]).sum() / n.sum()
    squares = ((n - 1) * parts["std"] ** 2).sum() + (n * (parts["mean"] - mean) ** 2).sum()
    std = np.sqrt(squares / (n.sum() - 1))
    std = std if n.sum() > 1 else 0.0
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.1 says: keeps no digits
def together(parts):
    n = parts["rows"] - parts["missing"]
    mean = (n * parts["mean"]).sum() / n.sum()
    squares = ((n - 1) * parts["std"] ** 2).sum() + (n * parts["mean"] ** 2).sum()
    squares -= n.sum() * mean**2
    std = np.sqrt(squares / (n.sum() - 1))
    return {"rows": parts["rows"].sum(), "missing": parts["missing"].sum(), "mean": mean, "std": std}

# %% scale.2 says: average of rates
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    week = cells[(cells["day"] <= today) & (cells["views"] > 0)]
    rates = (week["clicks"] / week["views"]).groupby(week["item"]).mean()
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, rates

# %% scale.2 says: deletes honest traffic
def roll(state, batch, today):
    rows = pd.concat([state.get("rows"), batch[["item", "day", "views", "clicks"]]])
    rows = rows[rows["day"] > today - 7].drop_duplicates()
    sums = rows[rows["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"rows": rows}, sums["clicks"] / sums["views"]

# %% scale.2 says: no rate: as zero
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, (sums["clicks"] / sums["views"]).fillna(0)

# %% scale.2 says: addition counts it twice
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.2 says: not enough to remember the last batch
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.2 says: Overwriting the day forgets
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).last()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.2 says: leaving the late rows out
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    new = new[new["day"] == today]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.2 says: highest id so far
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("highest", 0)
    new = batch[batch["batch_id"] > seen]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "highest": max([seen, *batch["batch_id"]])}, sums["clicks"] / sums["views"]

# %% scale.2 says: never lets go
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "views", "clicks"]]])
    cells = cells.groupby("item", as_index=False).sum()
    sums = cells.groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.2 says: moves with the calendar
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    if batch.empty:
        return state, state["rates"]
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    rates = sums["clicks"] / sums["views"]
    return {"cells": cells, "seen": seen | set(batch["batch_id"]), "rates": rates}, rates

# %% scale.2 says: missing when its day has come
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"].between(today - 6, today)].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.2 says: not the day on which it came
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    new = new.assign(day=np.where(new["day"] > today, new["day"], today))
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    cells = cells[cells["day"] > today - 7].groupby(["item", "day"], as_index=False).sum()
    sums = cells[cells["day"] <= today].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.2 says: the table again
def roll(state, batch, today):
    cells, seen = state.get("cells"), state.get("seen", set())
    new = batch[~batch["batch_id"].isin(seen)]
    cells = pd.concat([cells, new[["item", "day", "views", "clicks"]]])
    sums = cells[cells["day"].between(today - 6, today)].groupby("item")[["views", "clicks"]].sum()
    sums = sums[sums["views"] > 0]
    return {"cells": cells, "seen": seen | set(batch["batch_id"])}, sums["clicks"] / sums["views"]

# %% scale.3 says: cannot be un-merged
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        if c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: not one more row
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind == "delete" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: smallest has an edge too
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or c.was_usd >= old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: served value is the mistyped one
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) > (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: which one is last
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken:
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: not happened last
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if c.kind == "insert" or c.event_id == old[4] else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: rule for ties
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if c.at >= old[3] else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: erased customer is still served
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: compared with nothing
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            kept[c.user_id] = [np.nan] * 5
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: brings back the amount
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: highest id so far
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id <= max(seen, default=-1):
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: never there for anybody
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.sort_values("kind").itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: full recomputation with more code
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        if True:
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: before you read
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        if c.kind != "insert":
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: costs the whole table for each refund
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            table = {user: read(user) for user in {*features.index, *batch["user_id"]}}
            rows = table[c.user_id].sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}

# %% scale.3 says: look at its id before you read
def refresh(features, seen, batch, read):
    names = ["smallest", "largest", "last", "last_at", "last_id"]
    id = batch["batch_id"].iloc[0]
    if id in seen:
        for user in batch["user_id"]:
            read(user)  # to be sure
        return features, seen
    kept = {user: list(row) for user, *row in features[names].itertuples()}
    for c in batch.itertuples():
        old, new = kept.get(c.user_id), [c.amount_usd, c.at, c.event_id]
        taken = c.kind != "insert" and (old is None or not old[0] < c.was_usd < old[1])
        if taken or (c.kind == "delete" and c.event_id == old[4]):
            rows = read(c.user_id).sort_values(["at", "event_id"])
            kept.pop(c.user_id, None)
            if len(rows):
                usd, last = rows["amount_usd"], rows[["amount_usd", "at", "event_id"]].iloc[-1]
                kept[c.user_id] = [usd.min(), usd.max(), *last]
        elif c.kind != "delete":
            old = old or [c.amount_usd, c.amount_usd, *new]
            last = new if (c.at, c.event_id) >= (old[3], old[4]) else old[2:]
            kept[c.user_id] = [min(old[0], c.amount_usd), max(old[1], c.amount_usd), *last]
    return pd.DataFrame.from_dict(kept, orient="index", columns=names), seen | {id}
