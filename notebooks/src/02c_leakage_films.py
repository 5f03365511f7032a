# %% [markdown]
# # 02c · Where does the model look?
#
# *A gallery of one picture: a [shortcut](../glossary.md#shortcut) in chest films. Ten minutes to
# read.*
#
# If the next cell fails, run `python kit.py doctor` in the project's folder.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from mlkit import params, plots
from mlkit.leakage import films as shortcut
from mlkit.lesson import say, source
from mlkit.model import make_world
from mlkit.params import stream
from mlkit.plots.films import where_it_looks

plt.style.use("mlkit.lesson")
settings = params.load()
seed = settings["seed"]

# %% [markdown]
# The syllabus tells of films from intensive care: the tube was on the film, so the model read the
# tube. No source is given. The nearest documented case is Zech et
# al., *PLoS Medicine* 15(11) e1002683, 2018, where a model read from the film which
# hospital it came from. Here the equipment is a
# [proxy](../glossary.md#proxy) of the answer (L2), and the test set comes from another population
# than the patients to come (L3.3). The team trains on the hospital's archive, and validates there.

# %%
xrays = settings["worlds"]["xrays"]
archive = make_world("xrays", rng=stream(seed, "xrays", "make"), **xrays)
hospital = shortcut.inject_shortcut(archive, rng=stream(seed, "leakage", "films"))
before = shortcut.film_scores(hospital)
say(f"Validated in the hospital: **{before['validation']:.2f}**. At the clinic, where nobody has a "
    f"tube: **{before['outpatient']:.2f}**, with {before['recall']:.0%} of the sick found.")

# %% [markdown]
# *Predict: how well would a rule do that knows nothing but "equipment, yes or no"?* The audit is
# one line. Two further checks need no truth either: does training know every place where the model
# works, and does the model find the sick who lie there *without* equipment?

# %%
wards = archive["films"].query("site != 'outpatient'")
print(f"equipment alone: {shortcut.alone(wards, column='equipment'):.3f}")
shortcut.detect_shortcut(hospital).round(3)

# %% [markdown]
# The repair is not a better model but other films: half of the training films from the clinic. Are
# they better, or just more? The control leaves out as many films at random. And the fault in an
# *even* archive, where the healthy have equipment as often as the sick, does no harm.

# %%
source(shortcut.inject_shortcut, shortcut.repair_shortcut)

# %%
rng, even_knobs = stream(seed, "films"), settings["presets"]["xrays"]["independent"]
fixed = shortcut.repair_shortcut(hospital)
fewer = shortcut.inject_fewer_films(archive, rng=rng)
even = make_world("xrays", rng=stream(seed, "xrays", "make"), **{**xrays, **even_knobs})
states = {"hospital alone": hospital, "half from the clinic": fixed, "as few, at random": fewer,
          "hospital alone, even": shortcut.inject_shortcut(even, rng=rng)}
pd.DataFrame({name: shortcut.film_scores(tables) for name, tables in states.items()}).T.round(3)

# %%
maps = {"broken": hospital, "fixed": fixed, "clean": states["hospital alone, even"]}
maps = {state: shortcut.evidence_map(tables) for state, tables in maps.items()}
plots.show(where_it_looks(shortcut.examples(archive), maps),
           alt="Four films, then three maps of where the model finds evidence. Before the repair "
           "it is the tube; after it, tube and lungs; in an even archive, the lungs.")
on_lungs = {state: shortcut.share_on_lungs(found) for state, found in maps.items()}
say(f"After the repair the model does its work at the clinic, yet on hospital films only "
    f"{on_lungs['fixed']:.0%} of its evidence lies on the lungs. The shortcut is outvoted, not "
    f"forgotten. Where equipment says nothing, it is {on_lungs['clean']:.0%}.")
