"""Whether scores know anything of the samples: their rank correlation with the true losses."""

import warnings

from scipy.stats import ConstantInputWarning, spearmanr
from torch import Tensor


def score_loss_correlation(scores: Tensor, losses: Tensor) -> float | None:
    """Spearman's rank correlation of scores (M,) and losses (M,), samples without a score (NaN) left out.

    None where there is nothing to rank: fewer than three scored samples, or all scores equal.
    """
    scored = ~scores.isnan()
    if int(scored.sum()) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        value = float(spearmanr(scores[scored].numpy(), losses[scored].numpy()).statistic)
    return None if value != value else value
