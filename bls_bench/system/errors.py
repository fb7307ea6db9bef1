"""Errors in the user's input: printed as one line, without a traceback, exit code 2."""


class InputError(ValueError):
    """Something given from outside is wrong: a config value, a file, a folder.

    The message is one line. It names the key or file, what was found and what is allowed.
    """


def folded(error: Exception) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split()) or type(error).__name__
