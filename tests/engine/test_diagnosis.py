"""What a record says of the scores: how they follow the losses, and when samples were last trained on."""

import pytest
import torch
from scipy.stats import spearmanr

from bls_bench.engine.diagnosis import Absence, rank_correlation
from tests.helpers import StopAt, make_engine, train


class TestRankCorrelation:
    def test_is_spearmans(self):
        losses = torch.rand(200, generator=torch.Generator().manual_seed(0))
        assert rank_correlation(losses.exp(), losses) == pytest.approx(1)
        assert rank_correlation(-losses, losses) == pytest.approx(-1)
        scores = losses.clone()
        scores[:50] = torch.nan
        assert rank_correlation(scores, losses) == pytest.approx(1)

    def test_is_none_where_nothing_can_be_ranked(self):
        losses = torch.rand(5, generator=torch.Generator().manual_seed(0))
        assert rank_correlation(torch.full((5,), 0.5), losses) is None
        assert rank_correlation(torch.full((5,), torch.nan), losses) is None
        assert rank_correlation(losses[:2], losses[:2]) is None

    def test_is_of_the_scores_that_the_pruner_used(self, tmp_path):
        """Scores of the epoch before, not those that this epoch's own losses have just made."""
        _, lines = train(tmp_path, "trainer.epochs=4", "dataset.subset=50")
        assert all(abs(line["score_loss_spearman"]) < 0.999 for line in lines[1:])


class TestAbsence:
    def test_is_the_epochs_since_a_sample_was_trained_on(self):
        absence = Absence(6)
        for epoch, indices in enumerate(([0, 1, 2, 3], [0, 1], [0])):
            absence.trained(torch.tensor(indices), epoch)
        away = torch.tensor([1.0, 2, 3, 3])  # samples 4 and 5 were never seen
        scores = torch.tensor([0.5, 0.1, 0.4, 0.2, 9.0, -9.0])
        expected = spearmanr(scores[:4].numpy(), away.numpy()).statistic
        assert absence.correlation(scores, 3) == pytest.approx(float(expected))

    def test_is_none_while_all_were_seen_alike(self):
        absence = Absence(5)
        assert absence.correlation(torch.rand(5), 0) is None
        absence.trained(torch.arange(5), 0)
        assert absence.correlation(torch.rand(5), 1) is None

    def test_of_a_run_is_that_of_its_scores_and_selections(self, tmp_path):
        engine, last, found = make_engine("pruner=bls_infobatch", "trainer.epochs=5"), {}, []
        for epoch in range(5):
            selection, scores = engine.state.begin_epoch(), engine.state.scores.clone()
            away = torch.tensor([float(epoch - last.get(index, epoch)) for index in range(100)])
            found.append(None if len(away.unique()) == 1 else float(spearmanr(scores, away).statistic))
            last |= dict.fromkeys(selection.indices.tolist(), epoch)
            line = engine.epoch(None, StopAt(-1))
            assert line["score_absence_spearman"] == (found[-1] and pytest.approx(found[-1]))
        assert found[:2] == [None, None]
        assert None not in found[2:]
