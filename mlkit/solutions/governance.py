# %% governance.1
def broken_readers(uses, promises):
    both = uses.merge(promises, on="column", how="left", suffixes=("", "_new"))
    fine = (both["least_new"] >= both["least"]) & (both["most_new"] <= both["most"])
    fine &= both["copes_with_gaps"] | (both["gaps"] == False)
    return set(both.loc[~fine, "reader"])

# %% governance.1 also
def broken_readers(uses, promises):
    new = promises.set_index("column")
    broken = set()
    for use in uses.to_dict("records"):
        if use["column"] not in new.index:
            broken.add(use["reader"])
            continue
        least, most, gaps = new.loc[use["column"], ["least", "most", "gaps"]]
        if least < use["least"] or most > use["most"] or (gaps and not use["copes_with_gaps"]):
            broken.add(use["reader"])
    return broken

# %% governance.1 also
def broken_readers(uses, promises):
    new = promises.set_index("column").reindex(uses["column"]).reset_index(drop=True)
    uses = uses.reset_index(drop=True)
    outside = ~((new["least"] - uses["least"]).fillna(0).ge(0) & new["least"].notna())
    outside |= new["most"].gt(uses["most"])
    holes = new["gaps"].eq(True) & ~uses["copes_with_gaps"].astype(bool)
    return set(uses["reader"][outside | holes])

# %% governance.2
def notice(edges, readers, column):
    needs = readers.set_index("name")
    day = {column: 0}
    for _ in range(len(edges) + 1):
        for name in needs.index:
            sources = edges.loc[edges["target"] == name, "source"]
            before = [day[source] for source in sources if source in day]
            if before:
                work, every = needs.loc[name, ["work", "every"]]
                day[name] = -(-(max(before) + work) // every) * every
    return max(day.values())

# %% governance.2 also
def notice(edges, readers, column):
    needs = {r["name"]: (r["work"], r["every"]) for r in readers.to_dict("records")}
    pairs = list(zip(edges["source"], edges["target"]))
    hit, more = set(), {column}
    while more:
        hit |= more
        more = {target for source, target in pairs if source in hit} - hit
    day = {column: 0}
    while len(day) < len(hit):
        for name in hit - set(day):
            sources = [s for s, t in pairs if t == name and s in hit]
            if all(s in day for s in sources):
                work, every = needs[name]
                day[name] = int(np.ceil((max(day[s] for s in sources) + work) / every) * every)
    return max(day.values())

# %% governance.2 also
def notice(edges, readers, column):
    targets = edges.groupby("source")["target"].agg(list).to_dict()
    needs = readers.set_index("name")
    latest = {}
    def tell(name, today):
        for target in targets.get(name, []):
            done = today + int(needs["work"][target])
            release = done + -done % int(needs["every"][target])
            if release > latest.get(target, -1):
                latest[target] = release
                tell(target, release)
    tell(column, 0)
    return max(latest.values(), default=0)

# %% governance.3
def contract_for(history):
    rows = pd.concat(history)
    usual = np.median([len(day) for day in history])
    middle = float(rows["amount_usd"].median())

    def column(name, type_, required=True, **more):
        return {"name": name, "logicalType": type_, "required": required, **more}

    columns = [
        column("payout_id", "integer", primaryKey=True, unique=True),
        column("seller_id", "integer"),
        column("paid_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column("booked_ts", "timestamp", logicalTypeOptions={"timezone": True}),
        column(
            "amount_usd", "number", unit="USD",
            logicalTypeOptions={"minimum": 0.01, "maximum": 500_000},
            quality=[{"metric": "median", "mustBeBetween": [middle / 2, middle * 2]}],
        ),
        column("discount_usd", "number", required=False),
        column(
            "country", "string",
            logicalTypeOptions={"validValues": sorted(rows["country"].unique())},
        ),
        column("method", "string", logicalTypeOptions={"validValues": ["bank", "card", "wallet"]}),
    ]
    rules = [
        {"metric": "order", "name": "paid, then booked", "properties": ["paid_ts", "booked_ts"]},
        {"metric": "total", "name": "as the books have it", "properties": ["amount_usd"],
         "against": "books.amount_usd", "tolerance": 0.001},
    ]
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "payouts", "version": "1.0.0",
        "status": "active", "owner": "payments", "contact": "payments@shop.example",
        "schema": [{"name": "payouts", "properties": columns, "quality": rules}],
        "slaProperties": [
            {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
            {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
            {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
        ],
    }

# %% governance.3 also
def contract_for(history):
    sizes = sorted(len(day) for day in history)
    usual = sizes[len(sizes) // 2]
    middle = np.median(np.concatenate([day["amount_usd"] for day in history]))
    countries = ", ".join(sorted({each for day in history for each in day["country"]}))
    return f"""
apiVersion: v3.1.0
kind: DataContract
id: shop.payouts
version: 1.0.0
status: active
owner: payments
contact: payments@shop.example
schema:
  - name: payouts
    properties:
      - {{name: payout_id, logicalType: integer, required: true, unique: true}}
      - {{name: seller_id, logicalType: integer, required: true}}
      - {{name: paid_ts, logicalType: timestamp, required: true}}
      - {{name: booked_ts, logicalType: timestamp, required: true}}
      - name: amount_usd
        logicalType: number
        required: true
        logicalTypeOptions: {{maximum: 500000}}
        quality:
          - {{metric: median, mustBeLessOrEqualTo: {2 * middle}}}
          - {{metric: median, mustBeGreaterOrEqualTo: {middle / 2}}}
      - {{name: discount_usd, logicalType: number}}
      - name: country
        logicalType: string
        required: true
        logicalTypeOptions: {{validValues: [{countries}]}}
      - {{name: method, logicalType: string, required: true}}
    quality:
      - {{metric: order, name: booked after paid, properties: [paid_ts, booked_ts]}}
      - metric: total
        name: books
        properties: [amount_usd]
        against: books.amount_usd
        tolerance: 0.001
slaProperties:
  - {{property: freshness, value: 1, unit: d, element: paid_ts}}
  - {{property: completeness, value: 97, unit: percent, element: discount_usd}}
  - {{property: volume, minimum: {usual / 3}, maximum: {3 * usual}}}
"""

# %% governance.3 also
def contract_for(history):
    import yaml
    from mlkit.governance.draft import draft_contract

    rows = pd.concat(history, ignore_index=True)
    contract = yaml.safe_load(draft_contract(rows, "payouts"))
    table = contract["schema"][0]
    for column in table["properties"]:
        options = column.setdefault("logicalTypeOptions", {})
        options.pop("minimum", None), options.pop("maximum", None)
        if column["name"] == "amount_usd":
            middle = float(rows["amount_usd"].median())
            options.update(minimum=0, maximum=500_000)
            column["quality"] = [{"metric": "median", "mustBeBetween": [middle / 2, 2 * middle]}]
    order = {"metric": "order", "name": "order", "properties": ["paid_ts", "booked_ts"]}
    total = {"metric": "total", "name": "total", "properties": ["amount_usd"],
             "against": "books.amount_usd", "tolerance": 0.001}
    table["quality"] = [order, total]
    usual = len(rows) / len(history)
    contract["slaProperties"] = [
        {"property": "freshness", "value": 24, "unit": "h", "element": "paid_ts"},
        {"property": "completeness", "value": 97, "unit": "percent", "element": "discount_usd"},
        {"property": "volume", "minimum": usual / 3, "maximum": usual * 3},
    ]
    return contract

# %% governance.quiz
answer("governance", q1="b", q2="c", q3="b")
