# %% [markdown]
# # 10 · The log says erased. Who still has her?
#
# *Compliance and ethics: the right to erasure. Thirty-five minutes to read, thirty to do. Good
# places to stop: after acts two, three and four.*
#
# ## 1. What would you bet?
#
# A borrower writes to a lender: delete what you hold about me. An engineer has a function for that.
# It goes through five tables, deletes her rows, starts a training and writes a line into a log. The
# ticket is closed the same day. Nobody lied, and she is still there.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import compliance, params, plots
from mlkit.check import answer, check, hint, predict, progress, reveal, solution
from mlkit.lesson import say, scoreboard, source
from mlkit.model import make_world
from mlkit.plots import compliance as figures

plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs, fault = settings["seed"], settings["worlds"]["loans"], settings["compliance"]["inject"]
loans = make_world("loans", rng=params.stream(seed, "loans", "make"), **knobs)
broken = compliance.inject(loans, rng=params.stream(seed, "compliance", "inject"), **fault)
broken["stores"].dropna(subset=["left"])[["store", "keys", "left"]].reset_index(drop=True)

# %% [markdown]
# That is the report after such a day: sixty people had asked, and of each table on the list the
# last column says how many of their rows are left.
#
# First two quick questions, from lessons 04 and 09. Run the cell as it is and it asks them.

# %% tags=["exercise"] mlkit={"exercise": "compliance_recall.quiz"}
answer("compliance_recall", q1=..., q2=...)

# %% tags=["exercise"]
predict("compliance.b1", ...)

# %% [markdown]
# ## 2. Break it
#
# First on six rows that can be checked by hand. A table of users, a copy for marketing that holds a
# hash in place of the e-mail, and a table of answers. User 2 asks.
#
# The delete is right about every table that it goes through. The copy has no `user_id`, and a
# [plain hash](../glossary.md#plain-hash) of an address is a name for whoever can guess the address.
#
# Then the lender of the kit. Its tables are five that everybody knows, a log of what the model was
# served, and three copies made of them. `inject` draws the people who ask and lets the team erase
# them its way; the second cell shows this way, and two of the copies.

# %%
from mlkit.compliance.pseudonyms import naive_token

users = pd.DataFrame({"user_id": [1, 2], "email": ["ana@mail.example", "ben@mail.example"]})
marketing = pd.DataFrame({"token": users["email"].map(naive_token), "segment": ["home", "car"]})
answers = pd.DataFrame({"application_id": [10, 11], "user_id": [1, 2], "paid": [True, True]})
asked = users[users["user_id"] == 2]
users, answers = (t[t["user_id"] != 2] for t in (users, answers))
still = marketing["token"].isin(asked["email"].map(naive_token))
say(f"Rows left by `user_id`: {(users['user_id'] == 2).sum() + (answers['user_id'] == 2).sum()}. "
    f"Rows left for whoever knows the address: **{still.sum()}**, in segment "
    f"{marketing.loc[still, 'segment'].item()}.")

# %%
from IPython.display import display

from mlkit.compliance import faults

display(source(faults.inject_hand_list, faults.hashed, faults.tokens, faults.vectors))
healthy, hurt = compliance.score(loans), compliance.score(broken)
say(f"The report: {hurt['offline']:.0%} of the stores on the list are empty. In truth "
    f"**{hurt['production']:.0%}** of all stores are right: nobody who asked is in them, and the "
    "rows of everybody else are as they were.")
reveal("compliance.b1", hurt["production"])

# %% [markdown]
# Here production is not accuracy. It is the share of stores in which the request was carried out,
# no more and no less.
#
# *A good place to stop.*
#
# ## 3. Find it
#
# What would you check at work? `broken` holds all tables after the erasure, `loans` those from
# before. `broken["requests"]` says who asked, by [keyed digests](../glossary.md#hmac), so
# that the list of the forgotten is no list of names. Three lines of your own:

# %% tags=["exercise"]
broken["users"].shape, loans["users"].shape
# your check

# %% [markdown]
# The usual check reads the report: rows left, table by table. It passes, and it asked only where
# somebody had thought of. The good check takes every key of everybody who asked, the derived ones
# too, and looks in every table and every text; then it compares the rows of everybody else with
# those from before. By hand for one store, then the library's.
#
# After the figure six other ways in which an erasure says that it is done. `stores right` is the
# truth; `search` is an estimate that needs no hidden truth and no table from before: in how many
# stores are ten known people who asked not found, and ten known others found?

# %%
assert not compliance.naive_detect(loans, broken)["failed"].any()
gone = ~loans["users"]["user_id"].isin(broken["users"]["user_id"])
by_hand = broken["tokens"]["email_sha256"].isin(loans["users"].loc[gone, "email"].map(naive_token))
found = compliance.detect(loans, broken, **settings["compliance"]["detect"])
left = found[(found["check"] == "left") & ~found["subject"].isin(faults.ABOUT)]
left = left.set_index("subject")["value"]
assert by_hand.sum() == left["tokens"]
ax = figures.left(left, listed=compliance.BY_HAND)
plots.show(ax, alt="Bars of rows left by store: none in the five tables of the list and the log, "
           "dozens in served, export, tokens and vectors, which are not on the list.")

# %%
from mlkit.compliance import checks

rows = {}
for kind, about in compliance.KINDS.items():
    rng = params.stream(seed, "compliance", "inject")
    tables = compliance.inject(loans, rng=rng, **{**fault, "kind": kind})
    seen = compliance.detect(loans, tables)
    result = checks.carried_out(tables)
    rows[kind] = {"what": about.cause, "report passes": result["offline"] == 1,
                  "stores right": result["production"], "search": result["honest"],
                  "found by": ", ".join(seen.loc[seen["failed"], "check"].unique())}
pd.DataFrame(rows).T.infer_objects().round(2)

# %% [markdown]
# Two of them deserve a second look. `too_much`: whoever matches ids by how they begin erases
# user 120 with user 12. A search for those who asked cannot see it, only one for known others, or a
# comparison with the tables from before. `not_retrained`: all rows are gone and the model is still
# the one that had seen them. Whether that matters is measured in act four.
#
# ### On files
#
# Tables in memory are the kind case. At work the same rows are in files, archives, versions, models
# and logs. `lender.build` makes such a place in a temporary folder, with git and DVC really run:
# three versions of the data, each with a tag and pushed to a store. One person in it is planted, a
# [canary](../glossary.md#canary): we know her values, and nobody else has them.
#
# The search shares no code with the eraser. It opens every file below the folder, decodes it by
# content ([parquet](../glossary.md#parquet) with its statistics, zip, gzip, JSON lines, SQLite
# with its [free pages](../glossary.md#free-page), arrays, models, objects of git and DVC) and
# looks for all of her keys and for her rows of numbers. A check that has never found anybody
# proves nothing, so it is run *before* as well: she has to be in every store but one (the plain
# model keeps coefficients and no rows; the finder of neighbours keeps the rows themselves). Beside
# it the raw search that one would do at a prompt, for the bytes of her address and of its hash.
# It misses what is compressed (parquet, zip, gzip, git) and what holds numbers only. Then the team
# deletes, and both look again. Read the picture from left to right.

# %%
import tempfile
from pathlib import Path

from mlkit.compliance import lender, search

shelf = Path(tempfile.mkdtemp())
place = lender.build(shelf / "lender", loans, versions=3, canary=True)
sought, looks = search.needles(place, lender.CANARY), {}
looks["raw before"], before = search.naive_search(place, sought), search.find(place, sought)
deleted = search.naive_delete(place, lender.CANARY)
looks["raw after"], after = search.naive_search(place, sought), search.find(place, sought)
looks |= {"decoding before": before, "decoding after": after}
stores = [s["name"] for s in params.read_yaml(place / "project/stores.yaml")["stores"]]
assert set(stores) - set(before["store"]) == {"model"}  # it can find her in each of the others
plots.show(figures.searches(looks, stores, emptied=list(deleted)), alt="A table of stores by "
           "searches. Decoding finds her in all stores but one before the DELETE, in most after.")
after.groupby(["store", "what"])["times"].sum().unstack(fill_value=0)

# %% [markdown]
# The rows are gone from the tables and from nowhere else: the cache and the store of DVC hold each
# version that was ever pushed, which is what lesson 04 pinned them for. The CRM answers no query
# with her name, and her note stands in a free page of the file (some builds of SQLite overwrite
# what they delete, `PRAGMA secure_delete`; ask yours). Git keeps a sample that was staged once by
# mistake and is in no commit. The log and the archive were on nobody's list, and marketing holds
# the hash.
#
# The function of the syllabus, line by line:
#
# | it does | and so |
# |---|---|
# | goes through tables typed by hand | misses copies: list by [lineage](../glossary.md#lineage) |
# | `DELETE` | old files, versions, backups and free pages keep the row |
# | puts the id into the statement with an f-string | the text of a request becomes a command |
# | starts a training | which neither proves nor removes anything in copies of the rows; judge it |
# | `log_deletion(user_id)` | the log of the forgotten names them again |
# | says "GDPR-compliant" | a claim about law; what can be shown is a search that finds nothing |
#
# Two of these, live. The third row: a request comes in by a form, and the id is text. And the
# second one, in a copy from which her row was rightly taken: columns of few values are often kept
# as *categories*, a list of names beside the rows, and parquet writes the list.

# %%
import sqlite3

crm = sqlite3.connect(":memory:")
crm.execute("CREATE TABLE users (user_id TEXT, email TEXT)")
crm.executemany("INSERT INTO users VALUES (?, ?)",
                loans["users"][["user_id", "email"]].astype(str).to_numpy().tolist())
crm.commit()
user_id = "12' OR '1' = '1"
by_text = crm.execute(f"DELETE FROM users WHERE user_id = '{user_id}'").rowcount
crm.rollback()
by_value = crm.execute("DELETE FROM users WHERE user_id = ?", [user_id]).rowcount
say(f"One request, {len(loans['users'])} users. With the id in the text of the statement "
    f"**{by_text}** rows went, with the id as a value {by_value}.")

# %%
copy = loans["users"][["user_id", "email"]].astype({"email": "category"})
her = copy.iloc[0]
copy[copy["user_id"] != her["user_id"]].to_parquet(shelf / "copy.parquet")
back = pd.read_parquet(shelf / "copy.parquet")
say(f"Rows with her id: {(back['user_id'] == her['user_id']).sum()}, with her address: "
    f"{(back['email'] == her['email']).sum()}. Is her address in the file? "
    f"**{'Yes' if her['email'] in back['email'].cat.categories else 'No'}**, among the categories.")

# %% [markdown]
# *A good place to stop.*
#
# ## 4. Repair and prove
#
# In memory the repair goes by keys: every row of every table that holds a key of somebody who asked
# goes, whatever the table is called; the requests stay as a [suppression
# list](../glossary.md#suppression-list). The row filter is that of the eraser for files. (`moved`
# and `flipped` say what the missing rows do to the model; see below.)
#
# Does it hold in other worlds? The second cell has fresh lenders, the list against the keys, and
# the [null control](../glossary.md#null-control): nobody asks.

# %%
from mlkit.compliance import identity

fixed = compliance.repair(broken, **settings["compliance"]["repair"])
assert not compliance.detect(loans, fixed)["failed"].any()
again = compliance.repair(broken, how="list")
results = {"clean": healthy, "broken": hurt, "fixed": compliance.score(fixed)}
ax = plots.three_scores(results, unit=compliance.UNIT)
plots.show(ax, alt="Bars of three scores. The report is full in all three states; the search and "
           "the truth are at six tenths when broken and full when repaired.")
display(source(identity.holds, identity.without, checks.repair))
board = scoreboard(**results, list_again=compliance.score(again))
board[["offline", "honest", "production", "moved", "flipped"]]

# %%
turned = {"the list": {}, "one person": {"n_subjects": 1}, "hashed copy": {"kind": "hashed"},
          "null control": {"severity": 0.0}}
small, lost = {**knobs, "n": 1200}, []
for trial in range(100, 103):
    fresh = make_world("loans", rng=params.stream(trial, "loans", "make"), **small)
    for name, change in turned.items():
        rng = params.stream(trial, "compliance", "inject")
        hit = compliance.inject(fresh, rng=rng, **{**fault, **change})
        for world, tables in ((name, hit), (f"{name}, by keys", compliance.repair(hit))):
            lost.append({"world": world, "loss": 1 - checks.carried_out(tables)["production"]})
ax = plots.worlds(pd.DataFrame(lost), xlabel="share of stores that are wrong")
ax.set_title(f"By keys, {sum(r['loss'] > 0 for r in lost if 'keys' in r['world'])} stores are "
             "wrong in any world")
plots.show(ax, alt="Dots by case: the list leaves four in ten stores wrong, also for one person; "
           "the hashed copy one in ten; by keys none, and none where nobody asks.")

# %% [markdown]
# ### The real thing
#
# On files the same idea, in two steps. A request first writes [keyed digests](../glossary.md#hmac)
# of *all* of her keys (id, applications, address, hash of the address) to the suppression list,
# and only then a *sweep* goes through every store of the register and every object of every
# version. A sweep depends on nothing but list and stores. So it can be killed anywhere and run
# again, and a backup that comes back is one more store for the next sweep. First the [dry
# run](../glossary.md#dry-run), which touches nothing. One file is put aside as a backup: we shall
# need it.

# %% tags=["exercise"]
predict("compliance.b2", ...)

# %%
import os
import shutil
import subprocess
import sys

shutil.copy(place / "exports/2025-06.zip", shelf / "backup.zip")
plain = {**os.environ, "FORCE_COLOR": "", "TERM": "dumb", "COLUMNS": "100"}
command = f"mlkit erase {lender.CANARY} --folder lender --json certificate.json"
for more, lines in (("--dry-run", slice(-1, None)), ("", slice(None))):
    words = [sys.executable, "-m", *command.split(), *more.split()]
    done = subprocess.run(words, cwd=shelf, env=plain, capture_output=True, text=True)
    print(f"$ {command} {more}".rstrip(), *done.stdout.splitlines()[lines], sep="\n")
certificate = params.read_yaml(shelf / "certificate.json")  # JSON is YAML, too
assert search.find(place, sought).empty and not certificate["left"]

# %% [markdown]
# A dry run first: it lists what would go, of which the last line is shown here. Then the
# [certificate](../glossary.md#erasure-certificate). It names her by a [keyed
# digest](../glossary.md#hmac), says how many rows were removed from where (of a model: rows that
# it was fitted on), which outputs of which version were replaced, which files may have been sent to
# somebody who is then to be told, and what it does *not* vouch for. The CRM is not in the table: no
# row of hers was left in it. The sweep writes it anew all the same, without the free pages, and a
# list of categories without names that no row bears. The certificate is evidence and no more; so is
# the search, another program, which found her and now finds her nowhere.
#
# A version that held her cannot be had any more under its old hash, and something stands in its
# place: the same code on the rows that are left. Git's history is not rewritten. An auditor who
# clones the project finds the old commit, with hashes of content that is gone. Read what DVC tells
# her: `dvc fetch` warns, says that all is up to date, and exits with status zero; only `dvc pull`
# fails. A job that asks for the status of a fetch learns nothing. This is the conflict with lesson
# 04, and no trick solves it: **a pin says that these bytes can be had again, an erasure
# says that they cannot.** What can be had is the replacement, and a record that it is one.
#
# And then somebody restores the backup, as somebody will. The search finds her again, the next
# sweep knows her by the list, and what it leaves is, byte for byte, what the first one left:
# erasing twice is erasing once.

# %%
from mlkit import repository

repository.shell(place, "git clone -q project auditor", where=".")
pulls = ["git checkout -q v1", "dvc fetch", "dvc pull"]
text = repository.shell(place, *pulls, where="auditor", may_fail=True)
shown = ("$", "WARNING", "Everything", "ERROR", "[")
print(*[line for line in text.splitlines() if line.startswith(shown)], sep="\n")
repository.remove(place / "auditor")

# %%
from mlkit.compliance import erasure

erasure.old_version(place, "v1", shelf / "v1")
instead = pd.read_parquet(shelf / "v1/data/raw/users.parquet")["user_id"]
archive = place / "exports/2025-06.zip"
cleaned = archive.read_bytes()
shutil.copy(shelf / "backup.zip", archive)
restored = search.find(place, sought)
erasure.sweep(place, on="2029-12-10")
assert archive.read_bytes() == cleaned and search.find(place, sought).empty
say(f"In place of v1: {len(instead):,} users, of them her: {(instead == lender.CANARY).sum()}. "
    f"With the backup she was found in {len(restored)} places; after the sweep in none.")

# %% [markdown]
# Backups themselves were not searched, and hardly any company opens its tapes for each request.
# What helps is an end date (a backup that expires within weeks forgets by itself), the list that is
# applied to whatever is restored, and *[crypto-shredding](../glossary.md#crypto-shredding)*: each
# person's rows are encrypted under a key of their own, and to forget is to destroy the key. That
# works for archives, as far as no copy was ever written in the clear and the key has no backup.
#
# ### And the model?
#
# "Retrain what included her" is in the function of the syllabus. Whether that changes anything can
# be measured: fit again without her, and compare with what else moves a model as far. The
# certificate did so for each version; the last column is the refit on the same rows.
#
# Here for two kinds of model of the lender in memory: a refit on the same rows, one without each of
# twenty people alone, and one without one percent of all people.

# %%
from mlkit.compliance import influence

leave = influence.cases(loans)
both = {name: influence.refits(loans, leave, trees=name == "trees")
        for name in ("logistic", "trees")}
ax = figures.moves(both)
plots.show(ax, alt="Mean moves of scores, on a scale of powers of ten. Of the logistic model they "
           "are small and spread far, by who is left out. Of trees all are larger and alike, that "
           "without one percent of the people as well.")
last = certificate["versions"][-1]["moved"]
display(say(
    f"Without the planted person no score of the {last['others']:,} others moves by more than "
    f"{last['max']:.4f}, and {last['flipped']} decisions flip."))
display(pd.DataFrame({name: influence.flips(table) for name, table in both.items()}).round(4))
reveal("compliance.b2", last["max"])

# %% [markdown]
# To the plain model it matters *who* goes. Most people tip hardly a decision, some move it several
# times as far. That is influence, and it is why one measures for the person who asked and not once
# for all. The trees move farther still, and about as far whoever is left out. That is nobody's
# influence. It is [instability](../glossary.md#instability): any change
# of the rows tips splits over. The refit on the same rows is identical, so it is not chance either.
#
# Three consequences. A refit is cheap evidence and belongs in the certificate, beside refits
# without others; alone it would have blamed the trees on her. An unstable model changes decisions
# of *other people* because somebody was erased, which wants an explanation of its own. And a model
# that keeps rows (the finder of neighbours, an index of embeddings) is a store: there is nothing
# to be judged, the row has to go. What a model gives away about *her own* rows is another
# question; 10c asks it ([membership inference](../glossary.md#membership-inference)).
#
# ### What the law asks
#
# This is no legal advice. What an engineer should have read, and ask counsel about:
#
# - **GDPR, Art. 17.** Erasure needs a *ground* (17(1): no longer necessary, consent withdrawn,
#   objection, unlawful processing, a legal duty to erase, or a service offered to a child) and has
#   *exceptions* (17(3): among them a legal duty to keep, and legal claims). A lender has to keep
#   some records of a loan for years; they stay, for that purpose alone and out of everybody else's
#   reach. Our five tables would be a mixed case.
# - **Art. 12(3)**: an answer without undue delay, within one month of the request at the latest;
#   two more where requests are complex or many, and the person is told so within the first. Who
#   refuses says why, and where to complain (12(4)). **Art. 19**: each recipient to whom the data
#   were disclosed is told of the erasure, unless that is impossible or out of proportion. Hence the
#   list in the certificate. A processor erases because you tell it to (Art. 28).
# - **Art. 5(1)(c) and (e)**: as little as the purpose needs, for no longer than it needs. What was
#   never collected, or has expired, need not be searched for. The lawful end date of lesson 08's
#   cold archive is a question of this article, not of its price.
# - **Models.** EDPB Opinion 28/2024: whether a model holds [personal
#   data](../glossary.md#personal-data) is decided case by case; it is anonymous only where it is
#   very unlikely that people are identified through it or that their data is got out of it by
#   queries. The measurement above is about influence, not about that.
# - **California, CCPA**: a right to deletion with exceptions of its own, and a right to opt out of
#   sale and sharing: two requests, two processes. Much of what a lender holds is exempt, since
#   another law (the Gramm-Leach-Bliley Act) covers it. **HIPAA**: the *minimum necessary* rule,
#   which does not bind treatment, and no general [right of
#   erasure](../glossary.md#right-of-erasure); how long medical records must be kept, other laws
#   say, mostly of the states.
# - A hash, a digest, a token: personal data for whoever has means reasonably likely to be used to
#   get back to the person (Recital 26; Art. 4(5); on recipients without such means, Court of
#   Justice, C-413/23 P, 2025). You hold the key, so for you the suppression list is personal data,
#   too; it is kept because without it nobody stays erased, and needs a legal basis of its own.
#
# *A good place to stop.*
#
# ## 5. Your turn
#
# Two exercises here, and the third, four memos, at the end of 10b. `hint("compliance.1")` asks you
# a question first; `solution("compliance.1")` opens once you have tried.
#
# ### compliance.1 · Out of every table
# *Level 1 (complete), about 15 minutes*
#
# **Goal.** Take one person out of all tables, by every key that leads to them, and leave everybody
# else in place.
#
# **Given.** `tables`, names to DataFrames. `register`: for each table, which of its columns hold a
# key and of what kind: `user_id`, `application_id`, `email`, or `email_sha256` (64 hex digits, of
# the address without blanks and in lower case). And `user_id`, a whole number. `users` (user_id,
# email) and `applications` (application_id, user_id) tell what belongs to whom. Elsewhere numbers
# may be text or float, addresses have blanks and capitals, and keys may be missing.
#
# **Return.** A dictionary of all tables without the rows that hold a key of the person.
#
# **Checked.** Each kind of key; numbers that are parts of others; missing keys; a person without an
# application or an address, one that nobody knows, the same request twice; and that the rows of
# everybody else are as before, types and order included.
# ```python
# >>> tables = {"users": pd.DataFrame({"user_id": [4, 41], "email": ["Ana@mail.example", None]}),
# ...           "applications": pd.DataFrame({"application_id": [7, 70], "user_id": [4, 41]}),
# ...           "log": pd.DataFrame({"ref": ["7", None, "70"], "score": [0.2, 0.5, 0.9]})}
# >>> register = {"users": {"user_id": "user_id", "email": "email"},
# ...             "applications": {"application_id": "application_id", "user_id": "user_id"},
# ...             "log": {"ref": "application_id"}}
# >>> tables["log"].head(3)
#    ref  score
# 0    7    0.2
# 1  NaN    0.5
# 2   70    0.9
# >>> without_person(tables, register, 4)["log"]["score"].tolist()
# [0.5, 0.9]
# ```

# %% tags=["exercise"] mlkit={"exercise": "compliance.1"}
def without_person(tables, register, user_id):
    raise NotImplementedError  # take this line away and complete the lines with dots
    mine = {"user_id": [str(user_id)], "email": ...,
            "email_sha256": ..., "application_id": ...}  # the person's keys, as text
    left = {}
    for name, table in tables.items():
        hit = pd.Series(False, index=table.index)
        for column, kind in register[name].items():
            hit |= ...  # which cells, as text in the same form, are among mine[kind]?
        left[name] = table[~hit]
    return left

check("compliance.1", without_person)

# %% [markdown]
# ### compliance.2 · Is this gap real?
# *Level 2 (adapt), about 25 minutes*
#
# **Goal.** For each group against a reference, tell a gap from no gap, and both from not knowing.
# The harm in question: somebody who pays back is denied.
#
# **Given.** `decisions`: `group` str, `denied` bool, `repaid` boolean, missing where nobody knows
# (all were granted a loan in the end, so that most outcomes are known). `reference`, one of the
# groups, and `tolerance`, a share.
#
# **Return.** A DataFrame indexed by group, without the reference: `gap`, the share denied among
# those known to have repaid, less that of the reference (NaN where there is none); `low` and
# `high`, an interval of it at the level `1 - 0.05 / m` for m comparisons, so that a table errs once
# in twenty at most; `verdict`: `"gap"` if all of the interval lies above the tolerance or all of it
# below minus the tolerance, `"no gap beyond the tolerance"` if all of it lies between the two, else
# `"too few to say"`.
#
# **Checked.** Large and small groups, with and without a gap, one of them with no denial, one with
# no label; other errors than the one in question; unknown labels; six groups at once; and that the
# intervals are as wide as the rows make them. Any method will do that holds for small groups.
# ```python
# >>> decisions = pd.DataFrame({"group": ["south"] * 4 + ["north"] * 400,
# ...                           "denied": [True, False] * 202,
# ...                           "repaid": pd.array([True] * 404, dtype="boolean")})
# >>> decisions.head(3)
#    group  denied  repaid
# 0  south    True    True
# 1  south   False    True
# 2  south    True    True
# >>> verdicts(decisions, "north", 0.05)["verdict"].to_dict()
# {'south': 'too few to say'}
# ```

# %% tags=["exercise"] mlkit={"exercise": "compliance.2"}
def verdicts(decisions, reference, tolerance):
    raise NotImplementedError

check("compliance.2", verdicts)

# %% [markdown]
# ## 6. Take it with you
#
# Five questions. Run the quiz as it is and it asks them; then replace the dots by a letter, such as
# `q1="a"`. The last one is about four pictures: by how much more often women are denied than men in
# twelve regions, each point with its interval; right of the line is more often.

# %%
from mlkit.plots import quizzes

rng = params.stream(seed, "compliance", "quiz")
half = np.array([[0.34], [0.12], [0.03], [0.06]])  # of the interval
luck = rng.normal(size=(4, 12)).clip(-1.6, 1.6) * half / 2
middle = np.array([[0.0], [0.0], [0.0], [0.16]]) + luck
middle[1, 4] = 0.15  # one of twelve
four = {name: pd.DataFrame({"low": m - h, "middle": m, "high": m + h})
        for name, m, h in zip("ABCD", middle, half, strict=True)}
plots.show(quizzes.four_gaps(four), alt="Four times twelve points with intervals around a line. A: "
           "on both sides, some far off, wide intervals that all hold it. B: shorter ones, one "
           "region just off. C: near the line, narrow. D: all right of it, narrow, away from it.")

# %% tags=["exercise"] mlkit={"exercise": "compliance.quiz"}
answer("compliance", q1=..., q2=..., q3=..., q4=..., q5=...)

# %% [markdown]
# **What this does not catch.** A store that no register names and that lies elsewhere: a laptop, a
# mailbox, a vendor. Free text that describes her without a key. A picture. Keys nobody derived: the
# same hash with a salt that marketing kept to itself. Whoever saw the rows and remembers. And a
# search for a planted person says nothing about people whose rows look otherwise: plant several, of
# different kinds.
#
# | what people say | what the lesson shows |
# |---|---|
# | We delete in all tables. | In all that somebody thought of; the copies are in the lineage. |
# | It is only a hash. | Whoever can guess the address can find the row. |
# | The log proves it. | It proves that a function ran, and it held her name. |
# | We pin every version. | Then you keep every person, until a replacement stands for the pin. |
# | We restored last week's backup. | And everybody who had been erased since. |
# | Retrain, and she is out of the model. | Measure for her; some models move whoever goes. |
#
# In the pipeline this lesson is `dvc repro score@compliance`; its stages run the functions that you
# have just seen, so the tables hold the same content, row for row. On files: `mlkit erase --make
# FOLDER` builds a lender to try the command of act four on.
#
# **On Monday**: `mlkit audit pii` on a table of yours, `mlkit audit fairness` on decisions (10b),
# and the test in the last cell: nobody on your suppression list is in any of your tables.
#
# **Think about it.** Write down, without looking, where one customer of yours is stored. Then look.
# Who would notice if a backup from before an erasure came back? Which of your copies was made for
# one afternoon, and when does it end?
#
# **Read on.** Regulation (EU) 2016/679, Articles 4, 5, 12, 17, 19, 28, Recital 26. EDPB, *Opinion
# 28/2024 on certain data protection aspects related to the processing of personal data in the
# context of AI models*, 2024. Federal Trade Commission, *No, hashing still doesn't make your data
# anonymous*, 2024. Schelter, *"Amnesia": a selection of machine learning models that can forget
# user data very fast*, CIDR 2020. Bourtoule et al., *Machine Unlearning*, IEEE S&P 2021. Sarkar,
# Papon, Staratzis and Athanassoulis, *Lethe: A Tunable Delete-Aware LSM Engine*, SIGMOD 2020: what
# a delete leaves in a store, and for how long. Next: `10b_compliance_fairness`, then the gallery
# `10c_compliance_privacy`.

# %%
import json

from mlkit.tables import content_hash

repository.remove(place)
project = params.nearest_file(Path.cwd()).parent
piped = json.loads((project / "data/compliance/score.json").read_text(encoding="utf-8"))
here = {"clean": loans, "broken": broken, "fixed": fixed}
here = {name: content_hash(tables) for name, tables in here.items()}
there = {name: row["content"] for name, row in piped.items()}
display(pd.DataFrame({"this notebook": here, "dvc repro": there}))

# %%
import contextlib

import mlkit.monday.compliance
from mlkit.audit.pii import pii_report
from mlkit.audit.report import as_text

yours = loans["users"][["email", "gender", "region"]].head(500)
yours = yours.assign(token=yours["email"].map(naive_token)).drop(columns="email")
with contextlib.chdir(shelf):
    yours.to_csv("segments.csv", index=False)
    loans["users"][["email"]].to_csv("crm.csv", index=False)
    print(as_text(pii_report(Path("segments.csv"), known=Path("crm.csv"))))
repository.remove(shelf)
display(source(mlkit.monday.compliance))
claim = params.read_yaml(project / "claims/compliance.yaml")[0]
say(f"> {claim['says']}. *Tested on a hundred fresh worlds by* `mlkit claims --only compliance`.")

# %% tags=["exercise"]
progress("compliance")
