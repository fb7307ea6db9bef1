"""The papers' values: all there, the doubtful ones flagged, the contradictions found."""

import pytest

from bls_bench.experiments.published import disagreements, find, values

C100 = {"dataset": "CIFAR100", "metric": "acc"}


def elsewhere(**wanted):
    found = find(C100 | wanted)
    assert found
    return {(value.source, value.number) for value in disagreements(found)}


def test_all_values_are_read():
    assert len(values()) == 789
    assert all(value.paper and value.table and value.metric for value in values())


def test_every_doubt_in_the_notes_is_flagged():
    assert all(value.uncertain for value in values() if "uncertain" in value.notes)
    assert not any(value.uncertain for value in values() if not value.notes)


def test_a_range_is_shown_and_never_computed_with():
    (value,) = find({"paper": "BLS", "table": "Fig3", "model": "ResNet18", "setting": "alpha=0.5..0.6"})
    assert value.number is None
    assert value.text == "79.0-79.1 / 31-33%?"


def test_a_printed_spread_stands_with_the_value_and_not_in_the_remark():
    (value,) = find({"paper": "InfoBatch", "table": "4", "model": "ResNet18", "method": "Soft+Rescale"})
    assert value.text == "78.1 ± 0.2?"
    assert value.remark.startswith("which of Res/Ann")


def test_what_a_paper_leaves_open_is_told_with_its_reason():
    (value,) = find({"paper": "BLS", "table": "2", "method": "EL2N-20", "setting": "prune=70%"} | C100)
    assert (value.number, value.uncertain, value.told) == (None, False, "- (BLS T2: not reported)")
    assert disagreements([value]) == []


@pytest.mark.parametrize(
    ("wanted", "other"),
    [
        ({"paper": "BLS", "table": "8", "model": "ResNet18", "method": "Full"}, ("SeTa T9", 79.3)),
        ({"paper": "BLS", "table": "8", "model": "ResNet50", "method": "InfoBatch + BLS"}, ("BLS T3", 80.5)),
        ({"paper": "BLS", "table": "3", "model": "R50", "method": "BLS-InfoBatch"}, ("BLS T8", 80.6)),
        ({"paper": "BLS", "table": "2", "method": "SeTa", "setting": "prune=30%"}, ("SeTa T2", 79.4)),
        (
            {"paper": "InfoBatch", "table": "5", "method": "InfoBatch", "setting": "condition=H<mean"},
            ("InfoBatch T6", 80.6),
        ),
        (
            {"paper": "BLS", "table": "3", "dataset": "ImageNet-1K", "model": "R18", "method": "Full"},
            ("InfoBatch T6", 70.5),
        ),
    ],
)
def test_known_contradictions_are_found(wanted, other):
    assert other in elsewhere(**wanted)


def test_agreement_is_no_contradiction():
    assert elsewhere(paper="RePB", table="10", model="ResNet50", method="Random*") == set()
