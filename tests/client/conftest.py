"""The gateway that the client's tests talk to."""

from __future__ import annotations

from tests.client.gateway import clean_environment, client, gateway, model_folder

__all__ = ["clean_environment", "client", "gateway", "model_folder"]
