# Each target is one call of kit.py, which also runs where there is no make: python kit.py test
PYTHON ?= python3

help: ; @awk -F ': ; .* ## ' 'NF == 2 {printf "make %-10s %s\n", $$1, $$2}' Makefile ## print this list
repro: ; @$(PYTHON) kit.py repro ## run the pipeline (dvc repro), print the table of scores
test: ; @$(PYTHON) kit.py test ## check everything, stop at the first red step (test NAME: one step)
lab: ; @$(PYTHON) kit.py lab ## open JupyterLab on your own copies of the notebooks, in work/
doctor: ; @$(PYTHON) kit.py doctor ## check this machine in seconds, with a fix for each red line
notebooks: ; @$(PYTHON) kit.py notebooks ## build the notebooks from notebooks/src, all or those named
claims: ; @$(PYTHON) kit.py claims ## test the claims over many seeds (--seeds 5 --only skew)
proof: ; @$(PYTHON) kit.py proof ## gather all slow evidence into proof/table.md
upgrade: ; @$(PYTHON) kit.py upgrade ## resolve the libraries anew, make everything again, report what moved (--seeds 100)
tools: ; @$(PYTHON) kit.py tools ## make .venv-tools/, the environment of the real systems

.PHONY: help repro test lab doctor notebooks claims proof upgrade tools
