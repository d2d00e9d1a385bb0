"""The one error that is the user's to mend."""


class InputError(ValueError):
    """What a user gave cannot be used.

    The message is one sentence for that person: what was expected, what came, where, and what to do next. The command
    line prints it and ends with exit code 2.
    """
