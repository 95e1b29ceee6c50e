"""The methods a job can name, read off the classes that validate them."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel

from prelogit.wire.params import Baseline, Params

BASELINES = get_args(Baseline)
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
}


class Parameter(BaseModel):
    """One parameter of a method.

    ``allowed``: the words that may stand here, beside or instead of a number. A bound is
    ``exclusive`` when its own value is refused. ``unit`` is null for a pure number.
    """

    name: str
    type: str
    default: Any
    description: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    allowed: list[str | None] | None = None
    nullable: bool = False
    required: bool = False


class MethodEntry(BaseModel):
    """One method with its parameters; ``baseline``: it may also stand in ``baselines``."""

    name: str
    description: str
    baseline: bool
    samples: int
    parameters: list[Parameter]


class Methods(BaseModel):
    """``GET /v1/methods``."""

    object: Literal["list"] = "list"
    data: list[MethodEntry]


def method_entries() -> list[MethodEntry]:
    """Every method of ``prelogit.wire.params``; ``samples``: with the defaults, a prompt."""
    entries = []
    for params in get_args(Params):
        schema = params.model_json_schema()
        properties = schema["properties"]
        entries.append(
            MethodEntry(
                name=properties["name"]["const"],
                description=schema.get("description", ""),
                baseline=params in BASELINES,
                samples=params.model_construct().samples,
                parameters=[
                    _parameter(name, node, required=name in schema.get("required", ()))
                    for name, node in properties.items()
                    if name != "name"
                ],
            )
        )
    return entries


def _parameter(name: str, node: dict[str, Any], *, required: bool) -> Parameter:
    options = node.get("anyOf", [node])
    real = [option for option in options if option.get("type") != "null"]
    words = [w for o in real for w in (o.get("enum") or ([o["const"]] if "const" in o else []))]
    numbers: dict[str, Any] = next((o for o in real if o.get("type") in ("integer", "number")), {})
    kind = " or ".join(dict.fromkeys(TYPES[option["type"]] for option in real))
    return Parameter(
        name=name,
        type=kind,
        default=node.get("default"),
        description=node.get("description", ""),
        unit=node.get("unit"),
        minimum=numbers.get("minimum"),
        maximum=numbers.get("maximum"),
        exclusive_minimum=numbers.get("exclusiveMinimum"),
        exclusive_maximum=numbers.get("exclusiveMaximum"),
        allowed=words or None,
        nullable=len(real) < len(options),
        required=required,
    )
