"""Talk to a gateway from Python: ``Client``, and ``AsyncClient`` with the same names."""

from __future__ import annotations

from prelogit.client.asynchronous import AsyncClient, AsyncJobHandle
from prelogit.client.body import JobFields
from prelogit.client.events import Event
from prelogit.client.sync import Client, JobHandle

__all__ = ["AsyncClient", "AsyncJobHandle", "Client", "Event", "JobFields", "JobHandle"]
