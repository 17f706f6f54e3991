"""Searches that are ended from outside, once by a signal or again and again, and go on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable

import psutil
import pytest
from fault_rig import FaultRig
from optuna.trial import TrialState

pytestmark = pytest.mark.slow

Build = Callable[..., FaultRig]


def test_a_signal_ends_a_search_that_goes_on_later(build: Build) -> None:
    rig = build(trials=6, epochs=4, epoch_seconds=1.0)
    # The second one is heeded alike, whichever of the two it is.
    ways = [(signal.SIGINT, 1), (signal.SIGTERM, 2)]
    for number, signals in ways:
        before = rig.epochs_written()
        process = rig.start()
        rig.wait_until(lambda before=before: rig.epochs_written() > before)
        for _ in range(signals):
            if number == signal.SIGINT:
                # All that it has started too, as Ctrl-C in a terminal does.
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            time.sleep(0.2)
        out = rig.finish(code=130)
        assert "interrupted: the running trials finish their epoch" in out
        if signals == 1:
            assert all(trial.state is not TrialState.RUNNING for trial in rig.all_trials())
    rig.run()
    rig.check()


def test_a_short_night_of_random_kills_loses_nothing(build: Build) -> None:
    rig = build(trials=9, epochs=3, epoch_seconds=0.1, retries=100, pruner="asha")
    chance = random.Random(7)
    lives, killed, next_at = 0, 0, 3
    code: int | None = None
    while code != 0:
        process = rig.start()
        lives += 1
        # Paced by the trials that have ended, so that no machine is too fast to be hit.
        while process.poll() is None:
            time.sleep(0.1)
            workers = rig.workers()
            if not workers or rig.trials_ended() < next_at:
                continue
            next_at += chance.randint(2, 3)
            victim = process if chance.random() < 0.3 else chance.choice(workers)
            # A worker may have ended by itself since.
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
                killed += 1
        code = process.wait()
    assert killed > 2
    assert lives > 1
    trials = rig.check()
    assert any("coordinator ended" in trial.user_attrs.get("reason", "") for trial in trials)
    assert any("inherited_epochs" in trial.user_attrs for trial in trials)
    assert sum(trial.state is TrialState.COMPLETE for trial in trials) >= 1
    assert any("promoted_from" in trial.user_attrs for trial in trials)
