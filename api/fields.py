"""From a validation error to the fields as the client wrote them.

pydantic's locations also name the branch of a union that was tried; here they are followed
along the JSON schema, so that such branches are told from fields and left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from prelogit.wire.problem import FieldProblem

Node = Mapping[str, Any]

LONGEST_NAME = 100
RANGES = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
# Errors which only say that another branch of the union was meant.
SHAPES = frozenset(
    {"string_type", "int_type", "float_type", "bool_type", "model_type", "dict_type"}
    | {"tuple_type", "list_type", "literal_error", "model_attributes_type", "none_required"}
)
WORDS = {
    "missing": "is required",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "finite_number": "must be a finite number",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
}


class Spot(NamedTuple):
    """Where an error lies: the client's path, the union branches taken, and the schema there."""

    error: Mapping[str, Any]
    path: tuple[str | int, ...]
    branches: tuple[tuple[tuple[str | int, ...], str | int], ...]
    nodes: tuple[Node, ...]  # what may stand here
    known: tuple[str, ...]  # the fields of the object around it


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt word most likely means."""
    if len(word) > LONGEST_NAME:
        return None
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return close[0] if close else None


def dotted(path: Sequence[str | int]) -> str:
    """``prompts.3.messages.0.role``; the body itself is called ``body``."""
    return ".".join(_short(str(part)) for part in path) or "body"


def _short(word: str) -> str:
    return word if len(word) <= LONGEST_NAME else word[:LONGEST_NAME] + "…"


def field_problems(errors: Sequence[Mapping[str, Any]], schema: Node) -> list[FieldProblem]:
    """pydantic's error list, in the client's words, one entry a field.

    Args: errors: ``ValidationError.errors()``. schema: the JSON schema of what was validated.
    """
    spots = _meant([_locate(error, schema) for error in errors])
    deeper = {path[:cut] for spot in spots for path in [spot.path] for cut in range(len(path))}
    found: dict[str, FieldProblem] = {}
    for spot in spots:
        # "too short" is also said of a list whose items were all refused.
        if spot.error["type"] == "too_short" and spot.path in deeper:
            continue
        problem = _describe(spot)
        earlier = found.get(problem.field)
        if earlier is None:
            found[problem.field] = problem
        elif problem.message not in earlier.message:
            problem.message = f"{earlier.message}, or {problem.message}"
            problem.allowed = problem.allowed or earlier.allowed
            found[problem.field] = problem
    return list(found.values())


def _resolve(node: Node, schema: Node) -> list[Node]:
    """The options that a schema node stands for: references followed, null left out."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    options = node.get("anyOf") or node.get("oneOf")
    if options is None:
        return [node]
    return [n for o in options for n in _resolve(o, schema) if n.get("type") != "null"]


def _locate(error: Mapping[str, Any], schema: Node) -> Spot:
    path: list[str | int] = []
    branches: list[tuple[tuple[str | int, ...], str | int]] = []
    around: list[Node] = []
    choice = _resolve(schema, schema)
    chosen = False
    for part in error["loc"]:
        if len(choice) > 1 and not chosen:
            branches.append((tuple(path), part))
            choice = [n for n in choice if _tag(n) == part] or choice
            chosen = True
            continue
        path.append(part)
        around = choice
        steps = [step for n in choice if (step := _step(n, part)) is not None]
        choice = [n for step in steps for n in _resolve(step, schema)]
        chosen = False
    known = tuple(name for n in around for name in n.get("properties", ()))
    return Spot(error, tuple(path), tuple(branches), tuple(choice), known)


def _tag(node: Node) -> str | None:
    name = node.get("properties", {}).get("name", {})
    return name.get("const")  # type: ignore[no-any-return]


def _step(node: Node, part: str | int) -> Node | None:
    if isinstance(part, int):
        return node.get("items")
    properties = node.get("properties", {})
    found: Node | None = properties.get(part) or properties.get(part.rstrip("_"))
    if found is None and isinstance(node.get("additionalProperties"), Mapping):
        return node["additionalProperties"]  # type: ignore[no-any-return]
    return found


def _meant(spots: list[Spot]) -> list[Spot]:
    """Without the branches that the client did not mean.

    Of a union's branches those count which got furthest: an error inside of a branch says
    that its shape fitted, one about the shape says that it did not.
    """
    reached: dict[tuple[str | int, ...], dict[str | int, int]] = {}
    for spot in spots:
        for at, tag in spot.branches:
            got = 2 if len(spot.path) > len(at) else int(spot.error["type"] not in SHAPES)
            tags = reached.setdefault(at, {})
            tags[tag] = max(got, tags.get(tag, 0))
    return [
        spot
        for spot in spots
        if all(reached[at][tag] == max(reached[at].values()) for at, tag in spot.branches)
    ]


def _describe(spot: Spot) -> FieldProblem:
    kind: str = spot.error["type"]
    context: Mapping[str, Any] = spot.error.get("ctx", {})
    path, allowed = spot.path, _allowed(spot.nodes, context)
    message: str
    match kind:
        case "extra_forbidden":
            allowed = list(spot.known)
            message = "is not a known field" + _hint(str(path[-1]), allowed)
        case "union_tag_invalid":
            path = (*path, context["discriminator"].strip("'"))
            allowed = _quoted(context["expected_tags"])
            tag = _short(str(context["tag"]))
            message = f"{tag!r} is not offered" + _hint(tag, allowed)
        case "union_tag_not_found":
            path = (*path, context["discriminator"].strip("'"))
            allowed = [name for node in spot.nodes if (name := _tag(node))]
            message = WORDS["missing"]
        case "literal_error":
            message = f"must be {context['expected']}"
        case "none_required":
            message = next((n["description"] for n in spot.nodes if "description" in n), "")
            message = message or "must be null"
        case "value_error":
            message = str(context["error"])
        case "string_too_short" if context.get("min_length") == 1:
            message = "must not be empty"
        case "too_short" | "too_long":
            word = "at least" if kind == "too_short" else "at most"
            message = f"must have {word} {context.get('min_length', context.get('max_length'))}"
            message += " item(s)"
        case _:
            message = re.sub(r"^\w+ should ", "must ", str(spot.error["msg"]))
            message = WORDS.get(kind, message)
    return FieldProblem(field=dotted(path), message=message, allowed=allowed)


def _hint(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _allowed(nodes: Sequence[Node], context: Mapping[str, Any]) -> Any:
    """Values as a list, a range as an object with JSON schema's words, None where all goes."""
    values = [v for n in nodes for v in (n.get("enum") or ([n["const"]] if "const" in n else []))]
    if not values and "expected" in context:
        values = _quoted(str(context["expected"]))
    spans = [span for n in nodes if (span := {k: n[k] for k in RANGES if k in n})]
    if not spans:
        names = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}
        unit = "Items" if "actual_length" in context else "Length"
        names |= {"lt": "exclusiveMaximum", "min_length": f"min{unit}", "max_length": f"max{unit}"}
        spans = [span] if (span := {names[k]: context[k] for k in names if k in context}) else []
    if values and spans:
        return [*spans, *values]
    return values or (spans[0] if spans else None)
