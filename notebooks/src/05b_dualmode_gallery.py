# %% [markdown]
# # 05b · Which architecture, and where do the milliseconds go?
#
# *The gallery of dual mode: skip what you do not need. Forty minutes to read, twenty to play. Stop
# after any picture.*
#
# The syllabus names three architectures for batch and real time together, and chooses between them
# by a table of five rows. Here all of them run over one log, and a service runs for real: it stores
# each charge, updates the card, scores. At the end the table is written anew.
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mlkit import model, params, plots
from mlkit.dualmode import architectures, embeddings, latency, load, watermarks
from mlkit.dualmode.faults import delivered_twice, instead
from mlkit.lesson import say, source
from mlkit.params import maker, stream
from mlkit.plots import dualmode_gallery as figures

# %%
plt.style.use("mlkit.lesson")
settings = params.load()
seed, knobs = settings["seed"], {**settings["worlds"]["cards"], "n_users": 300}
cards = model.make_world("cards", rng=stream(seed, "cards", "make"), **knobs)
charges = cards["charges"]
arrivals = delivered_twice(charges, rng=stream(seed, "twice"), copies=0.02, copy_hours=1.0)
say(f"{len(charges):,} charges of {charges['user_id'].nunique()} cards; the log holds "
    f"{len(arrivals):,} deliveries, because some come twice, and all come late.")

# %% [markdown]
# ## One log, four architectures
#
# *Batch only*: every night, over what has arrived. *[Lambda](../glossary.md#lambda-architecture)*:
# batch until midnight plus a second program, the speed layer, for what came since; the two are
# added. *[Kappa](../glossary.md#kappa-architecture)*: one program that keeps the windows of each
# card. *Hybrid*: long windows from the nightly batch, short ones from the stream. `short` and
# `long` are the shares of charges whose windows (minutes and an hour; thirty days) equal what
# could be known at that moment.

# %%
table = architectures.compare(charges, arrivals)
table.round(3)

# %%
plots.show(figures.architectures(table), alt="Bars of the share of right short and long windows "
           "for four architectures. Both bars reach one for Kappa only.")

# %% [markdown]
# Lambda's windows are wrong though no delivery is in both layers and each program does what its
# authors meant. Nobody finds this by reading one of them, which makes it hard to debug: the batch's
# thirty days begin at a midnight, a window across midnight has lost its beginning, and the speed
# layer counts deliveries where the batch counts ids. `per_feature` is the reason: two definitions
# of one feature. The hybrid has two programs as well, but each feature has one definition; its long
# windows are of last midnight (`hours_old`), and wrong only if you expect more. `read_nightly` is
# what all the nights have read: with all of history each night, many times the log.
#
# Does it matter? Each architecture with a model trained on what it serves, judged by the truth:

# %%
scores = {}
for name, serve in architectures.SERVE.items():
    features = instead(cards["served"], serve(charges, arrivals))
    world = model.log_decisions({**cards, "training": features, "served": features})
    scores[name] = model.performance(world)
pd.DataFrame(scores).T[["offline", "honest", "production"]].round(3)

# %% [markdown]
# Without a stream the bursts are invisible, and much of the score is lost with them. Between the
# other three there is next to nothing: here yesterday's long windows do as well as today's, wrong
# seams hardly hurt, and **this world does not argue for the hybrid**, nor against it. It argues for
# short windows that are fresh. Choose between the three by what they cost to run and to change.

# %% [markdown]
# ## "Kappa guarantees consistency"
#
# One code base, says the syllabus, so training and serving agree. The stream served every charge;
# later somebody replays the log to make a training table. How many of its rows equal what was
# served depends on how it is replayed:

# %%
live, rows = architectures.serve_kappa(charges, arrivals), {}
for name, replayed in architectures.trained_on(charges, arrivals).items():
    equal = {kind: architectures.right(replayed, live, columns) for kind, columns in
             (("short", architectures.SHORT), ("long", architectures.LONG))}
    rows[name] = equal
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# The guarantee holds in one row of four: same code, and nothing counted that had not arrived.
# Replayed as a finished log, late charges are there in time, as they never were. Replayed by newer
# code, even a correction, every average differs from what the old model was served: version the
# code with the features, or log what was served ([log and train](../glossary.md#log-and-train)).
# And a log that has been cut starts from empty windows without a word.
#
# ## Retention against replay
#
# A log cannot be kept for ever. What goes are the events, and with them the memory of their ids:

# %%
from mlkit.dualmode.log import EventLog

with EventLog(":memory:") as log:
    log.append_many({"charge_id": number} for number in range(1, 101))
    again = log.append({"charge_id": 1})
    log.truncate(before=41)
    forgotten = log.append({"charge_id": 1})
    found = {"first kept": log.read(limit=1)[0].offset, "low watermark": log.low(),
             "events": len(log), "id 1, sent again before": again, "and after": forgotten}
pd.Series(found, name="offset or count").to_frame()

# %% [markdown]
# Before the cut the second sending of an id was recognised and got the first offset; after it, the
# same id is a new event. And nothing in a replay of the rest says that its beginning is missing:
# assert `log.low() == 0` before a [backfill](../glossary.md#backfill), or begin from a
# [snapshot](../glossary.md#snapshot) taken before the cut. Keep ids longer than any producer may
# retry, and events longer than the longest window plus the latest arrival. The other drawbacks of
# a long log: it is stored for as long as anybody may want to replay it, and a stream usually
# replays it one event after the other, where a batch reads whole columns.
#
# ## Partitions that fall silent
#
# A log in four partitions, one [watermark](../glossary.md#watermark): the least of theirs, for a
# window is complete when every partition is past it. One day, a partition is silent for hours, and
# brings in the afternoon what had happened.

# %%
day = charges[charges["event_ts"].dt.day_of_year == 60]
deliveries = pd.DataFrame({"partition": day["user_id"] % 4, "event_ts": day["event_ts"],
                           "arrival_ts": day["ingest_ts"]})
silent = (deliveries["partition"] == 2) & deliveries["arrival_ts"].dt.hour.between(8, 15)
awake = deliveries["arrival_ts"].dt.floor("D") + pd.Timedelta(hours=16)
deliveries["arrival_ts"] = deliveries["arrival_ts"].mask(silent, awake)
waiting = watermarks.joint_watermark(deliveries)
timed = watermarks.joint_watermark(deliveries, idle_seconds=3_600.0)
plots.show(figures.behind(waiting, timed), alt="Hours by which the watermark is behind the clock. "
           "Without a timeout it climbs all day while one partition is silent; with one it stays "
           "low.")

# %%
say(f"Late by the watermark: {waiting['late'].sum()} of {len(waiting)} deliveries without a "
    f"timeout, {timed['late'].sum()} with it.")

# %% [markdown]
# No error, no lag in any consumer: the answers stop coming, for all cards. With an idle timeout the
# others go on. This is its price: the partition was not dead but slow, and what it brought when it
# woke was late. Every quiet hour of a small partition looks like silence, too.
#
# ## Taking an answer back
#
# A window was answered, and a late charge arrives. The stream may drop it, or answer again. What
# does a table show that adds up what it is told?

# %%
from mlkit.dualmode.windows import windows

told = windows(charges, arrivals, allowed_seconds=60.0)
totals = watermarks.sinks(told)
totals.rename("charges").to_frame().assign(off=totals - totals["truth"])

# %% [markdown]
# A second answer has to say that it replaces the first: as a
# [retraction](../glossary.md#retraction) (take this back, add that) or under a key (one row per
# card and window). A sink that only adds is right as long as nothing is ever late.
#
# ## A service that runs
#
# Python starts it as a process of its own, on this machine only. It appends each charge to the log
# (acknowledged means synced to disk), computes the features as of the charge, updates the card and
# scores. Halfway it is killed, without a farewell, and started again:

# %%
folder = tempfile.TemporaryDirectory()
log_file, model_file = (Path(folder.name) / name for name in ("log.sqlite", "model.skops"))
model.save_model(fitted := model.fit(cards), model_file)
sent = charges.sort_values("ingest_ts", kind="stable").head(300)
bodies = load.bodies_of(sent)
with load.running(log_file, model_file) as child:
    replies = load.send(child.port, bodies[:150])
    child.process.kill()
with load.running(log_file, model_file) as child:
    replies += load.send(child.port, bodies[150:])
    again = load.send(child.port, bodies[100:200])
    spoiled = load.malformed(bodies[0])
    refused = load.send(child.port, spoiled.values())
    last, health = load.send(child.port, bodies[-1:])[0], load.health(child.port)

# %%
from mlkit.features import CARD_FEATURES, card_features

names = list(CARD_FEATURES)
served = pd.DataFrame([reply.answer["features"] for reply in replies], dtype="float64")
batch = card_features(sent.assign(fraud_known_ts=sent["event_ts"].where(sent["charge_id"] < 0)))
same = np.isclose(served, batch[names], rtol=0, atol=1e-9, equal_nan=True).all(axis=1)
scored = np.array([reply.answer["score"] for reply in replies])
gap = np.abs(scored - fitted.predict_proba(batch[names])[:, 1]).max()
counts = {"sent": len(bodies), "sent twice": len(again), "in the log": health["events"],
          "features as in batch": int(same.sum()), "scores to 1e-9": bool(gap < 1e-9),
          "spoiled": len(spoiled), "dead letters": health["dead_letters"],
          "right after all that": last.answer["score"] == replies[-1].answer["score"]}
pd.Series(counts, name="count").to_frame()

# %% [markdown]
# The first half survived the kill, because the state is made again from the log. (A kill is not a
# power cut: what only the operating system had would have survived it, too. Against the other there
# is the sync, and no test from inside.) What was sent twice is there once. These were the spoiled
# ones, each refused with a sentence, and kept:

# %%
with EventLog(log_file, key="event_id") as log:
    letters = pd.DataFrame(log.dead_letters())
pd.set_option("display.max_colwidth", 90)
status = [reply.status for reply in refused]
pd.DataFrame({"sent": list(spoiled), "status": status, "reason": letters["reason"]})

# %% [markdown]
# A [dead letter](../glossary.md#dead-letter) is not lost: when the fault was ours, it is read,
# repaired and sent again. Its table is bounded, or a flood of rubbish would fill the disk and stop
# the good ones; so read it in time. The limit on the size is applied while the body streams in,
# whatever its header says, and before the parser.
#
# ## Where the milliseconds go
#
# The same steps one by one, in this process; the whole over HTTP from above; and two other ways to
# ask for a score: the same pipeline with a data frame of one row, and a forest of a hundred trees.

# %% tags=["nbval-ignore-output"]
from mlkit.dualmode.scorer import Scorer, frame_row

with EventLog(log_file.with_name("parts.sqlite"), key="event_id") as log:
    parts = latency.parts(Scorer(log, fitted), bodies[:200])
taken = {name: parts[name].to_numpy() for name in ("parse", "features", "update", "score")}
taken["append, synced"] = parts["append"].to_numpy()
taken["all, over HTTP"] = np.array([reply.ms for reply in replies])
asked = batch[names].iloc[:60].to_dict("records")
forest = latency.small_forest(*model.labelled(cards, "training", "train"))
taken["pipeline, data frame"] = latency.each(frame_row(fitted), asked)
taken["forest of 100 trees"] = latency.each(frame_row(forest), asked)
ax = figures.milliseconds(latency.summary(taken), limit_ms=50.0)
plots.show(ax, alt="Bars of milliseconds on a log scale. Parsing, features, update and the score "
           "by arithmetic are far shorter than the synced append, HTTP and the forest.")
folder.cleanup()

# %% [markdown]
# The features of the card, about which most designs worry, are microseconds: they are in memory.
# The rest is elsewhere. *The disk*: acknowledged means synced; groups of appends share one sync.
# *The model*: scikit-learn is made for many rows, and asks a data frame of one row many questions.
# The kit's pipeline is a logarithm, a median, a scale and a logistic, so `score` does this with
# numpy, to the same number but for the last digits:

# %%
from mlkit.dualmode.scorer import plain_row

source(plain_row)

# %% [markdown]
# *HTTP*: the first version of this service spent nearly all that fraud may take on each answer, and
# none of it was in Python: an answer leaves as two small packets, and the second waited for the
# client's delayed acknowledgement. One word about the socket cured it (see `service.listen`; the
# benchmark `test_service_speed.py` measures both). Measure at the client, and the slowest hundredth
# too.
#
# And latency is not [freshness](../glossary.md#freshness). A nightly table in a fast store answers
# in a millisecond, with yesterday's value.
#
# ## Vectors once a week, moved by each purchase
#
# The syllabus's other scenario: embeddings in batch, updated in between. In the shop, items
# (a category at a level of price) get vectors from what the same people buy; a customer is the mean
# of what they bought. Weekly vectors wait for Sunday, online ones move with each purchase that
# arrives. Of the next purchase we ask: was it among the first five?

# %%
shop = maker("shop")(rng=stream(seed, "shop", "make"), **settings["worlds"]["shop"])
hits, moved = {}, {}
for memory in (0.0, 0.1, 0.3):
    ranks = embeddings.next_purchases(shop["transactions"], memory=memory)
    hit = ranks[["weekly", "online", "popular"]] < 5
    hits[memory], moved[memory] = hit.mean(), hit[ranks["moved"]].mean()
rates = pd.DataFrame(hits).T
plots.show(figures.freshness(rates), alt="Hit rates against how fast the mean forgets. Online lies "
           "a little above weekly everywhere; both rise with forgetting; popularity is flat.")

# %%
both = {"all purchases": rates.loc[0.3], "bought since the batch": moved[0.3]}
pd.DataFrame(both).T.assign(gain=lambda t: t["online"] - t["weekly"]).round(3)

# %% [markdown]
# Fresh vectors help, and little: most customers have not bought anything since Sunday, so there is
# nothing to be fresh about. What helps many times more is the choice of the mean, which needs no
# stream: a plain mean of all purchases does worse here than the same five best-sellers for all.
# Ask how often the truth moves between two batches before you build a stream.
#
# ## The decision table, corrected
#
# The syllabus's five rows ask two questions as if they were one: how fast must an *answer* be, and
# how old may the *information* in it be? Fifty milliseconds is an answer; an hour is information.
#
# 1. *All features are simple aggregates: Kappa.* Not how simple: how far back, can the log be
#    replayed that far, and can the value be merged and taken back? A sum can; a maximum or a
#    distinct count cannot as easily.
# 2. *Complex and simple features together: Lambda.* A mix needs one definition per feature, which
#    is the hybrid. Lambda is two definitions of the same feature: only where the newest part cannot
#    wait and history cannot be streamed. Then test the seam.
# 3. *There is a [feature store](../glossary.md#feature-store): hybrid.* A store keeps values, it
#    does not make them agree. Who computes them, on which clock, and does the training join know
#    when a value was written?
# 4. *Up to an hour late is acceptable: batch only.* That is about freshness and says nothing of the
#    answer: precompute, and look up in a millisecond. Ask it of each feature, not of the system:
#    here the short windows alone made most of the difference.
# 5. *Everything within a second: streaming only.* Late records set the limit, not the engine. What
#    is in the request itself needs no stream: compute it there. Long windows rarely need seconds.
#
# Rows that it lacks: who may *change* a definition, and what has to be read again then; how a
# *correction or deletion* gets through; what happens while the speed layer is *down*; and whether
# the model gains anything at all from being fresh, which you can measure before you build.
