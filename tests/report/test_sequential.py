"""Seeds added until they decide: the error that was promised is kept, and only what is open goes on."""

import itertools

import numpy as np
import pytest
from scipy import stats

from bls_bench.experiments import manifest, spec, sweep
from bls_bench.experiments.manifest import ALPHA, Rule, rule_within
from bls_bench.records.archive import Archive
from bls_bench.report import growing
from bls_bench.report.sequential import Pair, judged, latest
from bls_bench.report.statistics import CONFIDENCE
from bls_bench.system.errors import InputError
from bls_bench.tables import main as tables_command
from tests.report.helpers import use_fixture_tables, write_record

RULE = rule_within(40)
# The same looks, each at the whole 5%: what nobody should do.
GREEDY = Rule(RULE.looks, (ALPHA,) * 4)


def drawn(rng, difference, deviation, margin=0.5, seeds=40):
    """A method and full data whose differences are normal."""
    full = rng.normal(78, 1, seeds)
    method = full + rng.normal(difference, deviation, seeds)
    return Pair(dict(enumerate(method)), dict(enumerate(full)), margin, "higher")


def allowed(count):
    """How many of so many claims may be wrong where each is in 5% of cases; more are once in a thousand."""
    return stats.binom.ppf(0.999, count, ALPHA)


def test_the_rule_is_looks_that_double_up_to_the_budget_and_an_equal_share_for_each():
    assert Rule((5, 10, 20, 40), (0.0125,) * 4) == RULE
    assert rule_within(5) == Rule((5,), (0.05,))
    assert rule_within(30).looks == (5, 10, 20, 30)
    assert pytest.approx(1 - CONFIDENCE) == ALPHA == sum(RULE.alpha)
    with pytest.raises(InputError, match="BUDGET=4 must be at least 5 seeds, the first look"):
        rule_within(4)


def test_at_the_margin_lossless_is_said_in_one_of_twenty_cases_at_most():
    rng, count = np.random.default_rng(0), 800
    # So small a spread that every look has the power to say it.
    pairs = [drawn(rng, 0.5, 0.3) for _ in range(count)]
    wrong, greedy = (sum(one.outcome == "lossless" for one in judged(pairs, rule)) for rule in (RULE, GREEDY))
    assert wrong <= allowed(count) < greedy  # looking four times at 5% would be found out


def test_where_nothing_differs_a_table_says_better_or_worse_in_one_of_twenty_at_most():
    rng, count = np.random.default_rng(1), 150
    # Without a margin, so that no row stops as lossless.
    tables = [[drawn(rng, 0.0, 1.0, margin=None) for _ in range(4)] for _ in range(count)]
    wrong, greedy = (
        sum(any(one.outcome != "open" for one in judged(table, rule)) for table in tables)
        for rule in (RULE, GREEDY)
    )
    assert wrong <= allowed(count) < greedy


def test_a_clear_difference_is_decided_at_the_first_look_and_no_later_seed_changes_that():
    rng = np.random.default_rng(2)
    pairs = [drawn(rng, -5, 0.3), drawn(rng, 5, 0.3), drawn(rng, 0, 0.05), drawn(rng, -0.5, 0.7)]
    found = judged(pairs, RULE)
    assert [one.outcome for one in found[:3]] == ["worse", "better", "lossless"]
    assert [(one.n, one.told) for one in found[:3]] == [
        (5, "worse, look 1 of 4"),
        (5, "better, look 1 of 4"),
        (5, "lossless, look 1 of 4"),
    ]
    assert found[3].n > 5
    changed = Pair({seed: value + (seed >= 5) * 50 for seed, value in pairs[0].method.items()},
                   pairs[0].other, 0.5, "higher")  # fmt: skip
    assert judged([changed], RULE)[0].difference == found[0].difference


def test_what_a_look_lacks_waits_for_it():
    pair = drawn(np.random.default_rng(3), -5, 0.3)

    def had(seeds):
        own = {seed: pair.method[seed] for seed in seeds}
        return judged([Pair(own, pair.other, 0.5, "higher"), None], RULE)

    assert had([0, 1, 2, 4, 5, 6]) == [had([0, 1, 2, 4, 5, 6])[0], None]
    assert had([0, 1, 2, 4, 5, 6])[0].told == "not enough seeds, before look 1 of 4"
    assert had(range(8))[0].told == "worse, look 1 of 4"
    assert latest(pair, RULE).look == 4
    early = Pair(pair.method, {seed: pair.other[seed] for seed in range(13)}, None, "higher")
    assert (latest(early, RULE).n, latest(early, RULE).outcome) == (10, "worse")


def test_a_row_shown_to_differ_leaves_more_to_the_others_and_a_lossless_one_does_not():
    """The second row at its second look: corrected for two rows, or for itself alone."""
    rng = np.random.default_rng(4)
    second = drawn(rng, -0.8, 1.0, seeds=10)
    for first, rows in ((drawn(rng, -5, 0.3), 1), (drawn(rng, 0, 0.02), 2)):
        one = judged([first, second], RULE)[1]
        values = [second.method[seed] - second.other[seed] for seed in range(10)]
        assert one.look == 2
        assert one.p_zero == pytest.approx(min(1, stats.ttest_1samp(values, 0).pvalue * 4 * rows))


VALUES = {"none": (78, 1.0), "infobatch": (0, 0.02), "bls_infobatch": (-0.2, 0.9), "random": (-5, 0.3)}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results in which a sweep draws numbers in place of training."""
    use_fixture_tables(monkeypatch)
    runs = []

    def train(merged, folder, launcher):
        keys = manifest.read(manifest.path(tmp_path, "mini", "digits"))
        for pruner, seed in itertools.product(merged["pruner"], map(int, merged["seed"])):
            row = next(row for row in spec.load("mini", "digits").rows if row.overrides["pruner"] == pruner)
            full = 78 + np.random.default_rng(seed).normal()
            difference, deviation = VALUES[pruner]
            own = full + np.random.default_rng([seed, len(pruner)]).normal(difference, deviation)
            pruned = 0.0 if pruner == "none" else 30.0
            write_record(
                folder, keys[row.label, "ResNet-18"][seed], full if not pruned else own, pruned=pruned
            )
            runs.append((pruner, seed))

    monkeypatch.setattr(sweep, "_train", train)
    return tmp_path, runs


def command(monkeypatch, folder, *words):
    monkeypatch.setattr("sys.argv", ["bls_bench.tables", "mini", *words, "--results", str(folder)])
    with pytest.raises(SystemExit) as stopped:
        tables_command()
    return stopped.value.code


def test_only_rows_that_are_open_get_more_seeds_and_full_data_with_them(results, monkeypatch, capsys):
    folder, runs = results
    assert command(monkeypatch, folder, "--seeds", "auto", "--budget", "20") == 0
    seeds = {pruner: sorted(seed for name, seed in runs if name == pruner) for pruner in VALUES}
    assert seeds == {
        "none": list(range(20)),
        "infobatch": list(range(5)),
        "bls_infobatch": list(range(20)),
        "random": list(range(5)),
    }
    assert "look 2 of 3, at 10 seeds: 2 of its cells are undecided" in capsys.readouterr().out
    assert manifest.rule(manifest.path(folder, "mini", "digits")) == rule_within(20)
    page = (folder / "tables" / "mini.digits.md").read_text()
    assert "make mini SCALE=digits SEEDS=auto BUDGET=20" in page
    assert "looks at 5, 10, 20 seeds" in page
    for told in ("lossless, look 1 of 3", "worse, look 1 of 3", "not enough seeds, look 3 of 3"):
        assert f"| {told} |" in page

    # The same call finds nothing to train; another budget comes after looking; given seeds stay a rule's.
    count = len(runs)
    assert command(monkeypatch, folder, "--seeds", "auto", "--budget", "20") == 0
    assert len(runs) == count
    assert command(monkeypatch, folder, "--seeds", "auto") == 2
    assert "BUDGET=40 comes too late" in capsys.readouterr().err
    assert command(monkeypatch, folder, "--seeds", "0,1,2,3,4,5") == 0
    assert sorted(runs[count:]) == [("infobatch", 5), ("random", 5)]
    assert "| worse, look 1 of 3 |" in (folder / "tables" / "mini.digits.md").read_text()


def test_a_cell_that_lacks_a_run_stays_where_it_is(results, monkeypatch):
    folder, _ = results
    table, rule = spec.load("mini", "digits"), rule_within(10)
    asked = []

    def train(seeds, only):
        asked.append((len(seeds), only))
        failed = sweep.run(table, seeds, only, results=folder, launcher="basic", rule=rule)
        file = folder / "digits" / "runs.jsonl"
        key = manifest.read(manifest.path(folder, "mini", "digits"))["BLS", "ResNet-18"][3]
        file.write_text("".join(line for line in file.read_text().splitlines(True) if key not in line))
        return failed

    growing.grow(table, rule, folder, train)
    assert asked == [(5, None)]  # the other two are decided
    assert len(list(Archive(folder / "digits"))) == 20 - 1


def test_a_manifest_tells_the_rule_and_reads_back(tmp_path):
    keys = {("Full", "a"): {0: "x", 1: "y"}}
    manifest.write(tmp_path / "a.json", keys, RULE)
    assert (manifest.read(tmp_path / "a.json"), manifest.rule(tmp_path / "a.json")) == (keys, RULE)
    manifest.write(tmp_path / "b.json", keys)
    assert (manifest.read(tmp_path / "b.json"), manifest.rule(tmp_path / "b.json")) == (keys, None)
    (tmp_path / "c.json").write_text('{"cells": []}')
    with pytest.raises(InputError, match=r"c.json is not a manifest"):
        manifest.rule(tmp_path / "c.json")
