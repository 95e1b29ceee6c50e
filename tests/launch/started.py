"""A started program with everything that it has started, known by a mark in the environment."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


def marked(mark: str) -> set[int]:
    """Living processes that carry the mark in their environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def eventually(check: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Waits until the check holds; a guard against hanging, not a promise of speed."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@dataclass
class Started:
    """A program under test. ``folder`` is its own; what it prints lies there."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str

    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def output(self) -> str:
        return (self.folder / "stdout").read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.log().count(text) >= times, f"{text!r} in:\n{self.log()}")

    def until(self, check: Callable[[], object], what: str) -> None:
        eventually(check, what)

    def children(self, part: str = "") -> set[int]:
        """The supervisor's direct children whose command line holds the text."""
        found = set()
        for listing in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in listing.read_text().split():
                try:
                    if part in Path(f"/proc/{pid}/cmdline").read_text():
                        found.add(int(pid))
                except OSError:
                    continue
        return found

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait_gone(self) -> None:
        """Neither the supervisor nor anything that it has started lives."""
        self.process.wait(timeout=60)
        eventually(lambda: not marked(self.mark), f"left behind: {marked(self.mark)}")


def start(folder: Path, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Started:
    """Starts a program whose output goes to files in the folder."""
    folder.mkdir(exist_ok=True)
    with (folder / "stderr").open("w") as err, (folder / "stdout").open("w") as out:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {}), "MARK_OF_TEST": str(folder)},
            stderr=err,
            stdout=out,
            text=True,
        )
    return Started(process, folder, f"MARK_OF_TEST={folder}\0")
