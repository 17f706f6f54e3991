from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.trainer.steps_beside_keras import STEPS, batch, largest_difference, take_steps
from trainer.training_counts import count_voxels

pytestmark = pytest.mark.usefixtures("device")


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_steps_are_those_of_keras(precision: str) -> None:
    assert largest_difference(precision) < 1e-6


def test_steps_change_weights_moments_and_random_state() -> None:
    taken = take_steps("float32", ours=True)
    assert np.all(taken.pop("losses") > 0)
    [iterations] = [value for name, value in taken.items() if name.endswith("iteration")]
    assert iterations == STEPS
    moments = [value for name, value in taken.items() if name.endswith("_momentum")]
    assert moments
    assert all(np.any(value) for value in moments)


@pytest.mark.slow
def test_jax_takes_the_same_steps_and_goes_on_from_a_state() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.trainer.steps_beside_keras", "float32"],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            # Compiling well takes longer here than all that is run.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["backend"] == "jax"
    assert found["difference"]["float32"] < 1e-6
    run = found["resumed"]
    assert run["losses"][1] < run["losses"][0]
    assert run["same_loss"]
    assert run["same_state"]
    assert found["measured_apart"] < 1e-4
    # Halved at each of the 16 steps, none of which changed a weight.
    expected = {"scale": 2.0**44, "steps_taken": 0, "diverged": True, "readable": True}
    assert found["overflow"] == expected


def test_voxels_are_counted() -> None:
    _, masks = batch(0)
    logits = np.random.default_rng(1).normal(size=masks.shape).astype(np.float32)
    logits[0, 0, 0] = 0.0
    truth, predicted = masks > 0, logits >= 0
    expected = [np.sum(truth & predicted), predicted.sum(), truth.sum()]
    assert np.asarray(count_voxels(masks, logits)).tolist() == expected
