"""What ends a command from outside of its trials; the message is one line."""

from __future__ import annotations

from trainer.errors import InputError


class StudyNotFound(InputError):  # noqa: N818 - reads as the fact that it states
    """No study of that name has been started."""


class ClusterLost(RuntimeError):  # noqa: N818 - reads as the fact that it states
    """The Ray cluster is gone: nothing runs any more, and the same command goes on later."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line; the name of its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
