"""``prelogit up``: the whole stack in one process group tree, from an empty folder to a URL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from prelogit.core.errors import LaunchError
from prelogit.launch import valkey
from prelogit.launch.gpus import visible_gpus
from prelogit.launch.home import locked, open_home
from prelogit.launch.logs import Logs
from prelogit.launch.note import write_note
from prelogit.launch.ports import claim_port
from prelogit.launch.ready import reachable, wait_ready
from prelogit.launch.settings import UpSettings
from prelogit.launch.stack import (
    REWARD_HOST,
    gpus_spec,
    prepare_spec,
    service_specs,
    services_root,
    valkey_spec,
)
from prelogit.launch.supervisor import Supervisor
from prelogit.text import EMBEDDED, context_length, model_folder


class Ground(NamedTuple):
    """What one run stands on: its settings with the ports that were claimed, folders, the lock."""

    settings: UpSettings
    folder: Path  # private and temporary: socket and password of the queue
    lock: int
    valkey: Path | None  # the server's binary; None: the user has a queue
    token: str  # asks the gateway for its health, whatever else needs a key

    @property
    def url(self) -> str:
        return reachable(self.settings.host, self.settings.port)


def up(settings: UpSettings, *, log: IO[str], on_ready: Callable[[str], None]) -> None:
    """Start the stack, call ``on_ready`` with its URL, and keep it running until a signal ends it.

    Must run in the main thread.
    Raises: LaunchError: it cannot be started; says why and the cure. ModelError: no such model.
    """
    services_root()
    for model in settings.offered:
        if model != EMBEDDED:
            context_length(model, home=settings.home)  # known before anything is started
    binary = valkey.find_server() if settings.redis_url is None else None
    open_home(settings.home)
    with locked(settings.home) as lock:
        settings = _with_ports(settings)
        set_token = settings.health_token
        token = secrets.token_hex(32) if set_token is None else set_token.get_secret_value()
        ground = Ground(settings, valkey.private_folder(), lock, binary, token)
        own = {"reward_port": settings.reward_port} if settings.reward_url is None else {}
        write_note(lock, {"url": ground.url, "health_token": token, **own})
        logs = Logs(settings.home / "logs", log, settings.log_format)
        try:
            asyncio.run(_run(ground, logs, on_ready))
        finally:
            logs.close()
            shutil.rmtree(ground.folder, ignore_errors=True)


def _with_ports(settings: UpSettings) -> UpSettings:
    """The settings with ports that are free now in place of 0."""
    ports = {
        "port": claim_port(
            settings.host,
            settings.port,
            what="the gateway",
            cure="choose another by PRELOGIT_PORT or --port (0: any free one)",
        )
    }
    if settings.reward_url is None:
        ports["reward_port"] = claim_port(
            REWARD_HOST,
            settings.reward_port,
            what="the reward service",
            cure="choose another by PRELOGIT_REWARD_PORT or --reward-port (0: any free one)",
        )
    return settings.model_copy(update=ports)


async def _run(ground: Ground, logs: Logs, on_ready: Callable[[str], None]) -> None:
    async with Supervisor(logs, ground.folder, held=(ground.lock,)) as supervisor:
        asked = _watch_signals(supervisor, logs)
        tasks = [
            asyncio.create_task(_bring_up(supervisor, ground, logs, on_ready)),
            asyncio.create_task(supervisor.failure()),
            asyncio.create_task(asked.wait()),
        ]
        watched: set[asyncio.Task[Any]] = set(tasks)
        try:
            while not asked.is_set():
                done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # raises what went wrong
        finally:
            await supervisor.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _bring_up(
    supervisor: Supervisor, ground: Ground, logs: Logs, on_ready: Callable[[str], None]
) -> None:
    settings, outer = ground.settings, dict(os.environ)
    if EMBEDDED in settings.offered and not _prepared(settings):
        logs.say(f"preparing the model {EMBEDDED} in {settings.home}: once, less than a minute")
        if await supervisor.once(prepare_spec(settings, outer)) != 0:
            last = logs.last("model")
            raise LaunchError(last[-1] if last else f"the model {EMBEDDED} cannot be prepared")
    queue_url = settings.redis_url
    if ground.valkey is not None:
        queue = valkey.Valkey(ground.valkey, ground.folder, settings.home / "valkey")
        supervisor.start(valkey_spec(queue))
        await queue.ready()
        queue_url = queue.url
    gpus = await _gpus(supervisor, settings, logs, outer)
    for spec in service_specs(settings, queue_url or "", outer, _cores(), gpus):
        if spec.name == "gateway":
            spec = replace(spec, env={**spec.env, "PRELOGIT_HEALTH_TOKEN": ground.token})
        supervisor.start(spec)
    await wait_ready(ground.url, ground.token, lambda parts: logs.say(f"waiting for: {parts}"))
    supervisor.settle()
    on_ready(ground.url)


async def _gpus(
    supervisor: Supervisor, settings: UpSettings, logs: Logs, outer: Mapping[str, str]
) -> tuple[str, ...]:
    """The GPUs that the workers share out among them; none where nothing is to be shared out."""
    alone = settings.workers * len(settings.offered) == 1
    if alone or settings.device not in ("auto", "cuda"):
        return ()
    code = await supervisor.once(gpus_spec(settings, outer))
    last = logs.last("gpus")
    count = int(last[-1]) if code == 0 and last and last[-1].isdigit() else 0
    return visible_gpus(count, outer)


def _watch_signals(supervisor: Supervisor, logs: Logs) -> asyncio.Event:
    """An event that the first SIGINT, SIGTERM or SIGHUP sets; the second kills the children."""
    asked = asyncio.Event()

    def heard() -> None:
        if asked.is_set():
            supervisor.kill()
            return
        logs.say("stopping (again: at once)")
        asked.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, heard)
    loop.add_signal_handler(signal.SIGTERM, heard)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants it to be ignored
        loop.add_signal_handler(signal.SIGHUP, heard)
    return asked


def _prepared(settings: UpSettings) -> bool:
    return (Path(model_folder(EMBEDDED, home=settings.home)) / "config.json").is_file()


def _cores() -> int:
    with contextlib.suppress(AttributeError):  # Linux alone knows the affinity
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
