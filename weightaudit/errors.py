"""Every error weightaudit raises on purpose.

    WeightauditError            exit code 3 at the command line unless a subclass says otherwise
    ├── UsageError              wrong options or arguments (exit code 2)
    │   └── OutputError         an output that cannot be written
    │       ├── CacheError      the Hugging Face cache cannot be written
    │       └── OutputErrors    several such
    ├── DataError               an experiment's data set is missing, or its files are broken
    ├── WorkerLost              a worker died over its work
    └── ModelError              the model cannot be read
        ├── ModelNotFound       no such path, Hub id or revision
        ├── ModelUnavailable    it exists, but cannot be had: gated, private, refused
        │   └── ModelUnreachable    cannot be had for now: offline, or the network, the Hub or this machine failed
        ├── OutOfMemory         it asks for more memory than the machine has free
        ├── OutOfTime           its scan takes longer than was allowed
        ├── CheckpointError     its files are corrupt, unsafe, incomplete or of an unsupported format
        │   └── ChangedMeanwhile    a file changed while it was read
        ├── ConfigError         its config.json is missing or unusable
        └── MappingError        its tensors contradict its config, or nothing in it could be mapped
    SpecError                   an architecture spec in the package is malformed (a bug, never the user's fault)

An error is one message: the thing, the cause, and the next step. The three are kept apart as attributes so that
callers can use them: ``thing``, ``cause``, ``hint``. Those that say nothing of what was asked for, but of the moment,
are ``temporary``: see `is_temporary`.
"""

from __future__ import annotations

from collections.abc import Sequence


class WeightauditError(Exception):
    """Base of all errors a user can meet. ``str(error)`` is the whole message.

    Attributes
    ----------
    thing
        What cannot be used.
    cause
        Why.
    hint
        What to do next, "" where nothing is known.
    exit_code
        Of a command that ends with it.
    temporary
        Whether the same may go well at another time, though nothing of it changes.
    """

    exit_code = 3
    temporary = False

    def __init__(self, thing: str, cause: str, hint: str = "") -> None:
        self.thing = thing
        self.cause = cause
        self.hint = hint
        super().__init__(thing, cause, hint)

    def __str__(self) -> str:
        message = f"{self.thing}: {self.cause}"
        return f"{message}. {self.hint}" if self.hint else message


class UsageError(WeightauditError):
    """An option or argument that cannot be used as given."""

    exit_code = 2


class OutputError(UsageError):
    """An output file that cannot be written."""


class CacheError(OutputError):
    """The Hugging Face cache cannot be written: the disk is full, or something is in the way."""

    temporary = True


class OutputErrors(OutputError):
    """Several outputs that could not be written: ``errors``, one line of the message each."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        self.errors: tuple[Exception, ...] = tuple(
            each for error in errors for each in (error.errors if isinstance(error, OutputErrors) else (error,))
        )
        super().__init__(f"{len(self.errors)} outputs", "they could not be written")

    def __reduce__(self) -> tuple[type[OutputErrors], tuple[tuple[Exception, ...]]]:
        return OutputErrors, (self.errors,)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class DataError(WeightauditError):
    """An experiment's data set is missing, or its files are broken."""


class WorkerLost(WeightauditError):
    """A worker died over its work: out of memory, killed, crashed."""

    temporary = True


class ModelError(WeightauditError):
    """The model cannot be read."""


class ModelNotFound(ModelError):
    """No such path, Hub id or revision."""


class ModelUnavailable(ModelError):
    """The model exists, but cannot be had: gated, private, refused."""


class ModelUnreachable(ModelUnavailable):
    """The model cannot be had for now: offline, or the network, the Hub or this machine failed."""

    temporary = True


class OutOfMemory(ModelError):
    """The model asks for more memory than the machine has free."""

    temporary = True


class OutOfTime(ModelError):
    """Its scan takes longer than was allowed. Not temporary: it would again, and each try costs all of that time."""


class CheckpointError(ModelError):
    """A weight file or shard index is corrupt, unsafe, incomplete or of an unsupported format."""


class ChangedMeanwhile(CheckpointError):
    """A file changed while it was read."""

    temporary = True


class ConfigError(ModelError):
    """config.json is missing or unusable."""


class MappingError(ModelError):
    """The tensors contradict the config, or nothing in the checkpoint could be mapped."""


class SpecError(WeightauditError):
    """An architecture spec shipped with the package breaks the schema."""


def is_temporary(error: BaseException) -> bool:
    """Whether another try may go well, though neither the model nor what is asked of it changes.

    What is wrong with a model or an option is always told by one of the errors above, and these know. Any other error
    is the machine's (memory, a disk, a library, a cache), or a bug that a later version mends.
    """
    return error.temporary if isinstance(error, WeightauditError) else True
