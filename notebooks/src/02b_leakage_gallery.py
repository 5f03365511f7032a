# %% [markdown]
# # 02b · Which leaks lie most, and which hardly at all?
#
# *The gallery of [data leakage](../glossary.md#data-leakage): skip what you do not need. Forty
# minutes to read, twenty to play. Stop after any picture.*
#
# Kapoor and Narayanan (*Patterns* 4(9) 100804, 2023) found leaks in hundreds of papers of seventeen
# fields, and gave eight types their names. Each is a kind of `leakage.inject` here, and four of
# their neighbours beside them. Of the eight the syllabus lacks L1.1, L1.3 and L3.2; what it calls
# duplicates is L3.1, its temporal leakage is L2, and L3.3 is a story.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import leakage, params, plots
from mlkit.check import predict, reveal
from mlkit.lesson import say, source
from mlkit.model import make_world
from mlkit.params import stream
from mlkit.plots import leakage as figures

plt.style.use("mlkit.lesson")
settings = params.load()

# %%
seed, shops = settings["seed"], settings["presets"]["shop"]
knobs, fault = settings["worlds"]["shop"], settings["leakage"]["inject"]
shop = make_world("shop", rng=stream(seed, "shop", "make"), **knobs)
kinds = pd.DataFrame({name: kind._asdict() for name, kind in leakage.KINDS.items()}).T
kinds[["cause", "harm"]]

# %% [markdown]
# ## The ladder
#
# Textbooks lead with the scaler. Your bet: which of four mistakes lies most?

# %% tags=["exercise"]
predict("leakage.b2", ...)

# %% [markdown]
# A leak inflates the promise, and some make production worse as well. The ladder shows the first:
# each type is measured by what it promised and production did not give, less the same of the
# healthy study, in three shops. (L3.1 needs something that all customers share for a while, a mood
# of the week; the shop has one as a knob.)

# %%
rows = []
for kind in leakage.KINDS:
    moody = shops["moody"] if kind == "temporal" else {}
    for world in range(200, 203):
        small = {**knobs, "n_users": 500, **moody}
        fresh = make_world("shop", rng=stream(world, "shop", "make"), **small)
        bad = leakage.inject(fresh, rng=stream(world, "leakage"), **{**fault, "kind": kind})
        kept = [leakage.score(tables)["kept"] for tables in (fresh, bad)]
        rows.append({"kind": kind, "inflation": kept[0] - kept[1]})
ladder = pd.DataFrame(rows)
mean = ladder.groupby("kind")["inflation"].mean()
ax = figures.ladder(ladder)
ax.set_title(f"From {mean.max():+.2f} ({mean.idxmax()}) to {mean['scaler']:+.3f} (scaler)")
plots.show(ax, alt="Bars of how much each type promises too much, the largest on top. Scaler and "
           "two clocks lie at zero.")

# %%
words = {"scaler": "scaler", "feature_selection": "feature selection",
         "duplicates": "duplicates", "oversampling": "over-sampling"}
reveal("leakage.b2", words[mean[list(words)].idxmax()])

# %% [markdown]
# The tiny ones are no reason to be careless: a scaler on all rows is bad hygiene that costs nothing
# today. But who leads with it teaches people to look in the wrong place.
#
# ## Which check finds which?
#
# One row per kind, one column per check: how much it found. Filled means that it fails. *Temporal
# split* is what most teams run.

# %%
table, fired = {}, {}
mood = make_world("shop", rng=stream(seed, "shop", "make"), **{**knobs, **shops["moody"]})
for kind in leakage.KINDS:
    world = mood if kind == "temporal" else shop
    bad = leakage.inject(world, rng=stream(seed, "leakage"), **{**fault, "kind": kind})
    found = pd.concat([leakage.naive_detect(world, bad), leakage.detect(world, bad)])
    table[kind] = found.groupby("check", sort=False)["value"].max()
    fired[kind] = found.groupby("check", sort=False)["failed"].any()
table, fired = pd.DataFrame(table).T.fillna(0.0), pd.DataFrame(fired).T.eq(True)
useful = fired.columns[fired.any()]
ax = plots.heat(table[useful], fired=fired[useful])
ax.tick_params(axis="x", rotation=30, labelsize=8)
ax.set_title(f"The temporal split finds {fired['temporal split'].sum()} of {len(fired)}", pad=12)
plots.show(ax, alt="A table of kinds by checks, with the cells filled in which a check fails. No "
           "column is filled for every kind.")

# %% [markdown]
# No single check covers the list, because a leak may sit in a **feature** (as of, availability), in
# the **rows** (repeats, users, time, sampling) or in **how** the study is done (pre-processing,
# reuse). The last two cannot be seen in the data at all: somebody has to keep a record. Two clocks
# stay below the limit here, as few rows are late.
#
# ## L1.1 and L1.4 · No test set, and half a one
#
# A model that remembers is right about what it has seen. A forest remembers, a line hardly can: the
# same copies, judged by both. (A copy with a rounded amount escapes an exact comparison:
# `repeated_rows(..., digits=3)` rounds first.)

# %%
copies = [0.0, 0.1, 0.3, 0.6, 1.0]
lines = {"forest": [], "logistic": []}
for share in copies:
    given = {**fault, "kind": "duplicates", "copies": share}
    bad = leakage.inject(shop, rng=stream(seed, "leakage"), **given)
    for model, scores in lines.items():
        tables = leakage.planned(bad, leakage.study_of(bad), model=model)
        scores.append(leakage.score(tables)["offline"])
ax = plots.sweep(copies, {"broken": lines["forest"], "clean": lines["logistic"]}, xlabel="share "
                 "of the training rows that came in twice", ylabel="offline score")
ax.set_ylim(0, 1)
ax.set_title(f"Copies lift a forest by {lines['forest'][-1] - lines['forest'][0]:.2f}, a "
             f"logistic by {lines['logistic'][-1] - lines['logistic'][0]:.2f}")
plots.show(ax, alt="The offline score of a forest rises with the share of copies in the test rows; "
           "that of a logistic regression stays (labelled healthy).")

# %% [markdown]
# ## L1.2 · Pre-processing: harmless, bad, worse
#
# The mean answer of each user is a tempting feature, and three ways to compute it differ by a line:
# over all rows; over the training rows, where each row finds its own answer in the mean; and
# [out of fold](../glossary.md#out-of-fold).

# %%
encoding = leakage.inject(shop, rng=stream(seed, "leakage"), **{**fault, "kind": "encoding"})
honest = leakage.repair(encoding)
own = leakage.planned(honest, leakage.study_of(honest), step="encode")
ways = {"all rows": encoding, "training rows": own, "out of fold": honest, "no encoding": shop}
pd.DataFrame({way: leakage.score(tables) for way, tables in ways.items()}).T.round(3)

# %% [markdown]
# "Fit it on the training rows only" is not enough: the second way is free of test rows, and worse
# than no encoding; here leaving it out beats all three. Over-sampling before the split is the same
# mistake in another dress: a copy of a rare row lands on the other side. Repeat rows after the
# split, in the training rows alone.

# %%
rare = leakage.inject(shop, rng=stream(seed, "leakage"), **{**fault, "kind": "oversampling"})
both = {"repeated, then split": rare, "split, then repeated": leakage.repair(rare)}
pd.DataFrame({way: leakage.score(tables) for way, tables in both.items()}).T.round(3)

# %% [markdown]
# ## L1.3 · Choosing features, and choosing models
#
# Columns of pure noise, a pilot of few offers, and the best twenty columns chosen by looking at
# all rows. The more there is to choose from, the better noise looks. Beside it: many models, one
# test set, and the best of them reported. (Early stopping on the test rows is the same choice, made
# in every round.)

# %%
chosen, luck = {}, {}
for size in (30, 100, 300, 1000, 3000):
    given = {**fault, "kind": "feature_selection", "noise_columns": size}
    bad = leakage.inject(shop, rng=stream(seed, "leakage", "wide"), **given)
    chosen[size] = [leakage.score(t)["offline"] for t in (bad, leakage.repair(bad))]
chosen = pd.DataFrame(chosen, index=["all rows", "training rows"]).T
ax = plots.sweep(list(map(str, chosen.index)), {"broken": chosen["all rows"].tolist(),
                 "fixed": chosen["training rows"].tolist()}, xlabel="columns of noise to choose "
                 "from", ylabel="offline score")
ax.axhline(0.5, color="#8C8C8C", linewidth=0.8)
ax.set_ylim(0, 1)
best = chosen["all rows"].iloc[-1]
ax.set_title(f"Noise looks like {best:.2f} when the test rows helped to choose")
plots.show(ax, alt="The score of chosen noise rises with the number of columns when all rows are "
           "looked at, and stays near one half when only training rows are.")

# %%
for tries in (1, 10, 50, 200):
    given = {**fault, "kind": "test_reuse", "tries": tries}
    bad = leakage.inject(shop, rng=stream(seed, "leakage", "reuse"), **given)
    expected = leakage.detect(shop, bad).set_index("check").loc["test reuse", "value"]
    luck[tries] = {"reported": leakage.score(bad)["offline"], "luck to expect": 0.5 + expected}
pd.DataFrame(luck).T.rename_axis("models tried").round(3)

# %% [markdown]
# ## L2 · A column from after the answer
#
# The syllabus's example is `late_payment_count` of a loan. In the world of loans it is mechanical:
# three late payments in a row *are* the default, and at the application there are none.

# %%
from sklearn.metrics import recall_score, roc_auc_score

from mlkit.features import LOAN_FEATURES
from mlkit.model import periods, plain_model
from mlkit.tasks import TASKS

loans = make_world("loans", rng=stream(seed, "loans", "make"), **settings["worlds"]["loans"])
extract = loans["applications"][["application_id", "defaulted", "late_payment_count"]]
table = loans["training"].merge(extract, on="application_id").dropna(subset=["defaulted"])
period = periods(loans["applications"], TASKS["loans"]).loc[table["application_id"]].to_numpy()
train, test = (table[period == name] for name in ("train", "validate"))
names = [*LOAN_FEATURES, "late_payment_count"]
leaky = plain_model().fit(train[names], train["defaulted"].astype(bool))
asked = test.assign(late_payment_count=0)  # at the application nothing is due yet

# %%
truth, scores = test["defaulted"].astype(bool), {}
for name, rows in {"in the extract": test, "at the application": asked}.items():
    chance, said = leaky.predict_proba(rows[names])[:, 1], leaky.predict(rows[names])
    scores[name] = {"AUC": roc_auc_score(truth, chance), "accuracy": (said == truth).mean(),
                    "defaults found": recall_score(truth, said)}
pd.DataFrame(scores).T.round(3)

# %% [markdown]
# Look at the columns: the accuracy at the application is plausible, the AUC too, and the model
# finds next to no default, because it waits for late payments that nobody has yet. Which number you
# watch decides whether you see it. And the count is not illegitimate as such: late payments on
# *earlier* loans (`earlier_late`) are known and legal. What counts is when: the syllabus says after
# the default in one place and a month after the start in another.
#
# An [availability registry](../glossary.md#availability-registry) writes that down for each
# feature, in days after the decision. A check holds the features of a model to it:

# %%
import yaml

from mlkit.leakage.checks import availability

text = """
credit_score: {known_after_days: 0}
earlier_late: {known_after_days: 0, note: on loans that were paid back}
late_payment_count: {known_after_days: 30, note: the first payment is due then}
"""
listed = ["credit_score", "earlier_late", "late_payment_count", "years_in_job"]
availability(listed, yaml.safe_load(text), decision="the application")

# %% [markdown]
# A feature that nobody registered fails as well. What a registry cannot do you saw in the lesson:
# it repeats what somebody believed.
#
# ## L3 · Rows that are not like those to come
#
# *L3.1* a random split in time (in the shop with moods, with the week as a feature); *L3.2* the
# same customers on both sides, for a model that will meet new ones; *L3.3* a test set of complete
# cases. The syllabus shows L3.1 under the name of duplicates. As reported, and as repaired:

# %%
cases = {}
for kind, preset in {"temporal": shops["moody"], "same_user": {}, "sampling": {}}.items():
    world = make_world("shop", rng=stream(seed, "shop", "make"), **{**knobs, **preset})
    bad = leakage.inject(world, rng=stream(seed, "leakage"), **{**fault, "kind": kind})
    broken, fixed = (leakage.score(tables) for tables in (bad, leakage.repair(bad)))
    cases[kind] = {"reported": broken["offline"], "its production": broken["production"],
                   "repaired": fixed["offline"], "production then": fixed["production"]}
pd.DataFrame(cases).T.round(3)

# %% [markdown]
# L3.2 is a question about the launch, not about the rows: where the same customers come back, as in
# the other notebooks, an overlap of users is right. The check asks for it only where production
# shares no user with train. It is small here, and the sixth of the users on whom the repaired study
# is judged make a noisy test.
#
# ## Beside the eight · Two clocks, and today's dimension
#
# Late rows have *happened* at the request and are not *known*. Joined by [event
# time](../glossary.md#event-time) alone, as Feast does by default, they leak. In this shop few rows
# are late, and by hours: it costs nothing. Joined at today's value, a dimension that is overwritten
# costs a lot: here a customer's loyalty, the share of offers accepted so far, which by today has
# learned the answer of every row.

# %%
cases = {}
for kind in ("two_clocks", "dimension"):
    bad = leakage.inject(shop, rng=stream(seed, "leakage"), **{**fault, "kind": kind})
    for name, tables in {kind: bad, f"{kind}, repaired": leakage.repair(bad)}.items():
        found = leakage.asof_parity(tables).set_index("subject")["value"]
        cases[name] = {**leakage.score(tables), "not so at the request": found.max()}
pd.DataFrame(cases).T.round(3)

# %% [markdown]
# ## Beside the eight · The label horizon
#
# Each week the shop asks of everybody: will they spend more than usual in the next four weeks? The
# answers of neighbouring weeks overlap. Trained up to the day before the test, a forest that
# remembers people has seen three quarters of the answers of the first test week and half of the
# second. The remedy is a
# [gap](../glossary.md#label-horizon) as long as the answer takes.

# %%
curve = {}
for share in (0.01, 0.25, 0.5, 1.0):
    given = {**fault, "kind": "horizon", "severity": share}
    bad = leakage.inject(shop, rng=stream(seed, "leakage"), **given)
    curve[share] = leakage.score(bad)["offline"]
ax = plots.sweep(list(curve), {"broken": list(curve.values())}, ylabel="offline AUC",
                 xlabel="share of the rows of the gap that are trained on")
ax.set_ylim(0.5, 1)
ax.set_title(f"The last weeks before the test add {curve[1.0] - curve[0.01]:.2f} of AUC")
plots.show(ax, alt="The offline AUC rises with the share of gap rows in training.")

# %% [markdown]
# The walk-forward of the syllabus has no gap; its windows of thirty days leave much of a year
# untested, overlap in a hundred days, and keep no customers apart. `TimeSeriesSplit` of
# scikit-learn has a `gap`, but it counts **rows**. Of a table with a row per customer and week,
# twenty-eight rows are no gap at all, or one step of a week, never the four weeks that an answer
# takes:

# %%
walk = {}
for length in (365, 100):
    asked = pd.Series(pd.date_range("2025-01-01", periods=length, freq="D"))
    cuts = [asked.quantile((fold + 1) / 6) for fold in range(5)]  # as the syllabus deals them
    times = sum(((asked >= c) & (asked < c + pd.Timedelta(days=30))).astype(int) for c in cuts)
    later = asked >= cuts[0]
    walk[f"{length} days"] = {"never tested": int((times[later] == 0).sum()),
                              "tested twice or more": int((times > 1).sum())}
pd.DataFrame(walk).T

# %%
from sklearn.model_selection import TimeSeriesSplit

rows = leakage.design(bad).sort_values("prediction_ts", ignore_index=True)
folds = []
for old, new in TimeSeriesSplit(3, gap=28).split(rows):
    first = rows["prediction_ts"].iloc[new[0]]
    folds.append({"gap in days": (first - rows["prediction_ts"].iloc[old[-1]]).days,
                  "answers not known": (rows["label_known_ts"].iloc[old] >= first).mean()})
pd.DataFrame(folds, index=["fold 1", "fold 2", "fold 3"]).round(3)

# %% [markdown]
# Deal rows by the date on which their answer was known, as exercise leakage.1 does.
#
# Next: `02c_leakage_films`, a model that looks at the wrong place, and
# `exercises/ex2_point_in_time`.
