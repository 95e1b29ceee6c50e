"""The jobs of a run, and who posts them: whatever happens, each is to be one job."""

from __future__ import annotations

import queue
import random
import threading
import time
from typing import Any

import httpx

WORDS = [
    "why",
    "does",
    "the",
    "old",
    "sea",
    "sing",
    "under",
    "grey",
    "stones",
    "while",
    "nine",
    "tired",
    "whales",
    "dream",
    "of",
    "rain",
]
RETRY_SECONDS = 0.3
MOST_TOKENS = 8


def bodies(seed: int, jobs: int, prompts: int) -> list[dict[str, Any]]:
    """So many requests of so many prompts: methods take turns, all the rest is drawn."""
    dice = random.Random(f"work {seed}")
    methods: list[dict[str, Any]] = [
        {"method": {"name": "aisp", "n": 4, "iterations": 3, "batch_size": 4}},
        {
            "method": {"name": "aisp", "n": 4, "iterations": 2, "batch_size": 2},
            "baselines": [{"name": "bon"}],
        },
        {"method": {"name": "bon", "n": 8, "batch_size": 4}},
        {
            "method": {"name": "aisp", "n": 4, "iterations": 4, "batch_size": 4},
            "budget": {"samples": 12 * prompts},
        },
        {"method": {"name": "aisp", "n": 4, "iterations": 3, "proposal": "mean", "batch_size": 4}},
    ]
    return [
        {
            **methods[place % len(methods)],
            "prompts": [
                {"id": f"q{number}", "prompt": " ".join(dice.choices(WORDS, k=dice.randint(1, 9)))}
                for number in range(prompts)
            ],
            "reward": {"name": "slow"},
            "max_new_tokens": MOST_TOKENS,
            "seed": dice.randrange(2**31),
            "metadata": {"place": str(place)},
        }
        for place in range(jobs)
    ]


class Poster:
    """A client in a thread that posts until it is answered, with one Idempotency-Key a job."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: queue.Queue[tuple[int, dict[str, Any]] | None] = queue.Queue()
        self.accepted: dict[int, str] = {}  # job ids by place, as the 202 told them
        self.answered_twice: list[str] = []
        self.refused: list[str] = []
        self.tries = 0
        self._thread = threading.Thread(target=self._run, name="poster", daemon=True)
        self._thread.start()

    def post(self, place: int, body: dict[str, Any]) -> None:
        """In its turn; returns at once."""
        self._waiting.put((place, body))

    def finish(self, seconds: float) -> bool:
        """Waits until all is posted; whether it was."""
        self._waiting.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._waiting.get()) is not None:
            place, body = task
            while not self._posted(place, body):
                time.sleep(RETRY_SECONDS)

    def _posted(self, place: int, body: dict[str, Any]) -> bool:
        self.tries += 1
        key = {"Idempotency-Key": f"chaos-{place}"}
        try:
            answer = httpx.post(f"{self._url}/v1/jobs", json=body, headers=key, timeout=10)
        except httpx.HTTPError:
            return False
        if answer.status_code >= 500:
            return False
        if answer.status_code != 202:
            self.refused.append(f"job {place} was refused: {answer.status_code} {answer.text}")
            return True
        self.accepted[place] = answer.json()["id"]
        return True
