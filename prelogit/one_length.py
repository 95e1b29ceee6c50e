"""No request that tells its length in two ways: a proxy in front might go by the other one.

What a proxy takes for a part of a body would then be a request of its own here, past all that the
proxy looks at (request smuggling, RFC 9112, section 6.1).
"""

from __future__ import annotations

from typing import Any

import h11

BOTH = frozenset({b"content-length", b"transfer-encoding"})


class OneLength(h11.Connection):
    """h11's connection, which takes a request with both headers for none."""

    def next_event(self) -> Any:
        """Called by the server. Raises h11.RemoteProtocolError, which it answers with 400 and the end."""
        event = super().next_event()
        if isinstance(event, h11.Request) and {name for name, _ in event.headers} >= BOTH:
            raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        return event
