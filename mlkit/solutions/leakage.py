# %% leakage.1
def split(loans, cut):
    train = loans[(loans["asked_at"] < cut) & (loans["known_at"] <= cut)]
    test = loans[loans["asked_at"] >= cut]
    return train, test

# %% leakage.1 also
def split(loans, cut):
    side = np.select([loans["asked_at"] >= cut, loans["known_at"] <= cut], ["test", "train"], "gap")
    parts = dict(list(loans.groupby(side)))
    return parts["train"], parts["test"]

# %% leakage.1 also
def split(loans, cut):
    train, test = [], []
    for at, loan in loans.iterrows():
        if loan["asked_at"] >= cut:
            test.append(at)
        elif pd.notna(loan["known_at"]) and not loan["known_at"] > cut:
            train.append(at)
    return loans.loc[train], loans.loc[test]

# %% leakage.2
def income_then(loans, history):
    pairs = loans.merge(history, on="customer_id")
    known = pairs[(pairs["valid_from"] <= pairs["asked_at"])
                  & (pairs["recorded_at"] <= pairs["asked_at"])]
    best = known.sort_values(["valid_from", "recorded_at"]).drop_duplicates("loan_id", keep="last")
    return best.set_index("loan_id")["income_usd"].reindex(loans["loan_id"])

# %% leakage.2 also
def income_then(loans, history):
    history = history.sort_values(["valid_from", "recorded_at"])
    incomes = {}
    for loan, customer, asked in zip(loans["loan_id"], loans["customer_id"], loans["asked_at"]):
        rows = history[history["customer_id"] == customer]
        rows = rows[rows[["valid_from", "recorded_at"]].max(axis=1) <= asked]
        incomes[loan] = rows["income_usd"].iloc[-1] if len(rows) else np.nan
    return pd.Series(incomes)

# %% leakage.2 also
def income_then(loans, history):
    order = history.sort_values(["recorded_at", "valid_from"], ascending=False, kind="stable")
    order = order.sort_values("valid_from", ascending=False, kind="stable")
    columns = [order[name].to_numpy() for name in ("customer_id", "valid_from", "recorded_at")]
    asked = loans["asked_at"].to_numpy()[:, None]
    fits = loans["customer_id"].to_numpy()[:, None] == columns[0]
    fits &= (columns[1] <= asked) & (columns[2] <= asked)
    income = order["income_usd"].to_numpy()[fits.argmax(axis=1)]
    return pd.Series(np.where(fits.any(axis=1), income, np.nan), index=loans["loan_id"])

# %% leakage.3
def leak(table, served):
    both = table.merge(served, on="application_id", suffixes=("", "_then"))
    def power(values):
        if values.dtype.kind == "f":
            values = pd.qcut(values, 10, duplicates="drop").astype(object)
        return both.groupby(values, dropna=False)["defaulted"].transform("mean").std()
    learned = {name: power(both[name]) - power(both[f"{name}_then"])
               for name in served.columns.drop(["application_id", "asked_at"])}
    best = max(learned, key=learned.get)
    return best if learned[best] > 0.06 else "none"

# %% leakage.3 also
def leak(table, served):
    now = table.set_index("application_id")
    then = served.set_index("application_id").loc[now.index]
    def groups(values):
        if values.dtype.kind != "f":
            return values
        return values.rank(pct=True).mul(10).round().fillna(-1)
    adds = {}
    for name in then.columns.drop("asked_at"):
        known = now["defaulted"].groupby(groups(then[name])).transform("mean")
        left = now["defaulted"] - known  # what the served value leaves open
        adds[name] = left.groupby(groups(now[name])).transform("mean").std()
    best = max(adds, key=adds.get)
    return best if adds[best] > 0.07 else "none"

# %% leakage.3 also
def leak(table, served):
    pairs = table.merge(served, on="application_id", suffixes=("", "_then"))
    yes = pairs["defaulted"].to_numpy()
    for name in served.columns[2:]:
        now, then = pairs[name], pairs[f"{name}_then"]
        if now.dtype.kind != "f":
            now, then = (now != then).astype(float), 0.0
        signs = [now.fillna(-1e9) - pd.Series(then, index=now.index).fillna(-1e9)]
        signs.append(signs[0].abs())
        for sign in signs:
            rank = sign.rank()
            area = (rank[yes].mean() - (yes.sum() + 1) / 2) / (~yes).sum()
            if abs(area - 0.5) > 0.15:
                return name
    return "none"

# %% leakage.quiz
answer("leakage", q1="c", q2="b", q3="b")
