"""What a worker has at hand for every group it searches."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from prelogit.engine.load import Model
from prelogit.wire.probe import Probe
from workers.heartbeat import Heartbeat
from workers.metrics import Metrics
from workers.settings import Settings


class Kept(NamedTuple):
    """A report on a reward that this worker made, and when."""

    report: Probe
    at: float  # by the monotonic clock


@dataclass(frozen=True)
class Desk:
    """Store, model and settings of one worker process.

    ``stopping`` is set when the worker is told to end, ``broken`` when its device failed so
    that only a new process can use it again. ``probes``: reports on rewards, by how jobs name them.
    """

    store: sessionmaker[Session]
    model: Model
    settings: Settings
    owner: str
    heartbeat: Heartbeat
    metrics: Metrics
    stopping: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)
    probes: dict[str, Kept] = field(default_factory=dict)
