"""A small memory of answers that may be a second old: instances come in hundreds for the same series."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """`get(key)` asks `ask` at most once in `seconds` per key; falsy answers are never remembered.

    Not remembered, because an empty answer is what changes next: an instance may follow its plan within that time.
    `clock`: epoch seconds; a clock that was set back makes an answer stale, not eternal.
    """

    def __init__(self, ask: Callable[[K], V], *, seconds: float, clock: Callable[[], float], size: int = 128) -> None:
        self._ask, self._seconds, self._clock, self._size = ask, seconds, clock, size
        self._lock = threading.Lock()
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V:
        now = self._clock()
        with self._lock:
            at, value = self._known.get(key, (None, None))
        if at is not None and value is not None and 0 <= now - at < self._seconds:
            return value
        fresh = self._ask(key)
        if fresh:
            self._remember(key, now, fresh)
        else:
            self.forget(key)
        return fresh

    def forget(self, key: K) -> None:
        with self._lock:
            self._known.pop(key, None)

    def _remember(self, key: K, now: float, value: V) -> None:
        with self._lock:
            self._known[key] = (now, value)
            self._known.move_to_end(key)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
