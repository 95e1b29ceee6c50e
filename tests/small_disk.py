"""A disk of a test's own that can be filled up, with a store on it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTES = 64
CHUNK = bytes(1 << 16)


class SmallDisk:
    """The folder is all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leaves no byte."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (len(CHUNK), 1):
                try:
                    while file.write(CHUNK[:size]):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Gives back what it was filled with."""
        self._filler.unlink()


@contextmanager
def mounted() -> Iterator[SmallDisk]:
    """The test is skipped where nothing may be mounted."""
    # Below the folder that all may enter: PostgreSQL runs as another user.
    with tempfile.TemporaryDirectory(prefix="prelogit-disk-") as name:
        options = f"size={MEGABYTES}m,mode=0777"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", f"{name}/disk"]
        Path(name).chmod(0o755)
        folder = Path(name) / "disk"
        folder.mkdir()
        try:
            done = subprocess.run(command, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no program that mounts a disk")
        if done.returncode != 0:
            pytest.skip("mounting a disk needs root, and a system that lets it")
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
