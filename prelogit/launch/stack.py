"""Which children make the stack, with their command lines and environments."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import prelogit
from prelogit.core.errors import LaunchError
from prelogit.egress.urls import LOOPBACK, LOOPBACK_HOSTS
from prelogit.launch.child import ChildSpec
from prelogit.launch.gpus import VISIBLE, gpu_share
from prelogit.launch.settings import UpSettings
from prelogit.launch.valkey import Valkey
from prelogit.rewards.allowed_tokenizers import EVERYTHING
from prelogit.text import EMBEDDED

REWARD_HOST = "127.0.0.1"


def services_root() -> Path:
    """The folder that holds the packages ``api``, ``workers``, ``reward_service`` and ``db``.

    In a wheel they lie below this package, in a checkout beside it.
    Raises: LaunchError: the installation is incomplete.
    """
    package = Path(prelogit.__file__).parent
    for root in (package / "_services", package.parent):
        if (root / "api" / "__main__.py").is_file():
            return root
    raise LaunchError("the services are not installed with this package: install prelogit again")


def service_env(settings: UpSettings, outer: Mapping[str, str]) -> dict[str, str]:
    """The environment that all of the stack's Python processes share, without URLs of its parts."""
    root = str(services_root())
    env = {
        **outer,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, outer.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "PRELOGIT_HOME": str(settings.home),
        "PRELOGIT_HOST": settings.host,
        "PRELOGIT_MODEL": settings.model,
        "PRELOGIT_MODELS": json.dumps(settings.offered),
        "PRELOGIT_DEVICE": settings.device,
    }
    if settings.database_url is not None:
        env["PRELOGIT_DATABASE_URL"] = settings.database_url
    return env


def valkey_spec(valkey: Valkey) -> ChildSpec:
    """The embedded queue. It needs nothing of the environment."""
    return ChildSpec("queue", valkey.argv, {"PATH": os.defpath})


def prepare_spec(settings: UpSettings, outer: Mapping[str, str]) -> ChildSpec:
    """Prepares the embedded model, then ends; SIGINT lets it remove what it has half done."""
    argv = (*_python("prelogit.engine.embedded"), EMBEDDED)
    env = {**service_env(settings, outer), "TQDM_DISABLE": "1"}  # a bar makes no line of a log
    return ChildSpec("model", argv, env, signal.SIGINT)


def gpus_spec(settings: UpSettings, outer: Mapping[str, str]) -> ChildSpec:
    """Prints how many GPUs there are, then ends."""
    return ChildSpec("gpus", _python("prelogit.launch.gpus"), service_env(settings, outer))


def service_specs(
    settings: UpSettings,
    queue_url: str,
    outer: Mapping[str, str],
    cores: int,
    gpus: Sequence[str] = (),
) -> list[ChildSpec]:
    """Reward service (unless there is one), workers, gateway: in the order of their start.

    gpus: names of those that the workers share out among them; without any, all see all.
    """
    reward_url = settings.reward_url or f"http://{REWARD_HOST}:{settings.reward_port}"
    env = {
        **service_env(settings, outer),
        "PRELOGIT_REDIS_URL": queue_url,
        "PRELOGIT_REWARD_URL": reward_url,
        "PRELOGIT_PORT": str(settings.port),
        "PRELOGIT_REWARD_URLS": json.dumps(reward_urls(settings)),
        "PRELOGIT_REWARD_TOKENIZERS": json.dumps(reward_tokenizers(settings)),
    }
    models = [model for model in settings.offered for _ in range(settings.workers)]
    reward_threads, worker_threads = thread_counts(cores, len(models))
    specs = []
    if settings.reward_url is None:
        own = {
            "PRELOGIT_REWARD_HOST": REWARD_HOST,
            "PRELOGIT_REWARD_PORT": str(settings.reward_port),
        }
        own |= _threads(outer, reward_threads)
        specs.append(ChildSpec("reward", _python("reward_service"), {**env, **own}))
    for place, model in enumerate(models):
        name = "worker" if len(models) == 1 else f"worker-{place + 1}"
        own = {"PRELOGIT_MODEL": model, **_threads(outer, worker_threads)}
        if settings.metrics_port is not None:
            own["PRELOGIT_METRICS_PORT"] = str(settings.metrics_port + place)
        if gpus:
            own[VISIBLE] = ",".join(gpu_share(gpus, place, len(models)))
        specs.append(ChildSpec(name, _python("workers"), {**env, **own}, grace_seconds=20.0))
    specs.append(ChildSpec("gateway", _python("api"), env))
    return specs


def reward_urls(settings: UpSettings) -> Sequence[str]:
    """Reward servers that jobs may name: where nobody else can post, those of this machine."""
    if settings.reward_urls is not None:
        return settings.reward_urls
    return LOOPBACK if settings.host in LOOPBACK_HOSTS else ()


def reward_tokenizers(settings: UpSettings) -> Sequence[str]:
    """Tokenizers that jobs may name for them: where nobody else can post, any."""
    if settings.reward_tokenizers is not None:
        return settings.reward_tokenizers
    return EVERYTHING if settings.host in LOOPBACK_HOSTS else ()


def thread_counts(cores: int, workers: int) -> tuple[int, int]:
    """Threads for the reward service and for each worker.

    The workers share all cores: the reward service works in bursts, and threads that wait
    sleep, so that reserving cores for it would leave them idle.
    """
    return max(1, cores // 4), max(1, cores // workers)


def _threads(outer: Mapping[str, str], count: int) -> dict[str, str]:
    return {} if "OMP_NUM_THREADS" in outer else {"OMP_NUM_THREADS": str(count)}


def _python(module: str) -> tuple[str, ...]:
    # -P: else a folder of that name where the user stands would win.
    return (sys.executable, "-P", "-m", module)
