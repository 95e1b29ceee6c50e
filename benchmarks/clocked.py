"""An engine that counts the seconds in which it steps; all else goes to the real one."""

from __future__ import annotations

import time
from typing import Any

from prelogit.engine.engine import Engine


class Clocked:
    """``stepping``: seconds inside ``step`` so far."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.stepping = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def step(self) -> Any:
        """The engine's own, timed."""
        start = time.perf_counter()
        try:
            return self._engine.step()
        finally:
            self.stepping += time.perf_counter() - start
