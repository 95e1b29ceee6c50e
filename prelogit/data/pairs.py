"""Two files of answers as pairs of answers to the same prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prelogit.core.errors import InputError
from prelogit.data.answers import Answer, Turns, key_of

_SHOWN = 60  # characters of a prompt that has no id


class Pair(NamedTuple):
    """Both answers to one prompt. ``prompt_id``: its id, or where it has none its text, shortened."""

    prompt_id: str
    turns: Turns
    left: str
    right: str


class Missing(NamedTuple):
    """A prompt that is left out; named as in ``Pair``."""

    prompt_id: str
    reason: str


class Paired(NamedTuple):
    """What was matched, in the left file's order, and the prompts that were not."""

    pairs: list[Pair]
    missing: list[Missing]


def paired(
    left: Sequence[Answer], right: Sequence[Answer], prompts: Mapping[str, Turns] | None = None
) -> Paired:
    """Match by prompt id where both files have it, else by the conversation.

    Args:   prompts: turns by prompt id, for files whose rows do not hold them.
    Raises: InputError: a prompt stands twice in a file; the prompts of results are not given.
    """
    prompts = prompts or {}
    by_id = all(one.prompt_id is not None for one in (*left, *right))
    lefts, rights = (_by_key(side, prompts, by_id) for side in (left, right))
    pairs: list[Pair] = []
    missing: list[Missing] = []
    for key in (*lefts, *(key for key in rights if key not in lefts)):
        mine, other = lefts.get(key), rights.get(key)
        name = _name(mine or other)
        if mine is None or other is None:
            where = "first" if mine is None else "second"
            missing.append(Missing(name, f"not in the {where} file"))
        elif mine.response is None or other.response is None:
            where = "first" if mine.response is None else "second"
            missing.append(Missing(name, f"has no answer in the {where} file"))
        else:
            turns = mine.turns or other.turns or prompts.get(mine.prompt_id or "")
            if turns is None:
                raise InputError(
                    f"the text of the prompt {name!r} is not known: results do not hold it, so name "
                    "the file that the job was submitted with as --prompts",
                    field="prompts",
                )
            pairs.append(Pair(name, turns, mine.response, other.response))
    return Paired(pairs, missing)


def _by_key(
    answers: Sequence[Answer], prompts: Mapping[str, Turns], by_id: bool
) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    for answer in answers:
        turns = answer.turns or prompts.get(answer.prompt_id or "")
        key = answer.prompt_id if by_id or turns is None else key_of(turns)
        assert key is not None  # noqa: S101 - a row without an id holds its turns
        if key in found:
            raise InputError(
                f"the prompt {_name(answer)!r} stands twice in one file: one answer a prompt is "
                "compared, so give the answers of one job"
            )
        found[key] = answer._replace(turns=turns)
    return found


def _name(answer: Answer | None) -> str:
    assert answer is not None  # noqa: S101 - one of two that are not both None
    if answer.prompt_id is not None:
        return answer.prompt_id
    text = answer.turns[-1]["content"] if answer.turns else ""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
