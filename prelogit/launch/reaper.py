"""Ends what is left of a stack whose supervisor is gone: ``reaper.py FOLDER``.

Run as a file, by ``python -I -S``, in a session of its own. Standard input brings lines
``+ GROUP`` and ``- GROUP``; its end means that the supervisor has ended, however it did.
Then every process group still listed is asked to end, killed after a grace period, and the
folder removed. It imports nothing of Prelogit, and holds the lock of the home folder (an
inherited file) until no child is left.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

GRACE_SECONDS = 5.0


def send(groups: set[int], number: int) -> None:
    """Signal all groups; forget those that are gone."""
    for group in list(groups):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            groups.discard(group)
        except PermissionError:
            pass


def main(folder: str) -> None:
    """Read until the end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line.split()
        (groups.add if sign == "+" else groups.discard)(int(group))
    send(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        send(groups, 0)
    send(groups, signal.SIGKILL)
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1])
