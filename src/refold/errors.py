"""The error tree.

Every error of Refold says three things: what was *found*, what was *wanted*, and the *remedy*. Each class is also the
builtin exception that a caller would already be catching (`ValueError`, `FileNotFoundError`, ...).
"""

from __future__ import annotations


class RefoldError(Exception):
    """Base of all errors that Refold raises on purpose.

    Parameters
    ----------
    found : str
        What was met, with names and numbers.
    wanted : str
        What would have been right.
    remedy : str
        What to do about it.

    Examples
    --------
    >>> print(RefoldError("signal dim 'kz'", "one of ky, kx", "pass signal=('ky', 'kx')"))
    found signal dim 'kz'; wanted one of ky, kx. To mend it: pass signal=('ky', 'kx').
    """

    def __init__(self, found: str, wanted: str, remedy: str) -> None:
        super().__init__(found, wanted, remedy)
        self.found = found
        self.wanted = wanted
        self.remedy = remedy

    def __str__(self) -> str:
        return f"found {self.found}; wanted {self.wanted}. To mend it: {self.remedy.rstrip('.')}."


class CubeError(RefoldError, ValueError):
    """An array is not a cube: its dims, roles or shape do not fit."""


class SourceError(RefoldError, OSError):
    """A file or store cannot be read as a scan."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """There is no file or store at the given path."""


class UnknownFormatError(SourceError):
    """No reader knows this file."""


class DataError(RefoldError, ValueError):
    """The numbers in a scan do not allow what was asked: nothing finite, nothing that varies, nothing at all."""


class ParameterError(RefoldError, ValueError):
    """An option has a value that it cannot have for this scan."""


class VariableError(RefoldError, ValueError):
    """A stage's output breaks the declaration of its variable."""


class MemoryBudgetError(RefoldError, MemoryError):
    """The plan needs more memory than is allowed."""


class RecipeError(RefoldError, ValueError):
    """A recipe has an unknown key, or a value of the wrong kind."""


class StoreError(RefoldError, OSError):
    """A run's store cannot be read or written."""


class StoreExistsError(StoreError, FileExistsError):
    """The output exists already and is something else."""


class DiskFullError(StoreError):
    """The disk filled up while a run was written."""


class EditsError(StoreError):
    """A file of edits cannot be read or written, or is of other labels than those that are there."""


class EditConflictError(EditsError):
    """Somebody else saved edits since they were opened."""


class BackendError(RefoldError, RuntimeError):
    """The wanted device or library backend is not usable here."""


class MissingDependencyError(RefoldError, ImportError):
    """An optional package is needed for this and is not installed."""


class RefoldWarning(UserWarning):
    """Something was decided on the user's behalf that they should know about."""


class TrimWarning(RefoldWarning):
    """Ragged edges that fill no whole rebinning window were left out."""
