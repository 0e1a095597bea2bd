"""Answers that take time, made beside the page: with progress, and given up when something newer is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

from refold.engine.progress import Progress

_TELL_EVERY = 0.1  # seconds: a browser draws no more often than is seen


class Work(Protocol):
    """What is done beside the page; it tells of its progress, and what that raises ends it."""

    def __call__(self, progress: Progress) -> Any:
        """Do it."""
        ...


class Background:
    """One thing at a time beside the page: what is asked later replaces what was asked before.

    Parameters
    ----------
    into_page : callable, optional
        Called with a function without arguments that it is to call in the thread of the page. By default it is called
        where the work is done.

    Examples
    --------
    >>> beside, heard = Background(), []
    >>> beside.ask(lambda progress: 6 * 7, done=heard.append)
    >>> beside.close(wait=True)
    >>> heard
    [42]
    """

    def __init__(self, into_page: Callable[[Callable[[], None]], Any] | None = None) -> None:
        self._into_page = into_page or _at_once
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="refold-page")
        self._lock = Lock()
        self._latest = 0

    def ask(
        self,
        work: Work,
        *,
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
        told: Callable[[float, float], None] | None = None,
    ) -> None:
        """Begin something, and give up what is still being done.

        Parameters
        ----------
        work : callable
            Called with a `Progress`, in a thread of its own.
        done : callable
            Called with what it returned, unless something newer was asked meanwhile.
        failed : callable, optional
            Called with what it raised instead.
        told : callable, optional
            Called with blocks done and blocks in all, now and then.
        """
        number = self._next()

        def answer() -> Any:
            progress = _Watched(
                wanted=lambda: self._is_latest(number), told=lambda *so_far: self._tell(number, told, so_far)
            )
            progress.check()
            return work(progress)

        self._pool.submit(answer).add_done_callback(lambda future: self._end(number, future, done, failed))

    def cancel(self) -> None:
        """Give up what is being done; nobody is called any more."""
        self._next()

    def close(self, *, wait: bool = False) -> None:
        """End with the page: give up what is being done, or wait for it."""
        if not wait:
            self.cancel()
        self._pool.shutdown(wait=wait, cancel_futures=not wait)

    def _next(self) -> int:
        with self._lock:
            self._latest += 1
            return self._latest

    def _is_latest(self, number: int) -> bool:
        return number == self._latest

    def _tell(self, number: int, told: Callable[[float, float], None] | None, so_far: tuple[float, float]) -> None:
        if told is not None:
            self._into_page(lambda: told(*so_far) if self._is_latest(number) else None)

    def _end(
        self,
        number: int,
        future: Future[Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None,
    ) -> None:
        if future.cancelled() or isinstance(error := future.exception(), CancelledError):
            return

        def deliver() -> None:
            if not self._is_latest(number):
                return
            if error is None:
                done(future.result())
            elif failed is not None:
                failed(error)

        self._into_page(deliver)


def _at_once(call: Callable[[], None]) -> None:
    call()


@dataclass
class _Watched(Progress):
    """Tells of blocks, and ends the sweep once nobody waits for it."""

    wanted: Callable[[], bool] = field(default=lambda: True, repr=False)
    told: Callable[[float, float], None] = field(default=lambda done, total: None, repr=False)
    _done: int = 0
    _blocks: int = 1
    _last: float = 0.0

    def check(self) -> None:
        """Raise if something newer was asked."""
        if not self.wanted():
            raise CancelledError("something newer was asked")

    def start(self, label: str, n_blocks: int, n_bytes: int) -> None:
        """Begin to count."""
        super().start(label, n_blocks, n_bytes)
        self._done, self._blocks, self._last = 0, n_blocks, time.monotonic()

    def advance(self, blocks: int, n_bytes: int, chunks_read: int) -> None:
        """Count, and tell of it now and then."""
        super().advance(blocks, n_bytes, chunks_read)
        self.check()
        with self._lock:
            self._done += blocks
            now = time.monotonic()
            due = now - self._last >= _TELL_EVERY
            self._last = now if due else self._last
        if due:
            self.told(self._done, self._blocks)
