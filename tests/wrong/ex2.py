# %% ex2.1 says: The state of today
def asof(events, requests):
    last = events.sort_values(["event_ts", "seq"]).groupby("user_id")["value"].last()
    return requests["user_id"].map(last)

# %% ex2.1 says: the nearest state
def asof(events, requests):
    asked = requests.reset_index(names="row").sort_values("asked_ts")
    rows = events.sort_values(["event_ts", "seq"])
    found = pd.merge_asof(asked, rows, left_on="asked_ts", right_on="event_ts", by="user_id",
                          direction="nearest")
    return found.set_index("row")["value"].loc[requests.index]

# %% ex2.1 says: anybody's state
def asof(events, requests):
    asked = requests.reset_index(names="row").sort_values("asked_ts")
    rows = events[["event_ts", "seq", "value"]].sort_values(["event_ts", "seq"])
    found = pd.merge_asof(asked, rows, left_on="asked_ts", right_on="event_ts")
    return found.set_index("row")["value"].loc[requests.index]

# %% ex2.1 says: The last row in file order
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.1 says: Restore what sorting and merging took
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "seq"]).drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests)))

# %% ex2.1 says: everybody gets another user's state
def asof(events, requests):
    asked = requests.sort_values("asked_ts", kind="stable").reset_index(drop=True)
    asked = asked.rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "seq"]).drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.1 says: an inner join drops the customers you know
def asof(events, requests):
    pairs = requests.reset_index(names="row").merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "seq"]).groupby("row").tail(1).set_index("row")["value"]
    return newest.loc[[row for row in requests.index if row in newest.index]].rename_axis(None)

# %% ex2.1 says: 0 is a value that nobody ever had
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "seq"]).drop_duplicates("row", keep="last")
    state = newest.set_index("row")["value"].reindex(range(len(requests)), fill_value=0.0)
    return state.set_axis(requests.index)

# %% ex2.1 says: Strictly before is not the rule here
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] < pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "seq"]).drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.1 says: Ties in event_ts are broken by seq
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values("event_ts", kind="stable").drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.1 says: of arrival or of the
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "known_ts", "seq"]).drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.1 says: One clock only
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index().sort_values("asked_ts")
    rows = events.sort_values(["event_ts", "seq"])
    found = pd.merge_asof(asked, rows, left_on="asked_ts", right_on="event_ts", by="user_id")
    return found.set_index("row")["value"].sort_index().set_axis(requests.index)

# %% ex2.1 says: First keep what was known, then choose
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index().sort_values("asked_ts")
    rows = events.sort_values(["event_ts", "seq"])
    found = pd.merge_asof(asked, rows, left_on="asked_ts", right_on="event_ts", by="user_id")
    found["value"] = found["value"].where(found["known_ts"] <= found["asked_ts"])
    return found.set_index("row")["value"].sort_index().set_axis(requests.index)

# %% ex2.1 says: The latest to arrive is not the latest to happen
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index().sort_values("asked_ts")
    rows = events.assign(at=events[["event_ts", "known_ts"]].max(axis=1)).sort_values(["at", "seq"])
    found = pd.merge_asof(asked, rows, left_on="asked_ts", right_on="at", by="user_id")
    return found.set_index("row")["value"].sort_index().set_axis(requests.index)

# %% ex2.1 says: rewrites history
def asof(events, requests):
    rows = events.sort_values("seq").drop_duplicates(["user_id", "event_ts"], keep="last")
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(rows, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values("event_ts").drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.1 says: Known is not in force
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id").query("known_ts <= asked_ts")
    newest = pairs.sort_values(["event_ts", "seq"]).drop_duplicates("row", keep="last")
    return newest.set_index("row")["value"].reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.1 says: bring back a state that had ended
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "seq"]).groupby("row")["value"].last()
    return newest.reindex(range(len(requests))).set_axis(requests.index)

# %% ex2.2 says: That is the temporal score once more
def compare(rows, cut, score):
    known, later = rows[rows["label_known_ts"] <= cut], rows[rows["asked_ts"] >= cut]
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        temporal = score(known.rename(columns={c: "x"}), later.rename(columns={c: "x"}))
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": temporal, "replay": temporal}
    return pd.DataFrame(scores).T

# %% ex2.2 says: The replay trains another model
def compare(rows, cut, score):
    known, later = rows[rows["label_known_ts"] <= cut], rows[rows["asked_ts"] >= cut]
    honest = score(known.rename(columns={"as_of": "x"}), later.rename(columns={"as_of": "x"}))
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        temporal = score(known.rename(columns={c: "x"}), later.rename(columns={c: "x"}))
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": temporal, "replay": honest}
    return pd.DataFrame(scores).T

# %% ex2.2 says: Labels that were not known at the cut
def compare(rows, cut, score):
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        train = frame[frame["asked_ts"] < cut]
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": score(train, frame[frame["asked_ts"] >= cut]),
                     "replay": score(train, honest[honest["asked_ts"] >= cut])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: the order of the file are not rows in order of time
def compare(rows, cut, score):
    first = int(np.ceil(0.7 * len(rows)))
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": score(frame[:first], frame[first:]),
                     "replay": score(frame[:first], honest[first:])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: The test holds all that is not in training
def compare(rows, cut, score):
    known = rows["label_known_ts"] <= cut
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": score(frame[known], frame[~known]),
                     "replay": score(frame[known], honest[~known])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: A request at the very cut is a test row
def compare(rows, cut, score):
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        train = frame[frame["label_known_ts"] <= cut]
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": score(train, frame[frame["asked_ts"] > cut]),
                     "replay": score(train, honest[honest["asked_ts"] > cut])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: A label known at the very cut is known
def compare(rows, cut, score):
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        train = frame[frame["label_known_ts"] < cut]
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": score(train, frame[frame["asked_ts"] >= cut]),
                     "replay": score(train, honest[honest["asked_ts"] >= cut])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: that is no test at all
def compare(rows, cut, score):
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        train = frame[frame["label_known_ts"] <= cut]
        scores[c] = {"random": score(frame, frame),
                     "temporal": score(train, frame[frame["asked_ts"] >= cut]),
                     "replay": score(train, honest[honest["asked_ts"] >= cut])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: Rows without a value were dropped
def compare(rows, cut, score):
    rows = rows.dropna()
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        train = frame[frame["label_known_ts"] <= cut]
        scores[c] = {"random": score(frame[frame["draw"] < 0.7], frame[frame["draw"] >= 0.7]),
                     "temporal": score(train, frame[frame["asked_ts"] >= cut]),
                     "replay": score(train, honest[honest["asked_ts"] >= cut])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: The replay is of the temporal split
def compare(rows, cut, score):
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        train, lucky = frame[frame["label_known_ts"] <= cut], frame[frame["draw"] < 0.7]
        scores[c] = {"random": score(lucky, frame[frame["draw"] >= 0.7]),
                     "temporal": score(train, frame[frame["asked_ts"] >= cut]),
                     "replay": score(lucky, honest[honest["draw"] >= 0.7])}
    return pd.DataFrame(scores).T

# %% ex2.2 says: by the order of the file: use the draw
def compare(rows, cut, score):
    first = int(np.ceil(0.7 * len(rows)))
    honest = rows.rename(columns={"as_of": "x"})
    scores = {}
    for c in ("table", "as_of"):
        frame = rows.rename(columns={c: "x"})
        train = frame[frame["label_known_ts"] <= cut]
        scores[c] = {"random": score(frame[:first], frame[first:]),
                     "temporal": score(train, frame[frame["asked_ts"] >= cut]),
                     "replay": score(train, honest[honest["asked_ts"] >= cut])}
    return pd.DataFrame(scores).T

# %% ex2.3 says: A stale value differs from the one as of the request
def impossible(training, history):
    asked = training.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked[["row", "user_id", "asked_ts"]].merge(history, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values("event_ts").drop_duplicates(["row", "feature"], keep="last")
    newest = newest.pivot(index="row", columns="feature", values="value").reindex(asked.index)
    names = training.columns.drop(["user_id", "asked_ts"])
    return pd.Series({c: (asked[c].notna() & (asked[c] != newest[c])).mean() for c in names})

# %% ex2.3 says: Event time sees nothing wrong here
def impossible(training, history):
    first = history.groupby(["user_id", "feature", "value"], as_index=False)["event_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (rows["value"].notna() & ~(rows["event_ts"] <= rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 says: on the notice board
def impossible(training, history):
    history = history.assign(both=history[["event_ts", "known_ts"]].max(axis=1))
    first = history.groupby(["user_id", "feature", "value"], as_index=False)["both"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (rows["value"].notna() & ~(rows["both"] <= rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 says: Look for one that did, not for one that did not
def impossible(training, history):
    last = history.groupby(["user_id", "feature", "value"], as_index=False)["known_ts"].max()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(last[last["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (rows["value"].notna() & ~(rows["known_ts"] <= rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 says: Somebody had this value, and not this user
def impossible(training, history):
    first = history.groupby(["feature", "value"], as_index=False)["known_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(first[first["feature"] == name], on="value", how="left")
        shares[name] = (rows["value"].notna() & ~(rows["known_ts"] <= rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 says: Missing is no value from the future
def impossible(training, history):
    first = history.groupby(["user_id", "feature", "value"], as_index=False)["known_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (~(rows["known_ts"] <= rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 says: A share is of all training rows
def impossible(training, history):
    first = history.groupby(["user_id", "feature", "value"], as_index=False)["known_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"}).dropna()
        rows = rows.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (~(rows["known_ts"] <= rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 says: was not therefore known at the request
def impossible(training, history):
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        known = history.loc[history["feature"] == name, "value"]
        shares[name] = (training[name].notna() & ~training[name].isin(known)).mean()
    return pd.Series(shares)

# %% ex2.3 says: at a tie the row is there
def impossible(training, history):
    first = history.groupby(["user_id", "feature", "value"], as_index=False)["known_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (rows["value"].notna() & ~(rows["known_ts"] < rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 says: also where nothing is wrong
def impossible(training, history):
    first = history.groupby(["user_id", "feature", "value"], as_index=False)["known_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        bad = (rows["value"].notna() & ~(rows["known_ts"] <= rows["asked_ts"])).mean()
        if bad:
            shares[name] = bad
    return pd.Series(shares, dtype="float64")

# %% ex2.3 says: Cleaning the history of the rows that were corrected
def impossible(training, history):
    rows = history.sort_values("known_ts").drop_duplicates(["user_id", "feature", "event_ts"], keep="last")
    first = rows.groupby(["user_id", "feature", "value"], as_index=False)["known_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        mine = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        mine = mine.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (mine["value"].notna() & ~(mine["known_ts"] <= mine["asked_ts"])).mean()
    return pd.Series(shares)
