"""Transcripts as HH-RLHF writes them: turns that begin with "Human:" and "Assistant:"."""

from __future__ import annotations

import re

from prelogit.core.errors import InputError

_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|User|Assistant):[ \t]?")


def messages_of(transcript: str) -> list[dict[str, str]]:
    """All turns, their text stripped.

    Raises: InputError: the text is no transcript.
    """
    parts = _TURN.split(transcript)
    if parts[0].strip() or len(parts) == 1:
        raise InputError('must begin with "Human:", as the transcripts of HH-RLHF do')
    return [
        {"role": "assistant" if speaker == "Assistant" else "user", "content": text.strip()}
        for speaker, text in zip(parts[1::2], parts[2::2], strict=True)
    ]


def before_last_answer(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Everything before the last assistant turn: the prompt of a pair of answers.

    Raises: InputError: there is no assistant turn, or nothing before it.
    """
    places = [i for i, message in enumerate(messages) if message.get("role") == "assistant"]
    if not places or places[-1] == 0:
        raise InputError("must hold a prompt and then an answer of the assistant")
    return messages[: places[-1]]


def transcript_of(messages: list[dict[str, str]]) -> str:
    """Turns as HH-RLHF writes them, ending with an "Assistant:" that waits for its answer."""
    speakers = {"assistant": "Assistant"}
    turns = [f"{speakers.get(one['role'], 'Human')}: {one['content']}" for one in messages]
    return "\n\n".join([*turns, "Assistant:"])
