"""The methods of an evaluation, each with the name that its tables give it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import TypeAdapter, ValidationError

from prelogit.core.errors import InputError
from prelogit.wire.params import MethodField, MethodParams, Params

# Steps of training a value network: they leave files behind, and are nothing to compare.
_NO_ARMS = ("collect", "train")
_ALL: dict[str, type[MethodParams]] = {
    one.model_fields["name"].default: one for one in get_args(Params)
}
CLASSES = {name: one for name, one in _ALL.items() if name not in _NO_ARMS}
_method: TypeAdapter[Params] = TypeAdapter(MethodField)


class Arm(NamedTuple):
    """A method and its label."""

    label: str
    params: Params

    @property
    def fields(self) -> dict[str, Any]:
        """The method as the API's JSON has it."""
        return fields_of(self.params)

    @property
    def key(self) -> str:
        """The same for the same parameters, whatever the label."""
        return key_of(self.fields)


def fields_of(params: Params) -> dict[str, Any]:
    """A method as the API's JSON has it."""
    return params.model_dump(mode="json", by_alias=True)


def with_values(fields: Mapping[str, Any], values: Mapping[str, Any]) -> Params:
    """A method with other values for some of its fields.

    A number for AISP's sigma2, a variance or a horizon asks for a mean, as where a method is first written.
    """
    kept = dict(fields)
    if kept.get("proposal") == "texts" and (
        values.get("sigma2", "auto") != "auto" or values.get("variance") or values.get("horizon")
    ):
        kept = {
            name: one
            for name, one in kept.items()
            if name not in ("proposal", "sigma2", "variance", "horizon")
        }
    return arm_params({**kept, **values})


def key_of(fields: Mapping[str, Any]) -> str:
    """The same for the same fields."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def arm_of(text: str) -> Arm:
    """A method as ``--baseline`` has it: ``aisp``, ``bon:gaussian``, ``aisp:n=8,lambda=0.3``.

    After the colon stand options of the method, by commas; a word alone is its noise.
    Raises: InputError: names the method or field that does not exist and the nearest one.
    """
    name, _, options = text.partition(":")
    fields: dict[str, Any] = {"name": name}
    for option in filter(None, options.split(",")):
        field, equals, value = option.partition("=")
        if not equals and name in _ALL and "noise" not in _ALL[name].model_fields:
            raise InputError(f"{text}: {option!r} is not option=value", field="method")
        fields.update({field: word(value)} if equals else {"noise": option})
    return Arm(text, arm_params(fields))


def arms_of_file(path: Path) -> list[Arm]:
    """The methods of a JSON file: one method, a list of methods, or an object of label to method.

    Raises: InputError: the file is not there or not of this form; names the method and field.
    """
    found = read_json(path)
    if isinstance(found, Mapping) and "name" in found:
        found = [found]
    try:
        if isinstance(found, list) and found:
            return [Arm(_label(one), arm_params(one)) for one in found]
        if isinstance(found, Mapping) and found:
            return [Arm(str(label), arm_params(one)) for label, one in found.items()]
    except InputError as error:
        raise InputError(f"{path}: {error}", field=error.field) from error
    raise InputError(f"{path}: must hold a method, a list of methods, or labels with methods")


def arm_params(fields: Any) -> Params:
    """A method that can be compared.

    Raises: InputError: names the field and the cure.
    """
    if isinstance(fields, Mapping) and fields.get("name") in _NO_ARMS:
        raise InputError(
            f"{fields['name']} trains a value network: run it by `prelogit value`, "
            "and evaluate recontrol",
            field="method",
        )
    return method_of(fields)


def read_json(path: Path) -> Any:
    """
    Raises: InputError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error


def method_of(fields: Any) -> Params:
    """A method from the API's JSON.

    Raises: InputError: names the field and the cure.
    """
    name = fields.get("name") if isinstance(fields, Mapping) else None
    if not isinstance(name, str) or name not in _ALL:
        near = get_close_matches(str(name), CLASSES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(
            f"there is no method {name!r}: {hint}name one of {', '.join(CLASSES)}", field="method"
        )
    try:
        return _method.validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][1]) if len(first["loc"]) > 1 else "method"
        if first["type"] != "extra_forbidden":
            told = first["msg"].removeprefix("Value error, ")
            raise InputError(f"{name}: {field}: {told}", field=field) from error
        known = parameters(_ALL[name])
        near = get_close_matches(field, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(
            f"the method {name} has no parameter {field!r}: {hint}it has {', '.join(known)}",
            field=field,
        ) from error


def parameters(params: type[MethodParams]) -> list[str]:
    """Names of a method's parameters in JSON."""
    fields = params.model_fields.items()
    return [field.alias or name for name, field in fields if name != "name"]


def word(text: str) -> Any:
    """A value as JSON has it, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _label(fields: Any) -> str:
    """As ``--method`` would write it."""
    if not isinstance(fields, Mapping):
        return ""
    noise = [str(fields["noise"])] if fields.get("noise") else []
    more = [f"{k}={v}" for k, v in fields.items() if k not in ("name", "noise") and v is not None]
    return labelled(str(fields.get("name")), [*noise, *more])


def labelled(label: str, options: Iterable[str]) -> str:
    """A label with more options."""
    for option in options:
        label += f"{',' if ':' in label else ':'}{option}"
    return label
