# %% [markdown]
# # 02 · The score holds on later data. Can it still be a lie?
#
# *[Data leakage](../glossary.md#data-leakage). Thirty minutes to read, thirty to do. Good places to
# stop: after acts two and four.*
#
# ## 1. What would you bet?
#
# The shop again. An analyst replaces the thirty-day average by a simpler feature: what a customer
# spends on average, over the whole table. It is one line of pandas, nothing fails, and she
# validates by time, as one should: trained on older offers, tested on later ones.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from mlkit import leakage, params, plots
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.lesson import say, scoreboard, source
from mlkit.model import make_world
from mlkit.params import stream
from mlkit.plots import leakage as figures

plt.style.use("mlkit.lesson")
settings = params.load()
knobs, fault = settings["worlds"]["shop"], settings["leakage"]["inject"]
shop = make_world("shop", rng=stream(settings["seed"], "shop", "make"), **knobs)
broken = leakage.inject(shop, rng=stream(settings["seed"], "leakage", "inject"), **fault)
healthy, after = leakage.score(shop), leakage.score(broken)
say(f"Her model promises **{after['offline']:.2f}**, tested on later offers only.")

# %% [markdown]
# `offline` is what the team reports, `production` what the shop will truly get, `honest` what the
# answers that have come in so far say, and `kept` is production less offline: what is left of the
# promise.
#
# > **Predict.** The test rows are later than all training rows. What will production get? Replace
# > the dots and run the cell.

# %% tags=["exercise"]
predict("leakage.b1", ...)

# %% [markdown]
# ## 2. Break it
#
# First on six rows: one customer, who spent little and then much. The shop asks on the tenth of
# March. What was her average?

# %%
asked = pd.Timestamp("2025-03-10", tz="UTC")
days = pd.to_datetime(["2025-01-05", "2025-02-01", "2025-03-01", "2025-04-02", "2025-05-03",
                       "2025-06-01"], utc=True)
toy = pd.DataFrame({"event_ts": days, "amount_usd": [10, 12, 14, 90, 95, 99]})

whole_table = toy["amount_usd"].mean()
until_then = toy.loc[toy["event_ts"] < asked, "amount_usd"].mean()
both = {"over the whole table": whole_table, "known when asked": until_then}
pd.Series(both, name="USD").to_frame()

# %% [markdown]
# Half of those purchases, and most of the money, had not happened yet. Now in the shop. This is all
# of the fault: the training table gets the mean of everything, the service, which cannot see the
# future, gets the mean so far.

# %%
source(leakage.inject_lifetime)

# %%
reveal("leakage.b1", after["production"])

# %% [markdown]
# Nothing about production is broken: it is asked with what can be known, as before. What broke is
# what the team believes. That is why a leak costs nothing on the day it is made, and a budget, a
# launch and some trust on the day it is found.
#
# One customer of the shop along time, and one of her offers:

# %%
offers, bought = shop["offers"], shop["transactions"]
level = shop["training"].assign(whole=broken["training"]["lifetime_avg"],
                                so_far=broken["served"]["lifetime_avg"])
early = level["prediction_ts"] < offers["prediction_ts"].median()
busy = level[early & (level["total_purchases"] >= 8)]
one = busy.loc[(busy["whole"] / busy["so_far"]).idxmax()]
hers = bought[bought["user_id"] == one["user_id"]]
plots.show(figures.time_strip(hers, asked=one["prediction_ts"]), alt="Purchases of one customer "
           "along time. Those before the request are small, those after it large; the average over "
           "the table counts both.")

# %% [markdown]
# *A good place to stop.*
#
# ## 3. Find it
#
# What would you check at work? `rows` holds the offers of the study with the features, the answer
# and the part (train or test). Three lines of your own:

# %% tags=["exercise"]
rows = leakage.design(broken)
# your check

# %% [markdown]
# What most teams run is [temporal validation](../glossary.md#temporal-validation): train on the
# past, test on the future, and trust what survives. The syllabus expects a leaky model to fail it.
# So: the leaky column and the same column as of the request, each under a random split and under a
# split in time.

# %%
asof = leakage.repair(broken, **settings["leakage"]["repair"])
rng = stream(settings["seed"], "leakage", "split")
scores = {}
for state, tables in {"broken": broken, "fixed": asof}.items():
    dealt = leakage.study.shuffled(leakage.study_of(tables), offers["offer_id"], rng)
    random = {**tables, "study": dealt}
    scores[state] = {name: leakage.score(t)["offline"]
                     for name, t in {"random split": random, "split in time": tables}.items()}
table = pd.DataFrame(scores)
assert not leakage.naive_detect(shop, broken)["failed"].any()
plots.show(figures.splits(table, production=after["production"]), alt="Bars of the offline score. "
           "With the leaky column both splits promise more than production gets; as of the request "
           "both promise less, the random one still a little too much.")
table.round(3)

# %% [markdown]
# The leaky column passes. A split in time deals the *rows* by
# time; the future sits in the *column*, and it goes wherever the column goes, also into the test
# rows. The syllabus has this wrong, and most checklists with it.
#
# > **Pitfall.** Temporal validation can find leaks that a random split made. It finds no leak that
# > a feature carries.
#
# What finds it is the question of the toy, asked of every row: what could be known when the offer
# was made? Recompute the feature [as of](../glossary.md#point-in-time-correctness) its request (or
# look up what was served), and compare. By hand for our customer, and by the library.

# %%
moment, mine = one["prediction_ts"], hers["ingest_ts"] <= one["prediction_ts"]
by_hand = hers.loc[mine & (hers["event_ts"] < moment), "amount_usd"].mean()
assert abs(by_hand - one["so_far"]) < 1e-6 < abs(by_hand - one["whole"])

found = leakage.detect(shop, broken, **settings["leakage"]["detect"])
found[found["check"].isin(["as of", "availability", "time order", "repeated rows"])].round(3)

# %% [markdown]
# `as of` is the share of the study's rows whose value was another one at the request. The other
# checks are silent, and rightly: the split is clean, and the
# [registry](../glossary.md#availability-registry), which says when each feature is known, has been
# told that an average is known at once. A registry repeats what somebody believed.
#
# ## 4. Repair and prove
#
# The [point-in-time join](../glossary.md#as-of-join): each request gets what was known at its
# moment, on two clocks. A purchase counts when it *happened* before and had *arrived* by then. An
# average is recomputed from the rows; a state (a tier, a price, an address) is looked up in its
# history. The join for states is these lines; a late row about the past does not take the place of
# a newer one. And at the very moment of the request? This join says before, Feast says at or
# before: either will do, if training and serving agree.

# %%
from mlkit.leakage.join import _in_force, point_in_time_join

source(point_in_time_join, _in_force)

# %%
fixed = asof
results = {"clean": healthy, "broken": after, "fixed": leakage.score(fixed)}
assert not leakage.detect(shop, fixed)["failed"].any()
plots.show(
    plots.three_scores(results),
    alt="Bars of offline, honest and production accuracy for the healthy, broken and repaired "
    "study. Production is the same before and after the repair; the offline promise comes down.",
)
scoreboard(**results)

# %% [markdown]
# The repair takes the promise back; production hardly moves, as it was served the same honest
# values before. With the honest number on the table the team sees what the simpler feature costs
# against the healthy one, and keeps the thirty days. (Other leaks also teach a model to lean on a
# column that is weaker when served; there the repair pays twice, as the gallery shows.)
#
# ### Does it hold in other worlds?
#
# The same fault in fresh shops of four kinds. Where nobody ever changes, the future of a customer
# looks like the past, and the leak promises nothing that production does not give. Below it the
# [null control](../glossary.md#null-control): the fewer rows hold the future, the smaller the lie.

# %%
others, losses = settings["presets"]["shop"], []
presets = {name: others[name] for name in ("few_dormant", "mild", "stationary")}
for world, preset in {"as above": {}, **presets}.items():
    for seed in range(100, 104):
        fresh = make_world("shop", rng=stream(seed, "shop", "make"),
                           **{**knobs, "n_users": 600, **preset})
        bad = leakage.inject(fresh, rng=stream(seed, "leakage", "inject"), **fault)
        losses.append({"world": world, "loss": -leakage.score(bad)["kept"]})
losses = pd.DataFrame(losses)
mean = losses.groupby("world")["loss"].mean()
ax = plots.worlds(losses, xlabel="promised more than production gave (right: a lie)")
ax.set_title(f"It lies by {mean['as above']:.2f} where users change, "
             f"by {abs(mean['stationary']):.2f} where not")
plots.show(ax, alt="One dot per world. Worlds with changing users lie right of zero; the "
           "stationary world lies at zero: there the leak keeps its promise.")

# %%
shares = [0.0, 0.25, 0.5, 0.75, 1.0]
leaky = [leakage.inject(shop, rng=stream(settings["seed"], "leakage"), **{**fault, "severity": s})
         for s in shares]
lies = [-leakage.score(tables)["kept"] for tables in leaky]
caught = [bool(leakage.detect(shop, tables)["failed"].any()) for tables in leaky]
ax = plots.sweep(shares, {"broken": lies}, xlabel="share of rows that hold the future",
                 ylabel="promised too much")
ax.axhline(0, color="#8C8C8C", linewidth=0.8)
ax.set_title(f"The check is silent at 0% and fires from {shares[caught.index(True)]:.0%} on")
plots.show(ax, alt="What the study promises too much rises with the share of rows that hold the "
           "future; without any it is at zero or below.")

# %% [markdown]
# *A good place to stop.*
#
# ## 5. Your turn
#
# Three exercises, from a cell to complete to a leak that nobody names. `hint("leakage.1")` asks
# you a question first; `solution("leakage.1")` opens once you have tried.
#
# ### leakage.1 · What could it have learned that day?
# *Level 1 (complete), about 8 minutes*
#
# **Goal.** A model of loans is to be trained at `cut` and tested on what was asked afterwards. An
# answer takes days or months ([label delay](../glossary.md#label-delay)), each loan its own time.
#
# **Given.** `loans`, one row each, in no order: `loan_id` int64, `asked_at` UTC, `known_at` UTC
# (when the answer was known; missing while there is none); and `cut`, a moment in UTC.
#
# **Return.** Two tables: `train`, the loans asked before the cut whose answer was known by then,
# and `test`, every loan asked at the cut or later. What lies between is the gap.
#
# **Checked.** The future, the gap, quick and slow answers, open loans, the day and the very moment
# of the cut.
# ```python
# >>> loans = pd.DataFrame({"loan_id": [1, 2, 3]})
# >>> loans["asked_at"] = pd.to_datetime(["2025-01-05", "2025-02-20", "2025-03-09"], utc=True)
# >>> loans["known_at"] = pd.to_datetime(["2025-02-01", "2025-03-12", None], utc=True)
# >>> loans.head(3)
#    loan_id                  asked_at                  known_at
# 0        1 2025-01-05 00:00:00+00:00 2025-02-01 00:00:00+00:00
# 1        2 2025-02-20 00:00:00+00:00 2025-03-12 00:00:00+00:00
# 2        3 2025-03-09 00:00:00+00:00                       NaT
# >>> train, test = split(loans, pd.Timestamp("2025-03-01 12:00", tz="UTC"))
# >>> train["loan_id"].tolist(), test["loan_id"].tolist()
# ([1], [3])
# ```

# %% tags=["exercise"] mlkit={"exercise": "leakage.1"}
def split(loans, cut):
    raise NotImplementedError  # take this line away and complete the two below
    train = ...  # which loans had been asked, and answered, when the model was trained?
    test = ...  # and which was it asked from then on?
    return train, test

check("leakage.1", split)

# %% [markdown]
# ### leakage.2 · What did we believe then?
# *Level 2 (adapt), about 15 minutes*
#
# **Goal.** The income of a customer is no event: it holds until another one does, and is recorded
# late, announced early, corrected, withdrawn. Find what was believed at each request.
#
# **Given.** `loans`: `loan_id` int64, `customer_id` int64, `asked_at` UTC; `history`, one row per
# record, in no order: `customer_id` int64, `valid_from` UTC, `recorded_at` UTC, `income_usd`
# float64 (missing: withdrawn from then on). Two records that are valid from the same moment are a
# value and its correction, which was recorded later.
#
# **Return.** A Series with `loan_id` as index: of the records that were valid and recorded at
# `asked_at` or before, the income that is valid last; missing where there is none.
#
# **Checked.** Both clocks, three kinds of correction, withdrawn and unknown incomes, the very
# moment; then many loans against a loop.
# ```python
# >>> loans = pd.DataFrame({"loan_id": [11, 12], "customer_id": 1})
# >>> loans["asked_at"] = pd.to_datetime(["2025-03-01", "2025-04-01"], utc=True)
# >>> history = pd.DataFrame({"customer_id": [1, 1], "income_usd": [30000.0, 45000.0]})
# >>> history["valid_from"] = pd.to_datetime(["2025-01-01", "2025-02-15"], utc=True)
# >>> history["recorded_at"] = pd.to_datetime(["2025-01-02", "2025-03-20"], utc=True)
# >>> history.drop(columns="customer_id").head(3)
#    income_usd                valid_from               recorded_at
# 0     30000.0 2025-01-01 00:00:00+00:00 2025-01-02 00:00:00+00:00
# 1     45000.0 2025-02-15 00:00:00+00:00 2025-03-20 00:00:00+00:00
# >>> income_then(loans, history).to_dict()
# {11: 30000.0, 12: 45000.0}
# ```

# %% tags=["exercise"] mlkit={"exercise": "leakage.2"}
def income_then(loans, history):
    raise NotImplementedError

check("leakage.2", income_then)

# %% [markdown]
# ### leakage.3 · Which column knows the answer?
# *Level 3 (open), about 25 minutes*
#
# **Goal.** The score is too good. One column, perhaps, has learned the answer since the decision;
# others have changed for honest reasons, and one is honestly strong.
#
# **Given.** `table`, today's extract for training: `application_id` int64, `asked_at` UTC, some
# features (float64, may be missing; or str), `defaulted` bool; and `served`, the log of the same
# applications at the decision: the same columns without the answer, in another order.
#
# **Return.** The name of the feature whose value today says about the answer what the served value
# could not, or `"none"`. That a value differs, or says much, is not enough.
#
# **Checked.** Six ways to learn the answer that you do not see; a strong feature, a missing value
# that honestly says much, corrections, and a value that ages.
# ```python
# >>> n = 400
# >>> asked = pd.Timestamp("2025-03-01", tz="UTC")
# >>> served = pd.DataFrame({"application_id": range(n), "asked_at": asked,
# ...                        "score": [400.0, 700.0] * (n // 2), "visits": [1.0, 2.0] * (n // 2)})
# >>> table = served.assign(defaulted=(served["score"] < 500) & (served["application_id"] % 3 > 0))
# >>> table["visits"] += 9.0 * table["defaulted"]
# >>> table.drop(columns="asked_at").head(3)
#    application_id  score  visits  defaulted
# 0               0  400.0     1.0      False
# 1               1  700.0     2.0      False
# 2               2  400.0    10.0       True
# >>> leak(table, served[::-1])
# 'visits'
# ```

# %% tags=["exercise"] mlkit={"exercise": "leakage.3"}
def leak(table, served):
    raise NotImplementedError

check("leakage.3", leak)

# %% [markdown]
# ## 6. Take it with you
#
# Three questions. Run the quiz as it is and it asks them; then replace the dots by a letter, such
# as `q1="a"`. The last one is about four columns, one point per decision. On the line: the value
# is still what was served. Triangles: the answer is yes.

# %%
rng = stream(settings["seed"], "leakage", "quiz")
value = rng.normal(size=500)
yes = {name: rng.random(500) < 0.3 for name in "BCD"}
yes["A"] = value + 0.4 * rng.normal(size=500) > 0.6
change = {"A": 0, "B": (yes["B"] & (rng.random(500) < 0.8)) * (1 + 0.4 * rng.normal(size=500)),
          "C": (rng.random(500) < 0.3) * rng.normal(size=500), "D": 0.4 + 1.2 * rng.random(500)}
four = {name: pd.DataFrame({"then": value, "now": value + change[name], "answer": yes[name]})
        for name in "ABCD"}
plots.show(figures.then_and_now(four), alt="Four plots of today's value against the served one. "
           "A: all on the line, triangles at its end. B: points on the line, most triangles above. "
           "C: points and triangles on the line, some of both around it. D: all above the line.")

# %% tags=["exercise"] mlkit={"exercise": "leakage.quiz"}
answer("leakage", q1=..., q2=..., q3=...)

# %% [markdown]
# | what people say | what the lesson and its galleries show |
# |---|---|
# | We split by time, so nothing leaks. | The lifetime average scores as well under that split. |
# | The feature store joins point in time. | By the time of events. Late rows came through. |
# | Too strong, so it leaks. | Strong may be honest, weak may leak. Ask what it knew, and when. |
# | Never fit the scaler on all rows. | True, and it moved nothing. Selection moved the score. |
# | We leave a gap of some rows. | Answers take days. Each row has a date of its own. |
#
# **What these checks do not catch**: a column that is a stand-in for the answer and was there at
# the decision too, such as the tube on the film: both records agree, and only other places tell. An
# answer that is itself wrong, or that only those have who were accepted. A test set that was looked
# at many times. A registry that says what somebody hoped. And parity needs a log of what was
# served: before the first model there is none, so keep the two clocks from the first row on.
#
# In the pipeline this lesson is `dvc repro score@leakage`. Its stages run the functions that you
# have just seen, so the tables hold the same content, row for row:

# %%
import json

from mlkit.tables import content_hash

project = params.nearest_file(params.Path.cwd()).parent
piped = json.loads((project / "data/leakage/score.json").read_text(encoding="utf-8"))
here = {"clean": shop, "broken": broken, "fixed": fixed}
pd.DataFrame({"this notebook": {name: content_hash(tables) for name, tables in here.items()},
              "dvc repro": {name: row["content"] for name, row in piped.items()}})

# %% [markdown]
# **On Monday**: the same checks on your own files, with your own column names. `mlkit audit
# leakage` reads two sides of a split, prints a report, and its exit status stops a build. And a
# test to paste, which needs pandas alone (`mlkit/monday/leakage.py`): both are below.
#
# **Think about it.** Which column of yours is overwritten? From which of your tables could you
# still tell what it said on a given day? Who may write to it after the outcome?
#
# **Read on.** The map: Kapoor and Narayanan, *Leakage and the reproducibility crisis in
# machine-learning-based science*, Patterns 4(9) 100804, 2023. Kaufman, Rosset, Perlich and
# Stitelman, *Leakage in Data Mining: Formulation, Detection, and Avoidance*, ACM TKDD 6(4), 2012.
# Columns and places: Zech et al., *Variable generalization performance of a deep learning model to
# detect pneumonia in chest radiographs*, PLoS Medicine 15(11) e1002683, 2018. Selection: Ambroise
# and McLachlan, *Selection bias in gene extraction on the basis of microarray gene-expression
# data*, PNAS 99(10), 2002. Cawley and Talbot, *On Over-fitting in Model Selection and Subsequent
# Selection Bias in Performance Evaluation*, JMLR 11, 2010. A test set that is asked too often:
# Blum and Hardt, *The Ladder: A Reliable Leaderboard for Machine Learning Competitions*, ICML 2015.
# Answers that come late: Dal Pozzolo et al., *Credit Card Fraud Detection: A Realistic Modeling and
# a Novel Learning Strategy*, IEEE TNNLS 29(8), 2018. Next: `02b_leakage_gallery`, and
# `exercises/ex2_point_in_time`, the whole of it on your own.

# %%
import mlkit.monday.leakage

source(mlkit.monday.leakage)

# %%
import contextlib
import subprocess
import sys
import tempfile

sides = leakage.design(leakage.inject(shop, rng=rng, **{**fault, "kind": "duplicates"}))
names = {"user_id": "customer", "prediction_ts": "asked_at", "avg_amount": "basket",
         "purchases_30d": "visits", "accepted": "bought"}
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    for part in ("train", "test"):
        rows = leakage.part_of(sides, part)[list(names)].rename(columns=names)
        rows.to_csv(f"{part}.csv", index=False)
    command = "-m mlkit audit leakage --train train.csv --test test.csv --label bought"
    words = [sys.executable, *command.split(), "--time", "asked_at", "--entity", "customer"]
    report = subprocess.run(words, capture_output=True, text=True)
print(report.stdout + report.stderr, f"exit status {report.returncode}", sep="\n")

# %%
claim = params.read_yaml(project / "claims/leakage.yaml")[1]
say(f"> {claim['says']}. *Tested on a hundred fresh worlds by* `mlkit claims --only leakage`.")

# %% tags=["exercise"]
progress("leakage")
