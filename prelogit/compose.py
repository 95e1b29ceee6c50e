"""Put a prompt's result together from what its searches ended with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.metadata import version

from prelogit.core.ranking import distinct
from prelogit.core.records import BaselineResult, Candidate, Iteration, ModelRef, Result, Seconds
from prelogit.metrics.best_of import expected_best
from prelogit.metrics.diversity import diversity
from prelogit.search.course import Outcome
from prelogit.search.picks import picks
from prelogit.wire.jobs import JobRequest
from prelogit.wire.params import Baseline


def failed(prompt_id: str, index: int, request: JobRequest, model: ModelRef, error: str) -> Result:
    """The result of a prompt that could not be run."""
    return Result(
        prompt_id=prompt_id,
        index=index,
        status="failed",
        seed=request.seed,
        model=model,
        versions=versions(),
        error=error,
    )


def composed(
    prompt_id: str,
    index: int,
    request: JobRequest,
    outcomes: Sequence[Outcome],
    *,
    model: ModelRef,
    reward_model: ModelRef | None,
    prompt_tokens: int,
    coherence: Callable[[str], float | None],
    nlls: Sequence[float | None] = (),
) -> Result:
    """The prompt's answer with its costs; ``outcomes`` by arm, the method's first.

    ``nlls``: of each arm's answer, likewise; empty: they were not measured.
    """
    nlls = nlls or [None] * len(outcomes)
    method = outcomes[0]
    best = method.kept[0] if method.kept else None
    samples = sum(len(row.rewards) for row in method.rows)
    guided = [row.guided.scored_partials for row in method.rows if row.guided is not None]
    cancelled = any(one.ending == "cancelled" for one in outcomes)
    return Result(
        prompt_id=prompt_id,
        index=index,
        status="failed" if method.ending == "failed" else "cancelled" if cancelled else "succeeded",
        response=best.text if best else None,
        responses=tuple(distinct(method.kept)[: request.top_k]),
        picks=picks(method.kept, method.rows, request.stop),
        finish_reason=best.finish_reason if best else None,
        stopped=method.stopped,
        reward=best.reward if best else None,
        baselines=tuple(
            _baseline(params, outcome, best, samples).model_copy(update={"nll": nll})
            for params, outcome, nll in zip(request.baselines, outcomes[1:], nlls[1:], strict=True)
        ),
        kl=method.kl,
        diversity=diversity(best.token_ids) if best else None,
        coherence=coherence(best.text) if best else None,
        nll=nlls[0],
        samples=samples,
        scored_partials=sum(guided) if guided else None,
        iterations=len(method.rows),
        prompt_tokens=prompt_tokens,
        generated_tokens=sum(row.tokens for row in method.rows),
        seconds=sum((row.seconds for row in method.rows), Seconds()),
        seed=request.seed,
        model=model,
        reward_model=reward_model,
        versions=versions(),
        warnings=method.warnings,
        error=method.error,
    )


def _baseline(
    params: Baseline, outcome: Outcome, best: Candidate | None, samples: int
) -> BaselineResult:
    mine = outcome.kept[0] if outcome.kept else None
    rewards = [reward for row in outcome.rows for reward in row.rewards]
    expected = _expected(outcome.rows[-1], samples) if outcome.rows else None
    seconds = sum((row.seconds for row in outcome.rows), Seconds())
    return BaselineResult(
        name=params.name,
        noise=getattr(params, "noise", None),
        reward=mine.reward if mine else None,
        response=mine.text if mine else None,
        rewards=tuple(rewards),
        samples=len(rewards),
        generated_tokens=sum(row.tokens for row in outcome.rows),
        seconds=seconds.decode + seconds.reward,
        margin=best.reward - mine.reward if best and mine else None,
        expected=expected,
        expected_margin=best.reward - expected if best and expected is not None else None,
        error=outcome.error,
    )


def _expected(row: Iteration, samples: int) -> float | None:
    """The reward to be expected of a baseline's answer, had it drawn so many samples."""
    if row.chosen is None:  # the best of its samples is the answer
        few = 1 <= samples <= len(row.rewards)
        return expected_best(row.rewards, samples) if few else None
    # Where the samples weigh differently, the weights are those of just so many samples.
    if samples != len(row.rewards) and len(set(row.weights)) > 1:
        return None
    return math.fsum(w * reward for w, reward in zip(row.weights, row.rewards, strict=True))


def versions() -> dict[str, str]:
    """What computed a result."""
    return {name: version(name) for name in ("prelogit", "torch", "transformers")}
