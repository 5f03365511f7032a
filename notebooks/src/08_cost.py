# %% [markdown]
# # 08 · Every job is green. Why is the bill so high?
#
# *[Cost optimisation](../glossary.md#cost-ledger). Thirty minutes to read, thirty to do. Good
# places to stop: after acts two and four.*
#
# ## 1. What would you bet?
#
# A company runs the shop's pipeline for a hundred thousand shops. Each night raw rows land,
# features are built and kept, experiments train on them, and scores are sent out. Nobody planned
# it; it grew. Nothing is wrong with the features, and no month of the last half year stands out.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from mlkit import cost, params, plots
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.lesson import say, scoreboard, source
from mlkit.model import make_world
from mlkit.plots import cost as figures

plt.style.use("mlkit.lesson")
settings = params.load()
knobs, fault = settings["worlds"]["shop"], settings["cost"]["inject"]
shop = make_world("shop", rng=params.stream(settings["seed"], "shop", "make"), **knobs)
broken = cost.inject(shop, rng=params.stream(settings["seed"], "cost", "inject"), **fault)
plots.show(figures.growth(cost.checks.bill_by_month(broken)), alt="The bill over ten months: it "
           "rises from a small sum by about the same amount each month.")

# %% [markdown]
# The bill has a line for what is stored, for requests, for the work of the nightly pipeline, for
# experiments, for machines that are on and wait, for the service that answers, and for what is sent
# out of the cloud.
#
# First two quick questions, on lessons 02 and 06: run the cell as it is and it asks them. Then your
# bet.
#
# > **Predict.** What share of the last bill is storage? A number between zero and one.

# %% tags=["exercise"] mlkit={"exercise": "cost_recall.quiz"}
answer("cost_recall", q1=..., q2=...)

# %% tags=["exercise"]
predict("cost.b1", ...)

# %% [markdown]
# ## 2. Break it
#
# First on six rows. A file in [Parquet](../glossary.md#parquet) is said to be a fraction of the
# same rows as text. Is it?

# %%
import io

import numpy as np

toy = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "channel": ["web", "app", "web"] * 2,
                    "amount_usd": [10.0, 12.5, 9.9, 80.0, 7.2, 31.0]})
rows = {"six rows": toy, "all rows of the shop": shop["transactions"]}
sizes = {}
for name, table in rows.items():
    packed = io.BytesIO()
    table.to_parquet(packed, compression="zstd", index=False)
    sizes[name] = {"text": len(table.to_csv(index=False)), "Parquet": packed.getbuffer().nbytes}
pd.DataFrame(sizes).T.add_suffix(", bytes")

# %% [markdown]
# A Parquet file has a frame: a schema, statistics, an index of its columns. On six rows it is
# nearly all of the file. So the saving of a format is no constant; it depends on how many rows a
# file holds, and on what is in them.
#
# Now the shop. A `jobs` table says how each job is done. The fault changes this table and nothing
# else: it is every habit at once that nobody has reconsidered.

# %%
wasteful = ["csv", "full_scan", "no_cache", "hot_forever", "send_all", "always_on", "as_it_grew"]
source(*(cost.KINDS[kind].path for kind in wasteful))

# %% [markdown]
# What does it cost? We do not guess: `cost.run` writes the files of the plan, reads them back,
# computes the features, and counts. Bytes, rows, files and requests come out the same on any
# machine. The files are written once, as they are at the end of ten months, and a month is thirty
# times such a day. That makes the [ledger](../glossary.md#cost-ledger) below, for one shop: `runs`
# are those of a month, the others are for each run; `pairs` are request times earlier purchase, the
# work of computing features. Times the price file (`mlkit/cost/prices.yaml`: list prices of one
# provider on one day, edit them), times a hundred thousand shops, it is the bill:

# %%
import tempfile

with tempfile.TemporaryDirectory() as folder:
    features, counted = cost.run(broken, broken["jobs"], params.Path(folder))
bill = cost.ledger.bill_of(broken, features=features)
plots.show(figures.lines_of(bill), alt="Bars of the bill's lines. By far the largest is machines "
           "that are on and wait; storage, egress and experiments follow far behind.")
wanted = ["runs", "bytes_read", "bytes_written", "rows_read", "pairs", "bytes_kept"]
counted.set_index("stage")[wanted].astype("int64")

# %%
reveal("cost.b1", float(bill.set_index("line").loc["storage", "share"]))

# %% [markdown]
# `measured` lines are counted bytes and requests times a price (what copies of earlier days take is
# reckoned from the last one; what is sent are the rows of features). `simulated` ones turn counted
# work into hours by rates that stand in the price file, because seconds differ from machine to
# machine. `list price` is a fixed thing. A cluster must be large enough for the work of the night,
# and then it is on all day.
#
# *A good place to stop.*
#
# ## 3. Find it
#
# What would you check at work? `broken` holds the tables, `broken["jobs"]` the plan, `counted` the
# ledger. Three lines of your own:

# %% tags=["exercise"]
broken["jobs"].head()
# your check

# %% [markdown]
# The usual check: every job ended before its deadline, the row counts are as ever, the bill is much
# like last month's. All green, as the first line below asserts, and rightly: the jobs do what they
# are told. A bill compared with last month's says how fast it grows, never how much of it is
# needed.
#
# What finds waste is another question: *what would the same features cost if this one thing were
# done the lean way?* By hand for the rows that experiments read, then the library for each driver,
# on a sample of the customers.

# %%
assert not cost.naive_detect(shop, broken)["failed"].any()

needed = len(shop["offers"])  # rows of features, had they been kept
by_hand = counted.set_index("stage").loc["train", "rows_read"] / needed
limits = settings["cost"]["detect"]
found = cost.detect(shop, broken, **limits)
library = found.set_index("subject").loc["features computed again", "times"]
assert abs(library / by_hand - 1) < 0.1
plots.show(figures.drivers(found[found["check"] == "avoidable"], limit=limits["max_waste"]),
           alt="Bars of what each driver alone would save. Machines, features computed again and "
           "text files lie far above the limit; some drivers save nothing and two would cost.")
found.drop(columns="limit").round(3)

# %% [markdown]
# `times` is how much more is read, kept or sent than by the lean way. These shares do not add up to
# one: each is what *one* change saves while all the others stay. Bars left of zero are changes that
# would cost. The last row holds the features against their one definition: they are right.
#
# ## 4. Repair and prove
#
# One step after the other, and after each the features are computed again from the files and
# hashed. A step that changes the hash is no saving, it is another product.
#
# > **Predict.** Nine steps, one after the other. The third reads only what is new. Which share of
# > the bill is that worth? A number; below zero if it makes the bill higher.

# %% tags=["exercise"]
predict("cost.b2", ...)

# %%
steps = cost.ledger.waterfall(broken, cost.faults.inject_as_it_grew(), cost.STEPS)
skip = ("old copies colder", "off when idle")  # which another step takes back, or further
back = {name: step for name, step in reversed(cost.STEPS.items()) if name not in skip}
other = cost.ledger.waterfall(broken, cost.faults.inject_as_it_grew(), back)
assert len({*steps["features"], *other["features"]}) == 1
plots.show(figures.waterfall(steps), alt="A waterfall from the bill as it is to the lean one. "
           "Parquet, caching features and switching off idle machines take most of it away; one "
           "or two steps raise it where they stand.")
first, last = (t.set_index("step")["saved"] / steps["usd"].iloc[0] for t in (steps, other))
told = 1 - cost.checks.PROMISES["land", "format", "csv"][0]
say(f"The format is said to save {told:.0%}. As the first step it takes **{first.iloc[1]:.0%}** "
    f"of the bill; as the last, **{last['Parquet for CSV']:.0%}**. Reading only the new rows made "
    f"it {-first['only new rows']:.0%} dearer where it stands.")

# %%
reveal("cost.b2", float(first["only new rows"]))

# %% [markdown]
# **Order matters.** The format goes first and makes the cluster smaller that has to read the files;
# once the machines are off when idle and features are cached, there is little left to make smaller.
# Keep each feature once, and there is hardly an old copy to move to a colder tier. Files by month
# are good for who wants the last day, and each experiment that is not yet cached opens all of them.
# The sum is the same in every order; what a step seems to be worth is not, and whoever goes first
# looks best.
#
# Now the score. `production` is the lean bill over this one, times the share of offers with right
# features; `honest` is the same from a ledger of one customer in four; `offline` is what the
# constants that are passed around leave to save (a format saves so much, an archive so much).
#
# Below the three states stand four other ways to make a bill fall. They are cheats: columns are not
# kept, late rows are skipped, half of the rows do, or features are those of last week. No job
# fails, no row is missing, and the usual check is green for each of them.

# %%
fixed = cost.repair(broken, **settings["cost"]["repair"])
assert not cost.detect(shop, fixed, **limits)["failed"].any()
states = {"clean": shop, "broken": broken, "fixed": fixed}
for kind in cost.CHEATS:
    rng = params.stream(settings["seed"], "cost", "inject")
    states[kind] = cost.inject(shop, rng=rng, **{**fault, "kind": kind})
    assert not cost.naive_detect(shop, states[kind])["failed"].any()
results = {name: cost.score(tables) for name, tables in states.items()}
ax = plots.three_scores({name: results[name] for name in ("clean", "broken", "fixed")},
                        unit=cost.UNIT)
ax.set_title(f"The constants say {results['broken']['offline']:.2f}; measured it is "
             f"{results['broken']['production']:.2f}")
plots.show(ax, alt="Bars of three scores: one for healthy and repaired, near zero as it grew.")
scoreboard(**results)

# %% [markdown]
# Three of the cheats save next to nothing. The accuracy hardly tells, but for the sample: the model
# is trained on the same wrong features. `right`, the share of offers whose features are as defined,
# tells at once. Compare outputs, not scores: a bill may only be compared with another one of the
# same product.
#
# ### Does it hold in other worlds?
#
# The plan as it grew in fresh, smaller shops. In shops of two dozen customers all the work fits on
# the machine that serves anyway, and there is nothing to save. The last row is the
# [null control](../glossary.md#null-control): no shop follows the old plan.

# %%
others, losses = settings["presets"]["shop"], []
cases = {"as above": {}, **{name: others[name] for name in ("mild", "rare_buyers", "corner_shops")}}
for name, preset in {**cases, "null control": {}}.items():
    for seed in range(100, 103):
        rng = params.stream(seed, "shop", "make")
        fresh = make_world("shop", rng=rng, **{**knobs, "n_users": 600, **preset})
        turned = {**fault, "severity": 0.0 if name == "null control" else 1.0}
        pair = (fresh, cost.inject(fresh, rng=rng, **turned))
        lean, usd = (cost.ledger.bill_of(t, features=t["served"])["usd"].sum() for t in pair)
        losses.append({"world": name, "loss": 1 - lean / usd})
mean = pd.DataFrame(losses).groupby("world")["loss"].mean()
ax = plots.worlds(pd.DataFrame(losses), xlabel="share of the bill that is waste (left: lean costs)")
ax.set_title(f"Waste: {mean['as above']:.0%} here, {mean['corner_shops']:.0%} in corner shops")
plots.show(ax, alt="Dots by world: large shops at nearly all of the bill, tiny ones about zero.")

# %% [markdown]
# ### What fresh features cost
#
# Not every saving is a cheat: how old may a feature be? That is a decision about the product. Each
# point is a plan; a square is beaten by another one that is cheaper *and* less wrong.

# %%
ages = cost.checks.freshness(shop)
plots.show(figures.fresh(ages), alt="Cost against the share of offers with a feature that is off. "
           "Weekly and daily features are cheap and mostly off; features at each request are right "
           "and cost more; hourly recomputation costs most and is beaten.")
lean = cost.ledger.bill_of(shop, features=shop["served"])
say(f"The lean plan costs {lean['usd'].sum():,.0f} USD a month, everything in it: "
    f"{cost.ledger.per_thousand(lean, shop):.4f} USD for a thousand predictions.")

# %% [markdown]
# *A good place to stop.*
#
# ## 5. Your turn
#
# Three exercises, from a cell to complete to a month of runs in which nobody says what is wrong.
# `hint("cost.1")` asks you a question first; `solution("cost.1")` opens once you have tried.
#
# ### cost.1 · From minutes to dollars
# *Level 1 (complete), about 6 minutes*
#
# **Goal.** What the provider makes of measured minutes.
#
# **Given.** `runs`, one row each: `job`, `minutes` float64 (how long one attempt took), `attempts`
# int64 (all but the last failed, each as long as the last), `usd_hour` float64; and `least` int.
# Every attempt is billed on its own: a minute that has begun counts as a minute, and there are at
# least `least` of them.
#
# **Return.** A Series: the dollars of each job.
#
# **Checked.** Minutes begun, short runs, failed attempts, many short runs, a month of runs.
# ```python
# >>> runs = pd.DataFrame({"job": ["land", "land", "train"], "minutes": [2.5, 30.0, 59.2],
# ...                      "attempts": [1, 1, 2], "usd_hour": [1.2, 1.2, 3.0]})
# >>> runs.head(3)
#      job  minutes  attempts  usd_hour
# 0   land      2.5         1       1.2
# 1   land     30.0         1       1.2
# 2  train     59.2         2       3.0
# >>> bill = dollars(runs, 10)
# >>> round(float(bill["land"]), 3), round(float(bill["train"]), 3)
# (0.8, 6.0)
# ```

# %% tags=["exercise"] mlkit={"exercise": "cost.1"}
def dollars(runs, least):
    raise NotImplementedError  # take this line away and complete the two below
    billed = ...  # minutes on the bill for one attempt
    cost = billed / 60 * runs["usd_hour"] * ...  # one attempt costs that; and the run?
    return cost.groupby(runs["job"]).sum()

check("cost.1", dollars)

# %% [markdown]
# ### cost.2 · Only the days that changed
# *Level 2 (adapt), about 15 minutes*
#
# **Goal.** A feature table with a row of features for each day, kept true at the lowest cost: say
# which of its days have to be computed again.
#
# **Given.** `rows`, one per charge: `day` int64 (when it happened, from day 1 on), `arrived` int64
# (the day on which we got it), `removed` float64 (the day on which it was taken away, by a refund
# or an erasure; missing for most). A row is there at the end of a day if it arrived by then and was
# not removed by then. `last_run` and `today`, two days: the table is true as of the end of
# `last_run` and shall be as of the end of `today`. `window` int: the features of a day count the
# charges of that day and the days before it, `window` days in all.
#
# **Return.** A list (or set) of days up to `today`, whole numbers: those that are new, and those
# whose features may have changed. No others.
#
# **Checked.** Late rows, rows that were taken away, rows of tomorrow, the edges of the window.
# ```python
# >>> rows = pd.DataFrame({"day": [3, 9, 11], "arrived": [11, 9, 11],
# ...                      "removed": [float("nan")] * 3})
# >>> rows.head(3)
#    day  arrived  removed
# 0    3       11      NaN
# 1    9        9      NaN
# 2   11       11      NaN
# >>> sorted(int(day) for day in days_to_redo(rows, 10, 11, 3))
# [3, 4, 5, 11]
# ```

# %% tags=["exercise"] mlkit={"exercise": "cost.2"}
def days_to_redo(rows, last_run, today, window):
    raise NotImplementedError

check("cost.2", days_to_redo)

# %% [markdown]
# ### cost.3 · What could have been left out?
# *Level 3 (open), about 25 minutes*
#
# **Goal.** Find in a month of runs the job that wastes most, and prove it with a sum.
#
# **Given.** `runs`, one row each, oldest first: `job`; `code`, the version that ran; `input` and
# `output`, content hashes of what it read and wrote (`""`: it failed and wrote nothing); `usd`
# float64. And `served`, the set of outputs that somebody outside really looked at. A run could have
# been left out if, without it, every byte of `served` could still have been made: because it
# failed, because an earlier run of the same job, with the same code on the same input, had written
# the same, or because nothing that was needed came of it.
#
# **Return.** A pair: the job whose runs that could have been left out cost most together, and how
# much that is in USD. `("none", 0.0)` if there are no such runs.
#
# **Checked.** Months that you do not see, each with something else, and one with nothing.
# ```python
# >>> again = ("train", "c1", "rows-1", "m-1")
# >>> runs = pd.DataFrame([("land", "c1", "raw-1", "rows-1", 1.0), (*again, 9.0), (*again, 9.5)],
# ...     columns=["job", "code", "input", "output", "usd"])
# >>> runs.head(3)
#      job code   input  output  usd
# 0   land   c1   raw-1  rows-1  1.0
# 1  train   c1  rows-1     m-1  9.0
# 2  train   c1  rows-1     m-1  9.5
# >>> job, usd = largest_waste(runs, {"m-1"})
# >>> job, float(usd)
# ('train', 9.5)
# ```

# %% tags=["exercise"] mlkit={"exercise": "cost.3"}
def largest_waste(runs, served):
    raise NotImplementedError

check("cost.3", largest_waste)

# %% [markdown]
# ## 6. Take it with you
#
# Three questions. Run the quiz as it is and it asks them; then replace the dots by a letter, such
# as `q1="a"`. The last one is about these four pictures.

# %%
from mlkit.plots import cost_ex4

day = np.arange(1, 61)
four = {"A": -0.4 * day - 6, "B": 0.8 * day - 12 * np.ceil(day / 10), "C": 1.1 * day - 20,
        "D": 1.5 * day - 0.035 * day**2}
plots.show(
    cost_ex4.four_savings({name: pd.Series(saved, index=day) for name, saved in four.items()}),
    alt="Four lines of money saved over sixty days. A: begins below nought and falls. B: stairs "
    "below nought that lead down. C: begins below, crosses, and climbs. D: climbs at first, turns, "
    "and ends far below.",
)

# %% tags=["exercise"] mlkit={"exercise": "cost.quiz"}
answer("cost", q1=..., q2=..., q3=...)

# %% [markdown]
# | what people say | what the lesson and its gallery show |
# |---|---|
# | The format saves nearly all of it. | Of storage, most. Storage was a small line. |
# | Spot is three quarters cheaper. | Less: starts, work done twice, a list price that moves. |
# | Always partition by date. | Small files cost requests. One file was leaner for features. |
# | Only read what is new. | Right for long histories. A young table is cheap to scan. |
# | Old data belongs in the archive. | If nobody reads it, and it stays for long enough. |
# | The accuracy held, so it is the same. | The model got used to wrong features. Compare them. |
#
# **What this does not catch**: the time of people, which soon costs more than the machines: a step
# that saves little and takes a week is a loss for a year. Prices that are negotiated, reserved or
# spent from a commitment. [Egress](../glossary.md#egress) that nobody ordered, between zones and
# regions, which no job writes down. A table that is needed by somebody who is not in the plan. And
# what is kept for seven years because it is cheap may have to be deleted: storage limitation is
# law, not a price.
#
# In the wild: the [task nodes](../glossary.md#task-node) of a cluster belong on [spot
# machines](../glossary.md#spot-machine), [core nodes](../glossary.md#task-node) do not, for they
# hold the data; auto-termination and auto-scaling are "off when idle"; a partition of a
# [lakehouse](../glossary.md#lakehouse) wants files of a hundred megabytes, and a job that compacts
# them. A filter such as `date > last` loses what comes late, and appended aggregates count a retry
# twice: read by arrival, merge by key (lesson 03 and exercise 4).
#
# In the pipeline this lesson is `dvc repro score@cost`. Its stages run the functions that you have
# just seen, so the tables hold the same content, row for row.
#
# **On Monday**: `mlkit audit cost` on a folder of your files says what lies there, in which format,
# in how many too small files, and what a rewrite would save, measured on a sample; its exit status
# stops a build. And a test to paste, which needs pandas alone (`mlkit/monday/cost.py`): both are
# below, the audit on the files of the plan as it grew.

# %%
import json

from IPython.display import display

import mlkit.monday.cost
from mlkit.tables import content_hash

project = params.nearest_file(params.Path.cwd()).parent
piped = json.loads((project / "data/cost/score.json").read_text(encoding="utf-8"))
here = {"clean": shop, "broken": broken, "fixed": fixed}
here = {name: content_hash(tables) for name, tables in here.items()}
there = {name: row["content"] for name, row in piped.items()}
display(pd.DataFrame({"this notebook": here, "dvc repro": there}))
source(mlkit.monday.cost)

# %% [markdown]
# **Think about it.** Which line of your bill is the largest, and who could tell without asking?
# Which output would you hash before you touch the pipeline? What do you keep that nobody has read
# for a year?
#
# **Read on.** The Parquet format specification (Apache): [row groups](../glossary.md#row-group),
# footers. Zeng et al., *An Empirical Evaluation of Columnar Storage Formats*, PVLDB 17(2), 2023.
# Daly, *A higher order estimate of the optimum [checkpoint](../glossary.md#checkpoint) interval
# for restart dumps*, Future Generation Computer Systems 22(3), 2006. Leis and Kuschewski, *Towards
# Cost-Optimal Query Processing in the Cloud*, PVLDB 14(9), 2021. Sculley et al., *Hidden Technical
# Debt in Machine Learning Systems*, NeurIPS 2015. Next: the gallery `08b`, and
# `exercises/ex4_cost`, the whole of it on your own.

# %%
import contextlib
import subprocess
import sys

with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    cost.run(broken, broken["jobs"], params.Path())
    words = [sys.executable, "-m", "mlkit", "audit", "cost", "."]
    report = subprocess.run(words, capture_output=True, text=True)
print(report.stdout + report.stderr, f"exit status {report.returncode}", sep="\n")

# %%
claim = params.read_yaml(project / "claims/cost.yaml")[0]
say(f"> {claim['says']}. *Tested on a hundred fresh worlds by* `mlkit claims --only cost`.")

# %% tags=["exercise"]
progress("cost")
