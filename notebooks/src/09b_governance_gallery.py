# %% [markdown]
# # 09b · Who is hit when this column changes?
#
# *The gallery of governance: skip what you do not need. Forty minutes to read, twenty to play. Stop
# after any picture.*
#
# The syllabus answers with a contract in prose, a catalog, a decorator and a form whose boxes are
# ticked already. Here each of them runs, and then its four incidents happen again.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import yaml

from mlkit import features, params, plots, tables
from mlkit.governance import catalog as catalogs
from mlkit.governance.blast import blast_radius
from mlkit.governance.columns import feature_lineage, look_alikes, undocumented
from mlkit.governance.contract_checks import validate
from mlkit.governance.contracts import contract_text, load_contract
from mlkit.lesson import say
from mlkit.params import maker, stream
from mlkit.plots import governance_gallery as figures

# %%
plt.style.use("mlkit.lesson")
pd.set_option("display.max_colwidth", 60)
settings = params.load()
shop = maker("shop")(rng=stream(settings["seed"], "shop", "make"), **settings["worlds"]["shop"])
purchases, offers = shop["transactions"], shop["offers"]
contract = catalogs.read_contracts()["shop.transactions"]
say(f"{len(purchases):,} purchases, owned by `{contract.owner}`, under contract "
    f"{contract.version}; {len(offers):,} offers.")

# %% [markdown]
# ## A contract that runs
#
# A [data contract](../glossary.md#data-contract) written as a page of prose promises whatever its
# reader hopes. What does a program say to the syllabus's fields, each put into a contract that is
# sound?

# %%
prose = {"dataset": "user_features", "owner": "data-engineering", "contact": "de@shop.example",
         "schema": [{"name": "user_id", "type": "string", "nullable": False}],
         "sla": {"freshness": "24h", "accuracy": "monthly validation against finance"},
         "breaking_change_policy": "notify two weeks before"}
good = yaml.safe_load(contract_text(contract))
for field, value in prose.items():
    try:
        load_contract({**good, field: value})
        print(f"{field}: accepted")
    except ValueError as error:
        print(f"{field}: {str(error).split('; allowed')[0].removeprefix('contract: ')}")

# %% [markdown]
# The names are those of the
# [Open Data Contract Standard](../glossary.md#open-data-contract-standard) (ODCS, version three),
# so that other tools can read the file. `nullable: false` becomes `required: true`, a constraint in
# words becomes a minimum, "two weeks" becomes days of notice per kind of change. One field finds no
# place: nothing can run "monthly validation against finance". What can run is a total that has to
# agree with the ledger, within a tolerance; it stands in the contract of the purchases as a promise
# like others:

# %%
end = catalogs.world_end(settings["worlds"]["shop"]["n_days"])
found = validate(purchases, contract, as_of=end, reference={"ledger": purchases})
found[found["check"].isin(["median", "volume", "freshness", "order", "total"])][
    ["check", "subject", "value", "limit", "failed"]].round(2)

# %%
cents = purchases.assign(amount_usd=(purchases["amount_usd"] * 100).round(2))
found = validate(cents, contract, as_of=end, reference={"ledger": purchases})
found.loc[found["failed"], ["check", "subject", "value", "limit", "rows", "examples"]].round(2)

# %% [markdown]
# All columns there, all types right, all of it a hundredfold: a
# [schema check](../glossary.md#schema-check) passes. What breaks are the promises that know what a
# basket costs.
#
# ## Complete to how many rows?
#
# A promise such as `completeness: 99%` must be held against what luck explains. The probability
# that a delivery has more than one missing value in a hundred, by its rows, when the truth is
# better than promised and when it is worse:

# %%
from scipy.stats import binom

from mlkit.plots.governance import completeness

sizes = [50, 100, 500, 2000, 10000]
alarms = pd.DataFrame({missing: [binom.sf(n // 100, n, missing) for n in sizes]
                       for missing in (0.005, 0.015, 0.03)}, index=pd.Index(sizes, name="rows"))
plots.show(completeness(alarms, promise=0.01), alt="Probability of an alarm against rows. "
           "For fifty rows a kept promise raises false alarms often and a broken one is missed "
           "often; from some thousands of rows on both are told apart.")

# %% [markdown]
# With fifty rows the promise cannot be checked at all: a single missing value breaks it, which
# often happens to who keeps it, and often does not to who breaks it. So `validate` forgives what
# luck explains (its column `limit` says how much), and small partners are looked at by the month.
#
# ## What kind of change is it?
#
# "Notify two weeks before", says one page of the syllabus, "deprecate after a month" another, and
# neither says before *what*. Two versions of a contract are compared by one question: what may
# somebody who relied on the old one no longer rely on?

# %%
from mlkit.governance.compatibility import compatibility

text = contract_text(contract)
column = "  - name: channel\n"
tax = "  - name: tax_usd\n    logicalType: number\n    description: Sales tax.\n    unit: USD\n"
versions = {"one column more": text.replace(column, tax + column),
            "half as fresh": text.replace("value: 24.0", "value: 48.0"),
            "cents": text.replace("unit: USD", "unit: US cents"),
            "renamed": text.replace("amount_usd", "transaction_amount")}
rows = {name: compatibility(contract, load_contract(each)) for name, each in versions.items()}
table = pd.concat(rows, names=["version"]).reset_index("version")
table[["version", "subject", "change", "level", "bump", "notice_days"]]

# %% [markdown]
# A rename is the easy case: it breaks loudly, and every reader fails on the first night. *Semantic*
# is the class that the syllabus lacks: the same name, the same type, and every number means
# something else. It needs as much notice as a breaking change, because no reader will notice.
#
# ## Which columns can move a feature?
#
# Automatic [lineage](../glossary.md#lineage) tracking, says the syllabus, below a decorator with a
# name, an owner and a list of tags. A tag is what somebody typed; nothing reads it from the code,
# and nobody is told when the code goes on without it. But the features of this kit are SQL, and SQL
# can be read: its syntax tree says which column comes from where, through named queries, joins and
# windows.

# %%
lineage = feature_lineage("shop")
plots.show(figures.sources(lineage), alt="Grid of six features by ten source columns. Squares mark "
           "columns in a value, circles those that choose rows. purchases_30d has circles only.")

# %% [markdown]
# Lineage of *values* alone would say that no column matters to the
# number of purchases. Yet each condition of the join can move it: late rows, another user id, a
# shifted clock. Around the SQL there is Python that turns times into microseconds; that step is
# declared by hand, and a test compares it with what the SQL is given. Is it true? Change one
# column, compute again, compare:

# %%
names = list(features.FEATURES)
before = features.asof_features(purchases, offers)[names]
changes = {"amount_usd": purchases["amount_usd"] * 2,
           "ingest_ts": purchases["ingest_ts"] + pd.Timedelta(hours=30),
           "category": 7 - purchases["category"].cat.codes,
           "channel": 2 - purchases["channel"].cat.codes}
rows = {}
for column, values in changes.items():
    after = features.asof_features(purchases.assign(**{column: values}), offers)
    named = lineage.loc[lineage["source"] == f"transactions.{column}", "feature"]
    moved = [name for name in names if not before[name].equals(after[name])]
    rows[column] = {"named by lineage": named.nunique(), "moved": len(moved),
                    "the same": set(named) == set(moved)}
pd.DataFrame(rows).T

# %% [markdown]
# Here both agree. In general lineage is an upper bound: a column that is named *may* move the
# feature, and a query can be written in which it does not. The other direction is the promise:
# nothing moves that is not named. And what is computed in Python or by hand has no such lineage.
#
# ## Who is hit?
#
# The second half is known from `dvc.yaml`: which stage reads which file, and writes which. What
# lies downstream of a change is its [blast radius](../glossary.md#blast-radius). Here is a small
# company in a folder: the tables of the shop, and four teams that live on them.

# %%
folder = tempfile.TemporaryDirectory()
company = Path(folder.name)
outs = {"world": "data/world/shop", "recommend": "data/recommend/model.skops",
        "mail": "data/mail/offers.json", "fraud": "data/fraud/model.skops",
        "dashboard": "data/dashboard/revenue.json"}
deps = {name: [outs["world"]] for name in ("recommend", "fraud", "dashboard")}
deps |= {"world": ["params.yaml"], "mail": [outs["recommend"]]}
stages = {name: {"cmd": "make", "deps": deps[name], "outs": [out]} for name, out in outs.items()}
(company / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
(company / "params.yaml").write_text(yaml.safe_dump({"worlds": settings["worlds"]}))
owners = {"data/world/*": "shop", "data/recommend/*": "recommendations", "data/mail/*": "marketing",
          "data/fraud/*": "fraud", "data/dashboard/*": "analytics"}
entries = {key: {"owner": team, "description": f"Of {team}."} for key, team in owners.items()}
metadata = {**catalogs.read_metadata(), "datasets": entries}

# %%
graph = catalogs.project_graph(company, metadata=metadata)
start = "shop.transactions.amount_usd"
hits = blast_radius(graph, start)
ax = figures.blast(hits, start=start, graph=graph)
plots.show(ax, alt="Graph from the column amount_usd to the right: two features and a model by "
           "dashed lines; the shop's files, then three stages, what they write and the mail by "
           "dotted lines.")

# %%
hits.groupby(["owner", "grain"])["node"].agg(["count", "first"])

# %% [markdown]
# Two grains, and they are not the same kind of knowledge. Along the columns it is *sure* that the
# definition reads `amount_usd`. Along the files all that is known is that the column is in a file
# that is read. The first misses whatever is not SQL; the second frightens people who never look at
# the column. A program that hides the difference is wrong in one of the two ways.
#
# ## The request, written by those who know
#
# The syllabus's form asks the proposer who is affected, and its three approvals are ticked in the
# template. Below, nothing is typed: changes and class come from the two contracts, names from the
# graph, dates from the notice that the old version promises, counted from the day on which readers
# are told. What a program cannot know is left empty: whether anybody agrees.

# %%
import datetime

from mlkit.governance.rfc import rfc

renamed = load_contract(versions["renamed"].replace("version: 1.0.0", "version: 2.0.0"))
text = rfc(contract, renamed, graph, announced=datetime.date(2025, 11, 3))
say(text.replace("# RFC", "### RFC", 1).replace("\n## ", "\n#### "))

# %% [markdown]
# ## A catalog that cannot forget
#
# The syllabus's catalog entry builds an object with an owner and `contains_pii`, and ends there:
# nothing sends it anywhere, so no catalog has it. And had it been sent, it would say for ever what
# somebody believed on that day. The page that `mlkit catalog` writes for this kit is made from what
# the pipeline runs on: names from `dvc.yaml`, so that none is missing, columns from the files,
# promises from the contracts, hashes from `dvc.lock`. A dataset that nobody owns is an error. Open
# the page in a browser; it asks no server for anything. Here is the same for the company, on the
# morning after the shop delivered cents:

# %%
tables.write({**shop, "transactions": cents}, company / "data/world/shop")
entries = catalogs.catalog(company, metadata=metadata)
catalogs.summary(entries).drop(columns=["stage"])

# %%
rows = [{"table": table.name, "owner": table.owner, "contract": table.contract,
         "broken": ", ".join(table.broken or ()), "hours old": table.hours_old,
         "promised": table.sla_hours,
         "pii": ", ".join(table.columns.loc[table.columns["tag"].str.contains("pii"), "column"])}
        for table in entries[0].tables if not table.name.startswith("truth_")]
folder.cleanup()
pd.DataFrame(rows).round(1)

# %% [markdown]
# Tags say where [personal data](../glossary.md#personal-data) is known to be, by name and by
# contract. They are no search of the values: an address in a free text has no tag.
#
# # Four incidents
#
# ## "Where does `user_ltv` come from?"
#
# A column is served, and the code that made it was deleted half a year ago. We delete ours, too:

# %%
total = purchases.groupby("user_id")["amount_usd"].sum()
served = before.assign(user_ltv=offers["user_id"].map(total).fillna(0.0))
undocumented(served, lineage, keys=[])

# %% [markdown]
# Lineage answers: from nowhere that is known. That is all it can say; what is not written down
# cannot be read. The values can still be asked what they resemble, here the money spent until each
# offer, which would be the honest definition:

# %%
honest = {"spent_so_far": "COALESCE(SUM(h.amount_usd), 0.0)"}
candidate = features.asof_features(purchases, offers, definitions=honest)["spent_so_far"]
pair = served[["user_ltv"]].assign(spent_so_far=candidate)
look_alikes(pair, feature_lineage("shop", definitions=honest)).round(3)

# %%
values = served["user_ltv"].groupby(offers["user_id"]).nunique().max()
more = (served["user_ltv"] > candidate * (1 + 1e-9)).mean()
say(f"A user has {values} value in all of {offers['prediction_ts'].dt.month.nunique()} months, and "
    f"in {more:.0%} of the rows it is more than had been spent by then. Whoever computed it did so "
    "once, over everything: it holds purchases made after the offer, a "
    "[leak](../glossary.md#data-leakage). Do not document it; remove it.")

# %% [markdown]
# ## "I renamed `amount`"
#
# The loud one. The pipeline stops at once, the contract says it in the same words, and both name
# the column:

# %%
delivery = purchases.rename(columns={"amount_usd": "transaction_amount"})
found = validate(delivery, contract)
print(found.loc[found["failed"], ["check", "subject"]].to_string(index=False))
try:
    features.asof_features(delivery, offers)
except KeyError as error:
    print(error.args[0])

# %% [markdown]
# It costs one night, and nobody decides by wrong numbers. Had the loader filled the missing column
# with zeros instead, to be robust, it would have been another incident: the silent one of the
# lesson.
#
# ## Two teams, one feature
#
# Team A has the kit's features. Team B wrote its own: a mean without the fallback for quiet months,
# a count over four weeks, a count of all orders, and that count once more in Python, by the clock
# of the event only. Which of these are the same? First by lineage: only pairs whose values come
# from the same columns are compared, and the one in Python, which has none, with all.

# %%
weeks = f"h.age_us <= {28 * features.DAY_US}"
theirs = {"mean_basket": f"{features.S} / {features.N}", "orders": "COUNT(h.age_us) * 1.0",
          "orders_4w": f"COALESCE(SUM(CASE WHEN {weeks} THEN 1.0 END), 0.0)"}
definitions = {**features.FEATURES, **theirs}
both = features.asof_features(purchases, offers, definitions=definitions)
pairs = offers[["offer_id", "user_id", "prediction_ts"]].merge(purchases, on="user_id")
earlier = pairs[pairs["event_ts"] < pairs["prediction_ts"]].groupby("offer_id").size()
both = both.assign(orders_python=both["offer_id"].map(earlier).fillna(0.0))
found = look_alikes(both[[*definitions, "orders_python"]],
                    feature_lineage("shop", definitions=definitions))
found[found["failed"]].round(3)

# %% [markdown]
# `both` and `equal` tell copies from cousins: the share of rows in which both have a value, and of
# these the share in which it is the same. Where a cousin differs, two teams will argue about one
# customer with two numbers: late purchases, quiet months, the last two days of a window. Nothing
# here says which definition is right, only that two names need one owner. And two features of
# other columns that say the same are not compared.
#
# ## "Why was revenue zero last week?"
#
# The job that delivers the purchases fails one night, and every night after it. The dashboard reads
# what is there. A week later somebody asks. What would the contract have said, each morning, of the
# rows that came?

# %%
last = purchases["event_ts"].max().floor("D")
stopped = last - pd.Timedelta(days=6)
delivered = purchases[purchases["ingest_ts"] < stopped]
rows = {}
for day in pd.date_range(last - pd.Timedelta(days=34), last):
    morning = day + pd.Timedelta(days=1)
    came = delivered[delivered["ingest_ts"].between(day, morning, inclusive="left")]
    found = validate(came, contract, as_of=morning)
    broken = found.loc[found["failed"], "check"]
    rows[day] = {"usd": came["amount_usd"].sum(), "rows": len(came), "broken": len(broken) > 0,
                 "which": ", ".join(broken)}
days = pd.DataFrame(rows).T.astype({"usd": "float64", "rows": "int64", "broken": bool})
ax = figures.revenue(days, asked=last + pd.Timedelta(days=1))
plots.show(ax, alt="Bars of daily revenue for a month, then seven days of nothing. A solid line "
           "marks the morning of the broken contract, a dashed one the question.")

# %%
quiet, silent = days[days.index < stopped], days[days.index >= stopped]
say(f"Silent days on which a promise was broken: {silent['broken'].sum()} of {len(silent)}. And "
    f"among {len(quiet)} healthy mornings: {quiet['broken'].sum()}.")

# %%
days.loc[days["broken"], ["rows", "which"]]

# %% [markdown]
# An empty delivery has no bad row, so a check of each row passes it. What is needed is a promise
# about what *must* be there: how many rows, how new the newest. A promise has a price as well: set
# close to what is usual, it can break on a healthy day that is a little quiet, and a check that
# cries then is switched off before it is needed. [06](06_drift.ipynb) is about how to choose.
#
# ## What of it is worth having on Monday?
#
# 1. One contract, for the table whose change would hurt most, run on each delivery. Begin with a
#    draft from a good delivery, and strike what nobody will promise.
# 2. The promise of rows and [freshness](../glossary.md#freshness) first: it finds the delivery that
#    does not come, which no check of its rows can.
# 3. Features in SQL, or in anything that can be read by a program. Lineage by hand is out of date.
# 4. An owner for each dataset, as an error where there is none.
# 5. The request for comments generated, and its approvals empty.
