"""What can go wrong in a U-Net run, apart from programming errors.

    ValueError
      InputError          the user's input is wrong: one line says what was expected, what came, what to do
    ArithmeticError
      Diverged            the training left the numbers that it can go on with
"""


class InputError(ValueError):
    """Input that cannot be used; its message is one line for the person who gave it."""


class Diverged(ArithmeticError):
    """A loss or a weight that is no longer finite."""
