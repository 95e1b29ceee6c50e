"""Judges that really answer over HTTP: each request is read, and decided by a rule."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What a judge says, or the error that its server answers with."""

    said: str = ""
    status: int = 200
    error: str = "not now"


Rule = Callable[[str, str, int], Reply]  # (first answer, second answer, number of the request)


@dataclass
class Server:
    """A running judge, what it was asked, and how many requests were open at most."""

    url: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    open: int = 0
    most_open: int = 0


def likes_the_longer(first: str, second: str, count: int) -> Reply:
    mark = "C" if len(first) == len(second) else "A" if len(first) > len(second) else "B"
    return Reply(f"It is longer.\n[[{mark}]]")


def likes_the_first(first: str, second: str, count: int) -> Reply:
    return Reply("[[A]]")


@contextmanager
def running(rule: Rule) -> Iterator[Server]:
    """A judge on a loopback port that follows a rule."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                served.seen.append(request)
                served.headers.append(dict(self.headers))
                served.open += 1
                served.most_open = max(served.most_open, served.open)
                count = len(served.seen)
            reply = rule(*_answers(request["messages"][-1]["content"]), count)
            message = {"role": "assistant", "content": reply.said}
            body: dict[str, Any] = {
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"total_tokens": 10},
            }
            if reply.status != 200 or self.path != "/v1/chat/completions":
                body = {"error": {"message": reply.error}}
            text = json.dumps(body).encode()
            with lock:
                served.open -= 1
            self.send_response(reply.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Server(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answers(asked: str) -> tuple[str, str]:
    found = re.findall(r"\[beginning of the answer [AB]\]\n(.*?)\n\[end", asked, re.DOTALL)
    first, second = found
    return first, second
