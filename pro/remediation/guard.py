"""Every call to a backend has a deadline: a hypervisor that hangs must not hang us, nor keep a stop from being heard."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from pro.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.backends.base import Backend, Ticket, World

T = TypeVar("T")


class Guard:
    """A `Backend` around another one whose calls end within `timeout_s`, with an answer or a BackendError.

    A call that is given up on is left behind in its thread; `hanging` names the VMs whose `migrate` has not come back,
    for such a request may still take effect. OSError from a careless adapter becomes BackendError. `timeout_s` 0 calls
    straight through, on the caller's thread.
    """

    def __init__(self, backend: Backend, timeout_s: float) -> None:
        self.url = backend.url
        self._backend, self._timeout_s = backend, timeout_s
        self._hanging: dict[str, threading.Thread] = {}

    def inventory(self) -> World:
        """See `Backend.inventory`."""
        return self._call("inventory", self._backend.inventory)[0]

    def status(self, ticket: str) -> Ticket:
        """See `Backend.status`."""
        return self._call("status", self._backend.status, ticket)[0]

    def cancel(self, ticket: str) -> Ticket:
        """See `Backend.cancel`."""
        return self._call("cancel", self._backend.cancel, ticket)[0]

    def running(self, vm: str) -> Ticket | None:
        """See `Backend.running`."""
        return self._call("running", self._backend.running, vm)[0]

    def migrate(self, vm: str, source: str, destination: str, kind: str) -> Ticket:
        """See `Backend.migrate`."""
        try:
            return self._call("migrate", self._backend.migrate, vm, source, destination, kind)[0]
        except _TimedOutError as error:
            self._hanging[vm] = error.thread
            raise

    def hanging(self, vm: str) -> bool:
        """Whether a `migrate` of `vm` was given up on and has still not come back."""
        return vm in self._hanging and self._hanging[vm].is_alive()

    def _call(self, what: str, call: Callable[..., T], *args: Any) -> list[T]:
        answer: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                answer.append(call(*args))
            except BaseException as error:  # handed to the caller's thread below
                errors.append(error)

        if self._timeout_s <= 0:
            work()
        else:
            thread = threading.Thread(target=work, name=f"backend {what}", daemon=True)
            thread.start()
            thread.join(self._timeout_s)
            if thread.is_alive():
                raise _TimedOutError(f"{what}: no answer from {self.url} in {self._timeout_s:g} s", thread)
        if errors and isinstance(errors[0], OSError):
            raise BackendError(f"{what}: {errors[0]}") from errors[0]
        if errors:
            raise errors[0]
        return answer


class _TimedOutError(BackendError):
    def __init__(self, reason: str, thread: threading.Thread) -> None:
        super().__init__(reason)
        self.thread = thread
