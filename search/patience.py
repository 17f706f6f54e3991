"""How long a worker may keep silent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """When a call that has no answer yet is taken for lost.

    Attributes:
        least_seconds: That any epoch may take.
        times: The trial's last epoch that its next one may take.
        first_seconds: That a call may take before the trial's first epoch is known: starting a
            process, tracing and compiling. Nobody knows yet how long its epochs are, so that it may
            go on for as long as its process is seen to compute.
        busy_share: Of a core that a process computes with at the least.
        busy_seconds: After which a process is taken for lost though it computes.
        unplaced_seconds: That a worker may wait for a node once the cluster has become too
            small for it.
    """

    least_seconds: float = 60.0
    times: float = 5.0
    first_seconds: float = 600.0
    busy_share: float = 0.02
    busy_seconds: float = 24 * 3600.0
    unplaced_seconds: float = 5.0

    def seconds(self, last_epoch: float | None, longest_first: float) -> float:
        """What a call may take.

        Args:
            last_epoch: What the trial's last epoch took, where there was one.
            longest_first: The longest that a call without such an epoch has taken so far.
        """
        if last_epoch is None:
            return max(self.first_seconds, self.times * longest_first)
        return max(self.least_seconds, self.times * last_epoch)
