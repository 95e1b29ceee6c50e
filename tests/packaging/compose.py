"""docker-compose.yml as Compose reads it: merged, with its variables filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SECRETS = {"POSTGRES_PASSWORD": "pg1", "REDIS_PASSWORD": "vk2"}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<how>:[-?])?(?P<rest>[^}]*)\}")

# Service -> the settings class its process reads, as module:class.
PROCESSES = {
    "reward": "reward_service.settings:RewardSettings",
    "worker": "workers.settings:Settings",
    "worker-gpu": "workers.settings:Settings",
    "gateway": "api.settings:Settings",
}


def variables() -> dict[str, tuple[str, str]]:
    """Every ``${NAME…}`` of the file: the name, and what follows it."""
    return {
        found["name"]: (found["how"] or "", found["rest"]) for found in _VARIABLE.finditer(TEXT)
    }


def composed(env: Mapping[str, str] = SECRETS, text: str = TEXT) -> dict[str, Any]:
    """The file, or a changed text of it, with these variables.

    Raises: KeyError: a variable that must be set is not.
    """

    def value(found: re.Match[str]) -> str:
        name = found["name"]
        if env.get(name):
            return env[name]
        if found["how"] != ":-":
            raise KeyError(name)
        return str(found["rest"])

    read: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(value, text))
    return read


def services(env: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    """The file's services by name."""
    found: dict[str, Any] = composed(env)["services"]
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """A service's variables as its process sees them."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}
