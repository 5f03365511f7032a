# %% [markdown]
# # 10b · The model is worse for women: what now?
#
# *The second part of challenge 10: gaps, what they are worth, and what repairs them. Forty-five
# minutes. Stop after any picture.*
#
# A lender's model is right for men more often than for women. The syllabus prints BIAS DETECTED and
# weights the rows. Here three lenders have gaps that look alike, each for another reason, and each
# reason needs another repair. All of it is simulated, so the truth can be asked.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from mlkit import params, plots
from mlkit.check import check, hint, predict, reveal, solution
from mlkit.compliance import criteria, fairness, repairs
from mlkit.lesson import say, source
from mlkit.model import make_world
from mlkit.params import stream
from mlkit.plots import fairness as figures
from mlkit.stats import share_interval

plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs = settings["seed"], settings["worlds"]["loans"]

# %%
presets, of = settings["presets"]["loans"], {"label": "repaid", "decision": "granted"}
lenders = {
    name: make_world("loans", rng=stream(seed, "loans", "make"), **{**knobs, **presets[name]})
    for name in ("mapping", "noise", "label_bias", "even")}
parts = {name: fairness.cases(tables) for name, tables in lenders.items()}
decided = {name: later.assign(granted=repairs.granted(repairs.learn(past), later))
           for name, (past, later) in parts.items()}
past, later = parts["even"]
say(f"Each lender learns from {len(past):,} settled loans and is judged by {len(later):,} later "
    f"ones, {(later['gender'] == 'F').mean():.0%} of them to women. Gender is no feature.")

# %% [markdown]
# ## BIAS DETECTED, from three numbers
#
# The syllabus has an accuracy for all, one for men, one for women, and the verdict. How many women
# that was, it does not say. Three possible answers, with Newcombe's intervals of the gap:

# %%
overall, men, women = 0.95, 0.98, 0.85
share, known = (overall - women) / (men - women), {}
for people in (50, 200, 10_000):
    groups = {"M": (round(people * share), men), "F": (round(people * (1 - share)), women)}
    table = pd.DataFrame({name: [round(n * right) / n, *share_interval(round(n * right), n)]
                          for name, (n, right) in groups.items()},
                         index=["accuracy", "accuracy_low", "accuracy_high"]).T
    gap = fairness.gap(table, "accuracy")
    known[groups["F"][0]] = f"{gap.low * 100:.0f} to {gap.high * 100:.0f}"
say(f"The three accuracies hold together only if {share:.0%} of the people are men. The gap of "
    f"{(men - women) * 100:.0f} points is then known within, at 95 % confidence: "
    + "; ".join(f"{span} points ({n:,} women)" for n, span in known.items()) + ".")

# %% [markdown]
# ## A gap where nothing is wrong
#
# In the world `even` men and women are alike in everything. Random samples of its loans, and the
# [null control](../glossary.md#null-control) that every table of gaps should have beside it:

# %%
draws = fairness.chance_gaps(decided["even"], sizes=(150, 300, 600, 1200), draws=60,
                             rng=stream(seed, "fairness", "chance"))
plots.show(figures.chance(draws), alt="Dots of gaps in random samples of a world without a gap: "
           "they spread over many points in small samples and narrow as the samples grow.")
fires = draws.assign(big=draws["gap"].abs() > 0.02).groupby("size")[["big", "excludes_0"]].mean()
null = fairness.measured(lenders["even"])
need = [fairness.rows_needed(width, rate=0.85) for width in (0.1, 0.05, 0.02)]
women = (later["gender"] == "F").mean()
say(f"With 150 loans a gap above two points fires in {fires.loc[150, 'big']:.0%} of the samples, "
    f"an interval that excludes zero in {fires.loc[150, 'excludes_0']:.0%}. And where nothing is "
    "broken a repair has nothing to win: with a model of their own, which learns from "
    f"{(past['gender'] == 'F').sum()} women, their accuracy goes from {null['women']:.3f} to "
    f"{null['women_own_model']:.3f}. An accuracy of 85 % is known within 10, 5 and 2 "
    f"points from {need[0]}, {need[1]} and {need[2]:,} women, or {need[2] / women:,.0f} loans.")

# %% [markdown]
# **The smallest group decides how many rows you need.**
#
# ## Three lenders, gaps alike
#
# fairlearn's `MetricFrame` is the usual tool; with `n_boot` it resamples rows for intervals. The
# favourable answer is the positive one here: *granted* is selected, and a *false negative* is a
# good borrower who was denied.

# %%
from fairlearn.metrics import MetricFrame, false_negative_rate, selection_rate
from sklearn.metrics import accuracy_score

rates = {"accuracy": accuracy_score, "selected": selection_rate, "fnr": false_negative_rate}
rows = decided["noise"]
frame = MetricFrame(metrics=rates, y_true=rows["repaid"], y_pred=rows["granted"], n_boot=100,
                    sensitive_features=rows["gender"].astype(str), ci_quantiles=[0.025, 0.975],
                    random_state=seed)
low, high = (bound.add_suffix(end) for bound, end in
             zip(frame.by_group_ci, ("_low", "_high"), strict=True))
frame.by_group.join([low, high]).T.sort_index().round(3)

# %%
rows = {}
for name, its in decided.items():
    table = fairness.by_group(its, **of, group="gender")
    drawn = fairness.gap_by_person(its, draws=500, rng=stream(seed, "fairness", "persons"))
    rows[name] = {**table["accuracy"].rename({"M": "men", "F": "women"}),
                  **fairness.gap(table, "accuracy")._asdict(),
                  "low_by_person": drawn.low, "high_by_person": drawn.high}
gaps = pd.DataFrame(rows).T
display(gaps.round(3))
say("Intervals above zero, when loans are drawn and when persons are (some borrow more than once): "
    + ", ".join(gaps.index[gaps[["low", "low_by_person"]].min(axis=1) > 0]) + ".")

# %% [markdown]
# No way to tell from the gap what happened:
#
# - **mapping**: for women years in the job say little, after career breaks; one model for all
#   learns what holds for most, the men.
# - **noise**: their files are thin, and all measurements of women carry an error.
# - **[label bias](../glossary.md#label-bias)**: a share of the women who paid back are on record
# as defaulted.
#
# On the shelf: weights by gender (the syllabus), weights that make label and gender independent
# (Kamiran and Calders), thresholds for each gender and a mixture of models, both by fairlearn and
# both for equal errors, and counting late payments again:

# %%
source(repairs.gender_weights, repairs.reweighing, repairs.thresholds, repairs.errors_alike,
       repairs.defaulted_by_payments)

# %% [markdown]
# To *audit the labels* needs no truth: the lender has every payment, and three late ones in a row
# are a default, whatever the record says. For *measure again* the truth's exact measurements stand
# in for collecting the files anew, which costs money here left out. A repair, in the picture,
# leaves no gap above three points (about what chance makes), neither on the record nor on the
# truth, and takes a point of true accuracy from nobody.

# %% tags=["exercise"]
predict("compliance.b3", ...)

# %%
results = pd.concat({name: fairness.compare(lenders[name]) for name in figures.MECHANISMS},
                    names=["mechanism", "repair"])
found = "; ".join(f"{mechanism}: {name}" for mechanism, name in figures.helpful(results))
plots.show(figures.matrix(results), alt="Eight repairs by three mechanisms, accuracy of men and "
           f"women. Repairs are {found}. Everything else leaves a gap or takes from somebody.")
display(results[["gap", "truth_gap"]].unstack("mechanism").reindex(
    results.loc["noise"].index).round(3))
reveal("compliance.b3", results.loc[("noise", "weights by gender"), "gap"])

# %%
noise, mapping = results.loc["noise"], results.loc["mapping"]
plain, weighted, calders = "none", "weights by gender", "Kamiran & Calders"
say(f"Weights by gender move the gap under noise from {noise.loc[plain, 'gap']:.3f} to "
    f"{noise.loc[weighted, 'gap']:.3f}: no weight brings back what was not measured. Under mapping "
    f"they move it from {mapping.loc[plain, 'gap']:.3f} to {mapping.loc[weighted, 'gap']:.3f}, and "
    f"men from {mapping.loc[plain, 'men']:.3f} to {mapping.loc[weighted, 'men']:.3f}. Kamiran and "
    "Calders aim at the labels of the past, which are nearly alike here, so the gap stays: "
    f"{noise.loc[calders, 'gap']:.3f} and {mapping.loc[calders, 'gap']:.3f}. Each gap is known "
    f"within some {(gaps['high'] - gaps['low']).max() * 50:.0f} points.")

# %% [markdown]
# ## When the table itself lies
#
# Under label bias the accuracies are measured against the record, and the record is biased.
# `denied_gap` is the share of good borrowers who are denied, women minus men, on the truth; `ratio`
# is the share granted, women over men.

# %%
lies = results.loc["label_bias"].loc[
    ["none", "gender as a feature", "own model", "audit the labels"],
    ["gap", "truth_gap", "denied_gap", "ratio"]]
lies.round(3)

# %%
later = parts["label_bias"][1]
audit = repairs.relabelled(later, lenders["label_bias"]["payments"])
changed = (audit["repaid"] != later["repaid"]).groupby(later["gender"], observed=True).mean()
aware = lies.loc["gender as a feature"]
past, good = parts["label_bias"][0], audit[audit["repaid"]]
denied = ~repairs.aware(past, good, weights=repairs.reweighing(past))
denied = pd.Series(denied).groupby(good["gender"].to_numpy()).mean()
say(f"The gap of the blind model is {lies.loc['none', 'gap']:.3f} on the record and "
    f"{lies.loc['none', 'truth_gap']:.3f} on the truth: women are served nearly as well as men. "
    "Shown the gender to 'repair' it, a model learns the bias: "
    f"{aware['denied_gap'] * 100:.0f} points more of the good women are denied, and still "
    f"{(denied['F'] - denied['M']) * 100:.0f} with the weights of Kamiran and Calders, which are "
    f"made for such labels. The audit corrects {changed['F']:.0%} of the women's labels and "
    f"{changed['M']:.0%} of the men's; the gap is {lies.loc['audit the labels', 'gap']:.3f}.")

# %% [markdown]
# ## Who pays?
#
# A gap is a difference, and there are two ways to make one smaller. *[Levelling
# down](../glossary.md#levelling-down)*, squares left of zero, is no repair: nobody gains what
# somebody loses. And accuracy is not what a borrower feels: the harm is a good borrower denied.

# %%
plots.show(figures.who_pays(results), alt="What each repair gave to men and to women or took from "
           "them, by mechanism. Own thresholds and equal error rates lie left of zero for men.")
thin = noise.loc["none"]
cost = (noise.loc["own thresholds"] - thin)[["truth_men", "truth_women"]] * 100
lots = [repairs.thresholds(*parts["noise"], draw=draw) for draw in (0, 1)]
say("Under noise, thresholds of their own, set for equal errors, make the gap smaller and change "
    f"the accuracy of men by {cost['truth_men']:+.0f} and of women by {cost['truth_women']:+.0f} "
    f"points. They draw lots: asked again, {(lots[0] != lots[1]).mean():.0%} of the applicants "
    f"get another answer. As for grants, women get {thin['ratio']:.2f} times the share of men "
    f"({'more' if thin['ratio'] >= 0.8 else 'less'} than the customary four fifths), while "
    f"{thin['denied_gap'] * 100:.0f} points more of their good borrowers are denied: shares of "
    "grants do not see it.")

# %% [markdown]
# ## Criteria that cannot all hold
#
# [Equalized odds](../glossary.md#equalized-odds), [demographic
# parity](../glossary.md#demographic-parity), [calibration within
# groups](../glossary.md#calibration-within-groups): why not all? With *unequal [base
# rates](../glossary.md#base-rate)* and *imperfect prediction* a calibrated score cannot give the
# good borrowers of two groups the same mean score, and the bad ones too (Kleinberg, Mullainathan
# and Raghavan; on error rates of decisions Chouldechova; both 2017). Our genders have equal base
# rates. So two districts are constructed, of forty thousand loans: the higher the credit score
# (`tilt`), the likelier the north. Who repays follows one rule in both, and `steepness` makes it
# predictable.

# %%
apart = {}
for steep, tilts in {0.5: (0, 0.5, 1, 3), 2.0: (3,), 8.0: (3,), 100.0: (3,)}.items():
    wide = {**knobs, "n": 40_000, "steepness": steep}
    past, later = fairness.cases(make_world("loans", rng=stream(seed, "loans", "wide"), **wide))
    score = repairs.scores(repairs.learn(past), later)
    for tilt in tilts:
        place = criteria.divide(later["credit_score"], tilt=tilt, rng=stream(seed, "districts"))
        table = criteria.criteria(score, later["repaid"], place)
        apart[tilt, steep] = {**(table.loc["north"] - table.loc["south"]),
                              "calibration_error": table["calibration_error"].max(),
                              "accuracy": ((score >= 0.5) == later["repaid"]).mean()}
apart = pd.DataFrame(apart).T.rename_axis(["tilt", "steepness"])
plots.show(figures.conflict(apart.xs(0.5, level=1), apart.loc[3]), alt="Left: as base rates part, "
           "so do mean scores of good and of bad borrowers. Right: less so with better prediction.")
apart.drop(columns=["score_good", "score_bad"]).round(3)

# %% [markdown]
# North minus south (the worse of both for calibration). With equal base rates (tilt 0) nothing
# parts beyond chance, with near perfect prediction little: no conflict. Otherwise you choose, and
# say for whom. One threshold gives the north more false positives and denies more of the good in
# the south. Thresholds for each district can make `ppv`, `fpr` or `fnr` equal, with lots even two
# of them: while base rates differ and prediction errs, not all three.
#
# ## Groups within groups
#
# Gender by age, with as many women as men. Into two of the four cells errors of measurement are
# put, *by construction*: younger women and older men.

# %%
half = make_world("loans", rng=stream(seed, "loans", "make"),
                  **{**knobs, **presets["even"], "share_women": 0.5})
past, rows = (criteria.inject_hidden(part, sd=0.8, rng=stream(seed, "hidden", name))
              for part, name in zip(fairness.cases(half), ("past", "later"), strict=True))
rows["granted"] = repairs.granted(repairs.learn(past), rows)
flagged, tables = [], []
for group in ("gender", "age", "cell"):
    tests = criteria.worse_than_rest(rows["granted"] != rows["repaid"], rows[group])
    flagged += list(tests.index[tests["p_all"] < 0.05])
    tables.append(fairness.by_group(rows, **of, group=group))
plots.show(figures.forest(pd.concat(tables), flagged=flagged), alt="Intervals of accuracy of men "
           "and women, of older and younger, and of the four cells. Worse than chance allows: "
           + ", ".join(flagged) + ".")

# %%
rows, found = decided["even"], {}
for ages in (("older", "middle", "younger"), [f"band {i}" for i in range(8)]):
    rows = rows.assign(cell=criteria.crossed(rows, ages=ages))
    table = fairness.by_group(rows, **of, group="cell")
    luck = criteria.false_alarms(rows["granted"] != rows["repaid"], rows["cell"], draws=300,
                                 rng=stream(seed, "fairness", "alarms"))
    found[len(table)] = {"smallest": table["n"].min(),
                         "half_width": table["half_width"].max(), **luck}
pd.DataFrame(found).T.rename_axis("cells").round(3)

# %% [markdown]
# What cancels out in the margins stands in the cells. So look into cells; but rows dwindle,
# intervals grow, and among many cells one looks worse by luck: `plain` says how often, where
# nothing is wrong; `corrected` multiplies each p by the number of cells (Bonferroni).
#
# ## What may be used, and what may be known
#
# No legal advice; what to ask about:
#
# - Models and thresholds *of their own*, and gender as a feature, use gender when a person is
#   decided about. They diagnose a mechanism; in US credit they would be disparate treatment (ECOA,
#   Regulation B). Measuring again and auditing labels use gender nowhere.
# - Four fifths is a screening rule of thumb for hiring (EEOC, 1978), no proof and no safe harbour.
# - In the EU, scoring people's credit is a high-risk use (AI Act of 2024, Annex III). Special
#   categories of data may be processed to detect and correct bias in such uses, under strict
#   conditions (Article 10(5)). Ethnic origin and health are special categories of the GDPR
#   (Article 9); gender is [personal data](../glossary.md#personal-data), but none of them.
# - Every table here needs the attribute, and most US lenders may not even ask for it (Regulation
#   B; home loans are an exception). Where you may: freely, and apart from the decision. Where not,
#   a third party measures, or it is guessed, at a price:

# %%
guessed, luck = {}, stream(seed, "fairness", "guess").random(len(decided["noise"]))
for share in (0, 0.1, 0.25, 0.5):
    told = decided["noise"]["gender"].astype(str)
    guess = told.where(luck >= share, told.map({"M": "F", "F": "M"}))
    table = fairness.by_group(decided["noise"].assign(guess=guess), **of, group="guess")
    guessed[f"{share:.0%} guessed wrong"] = fairness.gap(table, "accuracy")._asdict()
pd.DataFrame(guessed).T.round(3)

# %% [markdown]
# ### compliance.3 · Four memos
# *Level 3 (open), about 50 minutes*
#
# **Goal.** Four lenders, in an order of your own, each with the same complaint: the model errs more
# often on women. In one nothing is wrong but luck; in the others it is mapping, noise, or label
# bias. Write a memo on each. There is no truth to look up; a label in a hundred is mistyped.
#
# **Given.** `case`, a dictionary of DataFrames. `past` and `later`: `application_id`, `user_id`,
# `gender`, the five of `LOAN_FEATURES`, `repaid` bool as on record, and in `later` `granted` bool,
# by a plain model that learned from `past`. `payments`: `application_id`, `due_ts`, `late`; three
# late in a row are a default. `documents`: a random sample of `later`, with `credit_score`,
# `years_in_job`, `income_usd` and `amount_usd` as the papers have them, hardly any error in it.
#
# **Return.** A dictionary:
#
# - `mechanism`: `"none"`, `"mapping"`, `"noise"` or `"label_bias"`
# - `repair` and `not_repair`, what helps and what somebody will propose and does not: `"nothing"`
#   (as a `repair` only), `"relation"` (a model for each gender, as a diagnosis), `"measurement"`
#   (take the documents), `"labels"` (take the payments' labels), `"weights"` (both genders weigh
#   the same, of mean one), `"thresholds"` (another one for each gender)
# - `evidence`, of `later`: `gap`, men's less women's share of `granted` that agrees with `repaid`,
#   and the bounds `low`, `high` of an interval that errs once in twenty times; `men_labels_off`,
#   `women_labels_off`, the share of `repaid` that the payments contradict; `men_measured`,
#   `women_measured`, the correlation of credit scores on file and in documents; `gap_own` and
#   `gap_weights`, the gap left by a model for each gender and by weights
# - `women_now` and `women_after`: the share of women decided rightly *by the payments*, as granted
#   and after the repair: by a new model from `past` (labels, relation), or by the same model given
#   the documents, on the rows that have them (measurement)
#
# **Checked.** Cause, repair, and every number, computed again. Every model is the lender's own,
# `mlkit.model.plain_model`: with another one two things change at once. The tools of this lesson
# fit these tables. To practise on, draw a lender whose cause you know:
# ```python
# >>> from mlkit.exercises.compliance.cases import lender
# >>> from mlkit.params import stream
# >>> case = lender("none", stream(1, "practice"))
# >>> case["later"][["application_id", "gender", "credit_score", "repaid", "granted"]].head(3)
#    application_id gender  credit_score  repaid  granted
# 0            4800      M         806.0    True     True
# 1            4801      M         705.0    True     True
# 2            4802      M         800.0    True     True
# >>> memo(case)["repair"]
# 'nothing'
# ```

# %% tags=["exercise"] mlkit={"exercise": "compliance.3"}
def memo(case):
    raise NotImplementedError

check("compliance.3", memo)

# %% [markdown]
# A poor guess hides a gap (and one whose errors follow the decision can invent one). What needs no
# attribute stays open: measure well and audit labels, for all. Only that an outcome is known for
# every applicant is a luxury of the simulation: a real lender learns it of those it grants.
#
# Two misconceptions, and what became of them here. *Balanced weights repair bias*: they repaired
# neither noise nor labels. *The gap is the harm*: under label bias the gap was there and women were
# served well; under noise the shares of grants looked well, and good women were denied. Find the
# mechanism first: compare measurements with a second source, labels with their origin, and one
# model with one for each group.
