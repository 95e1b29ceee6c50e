"""A process that follows a tensor-parallel model's leader: ``python -P -m prelogit.engine.tensor_parallel.follower``.

Started by ``followers.py`` alone. Its first line of input are the arguments of ``load_model``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from prelogit.core.errors import PrelogitError


def main() -> int:
    """Load the same model, make the leader's calls until it says the end; the exit status."""
    # A Ctrl-C or a stop goes to the whole process group: the leader decides when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    call = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_leader, daemon=True).start()
    from prelogit.engine.load import load_model

    try:
        load_model(**call)  # comes back only as SystemExit
    except PrelogitError as error:
        sys.stderr.write(f"error: {error}\n")
    return 1


def _end_with_leader() -> None:
    """The pipe closes when the leader has ended, whatever ended it; a collective would wait on."""
    while os.read(0, 1024):  # past Python's buffer, which an ending interpreter wants to lock
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
