"""Thousands of prompts that run: claims with leases, and threads that write rounds at a rate."""

from __future__ import annotations

import random
import threading
import time

from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases, trace, turns
from db.holding import Claim
from prelogit.core.records import Candidate, Iteration, Seconds

SAMPLES = 16
ANSWER = "Sleep is easier in a dark, cool and quiet room; go to bed at the same hour. " * 4
LEASE_SECONDS = 600.0


def a_round(k: int, *, seed: int = 0) -> tuple[Iteration, list[Candidate]]:
    """The k-th row of a trace of 16 samples, as large as a real one, and the candidate it keeps."""
    draw = random.Random(1000 * seed + k)
    rewards = tuple(draw.random() for _ in range(SAMPLES))
    row = Iteration(
        k=k, mean=sum(rewards) / SAMPLES, std=0.3, best=max(rewards), best_so_far=max(rewards),
        ess=3.5, lambda_=0.1, sigma2=0.5, rewards=rewards, weights=(1 / SAMPLES,) * SAMPLES,
        finish=("stop",) * SAMPLES, tokens=64 * SAMPLES, reward_calls=1,
        reward_tokens=64 * SAMPLES, seconds=Seconds(decode=2.0, reward=0.1, wait=0.1),
    )  # fmt: skip
    best = Candidate(
        iteration=k, sample=0, token_ids=tuple(range(64)), text=ANSWER, reward=max(rewards),
        held_out=None, truncated=False, finish_reason="stop",
    )  # fmt: skip
    return row, [best]


def claim_all(store: sessionmaker[Session], model: str, prompts: int) -> list[Claim]:
    """Claims until so many prompts run."""
    claims: list[Claim] = []
    while sum(len(claim.prompts) for claim in claims) < prompts:
        with store.begin() as session:
            claim = turns.claim(
                session, "", owner=f"w{len(claims)}", model=model, ttl_seconds=LEASE_SECONDS
            )
        if claim is None:
            raise RuntimeError(f"only {len(claims)} groups could be claimed")
        claims.append(claim)
    return claims


class Rounds:
    """Writes one round after the other while a block runs, and renews the lease of its claim with
    each as a worker does; ``written`` counts them."""

    def __init__(
        self, store: sessionmaker[Session], claims: list[Claim], *, a_second: float
    ) -> None:
        self._store, self._a_second = store, a_second
        self._turns = [
            (claim, prompt.prompt_id)
            for place in range(max(len(claim.prompts) for claim in claims))
            for claim in claims
            for prompt in claim.prompts[place : place + 1]
        ]
        self.written = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Rounds:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        begun = time.monotonic()
        while not self._over.wait(
            max(0.0, begun + self.written / self._a_second - time.monotonic())
        ):
            claim, prompt_id = self._turns[self.written % len(self._turns)]
            k = 1 + self.written // len(self._turns)
            row, kept = a_round(k, seed=self.written)
            with self._store.begin() as session:
                trace.append(session, claim, prompt_id, 0, row, kept)
                leases.renew(session, claim, ttl_seconds=LEASE_SECONDS)
                jobs.cancel_requested(session, claim.job_id)
            self.written += 1
