"""Preference pairs as TRL's trainers read them: the best and the worst kept candidate."""

from __future__ import annotations

from typing import Any

from prelogit.core.errors import InputError
from prelogit.data.answered import Answered


def preference(answered: Answered) -> dict[str, Any] | None:
    """``prompt``, ``chosen``, ``rejected``, ``score_chosen``, ``score_rejected``.

    Conversations where the prompt went through the chat template (the trainer applies it
    too), plain text where it was sent raw.
    Returns: None where the kept candidates tie or read the same: there is nothing to prefer.
    Raises:  InputError: fewer than two candidates were kept.
    """
    if len(answered.candidates) < 2:
        raise InputError(
            "a preference needs two candidates of a prompt, but the job kept only the best: "
            'submit it again with keep "all" (or top_k of 2 or more)',
            field="keep",
        )
    best = max(answered.candidates, key=lambda candidate: candidate.reward)
    worst = min(answered.candidates, key=lambda candidate: candidate.reward)
    if best.reward == worst.reward or best.text == worst.text:
        return None
    scores = {"score_chosen": best.reward, "score_rejected": worst.reward}
    if answered.template == "none":
        prompt = "\n".join(message["content"] for message in answered.messages)
        return {"prompt": prompt, "chosen": best.text, "rejected": worst.text, **scores}
    return {
        "prompt": answered.messages,
        "chosen": [{"role": "assistant", "content": best.text}],
        "rejected": [{"role": "assistant", "content": worst.text}],
        **scores,
    }
