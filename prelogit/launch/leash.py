"""Become another program that ends when its parent ends: ``leash.py PARENT_PID PROGRAM ARGS…``.

Run as a file, by ``python -I -S``, between the supervisor's fork and the program. It imports
nothing of Prelogit. Where the kernel has no such signal (not Linux), the reaper has to do.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):  # the parent died before the signal was asked for
        sys.exit(1)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the supervisor's own command line
