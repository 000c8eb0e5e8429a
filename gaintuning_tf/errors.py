"""The error for input that cannot be used as it is."""


class InputError(ValueError):
    """Says what was expected and what was received, in one line that a user can act on.

    The command line prints it and ends with status 2.
    """
