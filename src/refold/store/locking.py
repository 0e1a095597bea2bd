"""Locks of the operating system, which it gives back when their holder ends, however that ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refold.errors import StoreError
from refold.store.disk import mended_errors

_LOCK = "stages/.clusterings.lock"
_TRIES = 10  # to lock a file that the one who held it has not just removed


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Be the only one who makes or forgets clusterings of a run.

    Parameters
    ----------
    run : Path
        Its store.

    Raises
    ------
    StoreError
        If somebody else does.
    """
    lock = run / _LOCK
    with mended_errors(lock):
        handle = _held(lock)
    if handle is None:
        raise StoreError(
            f"somebody who makes or forgets a clustering of {run} just now",
            "one at a time: both are made in one place of the store",
            "wait until it is done, and ask again",
        )
    try:
        yield
    finally:
        with suppress(OSError):  # some systems remove no file that is open: then it stays, empty
            lock.unlink()
        os.close(handle)


def _held(lock: Path) -> int | None:
    """Open and lock a file, the one that is there; none where somebody else has."""
    for _ in range(_TRIES):
        handle = opened(lock)
        if not taken(handle):
            os.close(handle)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        os.close(handle)
    return None


def opened(lock: Path) -> int:
    """Open a file to be locked."""
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # somebody else's, in a folder that is shared: to be locked it need not be written
        return os.open(lock, os.O_RDONLY)


if sys.platform == "win32":
    import msvcrt

    def taken(handle: int) -> bool:
        """Lock an open file, unless somebody else has."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def taken(handle: int) -> bool:
        """Lock an open file, unless somebody else has."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
