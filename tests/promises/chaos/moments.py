"""A kill at random moments of a job: one job after the other, in each something is killed once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prelogit.wire.jobs import ENDED
from tests.promises.chaos import looking, undisturbed, work
from tests.promises.chaos.arena import WORKERS, Arena, arena
from tests.promises.chaos.checks import Found, check

Say = Callable[[str], object]
WORKER = "worker"  # the one that holds the job at that moment
PATIENCE_SECONDS = 180.0  # until a job whose stack was hit once must have ended
METHODS = 5  # of ``work.bodies``


class Kill(NamedTuple):
    """``share``: of the time that the job takes undisturbed. ``seconds``: until it starts again."""

    target: str
    share: float
    seconds: float


def draw(seed: int, count: int, *, processes: Sequence[str]) -> list[Kill]:
    """So many kills at moments that are even over a job; every second one is of a worker."""
    dice = random.Random(f"moments {seed}")
    others = [name for name in processes if name not in WORKERS]
    deck: list[str] = []
    kills = []
    for _ in range(count):
        if not deck:
            deck = dice.sample(others + [WORKER] * len(others), 2 * len(others))
        kills.append(Kill(deck.pop(), dice.random(), dice.uniform(0.1, 2.0)))
    return kills


def run(
    folder: Path, model: str, database: str, seed: int, moments: int, prompts: int, say: Say
) -> Found:
    """What was found; ``say`` hears what is done. The logs of all processes stay in ``folder``."""
    bodies = work.bodies(seed, min(METHODS, moments), prompts)
    works: dict[int, dict[str, Any]] = {}
    told = Counter[str]()
    with arena(folder, model, database) as here:
        poster = work.Poster(here.url)

        def post(body: dict[str, Any]) -> int:
            works[len(works)] = body
            poster.post(len(works) - 1, body)
            return len(works) - 1

        for body in bodies:  # the first jobs find everything cold
            _ended(here, poster, post(body))
        seconds = []
        for body in bodies:
            begun = time.monotonic()
            _ended(here, poster, post(body))
            seconds.append(time.monotonic() - begun)
        say("undisturbed: " + ", ".join(f"{one:.2f} s" for one in seconds))
        for number, kill in enumerate(draw(seed, moments, processes=list(here.parts))):
            moment = kill.share * seconds[number % len(bodies)]
            begun = time.monotonic()
            place = post(bodies[number % len(bodies)])
            time.sleep(moment)
            where = _where(here, poster, place)
            target = _target(here, poster, place, kill)
            here.parts[target].kill()
            told[f"kills of {kill.target}"] += 1
            told[f"kills while it was {where}"] += 1
            _tended(here, kill.seconds)
            here.parts[target].start()
            ended = _ended(here, poster, place)
            say(
                f"{number + 1:3} at {moment:5.2f} s  kill {target:<8} for {kill.seconds:.1f} s: "
                f"{where}; {ended} after {time.monotonic() - begun:.1f} s"
            )
        poster.finish(PATIENCE_SECONDS)
        found = _found(here, poster, works, model)
    return Found([*found.counted, *sorted(told.items())], found.breaches)


def _found(
    here: Arena, poster: work.Poster, works: Mapping[int, dict[str, Any]], model: str
) -> Found:
    """The bodies come again and again: what each finds undisturbed is made once."""
    once = {body["metadata"]["place"]: body for body in works.values()}
    answers = undisturbed.answers(model, once)
    found = check(
        here.engine,
        poster.accepted,
        {job_id: looking.export(here, job_id) for job_id in poster.accepted.values()},
        {
            job_id: answers[works[place]["metadata"]["place"]]
            for place, job_id in poster.accepted.items()
        },
    )
    lost = [f"job {place} was never accepted" for place in works if place not in poster.accepted]
    return Found(found.counted, [*found.breaches, *poster.refused, *lost])


def _target(here: Arena, poster: work.Poster, place: int, kill: Kill) -> str:
    """The worker that holds the job, where one does; else whom the kill names."""
    if kill.target != WORKER:
        return kill.target
    job_id = poster.accepted.get(place)
    pid = None if job_id is None else looking.holder(here, job_id)
    return next((name for name in WORKERS if here.parts[name].pid == pid), WORKERS[0])


def _where(here: Arena, poster: work.Poster, place: int) -> str:
    """How far a job has come."""
    job_id = poster.accepted.get(place)
    if job_id is None:
        return "posted"
    status = looking.status(here, job_id)
    if status != "running":
        return str(status)
    return "running" if looking.stored_rounds(here, job_id) else "begun"


def _ended(here: Arena, poster: work.Poster, place: int) -> str:
    """Waits for the end of a job, which ``check`` misses where it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        job_id = poster.accepted.get(place)
        status = None if job_id is None else looking.status(here, job_id)
        if status in ENDED:
            return str(status)
        _tended(here, looking.LOOK_SECONDS / 5)
    return "not ended"


def _tended(here: Arena, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (rest := end - time.monotonic()) > 0:
        here.tend()
        time.sleep(min(rest, looking.LOOK_SECONDS))
