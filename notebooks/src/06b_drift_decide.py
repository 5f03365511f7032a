# %% [markdown]
# # 06b · Something rings: do we retrain?
#
# *The gallery of lesson 06: a gate in place of automatic retraining, and ways to keep a model
# fresh. Dip in anywhere after the next two cells. Twenty-five minutes. `06c_drift_gallery` has
# the detectors.*
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from mlkit import drift, params, plots
from mlkit.check import predict, reveal
from mlkit.drift import decide, mitigation, monitor, operate
from mlkit.lesson import say, source
from mlkit.model import log_decisions, make_world
from mlkit.params import stream
from mlkit.plots import drift as drift_plots

plt.style.use("mlkit.lesson")
pd.set_option("display.max_colwidth", 100)
settings = params.load()
seed, fault = settings["seed"], settings["drift"]["inject"]
shop = make_world("shop", rng=stream(seed, "shop", "make"), **settings["worlds"]["shop"])

# %%
happens = {kind: drift.inject(shop, rng=stream(seed, "drift", "inject"), **{**fault, "kind": kind})
           for kind in drift.KINDS}
facts = {kind: facts._asdict() for kind, facts in drift.KINDS.items()}
pd.DataFrame(facts).T[["harm", "loud", "cause"]]

# %% [markdown]
# ## The gate
#
# Four questions in this order. Is the source broken? Then mend it upstream and train nothing: the
# model was right about the world, the numbers were not. Is a loss proven on [matured
# answers](../glossary.md#matured-answer)? Then look for a challenger. Do scores mislead, although
# decisions are as good as before? A new intercept will do. Did anything move at all? Write it down
# and do nothing: a [covariate shift](../glossary.md#covariate-shift) that does no harm is news, not
# a fault.

# %%
does = {}
for kind, tables in happens.items():
    broken_source, _ = decide.source_breaks(tables)
    alarms = drift.detect(shop, tables)
    moved = ~alarms["check"].isin(decide.HARMS)
    does[kind] = {"source": broken_source["failed"].any(), "alarm": alarms[moved]["failed"].any(),
                  "harm": alarms[~moved]["failed"].any(),
                  "the gate": decide.decide(pd.concat([broken_source, alarms]))}
pd.DataFrame(does).T

# %% [markdown]
# ## Never learn a bug
#
# From the first day of production the amounts arrive in cents. Two teams. One retrains on the
# newest answers, every week; the other mends the source. Then, one day, upstream repairs the unit
# for everybody.

# %%
cents = drift.inject(shop, rng=stream(seed, "drift", "inject"),
                     **{**fault, "kind": "unit", "start_day": 0})
teams = {"nobody acts": cents, "retrains weekly": drift.repair(cents, how="retrain"),
         "mends upstream": drift.repair(cents)}
scores = pd.DataFrame({team: drift.score(tables) for team, tables in teams.items()}).T
bug = scores[["production", "upstream_fixed", "retrained"]].round(3)
say(f"Retraining looks like progress, **{bug['production'].iloc[0]:.2f}** to "
    f"**{bug['production'].iloc[1]:.2f}**. When upstream repairs the unit it falls to "
    f"**{bug['upstream_fixed'].iloc[1]:.2f}**; the model that learned nothing would be at "
    f"**{bug['upstream_fixed'].iloc[0]:.2f}**.")

# %%
bug

# %% [markdown]
# ## Champion, challenger, and the way back
#
# A challenger takes over when it beats the champion on matured answers that neither has learned
# from, each customer counted once. And if the world turns back? Here the club opens on the first
# day and closes after six weeks. The table is all that is needed to make any of these models
# again: what it learned from, what is added to its log-odds (`shift`), since when it is live, why.

# %%
source(decide.beats)

# %%
opened = drift.inject(shop, rng=stream(seed, "drift", "inject"), **{**fault, "start_day": 0})
closes = shop["decisions"]["ts"].min() + pd.Timedelta(days=42)
after = (shop["offers"]["prediction_ts"] >= closes).to_numpy()
turned = {name: pd.concat([opened[name][~after], shop[name][after]])
          for name in ("offers", "truth_offers")}
turned = log_decisions({**opened, **turned})
managed = drift.repair(turned)
managed["deployments"].round({"matured": 3, "shift": 3}).T

# %%
lines = {"clean": shop, "broken": turned, "fixed": managed}
lines = {state: operate.weekly(shop, tables)["accuracy"] for state, tables in lines.items()}
ax = drift_plots.takeover(lines, deployments=managed["deployments"])
back = managed["deployments"]["reason"].eq("roll back").sum()
ax.set_title(f"{len(managed['deployments']) - 1} changes of the model, {back} of them back")
plots.show(ax, alt="Accuracy by week. Broken is low while the club is open and recovers when it "
           "closes. Repaired recovers earlier, falls when the club closes, and comes back once the "
           "old model has been put back.")

# %% [markdown]
# ## Ways to keep a model fresh
#
# The club of the lesson, and the syllabus's three remedies on one stream of requests. Each week,
# each of them knows the answers that had come in, and no more: a model trained every week on the
# last four weeks, or on all history; a [Hoeffding tree](../glossary.md#hoeffding-tree) that
# learns one answer at a time, plain and adaptive; three models of three ages with fixed weights,
# by class votes and by their scores. (As printed, the syllabus's list of models is no Python: a
# tuple takes no `weight=`.) A plain Hoeffding tree takes the stream for stationary, that is, made
# by one world for ever; the adaptive one replaces branches that have become wrong.

# %%
table = mitigation.compete(happens["concept"], rng=stream(seed, "drift", "compete"))
assert (table["votes"] == table["window"]).all()  # the weight above one half decides alone
begin = table.index[0] + pd.Timedelta(days=fault["start_day"])
ax = drift_plots.strategies(table.drop(columns="votes"), begin=begin)
end = table.iloc[-4:].mean()
ax.set_title(f"Last four weeks: window {end['window']:.2f}, all history "
             f"{end['all history']:.2f}, static {end['static']:.2f}")
plots.show(ax, alt="Accuracy by week of six ways. All fall when the club opens. The window and the "
           "averaged scores recover within weeks; the static model stays low.")
end.round(2).rename("accuracy of the last four weeks").to_frame()

# %%
source(mitigation.naive_votes, mitigation.averaged)

# %% [markdown]
# Votes by class are the newest model alone, in every single week: with weights of a tenth, three
# tenths and six tenths the other two are never heard. Averaging the scores hears them, and
# recovers more slowly for it. All history is slow because most of it is about another world. Which
# tree comes back, and when, is a matter of this world; try another seed. The plain one may recover
# late, the adaptive one may not beat it. Neither is safe without a champion. And where nothing
# changes?

# %%
calm = mitigation.compete(shop, rng=stream(seed, "drift", "compete")).mean()
say("In the healthy shop: " + ", ".join(f"{way} **{share:.3f}**" for way, share in calm.items()))

# %% [markdown]
# So a short memory has a price too, even if a small one. A schedule retrains whether or not there
# is a reason, on bugs as well: keep the gate in front of it.
#
# ## How often does the rule of the syllabus fire?
#
# Its second code example compares the last seven days with the training data, by a
# [Kolmogorov-Smirnov test](../glossary.md#kolmogorov-smirnov-test) for each of three features,
# and retrains when more than a fifth of them has a p-value below one in twenty. Once a day.
#
# > **Predict.** A hundred months in which nothing at all changes. In how many does it fire?

# %% tags=["exercise"]
predict("drift.b2", ...)

# %%
quiet = mitigation.quiet_months(100, rng=stream(seed, "drift", "quiet"))
clustered = mitigation.quiet_months(20, rng=stream(seed, "drift", "clustered"), per_user=3)
reveal("drift.b2", 100 * float(quiet["month"].mean()))

# %%
weeks = operate.rule_weeks(shop)
say(f"On a single day it fires in **{quiet['first'].mean():.0%}** of the months, in the month in "
    f"**{quiet['month'].mean():.0%}**. With three equal rows of each customer: "
    f"**{clustered['first'].mean():.0%}** and **{clustered['month'].mean():.0%}**. In our shop, "
    f"where nothing changes either, in **{sum(weeks)} of {len(weeks)}** weeks: two of its features "
    "measure the age of the data (see `06c_drift_gallery`).")

# %% [markdown]
# More than a fifth of three features is any one of them. Seven chances a week to be unlucky, with
# windows that overlap. Dropping missing values first hides the one thing that a burst of nulls
# shows. A budget of alarms, effect sizes with a tolerance, and one row per customer repair it:
# `drift.detect` does all three.
#
# ## When the base rate moves
#
# Fewer customers accept, and those who do are as they were: a [prior
# shift](../glossary.md#label-shift). The order of the scores is as good, up to chance among the
# few who accept; what they say is not. A score of one half no longer means one in two, so the
# threshold is wrong as well. A new intercept moves both. (The syllabus's case, fraud that becomes
# three times as common because its patterns have evolved, is not this: new patterns are a [concept
# drift](../glossary.md#concept-drift), which raised the [base rate](../glossary.md#base-rate) as
# well.)

# %%
mended = drift.repair(happens["prior"])
states = {"clean": shop, "broken": happens["prior"], "fixed": mended}
curves = {}
for state, tables in states.items():
    month = monitor.last_days(tables["decisions"], operate.MONTH)
    truth = tables["truth_offers"].set_index("offer_id")["accepted"]
    curves[state] = month.assign(label=truth.loc[month["offer_id"]].to_numpy())
gaps = {state: drift.score(tables)["calibration"] for state, tables in states.items()}
ax = drift_plots.reliability(curves)
ax.set_title(f"Mean score off by {gaps['broken']:.2f}, then {gaps['fixed']:.2f}")
plots.show(ax, alt="Share that accepts against the score, in bins. Healthy lies on the diagonal, "
           "broken below it; repaired crosses it, above at low scores and below at high ones.")

# %%
prior = pd.DataFrame({state: drift.score(tables) for state, tables in states.items()}).T
prior[["production", "auc", "calibration", "retrained"]].round(3)

# %% [markdown]
# Not every bin lies on the diagonal: one number sets the mean right, not the shape of the curve.
# And an intercept cannot mend a changed concept: it moves all scores alike, and the regulars are
# not all customers. The club of the lesson, three ways:

# %%
ways = {"nobody acts": happens["concept"],
        "new intercept weekly": drift.repair(happens["concept"], how="recalibrate"),
        "the gate": drift.repair(happens["concept"])}
ways = pd.DataFrame({way: drift.score(tables) for way, tables in ways.items()}).T
ways[["production", "auc", "calibration", "retrained"]].round(3)

# %% [markdown]
# ## The alarm on accuracy
#
# The syllabus's third strategy rings when accuracy falls below three quarters. (As printed, its
# message lacks the `f` of an f-string: it would show the name of the variable, not its value.) For
# card fraud, turn the model off and look:

# %%
cards = make_world("cards", rng=stream(seed, "cards", "make"), **settings["worlds"]["cards"])
labels = cards["decisions"]["label"].dropna().astype(bool)
say(f"A model that never flags anything is right in **{(~labels).mean():.3f}** of the charges "
    f"and finds none of **{labels.sum()}** frauds. The alarm stays silent. Where positives are "
    "rare, watch average precision, recall at your capacity, or cost; on matured answers, with "
    "intervals.")

# %% [markdown]
# ## Answers that never come
#
# So far every customer got an offer. Suppose it goes only to those whom the model picks: then the
# refused never answer, as blocked charges never turn out to be honest. What is left looks far
# better than the world, and no matured answer will ever contradict it. A small random hold-out
# that gets the offer all the same stands for the rest.

# %%
month = curves["clean"].reset_index(drop=True)
estimates = [mitigation.selective(month, rng=stream(seed, "hold-out", str(draw)))
             for draw in range(200)]
estimates = pd.DataFrame(estimates)
low, high = estimates["hold-out"].quantile([0.05, 0.95])
say(f"In truth **{estimates['truth'].mean():.2f}** would accept. Among those who were asked: "
    f"**{estimates['answered'].mean():.2f}**. With a hold-out of a tenth: "
    f"**{estimates['hold-out'].mean():.2f}**, nine draws of ten between {low:.2f} and {high:.2f}.")

# %% [markdown]
# | what people say | what you have seen |
# |---|---|
# | Drift, so degradation, so retrain. | Two arrows, and neither holds by itself. |
# | Retraining can do no harm. | It learned the cents. |
# | More data is better. | Not about another world. |
# | An ensemble by votes remembers. | Not when one vote is the majority. |
#
# **Read on.** Gama et al., *A survey on concept drift adaptation*,
# ACM Computing Surveys 2014. Saerens, Latinne and Decaestecker, *Adjusting the outputs of a
# classifier to new a priori probabilities*, Neural Computation 2002. Bifet and Gavaldà, *Adaptive
# learning from evolving data streams*, IDA 2009: the adaptive tree. Breck et al., *The ML Test
# Score*, IEEE Big Data 2017.

# %%
project = params.nearest_file(params.Path.cwd()).parent
claims = {claim["id"]: claim["says"] for claim in params.read_yaml(project / "claims/drift.yaml")}
say(f"> {claims['drift-unit-retraining-falls-later']}. *Tested on a hundred fresh worlds by* "
    "`mlkit claims --only drift`.")
