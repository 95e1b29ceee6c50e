"""Answers that no gateway gives: the client says so, in its own errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from hypothesis import given, seed
from hypothesis import strategies as st

import prelogit
from prelogit.core.errors import PrelogitError
from tests.promises.bad_input.bodies import written
from tests.promises.bad_input.generated import generated
from tests.promises.bad_input.house import House
from tests.promises.bad_input.leaks import TRACES
from tests.promises.bad_input.tally import Tally
from tests.promises.bad_input.wrong import broken_bytes, mutations

STATUSES = (*[200] * 16, 204, 302, 400, 401, 404, 422, 500, 599)
TYPES = (
    *["application/json"] * 8,
    "text/html",
    "text/plain; charset=latin-1",
    "application/problem+json",
    "",
)


class Saying:
    """What the server answers to whatever it is asked."""

    status, content, kind = 200, b"", "application/json"


@contextmanager
def saying_server() -> Iterator[tuple[str, Saying]]:
    saying = Saying()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _say(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(saying.status)
            self.send_header("Content-Type", saying.kind)
            self.send_header("Content-Length", str(len(saying.content)))
            self.end_headers()
            if saying.status != 204:
                self.wfile.write(saying.content)

        do_GET = do_POST = do_DELETE = _say  # noqa: N815 - so they are looked for

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", saying
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(house: House, *, cases: int, begin: int) -> Tally:
    """So many answers in all. ``begin``: the seed."""
    tally = Tally("answers to the client")
    job = house.gateway.client.post(
        "/v1/jobs", json={"prompts": ["a"]}, headers=house.callers[0].headers
    ).json()
    house.work()
    known = {"headers": house.callers[0].headers}
    at = f"/v1/jobs/{job['id']}"
    page = house.gateway.client.get(f"{at}/results", **known).json()
    trace = house.gateway.client.get(f"{at}/results/p1/trace", **known).json()
    with saying_server() as (url, saying), prelogit.Client(url) as client:
        saying.content = written(job)
        handle = client.job(job["id"])
        asked: list[tuple[str, Any, Callable[[], Any]]] = [
            ("submit", job, lambda: client.submit(prompts=["a"])),
            ("job", job, lambda: client.job(job["id"])),
            ("results", page, lambda: list(handle.results())),
            ("trace", trace, lambda: handle.trace("p1")),
            ("candidates", {"data": [trace["iterations"][0]]}, lambda: handle.candidates("p1")),
        ]
        for name, good, ask in asked:
            contents = st.one_of(
                mutations(good).map(lambda one: written(one.value)),
                broken_bytes(written(good)),
                st.just(b"[" * 100_000),
            )
            _each(name, contents, ask, saying, tally, max(1, cases // len(asked)), begin)
    return tally


def _each(
    name: str, contents: st.SearchStrategy[bytes], ask: Callable[[], Any], saying: Saying, tally: Tally,
    cases: int, begin: int,
) -> None:  # fmt: skip
    @seed(begin)
    @generated(cases)
    @given(contents, st.sampled_from(STATUSES), st.sampled_from(TYPES))
    def one(content: bytes, status: int, kind: str) -> None:
        saying.content, saying.status, saying.kind = content, status, kind
        seen = f"{status} {kind} {content[:200]!r}"
        try:
            ask()
        except PrelogitError as error:
            tally.case(f"{name}: {type(error).__name__}")
            if TRACES.search(str(error)):
                tally.breach(f"{name}: a stack trace is told", seen)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            tally.case(f"{name}: {type(error).__name__}")
            tally.breach(f"{name}: {type(error).__name__}", f"{seen}: {error!r}")
        else:
            tally.case(f"{name}: taken")

    one()
