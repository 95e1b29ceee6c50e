"""From a posted job to one that can be stored, or to what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydantic import ValidationError

from api.deps import Gateway
from api.errors import MOST_FIELDS
from api.fields import field_problems
from api.jobs.limits import count_problem, job_problems
from api.jobs.posted import Posted
from api.jobs.roll import MOST_ERRORS, Roll, called, read_prompts
from api.jobs.schema import job_schema, settings_schema
from api.jobs.sent import SentJob, sent
from prelogit.wire.jobs import JobSettings, PromptItem, named
from prelogit.wire.limits import refusal
from prelogit.wire.problem import FieldProblem


class Checked(NamedTuple):
    """A job after all checks. ``settings``: filled in; None when their types were already wrong."""

    settings: JobSettings | None
    roll: Roll
    problems: list[FieldProblem]
    job: SentJob

    def items(self) -> Iterator[PromptItem]:
        """The prompts with their ids, where nothing was wrong; may be asked for again."""
        for place, prompt in enumerate(read_prompts(self.job.prompts())):
            yield named(prompt, place, self.roll.places)


def check_job(posted: Posted, here: Gateway) -> Checked:
    """All checks of a posted job; slow for big jobs, so never on the event loop.

    Raises: ProblemError: 422 when it is not JSON at all. ModelError: the model is not prepared.
    """
    job = sent(posted)
    settings, problems = _settings(job)
    most = here.settings.max_prompts
    text = None
    if settings is not None and (job.count or 0) <= most:  # else counting would tell nothing
        known = here.texts.get(settings.model or here.settings.model)
        text = None if known is None else known.load()
    roll = called(job.prompts(), settings, text, most=most)
    if roll.errors > MOST_ERRORS:
        message = (
            f"has more than {MOST_ERRORS:,} errors, too many to list: compare a single prompt with "
            f"/docs first (up to {MOST_FIELDS} errors are listed)"
        )
        return Checked(None, roll, [FieldProblem(field="body", message=message)], job)
    if job.count is None and not roll and not problems:
        message = "no line follows the first: write each prompt on a line of its own"
        problems.append(FieldProblem(field="prompts", message=message))
    if len(roll) > most:
        problems.append(count_problem(job.count, most))
    if settings is not None and roll:
        told = settings.budget and refusal(settings.budget, settings.method, len(roll))
        if told:
            problems.append(FieldProblem(field="budget", message=told))
        else:
            settings = settings.completed(model=here.settings.model, prompts=len(roll))
            problems += job_problems(settings, here.settings, here.rewards)
    return Checked(settings, roll, [*problems, *roll.problems], job)


def body_hash(settings: JobSettings, items: Iterable[PromptItem]) -> str:
    """The same for bodies that mean the same job, however they are written."""
    told = settings.model_dump(mode="json")
    before = {name: value for name, value in told.items() if name < "prompts"}
    after = {name: value for name, value in told.items() if name > "prompts"}
    # The JSON of the whole request, with its names in order, is never there at once.
    meant = hashlib.sha256(f'{_json(before)[:-1]}, "prompts": ['.encode())
    for place, item in enumerate(items):
        meant.update(f"{', ' if place else ''}{_json(item.model_dump(mode='json'))}".encode())
    meant.update(f"], {_json(after)[1:]}".encode())
    return meant.hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _settings(job: SentJob) -> tuple[JobSettings | None, list[FieldProblem]]:
    try:
        return job.kind.model_validate(job.settings), list(job.wrong)
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            message = f"has {error.error_count():,} errors, too many to list: compare it with /docs"
            return None, [FieldProblem(field="body", message=message)]
        found = error.errors(include_url=False, include_input=False)
        schema = job_schema() if job.count is not None else settings_schema()
        return None, [*job.wrong, *field_problems(found, schema)]
