"""Options that choose and shape a method: one for each field of the methods' wire classes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from prelogit.cli.method_file import OPTION, with_file
from prelogit.wire.params import Baseline, BaselineField, MethodField, MethodParams, Params

_CLASSES: tuple[type[MethodParams], ...] = get_args(Params)
_NAMES = [params.model_fields["name"].default for params in _CLASSES]
_method: TypeAdapter[Params] = TypeAdapter(MethodField)
_baseline: TypeAdapter[Baseline] = TypeAdapter(BaselineField)
BASELINES = [params.model_fields["name"].default for params in get_args(Baseline)]


def with_method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command ``--method`` and an option for each field; it receives ``method: Params``."""
    options = _options()
    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        chosen = {option.name: given.pop(option.name) for option in options}
        return command(**given, method=method_of(chosen))

    own = [option for option in signature.parameters.values() if option.name != "method"]
    parameters = [*own, *options]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    # typer reads the types from here.
    run.__annotations__ = {option.name: option.annotation for option in parameters}
    return run


def method_of(given: Mapping[str, Any]) -> Params:
    """The method that options by field name mean; None is an option that was not given.

    Raises: typer.BadParameter: names the option and what is allowed.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    file = fields.pop("method_file", None)
    for name in _NUMBERS_OR_WORDS & set(fields):
        fields[name] = _number_or_word(fields[name])
    if file is not None:
        fields = with_file(file, fields)
    fields["name"] = fields.pop("method", _NAMES[0])
    if fields["name"] not in _NAMES:
        raise typer.BadParameter(f"is one of {', '.join(_NAMES)}", param_hint="--method")
    try:
        return _method.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        if len(first["loc"]) < 2:  # a rule about several fields
            raise typer.BadParameter(_message(first, fields["name"])) from error
        flag = _flag(str(first["loc"][1]))
        raise typer.BadParameter(_message(first, fields["name"]), param_hint=flag) from error


def baseline_of(text: str) -> Baseline:
    """A baseline as it is written on the command line: ``bon``, ``bon:gaussian``, ``sample:n=8,top_p=0.9``.

    After the colon stand options of the method, by commas; a word alone is its noise.
    Raises: typer.BadParameter: there is no such baseline, or it has no such option.
    """
    name, _, options = text.partition(":")
    fields: dict[str, Any] = {"name": name}
    for option in filter(None, options.split(",")):
        field, equals, value = option.partition("=")
        fields.update({field: _parsed(value)} if equals else {"noise": option})
    try:
        return _baseline.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "union_tag_invalid":
            told = f"{text!r} is none of {', '.join(BASELINES)}"
        else:
            where = "".join(f"{part}: " for part in first["loc"][1:2])
            told = f"{text!r}: {where}{_message(first, name)}"
        raise typer.BadParameter(told, param_hint="--baseline") from error


def _message(error: Mapping[str, Any], method: str) -> str:
    if error["type"] == "extra_forbidden":
        return f"the method {method} has no such option"
    return str(error["msg"]).removeprefix("Value error, ")


def _options() -> list[inspect.Parameter]:
    told = f"One of {', '.join(_NAMES)} ({_NAMES[0]})."
    method = Annotated[str | None, typer.Option("--method", help=told, show_default=False)]
    found = {
        "method": _parameter("method", method, None),
        "method_file": _parameter("method_file", OPTION, None),
    }
    for params in _CLASSES:
        for name, field in params.model_fields.items():
            if name == "name":
                continue
            users = [one for one in _CLASSES if name in one.model_fields]
            option = typer.Option(
                _flag(name),
                help=_help(name, field, users),
                rich_help_panel="Method",
                show_default=False,
            )
            kind = Annotated[_type(field.annotation) | None, option]  # type: ignore[valid-type]
            found.setdefault(name, _parameter(name, kind, None))
    return list(found.values())


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _flag(name: str) -> str:
    return "--" + name.strip("_").replace("_", "-")


def _help(name: str, field: FieldInfo, users: list[type[MethodParams]]) -> str:
    text = (field.description or "").replace("null: ", "left out: ").replace("null ", "left out ")
    default = _defaults(name, users)
    names = ", ".join(one.model_fields["name"].default for one in users)
    only = "" if len(users) == len(_CLASSES) else f"[{names}] "
    return f"{only}{text[:1].upper()}{text[1:]}{default}."


def _defaults(name: str, users: list[type[MethodParams]]) -> str:
    """The default, or that of each method where they differ."""
    methods: dict[str, list[str]] = {}
    for one in users:
        field = one.model_fields[name]
        if field.default is not None and not field.is_required():
            methods.setdefault(str(field.default), []).append(one.model_fields["name"].default)
    if not methods:
        return ""
    if len(methods) == 1:
        return f" (default {next(iter(methods))})"
    told = (f"{value} for {' and '.join(names)}" for value, names in methods.items())
    return f" (default {', '.join(told)})"


def _type(annotation: Any) -> type:
    """int, float, or str where words are allowed."""
    kinds = _kinds(annotation)
    return str if str in kinds else int if int in kinds else float if float in kinds else str


def _kinds(annotation: Any) -> set[Any]:
    """The types that a value may have; words are texts."""
    parts, kinds = [annotation], set()
    for part in parts:
        if get_origin(part) is Annotated:
            parts.append(get_args(part)[0])
        elif get_origin(part) is Literal:
            kinds.add(str)
        elif get_args(part):
            parts.extend(get_args(part))
        else:
            kinds.add(part)
    return kinds


# Where one method takes numbers or words, the option is a text for all that have it.
_NUMBERS_OR_WORDS = {
    name
    for params in _CLASSES
    for name, field in params.model_fields.items()
    if {str, float} <= _kinds(field.annotation)
}


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _parsed(text: str) -> int | float | str:
    try:
        return int(text)
    except ValueError:
        return _number_or_word(text)
