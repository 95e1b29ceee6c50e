"""A process' metrics for Prometheus: a registry of its own, and how it reads as text."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder


class Exposition(NamedTuple):
    """An answer to Prometheus."""

    body: bytes
    content_type: str


def make_registry() -> CollectorRegistry:
    """A registry with the usual collectors: memory, files and CPU of the process, Python's version.

    Not the library's global one, which a second application in the same process would share.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposed(registry: CollectorRegistry, accept: str = "") -> Exposition:
    """Everything in the registry, in the text format that ``accept`` (a header) prefers."""
    encode, content_type = choose_encoder(accept)
    return Exposition(encode(registry), content_type)
