"""No child outlives the supervisor, and one that dies comes back."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Mapping

import pytest

from tests.launch.started import Started

if sys.platform != "linux":
    pytest.skip("/proc shows what is left behind", allow_module_level=True)

Start = Callable[[Mapping[str, str]], Started]
SLEEPER = "import os, time; print('pid', os.getpid()); time.sleep(600)"
STUBBORN = (
    "import os, signal, time\n"
    "for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\n"
    "print('pid', os.getpid()); time.sleep(600)"
)
# A grandchild in the child's group, and one that has run away into a session of its own.
PARENT = (
    "import os, subprocess, sys, time\n"
    "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
    "subprocess.Popen(sleep); time.sleep(0.1)\n"
    "print('pid', os.getpid()); time.sleep(600)"
)
RUNAWAY = PARENT.replace("Popen(sleep)", "Popen(sleep, start_new_session=True)")


def pids(stack: Started, name: str) -> list[int]:
    return [int(pid) for pid in re.findall(rf"{name} *\| pid (\d+)", stack.log())]


def test_a_killed_supervisor_leaves_nothing_behind(start_stack: Start) -> None:
    stack = start_stack({"a": SLEEPER, "b": STUBBORN, "c": PARENT})
    stack.wait_for("| pid", 3)
    stack.signal(signal.SIGKILL)
    stack.wait_gone()
    assert not (stack.folder / "private").exists()


def test_a_supervisor_killed_together_with_its_reaper_leaves_no_child(start_stack: Start) -> None:
    stack = start_stack({"a": SLEEPER, "b": SLEEPER})
    stack.wait_for("| pid", 2)
    stack.signal(signal.SIGSTOP)  # so that it cannot start another reaper
    os.kill(*stack.children("reaper.py"), signal.SIGKILL)
    stack.signal(signal.SIGKILL)
    stack.wait_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_supervisor_ends_even_stubborn_and_runaway_children(
    start_stack: Start, number: int
) -> None:
    stack = start_stack({"a": SLEEPER, "b": STUBBORN, "c": PARENT, "d": RUNAWAY})
    stack.wait_for("| pid", 4)
    stack.signal(number)
    stack.wait_gone()
    assert stack.process.returncode == 0
    assert "b does not end within 1 s: killed" in stack.log()


def test_children_stop_in_the_reverse_order_of_their_start(start_stack: Start) -> None:
    tell = (
        "import signal, sys, time\n"
        "def stop(*_): print('stops'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop); print('runs'); time.sleep(600)"
    )
    stack = start_stack({"first": tell, "second": tell, "third": tell})
    stack.wait_for("| runs", 3)
    stack.signal(signal.SIGTERM)
    stack.wait_gone()
    assert re.findall(r"(\w+) *\| stops", stack.log()) == ["third", "second", "first"]


def test_a_child_that_dies_is_started_again_with_nothing_left_of_it(start_stack: Start) -> None:
    stack = start_stack({"a": SLEEPER, "c": PARENT})
    stack.wait_for("| pid", 2)
    for name in ("a", "c"):
        os.kill(pids(stack, name)[0], signal.SIGKILL)
    stack.wait_for("| pid", 4)
    assert "a was ended by SIGKILL: starts again in 0.2 s" in stack.log()
    assert len(set(pids(stack, "a"))) == 2
    stack.signal(signal.SIGTERM)
    stack.wait_gone()


def test_a_reaper_that_dies_is_replaced(start_stack: Start) -> None:
    stack = start_stack({"b": STUBBORN})
    stack.wait_for("| pid")
    reapers = stack.children("reaper.py")
    os.kill(*reapers, signal.SIGKILL)
    stack.until(lambda: stack.children("reaper.py") - reapers, "a new reaper")
    stack.signal(signal.SIGKILL)
    stack.wait_gone()


def test_what_cannot_be_started_is_given_up_with_its_last_words(start_stack: Start) -> None:
    stack = start_stack({"a": SLEEPER, "bad": "raise SystemExit('error: no such model')"})
    stack.wait_gone()
    assert stack.process.returncode == 1
    assert "bad cannot be started: it ended with code 1 3 times in a row" in stack.log()
    assert "  error: no such model" in stack.log()


def test_lines_go_to_a_file_of_each_child_whole_and_readable(start_stack: Start) -> None:
    code = (
        "import sys, time\n"
        "print('é' * 100_000); sys.stdout.buffer.write(b'\\xff bad\\n'); print('no end', end='')\n"
        "sys.stdout.flush(); time.sleep(600)"
    )
    stack = start_stack({"a": code, "b": SLEEPER})
    stack.wait_for("bad")
    stack.wait_for("| pid")
    stack.signal(signal.SIGTERM)
    stack.wait_gone()
    kept = (stack.folder / "logs" / "a.log").read_text()
    assert kept.count("é") >= 100_000 - 2  # a piece may end inside a character
    assert "\ufffd bad" in kept
    assert kept.endswith("no end\n")
    assert "pid" not in kept
