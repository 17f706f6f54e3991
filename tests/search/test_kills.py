"""Searches that are ended from outside, once by a signal or again and again, and go on."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest
from fault_rig import FaultRig
from optuna.trial import TrialState

pytestmark = pytest.mark.slow

Build = Callable[..., FaultRig]


# The second signal is heeded alike, whichever of the two it is.
@pytest.mark.parametrize(
    ("number", "signals"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)]
)
def test_a_signal_ends_a_search_that_goes_on_later(
    build: Build, number: signal.Signals, signals: int
) -> None:
    rig = build(trials=4, epoch_seconds=1.0)
    process = rig.start()
    rig.wait_until(lambda: rig.epochs_written() >= 1)
    for _ in range(signals):
        process.send_signal(number)
        time.sleep(0.2)
    out = rig.finish(code=130)
    assert "interrupted: the running trials finish their epoch" in out
    if signals == 1:
        assert all(trial.state is not TrialState.RUNNING for trial in rig.all_trials())
    rig.run()
    rig.check()


def test_a_short_night_of_random_kills_loses_nothing(build: Build) -> None:
    rig = build(trials=80, epochs=3, epoch_seconds=0.01, retries=100, pruner="asha")
    chance = random.Random(7)
    killed, code = 0, -1
    while code != 0:
        process = rig.start()
        # Lives are counted from the first worker, however slowly this machine starts Ray.
        while process.poll() is None and not rig.workers():
            time.sleep(0.2)
        life = time.monotonic() + chance.uniform(8, 14)
        while process.poll() is None and time.monotonic() < life:
            time.sleep(chance.uniform(0.5, 2.5))
            workers = rig.workers()
            if workers:
                chance.choice(workers).kill()
                killed += 1
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        code = process.wait()
    assert killed > 5
    trials = rig.check()
    assert sum(trial.state is TrialState.COMPLETE for trial in trials) >= 1
    assert any("promoted_from" in trial.user_attrs for trial in trials)
