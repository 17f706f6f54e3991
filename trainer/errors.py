"""What can go wrong in a U-Net run, apart from programming errors.

- `InputError` (a `ValueError`): the user's input is wrong; one line says what was expected, what
  came and what to do.
- `Diverged` (an `ArithmeticError`): the training left the numbers that it can go on with.
- `DownloadError` (a `RuntimeError`): a file could not be had from the web; one line says why.
- `TooLarge` (a `MemoryError`): the network needs more memory than there is.
"""


class InputError(ValueError):
    """Input that cannot be used; its message is one line for the person who gave it."""


class Diverged(ArithmeticError):  # noqa: N818 - says what happened, as ZeroDivision does
    """A loss or a weight that is no longer finite."""


class TooLarge(MemoryError):  # noqa: N818 - says what it is
    """A network that needs more memory than there is; the message is one line."""


class DownloadError(RuntimeError):
    """A file that could not be had from the web; the message is one line."""
