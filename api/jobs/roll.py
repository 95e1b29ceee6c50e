"""Calling the roll of a job's prompts: each is looked at once, and little of it is kept."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from api.catalog.models import Text
from api.fields import field_problems
from api.jobs.schema import job_schema
from api.jobs.sent import Sent
from prelogit.core.errors import InputError
from prelogit.text import conversation, encode
from prelogit.wire.jobs import JobSettings, PromptField, PromptItem
from prelogit.wire.problem import FieldProblem

# Beyond this, listing what is wrong costs more than it tells.
MOST_ERRORS = 1000
# No text has tokens of so many characters on average; to count those of megabytes takes a minute.
MOST_CHARACTERS = 64
_prompt: TypeAdapter[str | PromptItem] = TypeAdapter(PromptField)


@dataclass
class Roll:
    """What is known of a job's prompts once all were looked at.

    tokens: of each, by its place; 0 where they could not be counted. places: of those that came
    with an id. errors: how many there are; of more than ``MOST_ERRORS`` the rest is not looked for.
    """

    tokens: array[int] = field(default_factory=lambda: array("q"))
    places: dict[str, int] = field(default_factory=dict)
    problems: list[FieldProblem] = field(default_factory=list)
    errors: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def refuse(self, problems: Iterable[FieldProblem], line: int | None) -> None:
        """Notes what is wrong with a prompt, and on which line it stands."""
        for problem in problems:
            if line is not None:
                problem.message += f" (line {line:,})"
            self.problems.append(problem)
            self.errors += 1


def called(
    sent: Iterable[Sent], settings: JobSettings | None, text: Text | None, *, most: int
) -> Roll:
    """Looks at all prompts; ends after ``most`` and one more, or after too many errors.

    text: of the model, to count tokens; None: they are not counted. settings: of the job, None
    where they are wrong.
    """
    roll = Roll()
    for sent_prompt in sent:
        place = len(roll)
        roll.tokens.append(0)
        if len(roll) > most:
            break
        item = _read(sent_prompt, place, roll)
        if item is not None and text is not None and settings is not None:
            _count(item, place, sent_prompt.line, settings, text, roll)
        if roll.errors > MOST_ERRORS:
            break
    return roll


def read_prompts(sent: Iterable[Sent]) -> Iterator[str | PromptItem]:
    """The prompts of a job whose roll was called without a problem."""
    for one in sent:
        yield _prompt.validate_python(one.value)


def _read(sent: Sent, place: int, roll: Roll) -> PromptItem | None:
    if sent.wrong is not None:
        roll.refuse([FieldProblem(field=f"prompts.{place}", message=sent.wrong)], sent.line)
        return None
    try:
        prompt = _prompt.validate_python(sent.value)
    except ValidationError as error:
        _refuse_shape(error, sent, place, roll)
        return None
    if isinstance(prompt, str):
        return PromptItem(prompt=prompt)
    if prompt.id is not None:
        first = roll.places.setdefault(prompt.id, place)
        if first != place:
            told = f"{prompt.id!r} stands in prompts.{first} too: ids must be unique in a job"
            roll.refuse([FieldProblem(field=f"prompts.{place}.id", message=told)], sent.line)
            return None
    return prompt


def _refuse_shape(error: ValidationError, sent: Sent, place: int, roll: Roll) -> None:
    count = error.error_count()
    if count > MOST_ERRORS:
        roll.errors += count
        return
    found = error.errors(include_url=False, include_input=False)
    there: list[dict[str, Any]] = [{**one, "loc": ("prompts", place, *one["loc"])} for one in found]
    roll.refuse(field_problems(there, job_schema()), sent.line)


def _count(
    item: PromptItem, place: int, line: int | None, settings: JobSettings, text: Text, roll: Roll
) -> None:
    context = text.context_length
    if context is not None:
        characters = sum(len(message["content"]) for message in conversation(item))
        if characters > context * MOST_CHARACTERS:
            roll.refuse([_far_too_long(place, characters, context)], line)
            return
    try:
        count = len(encode(text.tokenizer, item, settings.template))
    except InputError as error:
        name = f"prompts.{place}" + (f".{error.field}" if error.field else "")
        roll.refuse([FieldProblem(field=name, message=str(error))], line)
        return
    roll.tokens[place] = count
    if context is not None and count > context - settings.max_new_tokens:
        roll.refuse([_too_long(place, count, settings.max_new_tokens, context)], line)


def _far_too_long(place: int, characters: int, context: int) -> FieldProblem:
    return FieldProblem(
        field=f"prompts.{place}",
        message=f"has {characters:,} characters, far more than fit into the model's context of "
        f"{context:,} tokens: shorten it",
        allowed={"characters": context * MOST_CHARACTERS, "context_length": context},
    )


def _too_long(place: int, count: int, new_tokens: int, context: int) -> FieldProblem:
    most = max(0, context - new_tokens)
    return FieldProblem(
        field=f"prompts.{place}",
        message=f"has {count:,} tokens; with max_new_tokens {new_tokens:,} at most "
        f"{most:,} fit into the model's context of {context:,}: shorten it, or lower max_new_tokens",
        allowed={"tokens": count, "maximum": most, "context_length": context},
    )
