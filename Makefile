.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

setup: .venv/installed ## make .venv with everything installed (torch is large: some minutes)

demo: setup ## train bls_seta on scikit-learn's digits, one to two minutes on two cores
	$(BIN)/python -m bls_bench.train pruner=bls_seta model=resnet18

test: setup ## run the tests, but for the long ones
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

test-slow: setup ## run the long tests
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

# A kill takes about a quarter of a minute on two cores; SEED draws other moments and values.
KILLS ?= 100
SEED ?= 0
test-faults: export BLS_BENCH_FAULT_KILLS = $(KILLS)
test-faults: export BLS_BENCH_FAULT_SEED = $(SEED)
test-faults: export BLS_BENCH_FAULT_VALUES = 300
test-faults: setup ## damage whatever can be damaged: KILLS=100 killed runs, 300 values, folders, records
	$(BIN)/python -m pytest -s tests/test_kills.py tests/config/test_any_value.py tests/data/test_zoo.py \
		tests/records/test_damage.py tests/engine/test_sealed.py tests/engine/test_shortage.py \
		tests/library/test_any_state.py

lint: setup ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Tables and figures: SCALE=digits (minutes), small (hours), gpu (for one GPU) or paper (the papers' own, for a GPU).
SCALE ?= digits
# SEEDS: a list, or auto: more seeds for each row until it is decided, at most BUDGET of them.
SEEDS ?= 0,1,2,3,4
BUDGET ?= 40
LAUNCHER ?= basic
TABLES := fig2 table1 table2 table3 table4 table5 table6 table7 table8 table9 fig3 correlation \
	repb-table1 repb-table2 repb-table4 repb-table5 repb-table6 repb-table7 repb-table8 repb-table9 repb-table10 repb-table11 repb-fig2 \
	infobatch-table1 infobatch-table3 infobatch-table4 infobatch-table5 infobatch-table7 infobatch-table8 infobatch-table9 \
	infobatch-fig3 infobatch-fig4

fig2: ## BLS Figure 2: spectra of signal and noise, what the moving average removes
table1: ## BLS Table 1: captioning and text recognition
table2: ## BLS Table 2: methods at three pruning rates
table3: ## BLS Table 3: other architectures
table4: ## BLS Table 4: captioning and multi-view stereo
table5: ## BLS Table 5: generation, a VAE and diffusion
table6: ## BLS Table 6: semi-supervised learning
table7: ## BLS Table 7: detection and instance segmentation
table8: ## BLS Table 8: what the moving average is worth, with controls
table9: ## BLS Table 9: bookkeeping beside training steps, measured here
fig3: ## BLS Figure 3: accuracy and pruned % over alpha
correlation: ## what BLS scores know of the samples, over training
repb-table1: ## RePB Table 1: methods at three pruning rates
repb-table2: ## RePB Table 2: captioning and text recognition
repb-table4: ## RePB Table 4: multi-view stereo
repb-table5: ## RePB Table 5: cross-view retrieval
repb-table6: ## RePB Table 6: captioning
repb-table7: ## RePB Table 7: generation
repb-table8: ## RePB Table 8: images, texts and sounds, all labels and few
repb-table9: ## RePB Table 9: other sampling, the gradient norm as score
repb-table10: ## RePB Table 10: resampling, local windows, temporal rescaling
repb-table11: ## RePB Table 11: the same for RePB
repb-fig2: ## RePB Figure 2: accuracy over the pruned %, sizes of the windows
infobatch-table1: ## InfoBatch Table 1: static and dynamic methods at three pruning rates
infobatch-table3: ## InfoBatch Table 3: a masked autoencoder
infobatch-table4: ## InfoBatch Table 4: rescaling and annealing
infobatch-table5: ## InfoBatch Table 5: which samples are pruned
infobatch-table7: ## InfoBatch Table 7: other optimizers
infobatch-table8: ## InfoBatch Table 8: latent diffusion
infobatch-table9: ## InfoBatch Table 9: instruction tuning
infobatch-fig3: ## InfoBatch Figure 3: accuracy and pruned % over r and delta
infobatch-fig4: ## InfoBatch Figure 4a: semantic segmentation
$(TABLES): setup
	$(BIN)/python -m bls_bench.tables $@ --scale $(SCALE) --seeds $(SEEDS) --budget $(BUDGET) --launcher $(LAUNCHER)

# JOBS: cells at a time, -1 for one a core.
JOBS ?= -1
scores-matter: setup ## what scores are worth over random ones, 40 paired seeds: over an hour of one core, an hour more with photographs
	$(BIN)/python scripts/scores_matter.py --scale $(SCALE) --jobs $(JOBS)

diagnose: setup ## what the scores of a run are made of: RUN=outputs/KEY
	$(BIN)/python -m bls_bench.diagnose records=$(RUN)

tables: setup ## render all tables from the records there are, training nothing
	$(BIN)/python -m bls_bench.tables --render --scale $(SCALE)

reference: setup ## write docs/reference.md from the settings in the code
	$(BIN)/python scripts/reference.py

docs: setup ## write the documentation as a site, site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: setup ## time the bookkeeping beside torch's own sampler, some minutes
	$(BIN)/python scripts/bench_overhead.py

bench-train: setup ## time training beside a plain PyTorch loop, and what pruning saves of it, some minutes
	$(BIN)/python scripts/bench_train.py

.PHONY: help setup demo test test-slow test-faults lint tables reference docs bench bench-train scores-matter diagnose $(TABLES)
