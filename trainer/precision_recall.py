"""What every threshold would give: precision against recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import LEVELS, PooledHistogram


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision and recall at every level that a probability is kept in, all voxels pooled.

    Attributes:
        precision: At each of the 256 levels as threshold, (level,); 1 where nothing is predicted.
        recall: The same for recall.
        average_precision: The sum of the precisions, each weighted by the recall that its level
            adds, as scikit-learn's `average_precision_score` defines it: no interpolation.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    average_precision: float

    @classmethod
    def of(cls, histogram: PooledHistogram) -> PrecisionRecall:
        """Reads the curve off a histogram; without foreground only silence is right."""
        hits, predicted = histogram.from_each_level()
        truth = int(hits[0])
        precision = np.where(predicted > 0, hits / np.maximum(predicted, 1), 1.0)
        if truth == 0:
            silent = predicted[1:].max() == 0
            return cls(precision, np.full(LEVELS, float(silent)), float(silent))
        recall = hits / truth
        added = recall - np.append(recall[1:], 0.0)
        return cls(precision, recall, float(added @ precision))
