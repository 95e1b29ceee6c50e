"""Whether the value network that a job names can be used, as far as the gateway can see."""

from __future__ import annotations

from collections.abc import Iterator

from api.settings import Settings
from prelogit.core.errors import InputError
from prelogit.value.header import has_any_states, read_header, value_file, value_names
from prelogit.wire.jobs import JobRequest
from prelogit.wire.params import REControl, TrainValue
from prelogit.wire.problem import FieldProblem


def value_problems(request: JobRequest, settings: Settings) -> Iterator[FieldProblem]:
    """What is wrong with the value's name or file; the worker compares it with its model.

    Only names of values in PRELOGIT_HOME/values are taken: no path comes in over the network.
    """
    method = request.method
    if isinstance(method, TrainValue) and not has_any_states(method.value, settings.home):
        yield FieldProblem(
            field="method.value",
            message=f"{method.value!r} has no states to train on: collect them by a job with the "
            "method collect, or by `prelogit value collect`",
        )
    if not isinstance(method, REControl):
        return
    try:
        read_header(value_file(method.value, settings.home))
    except InputError as error:
        known = value_names(settings.home)
        yield FieldProblem(field="method.value", message=str(error), allowed=known)
