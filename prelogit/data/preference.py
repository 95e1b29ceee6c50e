"""Preference pairs as TRL's trainers read them: the answer and the worst kept candidate."""

from __future__ import annotations

from typing import Any

from prelogit.core.errors import InputError
from prelogit.data.answered import Answered


def preference(answered: Answered) -> dict[str, Any] | None:
    """``prompt``, ``chosen``, ``rejected``, ``score_chosen``, ``score_rejected``.

    The answer is chosen: the best candidate, or the one that the method made its answer.
    Conversations where the prompt went through the chat template (the trainer applies it
    too), plain text where it was sent raw.
    Returns: None where the two tie or read the same: there is nothing to prefer.
    Raises:  InputError: fewer than two candidates were kept.
    """
    if len(answered.candidates) < 2:
        raise InputError(
            "a preference needs two candidates of a prompt, but the job kept only the best: "
            'submit it again with keep "all" (or top_k of 2 or more)',
            field="keep",
        )
    # A text that was drawn twice may have two rewards, where they depend on the batch.
    same = [one for one in answered.candidates if one.text == answered.response]
    best = max(same or answered.candidates, key=lambda candidate: candidate.reward)
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
