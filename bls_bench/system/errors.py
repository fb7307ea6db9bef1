"""The errors that a user can mend: printed as one line, without a traceback."""


class InputError(ValueError):
    """Something given from outside is wrong: a config value, a file, a folder.

    The message is one line. It names the key or file, what was found and what is allowed.
    """


class ResourceError(RuntimeError):
    """Memory, or a process of the run, is gone: the settings are in order, the machine had no more.

    The message is one line and says what to do.
    """


def folded(error: Exception) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split()) or type(error).__name__
