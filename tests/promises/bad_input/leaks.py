"""What no answer and no line of a log may tell: stack traces, this machine's folders, secrets."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

# As Python writes them, and as the C libraries and SQL do.
TRACES = re.compile(
    r'Traceback \(most recent call last\)|\bFile "[^"]+", line \d+|\bat 0x[0-9a-f]{6,}'
    r"|\bsite-packages\b|\[SQL: |sqlalche\.me|pydantic\.dev|psycopg\.errors|sqlite3\."
)
ROOT = Path(__file__).parents[3]


class Leaks:
    """Looks for what must not be told. ``secrets``: may grow. ``paths``: folders of this installation."""

    def __init__(self, secrets: Iterable[str], paths: Iterable[Path | str] = ()) -> None:
        self.secrets = set(secrets)
        own = (ROOT, sys.prefix, sysconfig.get_path("stdlib"), *paths)
        self._paths = {str(path) for path in own}

    def of(self, text: str, *, but: Iterable[str] = ()) -> str | None:
        """The first of it that stands in a text; None: nothing does.

        but: what the reader knows already and may be told, such as what was sent.
        """
        for known in but:
            text = text.replace(known, "")
        if (trace := TRACES.search(text)) is not None:
            return f"a stack trace or an internal error: {trace[0]!r}"
        for path in self._paths:
            if path in text:
                return f"the path {path}"
        for secret in self.secrets:
            if secret in text:
                return f"the secret {secret[:8]}…"
        return None
