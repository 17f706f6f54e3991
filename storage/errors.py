"""What can go wrong with the things that outlive a process; every message is one line.

Exception
  StorageError
    DatabaseError       the study database cannot be used: what was expected, what came, what to do
    StudyLocked         another coordinator runs the study
    StudyDeleted        somebody deleted the study while it was in use
    CheckpointError     a checkpoint could not be written, copied or deleted
"""


class StorageError(Exception):
    """A database, a lock or a checkpoint that cannot be used."""


class DatabaseError(StorageError):
    """A study database that cannot be reached or must not be used; for the person who named it."""


class StudyLocked(StorageError):  # noqa: N818 - reads as the fact that it states
    """A study that another coordinator holds."""


class StudyDeleted(StorageError):  # noqa: N818 - reads as the fact that it states
    """A study that was deleted while it was in use."""


class CheckpointError(StorageError):
    """A checkpoint that could not be written, copied or deleted."""
