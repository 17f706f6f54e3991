"""A Ray of the benchmark's own, for Ray Tune and for this project's workers."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna

from search.ray_cluster import ray_cluster


class CannotMeasure(Exception):  # noqa: N818 - reads as the fact that it states
    """Something that the benchmark needs is not there; one line for whoever started it."""


def require_ray_tune() -> None:
    """Refuses an installation without Ray Tune.

    Raises:
        CannotMeasure: It has none.
    """
    try:
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise CannotMeasure(
            "expected the packages of the extra `bench`, which hold Ray Tune (make install "
            f"EXTRAS=bench), got: {str(error).splitlines()[0]}"
        ) from None


def be_quiet() -> None:
    """Has Ray Tune and Optuna say nothing but what is wrong."""
    # Files of results for other programs: Ray Tune is measured without their cost.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # Its newer output prints a table whatever it is asked.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


@contextmanager
def own_ray(cpus: int) -> Iterator[None]:
    """A local Ray of so many cores, whatever cluster is at hand."""
    os.environ.pop("RAY_ADDRESS", None)
    with ray_cluster(cpus=cpus):
        yield
