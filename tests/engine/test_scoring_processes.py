"""Two processes keep the samples that one would keep."""

import pytest
import torch

from bls_bench.engine import scoring
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.scoring import observe, prepare
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.models import Classifier
from tests.two_processes import in_two_processes

from .helpers import Perceptron
from .test_scoring import small

pytestmark = pytest.mark.slow

ROWS = torch.arange(51 * 3.0).view(51, 3)


def parts(*overrides):
    config = small("trainer.device=cpu", *overrides)
    return config, config.dataset.load(config.seed), make_fabric(config.trainer)


def scored():
    """Return the outputs seen in a scoring run, and what CRAIG chooses by them."""
    config, data, fabric = parts("pruner=static_craig", "pruner.scoring_epochs=2")
    logits = observe(config, data, fabric).logits
    prepare(config, data, fabric)
    return logits, config.pruner.state_dict()


def noted():
    """Return how far the predictions moved from epoch to epoch, and what TDDS chooses by that."""
    config, data, fabric = parts("pruner=static_tdds", "pruner.scoring_epochs=3", "pruner.window=3")
    history = observe(config, data, fabric).history
    prepare(config, data, fabric)
    return history, config.pruner.state_dict()["chosen"].tolist()


def refused():
    with pytest.raises(InputError) as error:
        prepare(*parts("pruner=static_random", "pruner.balanced=true", "pruner.target=0.97"))
    return str(error.value)


def work(rank, _):
    Classifier.build = lambda *_: Perceptron()
    return *scored(), refused(), noted(), scoring._together(ROWS[rank::2], len(ROWS))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What both processes have in the end."""
    return in_two_processes(work, tmp_path_factory.mktemp("two"))


def test_both_keep_what_one_process_keeps(two, monkeypatch):
    monkeypatch.setattr(Classifier, "build", lambda *_: Perceptron())
    logits, state = scored()
    for other_logits, other, *_ in two:
        torch.testing.assert_close(other_logits, logits, rtol=1e-5, atol=1e-6)
        assert other["chosen"].tolist() == state["chosen"].tolist()
        assert torch.equal(other["weights"], state["weights"])
        assert other["cost"] == two[0][1]["cost"]


def test_both_note_of_all_samples_what_one_process_notes(two, monkeypatch):
    monkeypatch.setattr(Classifier, "build", lambda *_: Perceptron())
    history, chosen = noted()
    assert history[1:].gt(0).all()
    for *_, (other, also_chosen), _ in two:
        torch.testing.assert_close(other, history, rtol=1e-3, atol=1e-5)
        assert also_chosen == chosen


def test_rows_are_in_order_where_one_process_has_one_more(two):
    for *_, rows in two:
        assert torch.equal(rows, ROWS)


def test_both_refuse_with_the_same_line(two):
    messages = {message for _, _, message, *_ in two}
    assert len(messages) == 1
    assert "StaticRandom leaves class" in messages.pop()
