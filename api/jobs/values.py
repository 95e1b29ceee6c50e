"""Whether the value network that a job names can be used, as far as the gateway can see."""

from __future__ import annotations

from collections.abc import Iterator

from api.settings import Settings
from prelogit.core.errors import InputError
from prelogit.value.header import read_header, value_file, value_names
from prelogit.wire.jobs import JobRequest
from prelogit.wire.params import REControl
from prelogit.wire.problem import FieldProblem


def value_problems(request: JobRequest, settings: Settings) -> Iterator[FieldProblem]:
    """What is wrong with the value's name or file; the worker compares it with its model.

    Only names of values in PRELOGIT_HOME/values are taken: no path comes in over the network.
    """
    if not isinstance(request.method, REControl):
        return
    value = request.method.value
    try:
        read_header(value_file(value, settings.home))
    except InputError as error:
        known = value_names(settings.home)
        yield FieldProblem(field="method.value", message=str(error), allowed=known)
