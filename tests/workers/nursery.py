"""Starts services as forks of one process that has imported their libraries: ``python -P -m tests.workers.nursery``.

torch and transformers take seconds of a processor to import, and a stack has many processes. A
fork has only libraries of others in its memory: the service's own code is imported anew, with the
environment, the folder and the log that it was given.

A line on stdin is one order, a line on stdout the process id. The new process is no child of the
nursery but of whoever asked, who waits for it as for any other.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
from typing import Any

LIBRARIES = (
    "torch",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.generation.utils",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "fastapi",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "alembic.command",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "psycopg",
    "httpx",
    "prometheus_client",
    "pydantic_settings",
)
PR_SET_PDEATHSIG = 1
LOOKS_SECONDS = 1.0


def main() -> dict[str, Any]:
    """Follow orders until nobody can give one. Returns in the new process: its order."""
    parent = os.getppid()
    for name in LIBRARIES:
        importlib.import_module(name)
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names only
    assert threads == 1, "a fork would lose the other threads"
    gc.collect()
    gc.freeze()  # pages that are never written stay shared
    read = b""
    while True:
        while b"\n" not in read:
            if not select.select([0], [], [], LOOKS_SECONDS)[0]:
                if os.getppid() != parent:
                    os._exit(0)
                continue
            more = os.read(0, 65536)
            if not more:
                os._exit(0)
            read += more
        line, read = read.split(b"\n", 1)
        order = json.loads(line)
        if _forked(order["parent"]):
            return order


def _forked(parent: int) -> bool:
    """Whether this is the new process; the nursery has told its id."""
    there, here = os.pipe()
    middle = os.fork()
    if middle == 0:
        child = os.fork()
        if child == 0:
            os.close(there)
            os.close(here)
            while os.getppid() != parent:  # as soon as the middle one has ended
                if os.getppid() == 1:
                    os._exit(1)
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
            if os.getppid() != parent:
                os._exit(1)
            return True
        os.write(here, b"%d\n" % child)
        os._exit(0)
    os.waitpid(middle, 0)
    os.write(1, os.read(there, 64))
    os.close(there)
    os.close(here)
    return False


def become(order: dict[str, Any]) -> None:
    """Take the place that a process of its own would have."""
    os.chdir(order["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    ours = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv[1:] = order["arguments"]
    paths = order["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*paths, *(path for path in sys.path if path not in ours)]


if __name__ == "__main__":
    given = main()
    become(given)
    sys.modules.pop("tests.workers.nursery", None)
    runpy.run_module(given["module"], run_name="__main__", alter_sys=True)
