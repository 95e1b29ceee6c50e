"""A reward function that behaves as its test says, through files beside it.

Runs inside the reward service; the test process writes the moods and reads the calls.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

FOLDER = "MOODY_FOLDER"
MOODS = ("nan", "huge", "few", "raise", "sorted")


def vowels(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """The share of vowels, and a little for variety: the reward of a good mood."""
    return [
        sum(c in "aeiou" for c in text) / (1 + len(text)) + 0.01 * len(set(text))
        for text in responses
    ]


def short(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """A second reward, which has no moods."""
    return [-float(len(set(text))) for text in responses]


def score(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """``vowels``, unless a mood is set. Its file's text picks the prompts it is about; empty: all."""
    folder = Path(os.environ[FOLDER])
    prompts = [conversation[-1]["content"] for conversation in conversations]
    lines = [json.dumps(pair) for pair in zip(prompts, responses, strict=True)]
    with (folder / "calls").open("a", encoding="utf-8") as calls:
        calls.write("".join(line + "\n" for line in lines))
    while (name := _hold(folder)) is not None:
        (folder / name).touch()
        time.sleep(0.01)
    if _is(folder, "raise", prompts):
        raise RuntimeError("the reward is in a bad mood")
    rewards = vowels(conversations, responses)
    for mood, value in (("nan", float("nan")), ("huge", 1.7e308)):
        if _is(folder, mood, prompts):
            about = [_about(folder, mood, prompt) for prompt in prompts]
            rewards = [value if hit else reward for hit, reward in zip(about, rewards, strict=True)]
    if _is(folder, "sorted", prompts):
        rewards.sort()
    return rewards[:-1] if _is(folder, "few", prompts) else rewards


def _hold(folder: Path) -> str | None:
    """The name of the hold, when more responses were asked for than it lets pass."""
    try:
        most, name = (folder / "hold").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return None
    return name if _count(folder) > int(most) else None


def _count(folder: Path) -> int:
    try:
        return len((folder / "calls").read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return 0


def _about(folder: Path, mood: str, prompt: str) -> bool:
    return (folder / mood).read_text(encoding="utf-8") in prompt


def _is(folder: Path, mood: str, prompts: list[str]) -> bool:
    try:
        return any(_about(folder, mood, prompt) for prompt in prompts)
    except FileNotFoundError:
        return False


class Mood:
    """The test's side of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hold = ""

    def set(self, mood: str, about: str = "") -> None:
        """Begins a mood for the prompts that contain ``about``."""
        assert mood in MOODS
        self._write(mood, about)

    def hold(self, *, after: int) -> None:
        """Lets so many more responses pass; who asks for more waits."""
        self._hold = f"held-{uuid.uuid4().hex}"
        self._write("hold", f"{_count(self.folder) + after} {self._hold}")

    @property
    def holds(self) -> bool:
        """Whether somebody waits, or waited, because of the last ``hold``."""
        return (self.folder / self._hold).exists()

    def clear(self) -> None:
        """Ends all moods; who waits goes on."""
        for name in (*MOODS, "hold"):
            (self.folder / name).unlink(missing_ok=True)

    def forget(self) -> None:
        """Forgets all calls."""
        (self.folder / "calls").unlink(missing_ok=True)

    def calls(self, prompt: str) -> list[str]:
        """Every response to a prompt that was ever sent to the reward, repeats included."""
        try:
            lines = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [response for asked, response in map(json.loads, lines) if asked == prompt]

    def _write(self, name: str, text: str) -> None:
        aside = self.folder / f".{name}"
        aside.write_text(text, encoding="utf-8")
        aside.rename(self.folder / name)
