"""What a search leaves behind: candidates, iterations, traces, results. Frozen, no tensors.

The same records are stored, sent over REST and returned by the library, so their JSON
names are the contract's names (``lambda_`` in Python is ``lambda`` in JSON).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from prelogit.core.guard import HeldOut as HeldOut
from prelogit.core.guard import Picks as Picks
from prelogit.core.record import Record as Record

FinishReason = Literal["stop", "length"]
StopReason = Literal[
    "target", "plateau", "kl", "held_out", "samples", "tokens", "seconds", "budget"
]


class Candidate(Record):
    """One decoded response, its reward, and what the held-out reward says of it where there is one.

    ``iteration`` counts from 1, ``sample`` from 0; together with seed and prompt id they
    are the key of the candidate's noise. ``token_ids`` ends with the end token when
    ``finish_reason`` is ``stop``. ``truncated``: the reward read a part of it or of its conversation
    alone; None where the reward does not say.
    """

    iteration: int
    sample: int
    token_ids: tuple[int, ...]
    text: str
    reward: float
    held_out: float | None = None
    truncated: bool | None = None
    finish_reason: FinishReason


class Seconds(Record):
    """Wall-clock seconds of one iteration or result, by what they were spent on."""

    decode: float = 0.0
    reward: float = 0.0
    wait: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(
            decode=self.decode + other.decode,
            reward=self.reward + other.reward,
            wait=self.wait + other.wait,
        )


class Guided(Record):
    """What a round says besides, each of whose tokens the method picked by the reward (ARGS).

    ``scored_partials``: texts of candidates that were scored on the way, equal ones of a step once;
    they are no samples. ``token_sampled``, ``token_exact``: as ``Kl`` describes them, the means over
    the round's responses, which are draws from the method's own distribution; None where they are
    not finite. ``cut``: the limit of ``stop`` that ended responses where they stood.
    """

    scored_partials: int
    token_sampled: float | None = None
    token_exact: float | None = None
    cut: StopReason | None = None


class Parent(Record):
    """A candidate that later candidates are made from, as AISP's population keeps it.

    ``weight`` is its share of Eq. 18 among the population, ``log_prior`` the log probability of
    what its own noise was conditioned on, ``temperature`` that of its noise (None in traces that
    do not tell). ``token_ids``, and ``free``, the places (from 0) at which the model had a choice,
    stand in the row of the round that drew it alone.
    """

    iteration: int
    sample: int
    reward: float
    weight: float
    log_prior: float
    temperature: float | None = None
    token_ids: tuple[int, ...] = ()
    free: tuple[int, ...] = ()


class Population(Record):
    """The texts that AISP goes on from after a round, best first; and what the round was made from.

    ``parents``: for each candidate of the round the place of its parent in the population of the
    row before, -1 where it has none.
    """

    parents: tuple[int, ...]
    texts: tuple[Parent, ...]


class Iteration(Record):
    """One round of n candidates, as the trace shows it.

    ``k`` counts from 1; the draw from the final mean is the last and has ``final=True``.
    ``weights`` are those of Eq. 18 (uniform 1/n where the method has none). ``lambda_`` is
    the temperature that was used, ``None`` where the method has none or where all rewards
    tie, so that any lambda gives the same weights. ``sigma2`` is the variance of this
    round's noise, ``kl_gaussian`` the closed KL (nats) of this round's proposal from the
    prior, ``kl_token_sampled`` and ``kl_token_exact`` the KL (nats, mean of the candidates) of what
    the tokens were drawn from, from the base model (``Kl``), ``step`` how far the mean moved towards the weighted noise (1 in the paper,
    0 in a round that does not move it). ``chosen`` is the sample (from 0) that the method made
    its answer, ``None`` where the best candidate is the answer. ``tokens`` were generated, ``reward_tokens`` were read
    by the reward (0 where it does not say) in ``reward_calls`` requests. ``guided`` is there where
    the method picked every token by the reward, ``population`` where the search goes from text to text,
    ``held_out`` where a second reward looks on. ``diversity``: mean of the candidates', as in ``Result``.
    """

    k: int
    mean: float
    std: float
    best: float
    best_so_far: float
    ess: float | None = None
    lambda_: float | None = Field(default=None, alias="lambda")
    sigma2: float | None = None
    kl_gaussian: float | None = None
    kl_token_sampled: float | None = None
    kl_token_exact: float | None = None
    step: float | None = None
    chosen: int | None = None
    rewards: tuple[float, ...]
    weights: tuple[float, ...]
    finish: tuple[FinishReason, ...]
    tokens: int
    reward_calls: int = 0
    reward_tokens: int = 0
    seconds: Seconds
    final: bool = False
    guided: Guided | None = None
    population: Population | None = None
    held_out: HeldOut | None = None
    diversity: float | None = None


class Trace(Record):
    """All iterations of one search of one prompt.

    ``method`` holds the method's parameters with their defaults filled in; ``window`` is
    the number of controlled tokens (tau) and ``dim`` the width of the pre-logits, so that
    the mean U can be rebuilt from the trace alone.
    """

    prompt_id: str
    method: dict[str, Any]
    seed: int
    window: int | None = None
    dim: int | None = None
    iterations: tuple[Iteration, ...] = ()


class Kl(Record):
    """KL (nats) of the aligned distribution from the base model, None where undefined.

    ``gaussian``: closed form, of the final proposal from the prior. ``token_sampled``:
    log-ratio summed along one response drawn from the aligned model (App. C.6).
    ``token_exact``: the sum of exact per-token KLs along the same response. Of a method that
    picks every token by the reward: the means over its own responses.
    """

    gaussian: float | None = None
    token_sampled: float | None = None
    token_exact: float | None = None


class BaselineResult(Record):
    """A compute-matched baseline beside a result; ``margin`` = method's reward minus this one's.

    ``rewards``: of all its samples; ``reward`` and ``response`` are its answer's. ``expected``: the
    reward to be expected of the best of as many of its samples as the method used, which are fewer
    where the method stopped early; None where it has fewer itself. Where its answer is not the best
    (soft best of n, plain sampling, greedy): the mean of ``rewards`` by their chances of being the
    answer.
    """

    name: str
    noise: str | None = None
    reward: float | None
    response: str | None
    nll: float | None = None
    rewards: tuple[float, ...] = ()
    samples: int
    generated_tokens: int = 0
    seconds: float
    margin: float | None
    expected: float | None = None
    expected_margin: float | None = None
    error: str | None = None


class ModelRef(Record):
    """A model by name and by a fingerprint of its weights and settings."""

    name: str
    fingerprint: str | None = None


PromptStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Result(Record):
    """The answer to one prompt with its costs; the contract's Result.

    The answer is the best candidate, or the one that the method chose (``chosen`` in the trace);
    ``responses`` begins with it, the best others follow. ``stopped``: the limit of ``stop`` that ended the search early, or
    "budget" where the job's samples went to other prompts; None where all rounds ran.
    ``scored_partials``: texts of candidate tokens that were scored beside the ``samples``, where the
    method picks every token by the reward; None elsewhere.
    ``nll``: of the response under the model without steering, mean a token in nats. ``picks``: what
    each criterion would answer, where there is a held-out reward or ``stop.kl``.
    """

    job_id: str | None = None
    prompt_id: str
    index: int = 0
    status: PromptStatus = "succeeded"
    response: str | None = None
    responses: tuple[Candidate, ...] = ()
    picks: Picks | None = None
    finish_reason: FinishReason | None = None
    stopped: StopReason | None = None
    reward: float | None = None
    baselines: tuple[BaselineResult, ...] = ()
    kl: Kl = Kl()
    diversity: float | None = None
    coherence: float | None = None
    nll: float | None = None
    samples: int = 0
    scored_partials: int | None = None
    iterations: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    seconds: Seconds = Seconds()
    seed: int = 0
    model: ModelRef | None = None
    reward_model: ModelRef | None = None
    versions: dict[str, str] = Field(default={})
    warnings: tuple[str, ...] = ()
    error: str | None = None
