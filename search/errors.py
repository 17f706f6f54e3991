"""What ends a command from outside of its trials; the message is one line."""

from __future__ import annotations

from trainer.errors import InputError


class StudyNotFound(InputError):  # noqa: N818 - reads as the fact that it states
    """No study of that name has been started."""


class ClusterLost(RuntimeError):  # noqa: N818 - reads as the fact that it states
    """The Ray cluster is gone: nothing runs any more, and the same command goes on later."""


def no_room(cpus: float, gpus: float, *, machine: tuple[float, float]) -> InputError:
    """What is wrong with a trial that is to have more than this machine has.

    Args:
        cpus: For the trial.
        gpus: For the trial.
        machine: CPUs and GPUs that there are.
    """
    return InputError(
        f"workers: expected cpus_per_trial and gpus_per_trial that this machine has "
        f"({machine[0]:g} CPUs, {machine[1]:g} GPUs), got {cpus:g} and {gpus:g}; "
        "ask for less, or set RAY_ADDRESS"
    )


def first_line(error: BaseException) -> str:
    """What an error says, in one line; the name of its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
