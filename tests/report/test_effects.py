"""What pruning changes, what of it is said, and what the pages leave out."""

import itertools
from dataclasses import replace

import pytest

from bls_bench.config import registry
from bls_bench.experiments import spec
from bls_bench.records.archive import Archive
from bls_bench.report import cells, effects, findings, forest, overview
from bls_bench.report.compact import compact
from bls_bench.report.runs import Runs
from bls_bench.report.section import Block, of_runs
from tests.report.helpers import archived, use_fixture_tables

FULL, METHOD, RANDOM = "Full", "InfoBatch", "100% *random*"


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Build the small table of values by row; pruned and scorer by row may differ."""
    use_fixture_tables(monkeypatch)
    numbers = itertools.count()

    def built(values, pruned=None, scorers=None, pruners=None):
        folder = tmp_path / str(next(numbers))
        table, keys = spec.load("mini", "digits"), {}
        for row, own in values.items():
            for seed, value in enumerate(own):
                key = f"{row}{seed}"
                run = archived(key, value, pruned=(pruned or {}).get(row, 0.0 if row == FULL else 30.0))
                pruner = {
                    "_target_": "none" if row == FULL else "infobatch",
                    "prune": "below",
                    "target": None,
                }
                pruner |= (pruners or {}).get(row, {})
                scorer = {"_target_": (scorers or {}).get(row, "bls")}
                run = replace(run, config=run.config | {"seed": seed, "pruner": pruner, "scorer": scorer})
                Archive(folder).append(run)
                keys.setdefault((row, "ResNet-18"), {})[seed] = key
        return table, cells.build(table, keys, Runs(folder))

    return built


def outcome(build, values, pruned=30.0):
    found = effects.against_full(*build({FULL: [78, 78, 78], METHOD: values}, {METHOD: pruned}))
    return [one.outcome for one in found]


def test_an_outcome_says_what_the_interval_supports(build):
    assert outcome(build, [78.1, 78.0, 77.9]) == ["lossless"]
    assert outcome(build, [75.1, 75.0, 74.9]) == ["worse"]
    assert outcome(build, [81.1, 81.0, 80.9]) == ["better"]
    assert outcome(build, [80.0, 75.0, 78.0]) == ["open"]
    assert outcome(build, [75.1, 75.0]) == ["open"]  # below three seeds nothing is said


def test_what_prunes_nothing_is_no_finding(build):
    assert outcome(build, [78.1, 78.0, 77.9], pruned=0.0) == []


def test_scores_stand_beside_random_ones_that_prune_the_same(build):
    values = {FULL: [78, 78, 78], METHOD: [79.0, 79.1, 79.2], RANDOM: [77.0, 77.2, 77.1]}
    found = effects.against_random(*build(values, scorers={RANDOM: "random"}))
    assert [(one.cell.row.label, one.outcome) for one in found] == [(METHOD, "better")]
    assert found[0].found.difference == pytest.approx(2.0)
    assert effects.against_random(*build(values)) == []  # none has random scores
    for apart, count in ((0.9, 1), (1.1, 0)):
        built = build(values, {METHOD: 30 + apart, RANDOM: 30}, {RANDOM: "random"})
        assert len(effects.against_random(*built)) == count


def test_controls_are_what_looks_at_no_sample_and_what_prunes_nothing(build):
    values = {FULL: [78], METHOD: [78], RANDOM: [78]}
    _, built = build(values, scorers={RANDOM: "random"})
    assert [effects.is_control(cell) for cell in built["ResNet-18"]] == [True, False, False, True]


def test_losses_of_samples_stand_beside_random_scores_that_weigh_them_and_others_beside_plain_ones(build):
    rows = {FULL: [78] * 3, METHOD: [79.0, 79.1, 79.2], RANDOM: [77.0, 77.2, 77.1], "BLS": [70.0, 70.2, 70.1]}
    scorers = {METHOD: "per_sample", RANDOM: "random_per_sample", "BLS": "random"}
    (found,) = effects.against_random(*build(rows, scorers=scorers))
    assert (found.cell.row.label, found.found.difference) == (METHOD, pytest.approx(2.0))
    (found,) = effects.against_random(*build(rows, scorers=scorers | {METHOD: "bls"}))
    assert found.found.difference == pytest.approx(9.0)


def test_infobatch_on_losses_of_samples_stands_beside_candidates_drawn_at_random(build):
    rows = {FULL: [78] * 3, METHOD: [79.0, 79.1, 79.2], RANDOM: [77.0, 77.2, 77.1], "BLS": [70.0, 70.2, 70.1]}
    settings = {
        "scorers": {METHOD: "per_sample", RANDOM: "per_sample", "BLS": "random_per_sample"},
        "pruners": {RANDOM: {"prune": "random"}},
    }
    (found,) = effects.against_random(*build(rows, **settings))
    assert (found.cell.row.label, found.found.difference) == (METHOD, pytest.approx(2.0))
    # Random candidates at another rate leave the other control; scores of batch losses have neither.
    (found,) = effects.against_random(*build(rows, {RANDOM: 40.0}, **settings))
    assert (found.cell.row.label, found.found.difference) == (METHOD, pytest.approx(9.0))
    settings["scorers"] |= {METHOD: "bls"}
    assert effects.against_random(*build(rows, **settings)) == []


def test_a_control_may_be_brought_to_the_rate_by_a_target(build):
    rows = {FULL: [78] * 3, METHOD: [79.0, 79.1, 79.2], RANDOM: [77.0, 77.2, 77.1]}
    for pruner, count in (({"target": 0.3}, 1), ({"delta": 0.5}, 0)):
        built = build(rows, scorers={RANDOM: "stale"}, pruners={RANDOM: pruner})
        assert len(effects.against_stale(*built)) == count


@pytest.mark.parametrize("other", [RANDOM, "BLS"])
def test_of_controls_with_other_targets_that_which_prunes_the_same_counts(other, build):
    rows = {FULL: [78] * 3, METHOD: [79.0, 79.1, 79.2], RANDOM: [77.0, 77.2, 77.1], "BLS": [70.0, 70.2, 70.1]}
    targets = {RANDOM: {"target": 0.3}, "BLS": {"target": 0.3}} | {other: {"target": 0.6}}
    scorers = {RANDOM: "stale", "BLS": "stale"}
    table, built = build(rows, {other: 60.0}, scorers=scorers, pruners=targets)
    assert METHOD in [one.cell.row.label for one in effects.against_stale(table, built)]


def test_scorers_that_have_the_losses_of_samples_are_named():
    """The report imports no scorer, which would take torch: it names those that a class says it of."""
    own = {name for name in registry.names("scorer") if registry.resolve("scorer", name, ()).per_sample}
    assert own == {*effects.OWN_LOSS, effects.RANDOM_OWN_LOSS}


def test_stale_scores_are_a_control_of_their_own(build):
    rows = {FULL: [78] * 3, METHOD: [79.0, 79.1, 79.2], RANDOM: [77.0, 77.2, 77.1]}
    table, built = build(rows, scorers={RANDOM: "stale"})
    (found,) = effects.against_stale(table, built)
    assert (found.cell.row.label, found.found.difference) == (METHOD, pytest.approx(2.0))
    assert effects.against_random(table, built) == []
    assert effects.is_control(built["ResNet-18"][3])
    assert "Beside stale scores under the same pruner: 1 better" in findings.of_cells(table, built)


def test_the_comparisons_of_a_table_are_one_family(build):
    method = [77.0, 76.8, 77.05]  # p of 0.0057
    alone = effects.against_full(*build({FULL: [78.0] * 3, METHOD: method}))
    others = {"BLS": [80.0, 76.0, 78.0], RANDOM: [76.0, 80.0, 77.0]}
    among = effects.against_full(*build({FULL: [78.0] * 3, METHOD: method} | others))
    assert among[0].found.p_zero == pytest.approx(3 * alone[0].found.p_zero)
    assert among[0].interval == alone[0].interval
    assert [one.found.side for one in among] == ["worse", None, None]
    assert effects.one_by_one(among) == {"better": 0, "worse": 1}


def test_trainings_that_are_alike_count_once_with_the_most_seeds(build):
    few = effects.against_full(*build({FULL: [78] * 3, METHOD: [75, 76, 74]}))
    many = effects.against_full(*build({FULL: [78] * 4, METHOD: [75, 76, 74, 75]}))
    assert [one.found.n for one in effects.distinct([*few, *many, *few])] == [4]


def test_sentences_count_and_tell_intervals_with_commands(build):
    section = of_runs(*build({FULL: [78, 78, 78], METHOD: [78.1, 78.0, 77.9], RANDOM: [70, 71, 72]}))
    told = overview.sentences([section])
    assert len(told) == 5
    assert "Of 2 comparisons" not in told[0]  # the two rows are trained alike
    assert "+0.00 [-0.25, +0.25] points at 30.0% pruned (n=3)" in told[2]
    assert "`make mini SCALE=digits SEEDS=0,1,2`" in told[2]
    assert overview.sentences([]) == []
    assert overview.figure([section]) is None


def test_what_says_nothing_is_folded(build):
    section = of_runs(*build({FULL: [78, 78], METHOD: [79, 76]}))
    (block,), notes = compact(section)
    assert "Difference" not in block.header  # other data stand in for the paper's
    assert "Verdict" not in block.header
    assert "Time saved" not in block.header
    assert [texts[0] for texts in block.lines] == [FULL, METHOD]
    assert all(len(texts) == len(block.header) for texts in block.lines)
    text = " ".join(notes)
    assert all(words in text for words in ("BLS", "Not run: ResNet-50.", "not enough seeds"))
    paper = replace(section, stands_in=False)
    assert "Difference" in compact(paper)[0][0].header


def test_nothing_that_says_something_is_lost(build):
    section = of_runs(*build({FULL: [78, 78, 78], METHOD: [75.0, 75.1, 74.9]}))
    full, (shown,) = section.blocks[0], compact(section)[0]
    kept = [full.header.index(name) for name in shown.header]
    lines = [[texts[place] for place in kept] for texts in full.lines if texts[1] != "missing"]
    assert shown == Block(full.caption, shown.header, lines)
    assert shown.lines[1][shown.header.index("Verdict")] == "worse"


def test_a_forest_plot_draws_every_difference_and_controls_grey(build):
    values = {FULL: [78, 78, 78], METHOD: [79.0, 79.1, 79.2], RANDOM: [40.0, 77.2, 77.1]}
    table, built = build(values, scorers={RANDOM: "random"})
    figure = forest.draw("title", forest.panels(table, built))
    (axis,) = figure.axes
    drawn = {
        (line.get_color(), line.get_marker()): line.get_xydata().tolist()
        for line in axis.lines
        if line.get_linestyle() == "None" and len(line.get_xdata())
    }
    (at,) = drawn[forest.METHOD, "o"]
    assert at[0] == pytest.approx(1.1)
    assert len(drawn[forest.CONTROL, "o"]) == len(drawn[forest.RANDOM, "D"]) == 1
    assert [label.get_text() for label in axis.get_yticklabels()] == [METHOD, RANDOM]


def test_a_forest_plot_has_the_rows_that_prune_nothing_as_controls(build):
    values = {FULL: [78, 78, 78], METHOD: [79.0, 79.1, 79.2]}
    (panel,) = forest.panels(*build(values, {METHOD: 0.0}))
    assert list(panel.full) == [METHOD]
    assert effects.is_control(panel.full[METHOD].cell)


def test_a_forest_plot_is_of_what_has_an_interval(build):
    assert forest.panels(*build({FULL: [78], METHOD: [77]})) == []
