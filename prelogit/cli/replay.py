"""``prelogit replay``: make an answer again from its stored trace."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from prelogit.cli.gateway import connect
from prelogit.cli.jobs import JobId
from prelogit.cli.reporting import FAILED, Json, notes, out, print_json, reported
from prelogit.cli.trace import PromptId
from prelogit.core.errors import InputError
from prelogit.core.ranking import rank
from prelogit.core.records import PromptStatus
from prelogit.wire.jobs import Job, JobRequest, PromptItem


@reported
def replay(
    job_id: JobId,
    prompt_id: PromptId,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    reward: Annotated[
        str | None,
        typer.Option(
            help="For answers of args, whose every token the reward picked: relevance, the URL of a "
            "reward service, or module:callable (default the job's reward, by its name)."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rebuild an answer from its stored trace, and say whether it is the same; 1 if it is not.

    The model is loaded in this process; the same device and dtype as the worker's give the
    same tokens.
    """
    with connect() as client:
        handle = client.job(job_id)
        result = handle.result(prompt_id)
        candidates = handle.candidates(prompt_id)  # before the trace, which must have their rounds
        trace = handle.trace(prompt_id)
        item = handle.prompt(prompt_id).item
    if not candidates:
        raise InputError(_no_answer(job_id, prompt_id, result.status))
    answer = rank(candidates, trace.iterations)[0]
    request = _about(handle.job, item)
    from prelogit.engine.load import load_model
    from prelogit.replay import replay_result
    from prelogit.rewards.load import load_reward

    name = request.model or ""
    if not as_json:
        notes.print(f"loading {name} …", highlight=False, markup=False)
    model = load_model(name, device=device, dtype=dtype)
    guided = answer.iteration <= len(trace.iterations) and (
        trace.iterations[answer.iteration - 1].guided is not None
    )
    score = load_reward(reward or request.reward.hosted) if guided else None
    again = replay_result(model, item, request, trace, answer, score)
    stored = None if result.model is None else result.model.fingerprint
    if as_json:
        print_json(
            {
                "same": again.same,
                "first_difference": again.first_difference,
                "response": again.text,
                "stored": answer.text,
                "iteration": answer.iteration,
                "sample": answer.sample,
                "same_weights": None if stored is None else stored == model.fingerprint,
            }
        )
    else:
        out.print(again.text, markup=False, highlight=False, soft_wrap=True)
        if again.same:
            notes.print("the same, token for token", style="green")
        else:
            notes.print(f"another answer from token {again.first_difference} on", style="red")
        if stored is None:
            notes.print(
                f"whether the weights are the job's is not known: {prompt_id} has no stored result",
                style="yellow",
                highlight=False,
                markup=False,
            )
        elif stored != model.fingerprint:
            notes.print(
                f"the weights are not the job's: fingerprint {model.fingerprint} here, {stored} there",
                style="yellow",
                highlight=False,
            )
    if not again.same:
        raise typer.Exit(FAILED)


def _no_answer(job_id: str, prompt_id: str, status: PromptStatus) -> str:
    told = f"{prompt_id} of {job_id} has no answer"
    if status in ("queued", "running"):
        return f"{told} yet (it is {status})"
    return f"{told} ({status} before its first round): prelogit retry {job_id} runs it"


def _about(job: Job, item: PromptItem) -> JobRequest:
    """The job's request, of this prompt alone: a large job does not show all of its prompts."""
    settings = {name: told for name, told in job.request.items() if name != "prompts_shown"}
    body = json.dumps({**settings, "prompts": [item.model_dump(mode="json")]})
    return JobRequest.model_validate_json(body)
