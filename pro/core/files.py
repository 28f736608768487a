"""Files that survive a crash: written whole or not at all, and locks that the kernel takes back when a process dies."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


def write_atomically(path: Path, data: bytes, temporary: Path | None = None) -> None:
    """Replace `path` by `data` so that a reader, or a machine that loses power, sees the old bytes or the new ones.

    `temporary`: where the new bytes wait, in the same folder. A writer that is alone by a lock passes a fixed name, so
    that a crash leaves at most one such file behind. What is no file (a device, a pipe) is written to and not replaced.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)
        return
    fresh = temporary or path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        _write(fresh, data)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        error.filename = error.filename or str(path)
        raise
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


class OsLock:
    """An exclusive lock on a file, held until released or until the process ends, however it ends.

    Uses flock (POSIX) or LockFileEx through msvcrt: no lease and no time-out, so a holder that is merely paused keeps
    it, and a killed one loses it at once. The lock file stays behind; removing it would split waiters over two inodes.
    Use a local disk: on network file systems these locks are only as good as the server's lock manager.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; False if somebody has it. Taking it twice through one object is an error."""
        if self._fd is not None:
            raise ValueError(f"{self.path} is already locked through this object")
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            taken = _try_lock(fd)
        except BaseException:
            os.close(fd)
            raise
        if not taken:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def acquire(self, timeout_s: float, pause_s: float = 0.005) -> bool:
        """Take the lock, waiting up to `timeout_s` for it."""
        deadline = time.monotonic() + timeout_s
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause_s)
        return True

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        fd, self._fd = self._fd, None
        if fd is not None:
            try:
                _unlock(fd)
            finally:
                os.close(fd)

    def __enter__(self) -> OsLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
