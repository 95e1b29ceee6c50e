"""Search methods on many prompts, seeds and rewards; independent samples are drawn once for all rewards.

    pip install '.[test]'
    python -m benchmarks.study cells.jsonl --seeds 10 11 12 --method aisp:n=16,iterations=7
    python -m benchmarks.study_tables cells.jsonl

`prelogit evaluate` compares methods on any dataset; this program is for the tables of docs/results.md, where
three rewards would else draw the same best-of-n samples three times. A cell that is in the file is not
run again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.study_cells import Cell, Chosen, append, read
from prelogit.align import AlignedResult, align
from prelogit.core.records import Candidate
from prelogit.engine.likelihood import measured_nll
from prelogit.engine.load import Model, load_model
from prelogit.evaluation.arms import Arm, arm_of
from prelogit.rewards.load import load_reward
from prelogit.rewards.protocol import Score
from prelogit.text import conversation, encode
from prelogit.wire.jobs import PromptItem
from prelogit.wire.params import BestOfN

REWARDS = (
    "relevance",
    "benchmarks.steering_rewards:flesch",
    "benchmarks.steering_rewards:sentiment",
)
TOGETHER = 16  # prompts of a batch; what a kill may cost


def main() -> None:
    """Run whatever is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--prompts", type=Path, default=Path("benchmarks/prompts/study.jsonl"))
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--template", default="chat", choices=("chat", "none"))
    parser.add_argument("--method", action="append", help="as prelogit evaluate has it")
    parser.add_argument("--reward", action="append")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tokens", type=int, default=32)
    args = parser.parse_args()

    end = None if args.limit is None else args.skip + args.limit
    lines = args.prompts.read_text(encoding="utf-8").splitlines()[args.skip : end]
    prompts = [json.loads(line) for line in lines]
    arms = [
        arm_of(text) for text in args.method or ["bon", "bon:gaussian", "aisp:n=16,iterations=7"]
    ]
    names = args.reward or list(REWARDS)
    model = load_model(args.model, dtype=args.dtype)
    scores = {name.rpartition(":")[2]: load_reward(name) for name in names}
    kept = {cell.name for cell in read(args.cells)}
    for seed in args.seeds:
        for arm in arms:
            for steer in [None] if isinstance(arm.params, BestOfN) else list(scores):
                missing = [
                    one
                    for one in prompts
                    if (args.model, arm.label, steer, seed, one["id"]) not in kept
                ]
                for start in range(0, len(missing), TOGETHER):
                    part = missing[start : start + TOGETHER]
                    began = time.process_time()
                    cells = search(
                        model,
                        part,
                        arm,
                        steer,
                        scores,
                        seed=seed,
                        tokens=args.tokens,
                        template=args.template,
                    )
                    append(args.cells, cells)
                    told = f"{arm.label} {steer or ''} seed {seed}: {len(cells)} prompts"
                    print(f"{told}, {time.process_time() - began:.0f} s", flush=True)


def search(
    model: Model,
    prompts: Sequence[Mapping[str, str]],
    arm: Arm,
    steer: str | None,
    scores: Mapping[str, Score],
    *,
    seed: int,
    tokens: int,
    template: str,
) -> list[Cell]:
    """One method over some prompts, and what all rewards think of its candidates or of its answers."""
    began = time.process_time()
    results = align(
        model,
        [dict(one) for one in prompts],
        scores[steer] if steer else load_reward(_unsteered),
        method=arm.params,
        max_new_tokens=tokens,
        seed=seed,
        keep="all",
        coherence=False,
        nll=False,
        template=template,  # type: ignore[arg-type]
    )
    cpu = (time.process_time() - began) / len(results)
    items = {one["id"]: PromptItem.model_validate(one) for one in prompts}
    named = arm.label, steer, seed
    return [
        _cell(model, result, named, scores, items[result.prompt_id], template, cpu)
        for result in results
    ]


def _unsteered(conversations: Sequence[object], responses: Sequence[str]) -> list[float]:
    return [0.0] * len(responses)


def _cell(
    model: Model,
    result: AlignedResult,
    named: tuple[str, str | None, int],
    scores: Mapping[str, Score],
    prompt: PromptItem,
    template: str,
    cpu: float,
) -> Cell:
    if result.status != "succeeded":
        raise SystemExit(f"{result.prompt_id}: {result.error}")
    arm, steer, seed = named
    rounds: dict[int, list[Candidate]] = {}
    for one in result.candidates:
        rounds.setdefault(one.iteration, []).append(one)
    candidates = [one for part in rounds.values() for one in part]
    by_reward = {steer: [one.reward for one in candidates]} if steer else {}
    scoring: dict[str, float] = {}
    for name in () if steer else scores:
        began = time.process_time()
        by_reward[name] = _scored(scores[name], prompt, [one.text for one in candidates])
        scoring[name] = round(time.process_time() - began, 4)
    picked = {name: candidates[found.index(max(found))] for name, found in by_reward.items()}
    ids = encode(model.tokenizer, prompt, template)
    nll = measured_nll(model, ids, [one.token_ids for one in picked.values()])
    chosen = {}
    for (name, one), likely in zip(picked.items(), nll, strict=True):
        others = {other: _scored(score, prompt, [one.text])[0] for other, score in scores.items()}
        chosen[name] = Chosen(one.text, len(one.token_ids), likely, others)
    ends = [len(part) for part in rounds.values()]
    rows = [
        {
            "k": row.k,
            "mean": row.mean,
            "ess": row.ess,
            "lambda": row.lambda_,
            "kl": row.kl_token_exact,
        }
        for row in result.trace.iterations
    ]
    return Cell(
        model=model.name,
        arm=arm,
        steer=steer,
        seed=seed,
        prompt=result.prompt_id,
        rewards={
            name: _cut([round(r, 4) for r in found], ends) for name, found in by_reward.items()
        },
        chosen=chosen,
        cpu=round(cpu, 3),
        tokens=result.generated_tokens,
        diversity=result.diversity,
        kl={"sampled": result.kl.token_sampled, "exact": result.kl.token_exact},
        rows=rows,
        scoring=scoring or None,
    )


def _scored(score: Score, prompt: PromptItem, texts: Sequence[str]) -> list[float]:
    """A score of its own for each text, in one call."""
    answer = asyncio.run(score([conversation(prompt)] * len(texts), list(texts)))
    return [float(one) for one in answer.rewards]


def _cut(values: Sequence[float], lengths: Sequence[int]) -> list[list[float]]:
    parts, start = [], 0
    for length in lengths:
        parts.append(list(values[start : start + length]))
        start += length
    return parts


if __name__ == "__main__":
    main()
