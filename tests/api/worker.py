"""Plays the worker: claims, writes iterations and results through the store's own functions."""

from __future__ import annotations

from sqlalchemy.orm import Session, sessionmaker

from db import leases, outbox, presence, results, trace
from db.leases import Claim
from prelogit.core.records import Candidate, Iteration, Result, Seconds


class Worker:
    """One worker on a store; every method is a transaction."""

    def __init__(self, store: sessionmaker[Session], owner: str = "worker-1") -> None:
        self.store = store
        self.owner = owner

    def groups(self) -> list[str]:
        """The groups whose wake-ups wait in the outbox."""
        with self.store.begin() as session:
            return [row.group_id for row in outbox.pending(session, 1000)]

    def beat(self, model: str) -> None:
        with self.store.begin() as session:
            presence.beat(session, self.owner, model, "ready")

    def claim(self, group_id: str, *, ttl_seconds: float = 60) -> Claim:
        with self.store.begin() as session:
            model = outbox.models(session, [group_id])[group_id]
            claim = leases.claim(
                session, group_id, owner=self.owner, model=model, ttl_seconds=ttl_seconds
            )
        assert claim is not None
        return claim

    def claim_all(self) -> list[Claim]:
        return [self.claim(group_id) for group_id in self.groups()]

    def iterate(self, claim: Claim, prompt_id: str, k: int) -> None:
        """Round k: two candidates with the rewards k and k + 0.5."""
        kept = Candidate(
            iteration=k,
            sample=1,
            token_ids=(5, k),
            text=f"answer {k}",
            reward=k + 0.5,
            finish_reason="stop",
        )
        row = Iteration(
            k=k,
            mean=k + 0.25,
            std=0.25,
            best=k + 0.5,
            best_so_far=k + 0.5,
            ess=1.5,
            lambda_=0.3,
            sigma2=0.5,
            kl_gaussian=0.0,
            step=1.0,
            rewards=(float(k), k + 0.5),
            weights=(0.25, 0.75),
            finish=("length", "stop"),
            tokens=10,
            seconds=Seconds(decode=2.0, reward=0.5),
        )
        with self.store.begin() as session:
            trace.append(session, claim, prompt_id, 0, row, [kept])

    def describe(self, claim: Claim, prompt_id: str) -> None:
        with self.store.begin() as session:
            trace.describe(session, claim, prompt_id, window=4, dim=8)

    def finish(self, claim: Claim, prompt_id: str, index: int = 0) -> None:
        result = Result(
            job_id=claim.job_id,
            prompt_id=prompt_id,
            index=index,
            response=f"the answer to {prompt_id}",
            finish_reason="stop",
            reward=1.5,
            samples=2,
            iterations=1,
            generated_tokens=10,
            seconds=Seconds(decode=2.0, reward=0.5),
        )
        with self.store.begin() as session:
            results.finish(session, claim, prompt_id, result)

    def fail(self, claim: Claim, prompt_id: str, error: str = "the reward was NaN") -> None:
        with self.store.begin() as session:
            results.fail(session, claim, prompt_id, error)

    def release(self, claim: Claim) -> None:
        with self.store.begin() as session:
            leases.release(session, claim, [prompt.prompt_id for prompt in claim.prompts])

    def run(self, claim: Claim) -> None:
        """All prompts of a claim, one round each, to their end."""
        for prompt in claim.prompts:
            self.describe(claim, prompt.prompt_id)
            self.iterate(claim, prompt.prompt_id, 1)
            self.finish(claim, prompt.prompt_id, prompt.index)

    def run_all(self) -> None:
        for claim in self.claim_all():
            self.run(claim)
