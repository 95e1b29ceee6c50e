"""A receiver of webhooks that answers as it is told, and keeps what came."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prelogit.webhooks import verify

SECRET = "a-secret-that-is-long-enough"


class Came(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """``status``, ``headers`` and ``answer`` are what it says; while ``hanging`` is set it says nothing."""

    def __init__(self) -> None:
        self.came: list[Came] = []
        self.status = 204
        self.answer = b""
        self.headers: dict[str, str] = {}
        self.hanging = threading.Event()
        self.ending = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.came.append(Came(self.path, headers, self.rfile.read(length)))
                while receiver.hanging.is_set() and not receiver.ending.wait(0.02):
                    pass
                try:
                    self.send_response(receiver.status)
                    for name, value in receiver.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(receiver.answer)))
                    self.end_headers()
                    self.wfile.write(receiver.answer)
                except OSError:  # the gateway has given up
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def events(self) -> list[dict[str, Any]]:
        """All that came, each checked."""
        return [
            verify(one.body, one.headers["prelogit-signature"], SECRET) for one in list(self.came)
        ]

    def stop(self) -> None:
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
