# %% ex2.1
def asof(events, requests):
    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = asked.merge(events, on="user_id")
    pairs = pairs[(pairs["event_ts"] <= pairs["asked_ts"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    newest = pairs.sort_values(["event_ts", "seq"]).drop_duplicates("row", keep="last")
    state = newest.set_index("row")["value"].reindex(range(len(requests)))
    return state.set_axis(requests.index)

# %% ex2.1 also
def asof(events, requests):
    by_user = {user: rows.sort_values(["event_ts", "seq"]) for user, rows in events.groupby("user_id")}
    found = []
    for user, asked in zip(requests["user_id"], requests["asked_ts"]):
        rows = by_user.get(user, events.head(0))
        rows = rows[(rows["event_ts"] <= asked) & (rows["known_ts"] <= asked)]
        found.append(rows["value"].iloc[-1] if len(rows) else np.nan)
    return pd.Series(found, index=requests.index, dtype="float64")

# %% ex2.1 also
def asof(events, requests):
    import duckdb

    asked = requests.reset_index(drop=True).rename_axis("row").reset_index()
    history = events
    found = duckdb.sql("""
        SELECT a.row, arg_max(h.value, (h.event_ts, h.seq)) FILTER (h.seq IS NOT NULL) AS value,
               max_by(h.value IS NULL, (h.event_ts, h.seq)) AS gone
        FROM asked a LEFT JOIN history h ON h.user_id = a.user_id
             AND h.event_ts <= a.asked_ts AND h.known_ts <= a.asked_ts
        GROUP BY a.row ORDER BY a.row""").df()
    value = found["value"].mask(found["gone"].fillna(True).astype(bool))
    return value.astype("float64").set_axis(requests.index)

# %% ex2.2
def compare(rows, cut, score):
    def trial(train, test, learned, fed):
        sides = [(train, learned), (test, fed)]
        return score(*(r[[c, "label"]].set_axis(["x", "label"], axis=1) for r, c in sides))

    lucky, others = rows[rows["draw"] < 0.7], rows[rows["draw"] >= 0.7]
    known, later = rows[rows["label_known_ts"] <= cut], rows[rows["asked_ts"] >= cut]
    scores = {c: {"random": trial(lucky, others, c, c), "temporal": trial(known, later, c, c),
                  "replay": trial(known, later, c, "as_of")} for c in ("table", "as_of")}
    return pd.DataFrame(scores).T

# %% ex2.2 also
def compare(rows, cut, score):
    table, honest = (rows.rename(columns={c: "x"}) for c in ("table", "as_of"))
    result = pd.DataFrame(index=["table", "as_of"], columns=["random", "temporal", "replay"], dtype=float)
    for name, frame in (("table", table), ("as_of", honest)):
        split = frame["draw"] < 0.7
        result.loc[name, "random"] = score(frame[split], frame[~split])
        train = frame[frame["label_known_ts"] <= cut]
        result.loc[name, "temporal"] = score(train, frame[frame["asked_ts"] >= cut])
        result.loc[name, "replay"] = score(train, honest[honest["asked_ts"] >= cut])
    return result

# %% ex2.2 also
def compare(rows, cut, score):
    long = pd.concat({c: rows.assign(x=rows[c]) for c in ("as_of", "table")}, names=["feature"])
    found = []
    for feature in ("as_of", "table"):
        mine = long.loc[feature]
        random = score(mine.query("draw < 0.7"), mine.query("draw >= 0.7"))
        past = mine.query("label_known_ts <= @cut")
        found.append([random, score(past, mine.query("asked_ts >= @cut")),
                      score(past, long.loc["as_of"].query("asked_ts >= @cut"))])
    return pd.DataFrame(found, index=["as_of", "table"], columns=["random", "temporal", "replay"])

# %% ex2.3
def impossible(training, history):
    first = history.groupby(["user_id", "feature", "value"], as_index=False)["known_ts"].min()
    shares = {}
    for name in training.columns.drop(["user_id", "asked_ts"]):
        rows = training[["user_id", "asked_ts", name]].rename(columns={name: "value"})
        rows = rows.merge(first[first["feature"] == name], on=["user_id", "value"], how="left")
        shares[name] = (rows["value"].notna() & ~(rows["known_ts"] <= rows["asked_ts"])).mean()
    return pd.Series(shares)

# %% ex2.3 also
def impossible(training, history):
    known = {}
    for row in history.itertuples():
        known.setdefault((row.user_id, row.feature, row.value), []).append(row.known_ts)
    shares = {}
    for name in [c for c in training if c not in ("user_id", "asked_ts")]:
        hits = [not pd.isna(value) and not any(at <= asked for at in known.get((user, name, value), []))
                for user, asked, value in zip(training["user_id"], training["asked_ts"], training[name])]
        shares[name] = sum(hits) / len(training)
    return pd.Series(shares)

# %% ex2.3 also
def impossible(training, history):
    rows = training.reset_index(drop=True).rename_axis("row").reset_index()
    long = rows.melt(["row", "user_id", "asked_ts"], var_name="feature", value_name="held")
    pairs = long.merge(history, on=["user_id", "feature"])
    there = pairs[(pairs["held"] == pairs["value"]) & (pairs["known_ts"] <= pairs["asked_ts"])]
    possible = pd.MultiIndex.from_frame(there[["row", "feature"]])
    mine = pd.MultiIndex.from_frame(long[["row", "feature"]])
    long["bad"] = ~mine.isin(possible) & long["held"].notna()
    return long.groupby("feature")["bad"].mean()

# %% ex2.quiz
answer("ex2", q1="b", q2="c")
