# %% [markdown]
# # 01 · Same model, same customers: where did the accuracy go?
#
# *[Training-serving skew](../glossary.md#training-serving-skew). Thirty minutes to read, fifteen
# to play. Good places to stop: after acts two and four.*
#
# ## 1. What would you bet?
#
# A shop sends every customer an offer once a month, and a model decides who gets the dear one.
# The serving path has just been rewritten in a faster language. The tests are green, the model
# file is the same, and the [offline score](../glossary.md#offline-score) has not moved.
#
# We build the shop in memory from `params.yaml`. If the next cell fails, run
# `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import params, plots, skew
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.lesson import say, scoreboard, source
from mlkit.model import make_world
from mlkit.params import stream

plt.style.use("mlkit.lesson")
settings = params.load()
knobs = settings["worlds"]["shop"]
shop = make_world("shop", rng=stream(settings["seed"], "shop", "make"), **knobs)
pd.Series({name: len(table) for name, table in shop.items()}, name="rows").to_frame()

# %% [markdown]
# Two of these tables are the heart of the lesson. `training` holds the features as the training
# path computes them in the warehouse; `served` holds the features that production answered with.
# One row per offer in each. Tables whose names begin with `truth_` belong to the simulation:
# no team has them, and no check below may look at them.
#
# The healthy pipeline, judged three ways: what the team reports from a
# [hold-out](../glossary.md#hold-out) (*offline*), what the answers that have come in so far say
# ([*honest*](../glossary.md#honest-estimate)), and what is true
# ([*production*](../glossary.md#production-score)). They are measured on different offers, so even
# here they differ a little.

# %%
healthy = skew.score(shop)
scoreboard(healthy=healthy)

# %% [markdown]
# The feature that matters most is `avg_amount`: the mean of a customer's purchases in the last
# thirty **days**. The rewritten service takes the last thirty **purchases**. One word differs.
#
# > **Predict.** Will the offline score move? Would a dashboard with the average of every feature
# > show it? Put a number on production before you go on: replace the dots and run the cell.

# %% tags=["exercise"]
predict("skew.b1", ...)

# %% [markdown]
# ## 2. Break it
#
# First on six rows that fit in your head: one customer who used to spend little and now spends
# much. A window of three stands in for thirty.

# %%
today = pd.Timestamp("2025-03-01", tz="UTC")
toy = pd.DataFrame({"days_ago": [60, 50, 40, 30, 2, 1], "amount_usd": [10, 10, 10, 10, 90, 110]})
toy["event_ts"] = today - pd.to_timedelta(toy["days_ago"], unit="D")

last_3_days = toy.loc[toy["event_ts"] >= today - pd.Timedelta(days=3), "amount_usd"].mean()
last_3_rows = toy.sort_values("event_ts")["amount_usd"].tail(3).mean()
pd.Series({"last 3 days": last_3_days, "last 3 purchases": last_3_rows}, name="USD").to_frame()

# %% [markdown]
# Both numbers are averages of real purchases, both look plausible, and neither raises an error.
# Now the same in the shop. This is all of the faulty path, the code that runs here and in the
# pipeline:

# %%
source(skew.inject_window)

# %%
fault = settings["skew"]["inject"]
broken = skew.inject(shop, rng=stream(settings["seed"], "skew", "inject"), **fault)
after = skew.score(broken)
assert after["offline"] == healthy["offline"]  # it never looks at the path with the fault
reveal("skew.b1", after["production"])

# %% [markdown]
# *A good place to stop.*
#
# ## 3. Find it
#
# What would you check at work? `training` and `served` hold the same features, by both paths:
# three lines of your own, whatever you would run first. Then what most teams run: they compare
# averages or histograms. The kit's `naive_detect` is that check with a limit.

# %% tags=["exercise"]
training, served = shop["training"], broken["served"]
# your check

# %%
training, served = shop["training"], broken["served"]
means = pd.DataFrame({"training path": training.mean(numeric_only=True),
                      "serving path": served.mean(numeric_only=True)})
assert not skew.naive_detect(shop, broken)["failed"].any()
plots.show(
    plots.marginals(served["avg_amount"], training["avg_amount"], unit="USD"),
    alt="Two histograms of the average amount on shared axes. Their means are equal and their "
    "shapes close: the serving path has somewhat fewer very small and very large values.",
)
means.drop(index=["offer_id", "user_id"]).round(2)

# %% [markdown]
# The usual check passes. An average over customers cannot tell who was served which value: one is
# told too much, another too little, and the errors cancel. Even where histograms differ, they mix
# skew with [drift](../glossary.md#drift), because they compare different customers or days.
#
# > **Pitfall.** Comparing distributions asks whether the crowd looks alike. Skew is a question
# > about each single request.
#
# The check that works pairs the two paths: same customer, same moment, two values. On a toy, by
# hand and by the library. A missing value equals a missing value and nothing else; numbers are
# equal within a [relative tolerance](../glossary.md#relative-tolerance). Both are decisions that a
# [parity check](../glossary.md#parity-check) has to take aloud. Then the whole shop: `value` is the
# share of offers on which the two paths disagree, `gap` the typical size of the difference, `first`
# when it began: which feature to look at, and since when.

# %%
one = pd.DataFrame({"user_id": [1, 2, 3], "avg_amount": [last_3_rows, 20.0, None]})
two = pd.DataFrame({"user_id": [1, 2, 3], "avg_amount": [last_3_days, 20.0, None]})
by_hand = (one["avg_amount"].fillna(-1) != two["avg_amount"].fillna(-1)).mean()

library = skew.parity(one, two, on=["user_id"], features=["avg_amount"])
assert library.loc[1, "value"] == by_hand
library[["check", "subject", "value", "limit", "failed"]].round(3)

# %%
found = skew.detect(shop, broken, **settings["skew"]["detect"])
plots.show(
    plots.paired(served["avg_amount"], training["avg_amount"], unit="USD"),
    alt="Served against recomputed average amount, one point per offer. Instead of lying on the "
    "diagonal the points form a broad cloud around it.",
)
shown = ["check", "subject", "value", "limit", "failed", "gap", "first"]
found[shown].round({"value": 3, "gap": 3})

# %% [markdown]
# ## 4. Repair and prove
#
# One definition for both paths. A feature is a piece of SQL over what was known at the moment of
# the request; warehouse and serving database run the same text (the gallery compares them, and
# pandas). Two clocks are at work: a purchase counts when it *happened* before the offer and had
# *arrived* by then ([point-in-time correctness](../glossary.md#point-in-time-correctness)). Today's
# date appears nowhere: a definition with `current_date()` in it gives every old training row a new
# answer each day. Here it is, for one feature:

# %%
from mlkit.features import FEATURES, feature_sql

say(f"```sql{feature_sql({'avg_amount': FEATURES['avg_amount']})}\n```")

# %%
fixed = skew.repair(broken, **settings["skew"]["repair"])
scores = {"clean": healthy, "broken": after, "fixed": skew.score(fixed)}
assert not skew.detect(shop, fixed)["failed"].any()
plots.show(
    plots.three_scores(scores),
    alt="Bars of offline, honest and production accuracy for the healthy, broken and repaired "
    "pipeline. Offline is the same in all three; broken falls in honest and production.",
)
scoreboard(**scores)

# %% [markdown]
# ### Does it hold in other worlds?
#
# One world proves nothing. The same fault in fresh shops of four kinds. The
# [stationary](../glossary.md#stationary) one is the surprise: when nobody ever changes, more
# history is better history, so the bug *helps*. Skew can always be found; whether it hurts depends
# on the world. That is why we check parity and do not wait for the accuracy to fall.
#
# Below it the [null control](../glossary.md#null-control): the fewer requests take the faulty path,
# the smaller the loss; with none, nothing happens and the check stays silent.

# %%
losses, shops = [], {"as above": {}, **settings["presets"]["shop"]}
for world in ("as above", "stationary", "few_dormant", "mild"):
    for seed in range(100, 104):
        other = {**knobs, "n_users": 400, **shops[world]}
        fresh = make_world("shop", rng=stream(seed, "shop", "make"), **other)
        bad = skew.inject(fresh, rng=stream(seed, "skew", "inject"), **fault)
        lost = skew.score(fresh)["production"] - skew.score(bad)["production"]
        losses.append({"world": world, "loss": lost})
losses = pd.DataFrame(losses)
mean = losses.groupby("world")["loss"].mean()
ax = plots.worlds(losses)
ax.set_title(f"It costs {mean['as above']:.2f} where users change, "
             f"gains {-mean['stationary']:.2f} where not")
plots.show(ax, alt="One dot per world. Worlds with changing users lie right of zero (harm), the "
           "stationary world lies left of it: there the fault improves accuracy.")

# %%
shares = [0.0, 0.1, 0.25, 0.5, 1.0]
canary = [skew.inject(shop, rng=stream(settings["seed"], "skew"), **{**fault, "severity": share})
          for share in shares]
accuracy = [skew.score(tables)["production"] for tables in canary]
caught = [bool(skew.detect(shop, tables)["failed"].any()) for tables in canary]
ax = plots.sweep(shares, {"broken": accuracy}, xlabel="share of requests on the faulty path",
                 ylabel="accuracy in production")
ax.set_ylim(0, 1)
first = shares[caught.index(True)]
ax.set_title(f"Parity is silent at 0% and fires from {first:.0%} of the requests on")
plots.show(ax, alt="Production accuracy falls evenly as more requests take the faulty path.")

# %% [markdown]
# *A good place to stop.*
#
# ## 5. Your turn
#
# Three exercises, from a cell to complete to a fault that nobody names. `hint("skew.1")` asks you
# a question first; `solution("skew.1")` opens once you have tried.
#
# ### skew.1 · Which release is it?
# *Level 1 (complete), about 5 minutes*
#
# **Goal.** A new release answers a tenth of the requests. Parity fails: for which release?
#
# **Given.** `log`, one row per request: `release` str, `recomputed` float64, `served` float64
# (USD); and `rtol` float, the relative tolerance.
#
# **Return.** A Series: for each release, in order, the share of its requests on which the two
# values differ.
#
# **Checked.** Missing values, units, releases with few requests, errors that cancel in a mean.
# ```python
# >>> log = pd.DataFrame({"release": ["1.4", "1.4", "2.0", "2.0"],
# ...                     "recomputed": [20.0, None, 5.0, 8.0],
# ...                     "served": [20.0, None, 5.0, 9.0]})
# >>> log.head(3)
#   release  recomputed  served
# 0     1.4        20.0    20.0
# 1     1.4         NaN     NaN
# 2     2.0         5.0     5.0
# >>> share_by_release(log, 0.01).to_dict()
# {'1.4': 0.0, '2.0': 0.5}
# ```

# %% tags=["exercise"] mlkit={"exercise": "skew.1"}
def share_by_release(log, rtol):
    raise NotImplementedError  # take this line away and complete the two below
    differs = ...  # one truth value per request: what does a missing value equal?
    return ...  # the share of True for each release

check("skew.1", share_by_release)

# %% [markdown]
# ### skew.2 · How old is what we serve?
# *Level 2 (adapt), about 10 minutes*
#
# **Goal.** One definition, one code path, and still skew: the store serves what it wrote last.
# Parity finds it afterwards; the age of a value tells at once.
#
# **Given.** `requests`, one row each: `user_id` int64, `asked_at` UTC; `store`, one row per value
# written, in no order: `user_id` int64, `written_at` UTC, `value` float64; and `hours` float.
#
# **Return.** A number: the share of requests that were served nothing, or a value older than
# `hours` at that moment.
#
# **Checked.** What the store wrote later, users it never wrote, a value of exactly that age.
# ```python
# >>> moments = pd.to_datetime(["2025-03-02 09:00", "2025-03-02 12:00"], utc=True)
# >>> requests = pd.DataFrame({"user_id": [1, 2], "asked_at": moments})
# >>> store = pd.DataFrame({"user_id": [1, 1], "written_at": moments, "value": [20.0, 25.0]})
# >>> store.head(3)
#    user_id                written_at  value
# 0        1 2025-03-02 09:00:00+00:00   20.0
# 1        1 2025-03-02 12:00:00+00:00   25.0
# >>> float(stale_share(requests, store, 24))
# 0.5
# ```

# %% tags=["exercise"] mlkit={"exercise": "skew.2"}
def stale_share(requests, store, hours):
    raise NotImplementedError

check("skew.2", stale_share)

# %% [markdown]
# ### skew.3 · Where does it come from?
# *Level 3 (open), about 20 minutes*
#
# **Goal.** Parity fails on one request in ten, and nobody knows why. Which team do you call?
#
# **Given.** `log`, one row per request: `request_id` int64, `region`, `channel`, `host` and
# `release` str, `recomputed` float64, `served` float64.
#
# **Return.** The name of the column that tells wrong requests from right ones (one of its values
# is broken), or `"none"`.
#
# **Checked.** Four faults that you do not see, each in each of the four columns; a healthy log; and
# a log in which late rows are a little off everywhere.
# ```python
# >>> log = pd.DataFrame({"request_id": range(400), "region": ["north", "south"] * 200,
# ...                     "channel": ["web", "web", "web", "app"] * 100,
# ...                     "host": ["a", "b", "c", "d", "e"] * 80,
# ...                     "release": "1.4", "recomputed": 20.0})
# >>> log["served"] = log["recomputed"].where(log["channel"] == "web", 35.0)
# >>> log.drop(columns="release").tail(3)
#      request_id region channel host  recomputed  served
# 397         397  south     web    c        20.0    20.0
# 398         398  north     web    d        20.0    20.0
# 399         399  south     app    e        20.0    35.0
# >>> culprit(log)
# 'channel'
# ```

# %% tags=["exercise"] mlkit={"exercise": "skew.3"}
def culprit(log):
    raise NotImplementedError

check("skew.3", culprit)

# %% [markdown]
# ## 6. Take it with you
#
# Three questions. Run the quiz as it is and it asks them; then replace the dots by a letter, such
# as `q1="a"`. The last one is about these four pictures, one point per offer:

# %%
idle = shop["training"]["purchases_30d"] == 0
right = shop["training"]["avg_amount"]
four = {"A": right, "B": right * 1.6, "C": broken["served"]["avg_amount"], "D": right.mask(idle, 0)}
plots.show(plots.pictures(right, four, unit="USD"), alt="Four scatter plots of served against "
           "recomputed. A: all points on the diagonal. B: a steeper line. C: a cloud about the "
           "diagonal. D: the diagonal, and a row of points along the bottom.")

# %% tags=["exercise"] mlkit={"exercise": "skew.quiz"}
answer("skew", q1=..., q2=..., q3=...)

# %% [markdown]
# | what people say | what you have seen |
# |---|---|
# | We have a feature store, so there is no skew. | It serves what it materialised, last week's. |
# | The histograms look alike. | So did these. |
# | Accuracy recovered, so it is fixed. | In the stationary shop it never fell. Parity tells. |
#
# **What parity does not catch**: a definition that is wrong in the same way on both paths; a label
# that leaks; a world that changes. Those are other lessons.
#
# In the pipeline this lesson is `dvc repro score@skew`. Its stages run the functions that you have
# just seen, so the tables hold the same content, row for row:

# %%
import json

from mlkit.tables import content_hash

project = params.nearest_file(params.Path.cwd()).parent
piped = json.loads((project / "data/skew/score.json").read_text(encoding="utf-8"))
here = {"clean": shop, "broken": broken, "fixed": fixed}
pd.DataFrame({"this notebook": {name: content_hash(tables) for name, tables in here.items()},
              "dvc repro": {name: row["content"] for name, row in piped.items()}})

# %% [markdown]
# **On Monday**: the same check on your own files, with your own column names. `mlkit audit skew`
# reads [parquet](../glossary.md#parquet) or CSV, prints a report, and its exit status stops a
# build. And a test to paste, which needs pandas alone (it stands in `mlkit/monday/skew.py`): both
# are below.
#
# **Think about it.** Which feature of yours is computed twice? Who would notice, and when? What
# would [log and train](../glossary.md#log-and-train) cost you, and what could it not bring back?
#
# **Read on.** Sculley et al., *Hidden Technical Debt in Machine Learning Systems*, NeurIPS 2015.
# Zinkevich, *Rules of Machine Learning*, the rules on training-serving skew. Breck et al., *The ML
# Test Score*, IEEE Big Data 2017. Next: `01b_skew_gallery`, every other way to get here, and
# `exercises/ex1_skew`, the whole of it on your own.

# %%
import mlkit.monday.skew

source(mlkit.monday.skew)

# %%
import contextlib
import subprocess
import sys
import tempfile

names = {"user_id": "customer", "prediction_ts": "asked_at",
         "avg_amount": "basket", "purchases_30d": "visits"}
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    served[list(names)].rename(columns=names).to_csv("served.csv", index=False)
    training[list(names)].rename(columns=names).to_csv("recomputed.csv", index=False)
    command = "mlkit audit skew --served served.csv --recomputed recomputed.csv"
    options = ["--on", "customer,asked_at", "--time", "asked_at"]
    report = subprocess.run([sys.executable, "-m", *command.split(), *options],
                            capture_output=True, text=True)
print(report.stdout + report.stderr, f"exit status {report.returncode}", sep="\n")

# %%
claim = params.read_yaml(project / "claims/skew.yaml")[0]
say(f"> {claim['says']}. *Tested on a hundred fresh worlds by* `mlkit claims --only skew`.")

# %% tags=["exercise"]
progress("skew")
