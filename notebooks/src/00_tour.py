# %% [markdown]
# # 00 · Every dashboard is green. Who is right, the dashboards or the customers?
#
# *A tour of ten minutes. You need nothing but curiosity and a little pandas.*
#
# A model leaves the laboratory with a good score. A month later it decides badly, and nothing is
# red: no test, no alarm, no chart. This kit is about that month. You will break healthy pipelines
# on purpose, watch the usual check stay green, find the fault with a check that works, repair it,
# and prove it with a number.
#
# Here is one such month. If the next cell fails, run `python kit.py doctor` in the project's
# folder.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from mlkit import params, plots, skew
from mlkit.check import answer, predict, reveal
from mlkit.model import make_world
from mlkit.params import stream

plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs = settings["seed"], settings["worlds"]["shop"]
shop = make_world("shop", rng=stream(seed, "shop", "make"), **knobs)
fault = {**settings["skew"]["inject"], "start_day": 225}
broken = skew.inject(shop, rng=stream(seed, "skew", "inject"), **fault)
print(f"{knobs['n_users']:,} customers, {len(shop['transactions']):,} purchases, "
      f"{len(broken['decisions']):,} decisions in production")

# %%
log = broken["decisions"].merge(shop["truth_offers"], on="offer_id").set_index("ts")
log["accuracy"] = log["decision"] == log["accepted"]
live_from = shop["offers"]["prediction_ts"].min() + pd.Timedelta(days=fault["start_day"])
weeks = log[["accuracy"]].resample("7D").mean()
offline = skew.score(broken)["offline"]
before, after = (log.loc[at, "accuracy"].mean() for at in (log.index < live_from,
                                                           log.index >= live_from))
ax = plots.timeline(weeks, offline=offline, live_from=live_from)
ax.set_title(f"Nothing is red, and {before:.0%} right became {after:.0%}")
plots.show(plots.lamps(ax, ["schema", "averages", "offline score"]), alt="Accuracy in "
           "production, week by week: level with the offline score until the service is rewritten, "
           "far below it from then on. Three lamps, all passed: schema, averages, offline score.")

# %% [markdown]
# The dotted line is what the team reports, and it did not move. The dashed one is what customers
# got; in real life nobody can draw it, because answers come late
# ([label delay](../glossary.md#label-delay)) and truth never. The kit can: its
# worlds are made up, so the truth is known, and no check is allowed to look at it.
#
# Four checks stood at the gate. One of them would have caught it on the first day. Which one?
#
# - **offline**: the score on held-out data has not fallen
# - **schema**: columns, types, missing values and ranges are as they were
# - **averages**: no feature's mean in serving is far from its mean in training
# - **parity**: for the same customer and moment, both code paths give the same value

# %% tags=["exercise"]
predict("tour.b1", ...)

# %% [markdown]
# Run all four, in the open. `training` holds the features as the training path computes them,
# `served` those that production answered with: one row per offer in each.

# %%
features = ["avg_amount", "amount_variance", "purchases_30d", "days_since_last_purchase"]
training, served = shop["training"], broken["served"]
live = served["prediction_ts"] >= live_from
then, now = served.loc[~live, features], served.loc[live, features]

pairs = served[live].merge(training, on="offer_id", suffixes=("_served", "_recomputed"))
gap = (pairs["avg_amount_served"] / pairs["avg_amount_recomputed"] - 1).abs()
found = {
    "offline": offline < skew.score(shop)["offline"] - 0.01,
    "schema": bool((now.dtypes != then.dtypes).any() or (now.max() > 10 * then.max()).any()
                   or (now.isna().mean() > then.isna().mean() + 0.05).any()),
    "averages": bool(((now.mean() / training.loc[live, features].mean() - 1).abs() > 0.2).any()),
    "parity": bool((gap > 0.01).mean() > 0.01),
}
pd.Series(found).map({True: "FIRES", False: "passes"}).rename("verdict").to_frame()

# %%
reveal("tour.b1", " and ".join(check for check, fires in found.items() if fires))

# %% [markdown]
# The service was rewritten, and it takes the last thirty *purchases* where the warehouse takes the
# last thirty *days*. Averages over many customers agree; what each customer is told does not. That
# is lesson 01, and it is how every lesson goes:
#
# 1. **What would you bet?** A question, the healthy number, your bet.
# 2. **Break it**: first on six rows, then with `inject` on the whole world.
# 3. **Find it**: the usual check passes (`naive_detect`), a better one does not (`detect`).
# 4. **Repair and prove**: `repair`, then `score` in many worlds, also in one where the fault is
#    harmless. Some alarms are false, and the right repair is none.
# 5. **Your turn**: exercises from a line to complete to a fault that nobody names. `check` tells
#    what is wrong in words, `hint` asks you a question first, `solution` opens once you have tried.
# 6. **Take it with you**: a quiz, a check for your own files, what it does not catch, what to read.
#
# Nothing here can be broken for good. These are your copies; `mlkit reset 01` puts one back. A cell
# hangs: the black square stops it. Odd errors: *Kernel, Restart and run all*. Still red:
# `python kit.py doctor`.

# %%
places = {
    "raw data": ["governance", "compliance"],
    "features": ["leakage", "scale", "dualmode"],
    "training": ["versioning", "cost"],
    "serving": ["skew", "orchestration"],
    "people": ["drift"],
}
ax = plots.journey(places)
ax.set_title(f"{sum(map(len, places.values()))} ways to fail, from the first row to the last")
plots.show(ax, alt="A line with five stations: raw data (governance, compliance), features "
           "(leakage, scale, dualmode), training (versioning, cost), serving (skew, "
           "orchestration), people (drift).")

# %% [markdown]
# | path | what you do |
# |---|---|
# | a taster, ninety minutes | this tour, [01 skew](01_skew.ipynb) to the end of act four |
# | evenings, one each | 01 with its exercises, then the [gallery](01b_skew_gallery.ipynb) |
# | two days | lessons and [exercise 1](exercises/ex1_skew.ipynb), with a colleague |
# | everything | all of it, and each check tried on a table of your own with `mlkit audit` |
#
# All ten words have a lesson and a gallery; exercises 1 to 4 are longer and name nothing.
#
# **Ready?** Five questions on what the lessons take for granted. Run the cell as it is and it asks
# them; then replace the dots by a letter, such as `q1="a"`. A miss names what to read first.

# %% tags=["exercise"] mlkit={"exercise": "tour.quiz"}
answer("tour", q1=..., q2=..., q3=..., q4=..., q5=...)
