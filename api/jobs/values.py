"""Whether the value networks that a job names can be used, as far as the gateway can see."""

from __future__ import annotations

from collections.abc import Iterator

from api.settings import Settings
from prelogit.core.errors import InputError
from prelogit.value.header import has_any_states, read_header, value_file, value_names
from prelogit.wire.jobs import JobSettings
from prelogit.wire.params import Params, REControl, TrainValue
from prelogit.wire.problem import FieldProblem


def value_problems(request: JobSettings, settings: Settings) -> Iterator[FieldProblem]:
    """What is wrong with the value's name or file; the worker compares it with its model.

    Only names of values in PRELOGIT_HOME/values are taken: no path comes in over the network.
    """
    method = request.method
    trained = method.value if isinstance(method, TrainValue) else None
    if trained is not None and not has_any_states(trained, settings.home):
        yield FieldProblem(
            field="method.value",
            message=f"{trained!r} has no states to train on: collect them by a job with the "
            "method collect, or by `prelogit value collect`",
        )
    arms: list[tuple[str, Params]] = [("method", method)]
    arms += [(f"baselines.{place}", one) for place, one in enumerate(request.baselines)]
    for field, arm in arms:
        # What the job itself trains is not there yet.
        if not isinstance(arm, REControl) or arm.value == trained:
            continue
        try:
            read_header(value_file(arm.value, settings.home))
        except InputError as error:
            known = value_names(settings.home)
            yield FieldProblem(field=f"{field}.value", message=str(error), allowed=known)
