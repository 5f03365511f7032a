# %% [markdown]
# # 10c · No names in the table: what does it still tell?
#
# *The gallery of privacy, consent and explanation: skip what you do not need. Forty minutes to
# read, twenty to play. Stop after any picture.*
#
# A lender hashes its e-mails, drops the names, collects what might be useful one day, trains on
# whoever agreed once, and tells the refused why. Each of these is a sentence of many a privacy
# page, and each is tried here on people who do not exist: [pseudonyms](../glossary.md#pseudonym),
# [k-anonymity](../glossary.md#k-anonymity), the worth of a column, consent, what a model gives away
# about who it learned from, and reasons.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from mlkit import model, params, plots
from mlkit.compliance import consent, explain, membership, privacy
from mlkit.compliance.pseudonyms import keyed_token, naive_token
from mlkit.features import LOAN_FEATURES
from mlkit.lesson import say
from mlkit.params import stream
from mlkit.plots import compliance_gallery as figures

# %%
plt.style.use("mlkit.lesson")
settings = params.load()
seed, features = settings["seed"], list(LOAN_FEATURES)
rng = stream(seed, "compliance", "gallery")
loans = model.make_world("loans", rng=stream(seed, "loans", "make"), **settings["worlds"]["loans"])
users, emails = loans["users"], loans["users"]["email"]
rows = consent.answered(loans)
train, test = (rows[rows["period"] == name] for name in ("train", "validate"))
say(f"{len(users):,} people, such as {emails[0]}; {len(rows):,} applications whose answer is "
    f"known, {len(train):,} of them to train on, {len(test):,} later ones to judge by.")

# %% [markdown]
# ## Pseudonyms · A hash is no disguise
#
# The syllabus calls the SHA-256 of an e-mail a non-reversible token. The function cannot be
# reversed, and need not be: whoever can list the addresses hashes the list. Here the list is a
# hundred common names with a number behind, and everybody is on it; elsewhere as many are undone as
# stand on a list that somebody has. Cutting the hash, or putting one
# [salt](../glossary.md#salted-hash) in the code before each value, changes nothing about that. A
# salt per row stands beside the token: the work is multiplied by the rows. Three are tried.
#
# Two things do better. An [HMAC](../glossary.md#hmac) is a hash under a secret key: without the key
# nobody can try the list. A [vault](../glossary.md#token-vault) hands out random tokens and keeps
# the table that joins them to people elsewhere. What each gives, and what breaks: can the list
# undo it, without the salts, the key or the vault, and with them? Do two tables of one purpose
# still join, and two of different purposes? (One key per purpose, so that they do not.)

# %%
book = privacy.guesses(3000)  # the attacker's list
plain = emails.map(naive_token)
one_salt = ("lender-1:" + emails).map(naive_token)
undone = {"SHA-256": privacy.undo(plain, book),
          "its first 12 digits": privacy.undo(plain.str[:12], book, digits=12),
          "one salt, in the code": privacy.undo(one_salt, book, salt="lender-1:")}
three = emails.head(3)
salts = pd.Series([rng.bytes(8).hex() for _ in three])  # they stand beside the tokens
salted = (salts + three).map(naive_token)
undone["a salt per row"] = pd.concat([privacy.undo(salted[[n]], book, salt=salts[n])
                                      for n in three.index])
pd.DataFrame({name: {"tokens": len(found), "undone": (found == emails[found.index]).mean()}
              for name, found in undone.items()}).T.assign(
    tried=[len(book)] * 3 + [len(book) * len(three)])

# %%
keys = {purpose: rng.bytes(32) for purpose in ("scoring", "marketing")}
keyed = {purpose: emails.map(partial(keyed_token, key=key)) for purpose, key in keys.items()}
vault = {purpose: privacy.vault(emails, rng=rng) for purpose in keys}
drawn = {purpose: table.reset_index(drop=True) for purpose, table in vault.items()}
fresh = [(pd.Series([rng.bytes(8).hex() for _ in three]) + three).map(naive_token)
         for _ in keys]
# the tokens of the same people in two tables for scoring, and in one for marketing
tables = {"plain hash": [plain, plain, plain], "a salt per row": [salted, *fresh],
          "keyed": [keyed["scoring"], keyed["scoring"], keyed["marketing"]],
          "vault": [drawn["scoring"], drawn["scoring"], drawn["marketing"]]}

# %%
secrets = {  # what whoever has the salts, the key or the vault can write down: token to e-mail
    "plain hash": {naive_token(guess): guess for guess in book},  # there is no secret
    "a salt per row": dict(zip(salted, undone["a salt per row"], strict=True)),
    "keyed": {keyed_token(guess, key=keys["scoring"]): guess for guess in book},
    "vault": {token: email for email, token in vault["scoring"].items()}}
pd.DataFrame({kind: privacy.gives(tables[kind], emails[tables[kind][0].index], tried=book,
                                  secret=secrets[kind]) for kind in tables}).T

# %% [markdown]
# So the choice is between two secrets. A **key** is small: it can be lost at once, and rotating it
# changes every token (keep the version beside the token, and write the tables again). A **vault**
# has to be asked for each join; in return a person can be deleted from it, and by the token alone
# nobody, the lender included, can say any more whose it was.
#
# Neither makes the rows *anonymous*. Under the GDPR these are pseudonymised data (Art. 4(5),
# Recital 26): personal for whoever holds the key, or has means reasonably likely to be used to get
# at it. Whether they are personal for somebody else depends on what that somebody can do (Court of
# Justice, EDPS v SRB, C-413/23 P, September 2025); the lender owes its duties all the same. The FTC
# put the rest in a headline in July 2024: hashing still doesn't make your data anonymous.
#
# ## k-anonymity · No token at all
#
# Now the tokens are dropped as well. What is left are four harmless columns that others know too
# ([quasi-identifiers](../glossary.md#quasi-identifier)), and whether the loan defaulted. How many
# people look like fewer than five? Knob: the bands.

# %%
quasi = ["gender", "birth_year", "region", "income_usd"]
last = rows.drop_duplicates("user_id", keep="last")[["user_id", "defaulted", "credit_score"]]
people = users.merge(last, on="user_id")
ladder = {"as collected": {}, "income in bands of 10,000": {"incomes": 10_000},
          "and 5 years": {"incomes": 10_000, "years": 5},
          "20,000, 5 years, 3 regions": {"incomes": 20_000, "years": 5, "regions": 3},
          "20,000, 10 years, 4 regions": {"incomes": 20_000, "years": 10, "regions": 4},
          "50,000, 20 years, 6 regions": {"incomes": 50_000, "years": 20, "regions": 6}}
sizes = {name: privacy.class_sizes(privacy.generalise(people, **bands), quasi)
         for name, bands in ladder.items()}
table = pd.DataFrame({n: {"unique": (s == 1).mean(), "small": (s < 5).mean()}
                      for n, s in sizes.items()}).T
plots.show(figures.crowd(table, k=5), alt="Bars by bands, from fine to coarse: at first everybody "
           "is unique, and even with the coarsest bands some people look like fewer than five.")

# %%
bands = ladder["20,000, 10 years, 4 regions"]
known = users.sample(frac=0.5, random_state=seed)[["email", *quasi]]  # half, bought
hidden = people[[*quasi, "defaulted"]].assign(who=people["email"])
alone = (privacy.class_sizes(people, ["income_usd"]) == 1).mean()
display(say(f"The income alone, to the dollar, is unique for {alone:.0%}."))
coarse, known_coarse = (privacy.generalise(t, **bands) for t in (hidden, known))
crowded = coarse[privacy.class_sizes(coarse, quasi) >= 5]
linked = {"as collected": privacy.link(hidden, known, quasi),
          "in bands": privacy.link(coarse, known_coarse, quasi),
          "in bands, small classes left out": privacy.link(crowded, known_coarse, quasi)}
pd.DataFrame({name: {"named": len(met), "rightly": (met["who"] == met["email"]).sum()}
              for name, met in linked.items()}).T.assign(
    rows=[len(hidden), len(coarse), len(crowded)])

# %% [markdown]
# The second table names whoever is unique in both. (In bands not always rightly: the one who fits
# may be missing from the first.) Bands, and leaving out who still stands among fewer than five,
# stop that: k is five. Is the answer safe now? Beside it the same with the credit score
# in place of the income: a column that others know as well, and that hangs together with the
# answer.

# %%
other = ["gender", "birth_year", "region", "credit_score"]
scored = privacy.generalise(people, years=20, regions=6)
scored["credit_score"] = scored["credit_score"] // 100 * 100
scored = scored[privacy.class_sizes(scored, other) >= 5]
holes = {}
for name, (table, by) in {"income": (crowded, quasi), "credit score": (scored, other)}.items():
    classes = table.groupby(by, observed=True)["defaulted"].agg(["size", "mean"])
    holes[name] = {"classes": len(classes),
                   "people where all paid": classes.loc[classes["mean"] == 0, "size"].sum(),
                   "people where all defaulted": classes.loc[classes["mean"] == 1, "size"].sum(),
                   "worst class": classes["mean"].max()}
display(pd.DataFrame(holes).T.round(2))
privacy.k_anonymity(scored, quasi_identifiers=other, sensitive="defaulted").round(3)

# %% [markdown]
# Some classes are *uniform*. Whoever knows that you are in the table learns your answer without
# finding your row: the homogeneity hole. [l-diversity](../glossary.md#l-diversity) asks for several
# answers per class. Its simplest form counts them, as here, and passes a class in which all but one
# defaulted. A promise that holds whatever the others know is [differential
# privacy](../glossary.md#differential-privacy); it has its price in noise, and is not shown here.
#
# ## Minimisation · What is a column worth?
#
# Data should be limited to what is necessary for the purpose (GDPR Art. 5(1)(c)). The syllabus sets
# against it that models benefit from more. How much? Eight columns are on offer, gender, age and
# region among them; the one that costs least is left out, one after the other, judged on the
# training rows. Then fewer rows, and then values told in a few bands only.

# %%
answers = test["defaulted"]
order = consent.by_worth(train, [*features, *consent.PERSONAL])
by_columns = {n: consent.learned(train, test, order[:n]) for n in range(1, len(order) + 1)}
counts = [len(train) // part for part in (16, 8, 4, 2, 1)]
by_rows = {n: consent.learned(train.tail(n), test, features) for n in counts}
by_bands = {}
for n in (2, 3, 4, 8, 16):
    banded = consent.rounded_to(rows, features, n)
    by_bands[n] = consent.learned(banded.loc[train.index], banded.loc[test.index], features)
by_bands["exact"] = by_rows[len(train)]
panels = {"columns": by_columns, "latest training rows": by_rows, "bands": by_bands}
curves = {name: pd.Series({n: consent.auc(answers, score) for n, score in scores.items()})
          for name, scores in panels.items()}
plots.show(figures.worth(curves), alt="Three panels of the AUC: flat from the third column on, "
           "nearly flat over the last rows, and higher with exact values than with two bands.")

# %%
personal = consent.learned(train, test, [*features, *consent.PERSONAL])
exact, half = by_bands["exact"], by_rows[counts[-2]]
compared = {"the third column": (by_columns[3], by_columns[2]),
            "the five after it": (by_columns[8], by_columns[3]),
            "gender, age and region": (personal, exact),
            "the older half of the rows": (exact, half),
            "exact, not two bands": (exact, by_bands[2]),
            "exact, not sixteen bands": (exact, by_bands[16])}
gains = {name: consent.gain(test, *pair, rng=rng) for name, pair in compared.items()}
display(say(f"In order of worth: {', '.join(order)}."))
pd.DataFrame(gains, ["AUC gained", "from", "to"]).T.round(4)

# %% [markdown]
# An interval on both sides of zero means that nothing was seen here, not that nothing is there.
# Columns after the third, gender, age and region, and the older half of the rows are then hard to
# call necessary for *this* purpose; that two bands are too coarse is plain. (The world was made
# that way: three numbers decide, and all of them are in the form. Yours may need more: run the
# curve. And whoever measures the gaps of 10b needs the gender: another purpose, and not an input of
# the model.)
#
# ## Consent · Who is left to learn from?
#
# Four in five of these people agreed to be learned from. Does the model suffer, and is it biased?
# Knob: `depends_on`. Beside the consent of this world stand three made ones, which three in five
# give: by a coin, rather by the well rated, and rather by those who paid back (say, because people
# in arrears object). The control is a model of as many rows drawn at random.

# %%
agreed = {"this world's consent": train["consent"]}
for cause in ("nothing", "credit_score", "defaulted"):
    agreed[f"depends on {cause}"] = consent.inject_choosy(train, rng=rng, depends_on=cause)
pd.DataFrame({name: consent.lopsided(train, test, who, rng=rng)
              for name, who in agreed.items()}).T.round(3)

# %% [markdown]
# `bias` is the mean default that the model promises, less what came. Consent at random costs a few
# rows. Selection by a column that the model *sees* does little. Selection by the **answer** costs
# little AUC as well, and promises far too few defaults: ranks survive better than levels, and
# whoever only watches the AUC misses most of it. Compare promised with arrived.
#
# A consent is also for a *purpose*, and may be withdrawn. It has to be valid at the moment of the
# use, here the training; not when the row was written. (Withdrawal does not make unlawful what was
# done before it, Art. 7(3); the next training is a new use. Consent is one of six grounds of Art.
# 6(1), and lenders often rely on another: which one is for your lawyers.) How many rows does each
# filter use that it may not?

# %%
moment = test["applied_ts"].min()  # of the training: before the applications that judge it
register = consent.consents(users, rng=rng, until=test["applied_ts"].max())
today = consent.allowed(train, register, purpose="scoring", at=moment)
filters = {"flag in users": train["consent"],
           "valid at the application": consent.allowed(train, register, purpose="scoring",
                                                       at=train["applied_ts"]),
           "valid for marketing": consent.allowed(train, register, purpose="marketing", at=moment),
           "valid for scoring, at training": today}
pd.DataFrame({name: {"rows used": who.sum(), "may not be used": (who & ~today).sum(),
                     "AUC": consent.auc(test["defaulted"],
                                        consent.learned(train[who], test, features))}
              for name, who in filters.items()}).T.round(3)

# %% [markdown]
# ## Membership · Was this person in the training data?
#
# A model is surer of rows that it has seen. An attacker trains [shadow
# models](../glossary.md#shadow-model) of their own on random halves and learns from them, row by
# row, how sure a model is that saw the row, and one that did not ([membership
# inference](../glossary.md#membership-inference)). The *average* share of right guesses hides what
# matters: an attack that is sure about few, and right, is the dangerous one. So the right panel
# asks how many members are found while one in a hundred of the others is wrongly accused. Knob:
# `makes`. The control judges the same suspicions by the members of another model.

# %%
makes, pool = membership.learners(), rows.sample(2000, random_state=seed)
X, y = pool[features].to_numpy(), pool["defaulted"].to_numpy()
runs = {name: membership.shadows(make, X, y, rng=rng) for name, make in makes.items()}
judged = {name: membership.attacked(run).groupby("attack").mean() for name, run in runs.items()}
plots.show(figures.attacks(pd.concat(judged, names=["model"]).reset_index()), alt="Dots by model: "
           "the attack by row finds members of the full forest and of deep boosting far above "
           "chance; one threshold finds hardly any; logistic regression gives nothing away.")
still = membership.after_deletion(makes["full forest"], X, y, runs["full forest"], rng=rng)
forest = judged["full forest"]
say(f"Full forest: one threshold guesses {forest.loc['one threshold', 'accuracy']:.0%} right and "
    f"finds {forest.loc['one threshold', 'found']:.1%} where few may be accused; by row "
    f"{forest.loc['by row', 'found']:.1%} are found, in the control "
    f"{forest.loc['other model', 'found']:.1%}. Of those found in one forest, "
    f"{still['theirs']:.0%} are found in one fitted without them, and {still['others']:.0%} when "
    f"as many others are deleted instead.")

# %% [markdown]
# Regularisation takes most of it away; the models that give people away know their training rows by
# heart. A refit without those found takes most of them out of sight, not all: a row may look
# familiar that was never seen. The attacker here is a strong one: they hold the very rows in
# question with their answers, others of the same kind, and know how you train. (The attack is LiRA,
# Carlini and others 2022, with one width for all rows; they allow one accused in a thousand, and
# fewer.)
#
# ## Reasons · What the syllabus reads from SHAP
#
# There, every feature gets points, and the refused are told those that cost most. The numbers are
# no points: they are parts of the model's raw output, log-odds for boosting, a probability for a
# forest. They are additive: from the mean of a **background** to this applicant's output. That is
# checked first, since with a background this library may compare in single precision: a row on a
# threshold then falls to its other side. `eighths` rounds to what single precision holds.
#
# Then one of the refused, as a static figure (`force_plot` of the syllabus needs JavaScript). The
# applicant is picked, not typical: the first reason changes with the background, and to follow it
# is the longest detour of all.

# %%
late, early = explain.eighths(test[features]), explain.eighths(train[features])
raw = explain.booster(train[features], train["defaulted"])
boosted = explain.booster(early, train["defaulted"])
misses = {}
for name, fitted, known_rows, asked in (("as they are", raw, train[features], test[features]),
                                        ("in eighths", boosted, early, late)):
    near = explain.near(fitted, known_rows)
    for background in (known_rows.head(200), known_rows.tail(200), near):
        values, start = explain.contributions(fitted, asked, background=background)
        gap = explain.additive_gap(fitted, asked, values, start)
        misses[name] = max(gap, misses.get(name, 0))
said = {name: f"{gap:.4f}" if gap > 1e-6 else "less than a millionth"
        for name, gap in misses.items()}
say(f"Against three backgrounds the sum misses the output by at most {said['as they are']} with "
    f"the features as they are, and by {said['in eighths']} in eighths.")

# %%
refused = late[boosted.decision_function(late.to_numpy()) >= 0]
backgrounds = {"everybody": early.sample(200, random_state=seed),
               "the barely accepted": explain.near(boosted, early)}
told = {name: explain.contributions(boosted, refused, background=rows_of)
        for name, rows_of in backgrounds.items()}
codes = {name: explain.reason_codes(values) for name, (values, _) in told.items()}
first = codes["everybody"][1]
ways = explain.against_reasons(boosted, refused, first, early)
unlike = first != codes["the barely accepted"][1]
person = (ways["cost_of_reason"] - ways["cost"])[unlike].idxmax()
values, start = told["everybody"]
plots.show(figures.waterfall(values.loc[person], refused.loc[person], start=start),
           alt="A waterfall from the background to an applicant's log-odds, feature by feature.")

# %%
sample = early.drop(backgrounds["everybody"].index)  # of everybody as well, but others
again = explain.reason_codes(explain.contributions(boosted, refused, background=sample)[0])
moved, luck = explain.moved(*codes.values()), explain.moved(codes["everybody"], again)
both = pd.DataFrame({f"against {name}": v.loc[person] for name, (v, _) in told.items()})
title = f"{moved:.0%} get another first reason; {luck:.0%} with another sample of everybody"
plots.show(figures.pairs(both, unit="log-odds of a default", title=title), alt="Bars by feature "
           "for one applicant, against two backgrounds: the longest bar is another feature.")

# %% [markdown]
# **The reasons depend on the background.** The same model and the same applicant, explained against
# everybody and against those who were accepted with the least to spare. For letters of refusal in
# the United States (Regulation B, 12 CFR Part 1002, section 9(b)(2)), the official comment names
# both comparisons among its methods and asks for specific principal reasons, as a rule not more
# than four: choose one, write down which, and keep to it.
#
# **A contribution can show a leak**: the late payments of the loan itself, which nobody knows at
# the application, take most of the mass when they are offered to the model. Mass alone is no proof:
# ask of the column that takes most when it is known.

# %%
offered = [*features, "late_payment_count"]
leaky = explain.booster(train[offered], train["defaulted"])
share = pd.DataFrame({
    "as it should be": explain.mass(explain.contributions(boosted, late)[0]),
    "with the leak": explain.mass(explain.contributions(leaky, test[offered])[0])}).fillna(0)
share = share.sort_values("with the leak", ascending=False)
title = f"{share.index[0]} takes {share['with the leak'].iloc[0]:.0%} of the mass, once offered"
plots.show(figures.pairs(share, unit="share of all absolute contributions", title=title,
                         second="broken"),
           alt="Bars by feature: with the leak, late_payment_count takes most of the mass.")

# %% [markdown]
# **A reason is no cause.** `earlier_late` gets some mass, and in this world it causes nothing: a
# standing that nobody sees makes both earlier and later payments late. **And no advice.** Which is
# the *smallest* change of something that a person can change that flips the decision is a question
# of its own, that of [recourse](../glossary.md#recourse) (Ustun and others 2019). The cost is the
# share of other applicants who are passed on the way. Gender and age cannot be changed, and
# `recourse` refuses them; as inputs of a model `reason_codes` refuses them too, since leaving them
# out of the letter would hide that they were used.

# %%
typical = early[boosted.decision_function(early.to_numpy()) < 0].median()
done = explain.followed(boosted, refused, first, typical)
way = ways.loc[person]
smallest, stay = (ways["cost_of_reason"] <= ways["cost"]).mean(), 1 - done.mean()
display(say(f"The applicant of the figures: first reason {way['reason']}, which flips the decision "
            f"at a cost of {way['cost_of_reason']:.2f}; {way['cheapest']} does at "
            f"{way['cost']:.2f}. Of the {len(ways)} refused, the first reason is the smallest way "
            f"for {smallest:.0%}; {stay:.0%} stay refused when that feature alone becomes what is "
            f"typical of the accepted."))
pd.concat([explain.recourse(boosted, refused.loc[person], early, together=n) for n in (1, 2)],
          ignore_index=True).sort_values("cost").head(6).round(2)

# %% [markdown]
# Changing a form changes the decision and not who pays back: what flips the model is no
# cure, and a number that is easily changed is easily gamed.
#
# Three misconceptions, and what became of them here. *A hash is anonymous*: whoever was on
# the list was found. *A table without names names nobody*: a second table did.
# *[SHAP](../glossary.md#shapley-value) gives reasons*: it gives the parts of one model's sum,
# against a background that somebody chose.
#
# On your own tables: `mlkit audit pii` looks for columns like these.
