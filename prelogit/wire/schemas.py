"""JSON schemas of the border types as parts of an OpenAPI document."""

from __future__ import annotations

from typing import Any

REF = "#/components/schemas/"


def add_schema(schemas: dict[str, Any], name: str, schema: dict[str, Any]) -> None:
    """Moves a stand-alone JSON schema, its definitions too, below a document's components.

    Args: schemas: of the components; what is known there by the same name stays.
    """
    moved = _pointed(schema)
    definitions = moved.pop("$defs", {})
    for key, value in {**definitions, name: moved}.items():
        schemas.setdefault(key, value)


def _pointed(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", REF)
            if isinstance(value, str) and value.startswith("#/$defs/")
            else _pointed(value)
            for key, value in node.items()
        }
    return [_pointed(item) for item in node] if isinstance(node, list) else node
