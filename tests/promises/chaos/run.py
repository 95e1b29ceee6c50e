"""One chaos run: post, disturb, let it come to rest, and hold it against its promises."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.promises.chaos import plan, undisturbed, work
from tests.promises.chaos.arena import LEASE_SECONDS, Arena, arena
from tests.promises.chaos.checks import Found, check
from tests.promises.chaos.looking import LOOK_SECONDS, at_rest, export, stored_rounds
from tests.promises.chaos.plan import Fault

Say = Callable[[str], object]
MOVE_SECONDS = 10.0  # longest wait for a round, where the system is down


class Size(NamedTuple):
    """How long a run is. ``patience_seconds``: after the faults, until all jobs must have ended."""

    jobs: int
    prompts: int
    faults: int
    patience_seconds: float = 600.0


def run(folder: Path, model: str, database: str, seed: int, size: Size, say: Say) -> Found:
    """What was found; ``say`` hears what is done. The logs of all processes stay in ``folder``."""
    bodies = work.bodies(seed, size.jobs, size.prompts)
    with arena(folder, model, database) as here:
        faults = plan.draw(
            seed,
            size.faults,
            processes=list(here.parts),
            links=list(here.links),
            lease_seconds=LEASE_SECONDS,
        )
        poster = work.Poster(here.url)
        _disturb(here, faults, poster, bodies, say)
        posted = poster.finish(size.patience_seconds)
        say("the faults are over")
        ended = at_rest(here, len(bodies), size.patience_seconds)
        results = {job_id: export(here, job_id) for job_id in poster.accepted.values()}
        works = {job_id: bodies[place] for place, job_id in poster.accepted.items()}
        found = check(here.engine, poster.accepted, results, undisturbed.answers(model, works))
        found.breaches.extend(poster.refused)
        if not posted or not ended:
            late = f"not at rest {size.patience_seconds:g} s after the faults"
            found.breaches.append(f"{late}: the logs are in {folder}")
        found.counted.append(("posts until all were accepted", poster.tries))
        restarts = sum(part.ended_itself for part in here.parts.values())
        found.counted.append(("processes that ended by themselves", restarts))
    return found


def _disturb(
    here: Arena,
    faults: Sequence[Fault],
    poster: work.Poster,
    bodies: Sequence[dict[str, object]],
    say: Say,
) -> None:
    """The faults in their order, several at a time, and the jobs spread among them."""
    until: dict[str, tuple[float, Fault]] = {}  # what is disturbed now, and until when
    poster.post(0, bodies[0])
    posted = 1

    def rounds() -> int:
        # A store that is stopped would stop this thread, which is to let it go on.
        return 0 if "store" in until else stored_rounds(here)

    def wait(true: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not true() and time.monotonic() < deadline:
            _end(here, until)
            here.tend()
            time.sleep(LOOK_SECONDS)

    wait(lambda: rounds() > 0, 60.0)  # the first fault meets a search
    begun = time.monotonic()
    for number, fault in enumerate(faults):
        while posted * len(faults) <= number * len(bodies) and posted < len(bodies):
            poster.post(posted, bodies[posted])
            posted += 1
        wait(lambda: False, fault.gap_seconds)
        if fault.patient:
            before = rounds()
            wait(lambda before=before: rounds() > before, MOVE_SECONDS)  # type: ignore[misc]
        place = _place(fault)
        wait(lambda place=place: place not in until, 60.0)  # type: ignore[misc]
        passed = time.monotonic() - begun
        say(f"{passed:6.1f} s  {fault.kind:<5} {fault.target:<9} for {fault.seconds:.1f} s")
        _begin(here, fault)
        until[place] = (time.monotonic() + fault.seconds, fault)
    wait(lambda: not until, 60.0)


def _place(fault: Fault) -> str:
    return f"{fault.target}{'' if fault.kind in plan.TO_PROCESSES else ' link'}"


def _begin(here: Arena, fault: Fault) -> None:
    if fault.kind == "kill":
        here.parts[fault.target].kill()
    elif fault.kind == "stop":
        here.parts[fault.target].stop()
    else:
        here.links[fault.target].set(fault.kind)


def _end(here: Arena, until: dict[str, tuple[float, Fault]]) -> None:
    for place, (when, fault) in list(until.items()):
        if time.monotonic() < when:
            continue
        del until[place]
        if fault.kind == "kill":
            here.parts[fault.target].start()
        elif fault.kind == "stop":
            here.parts[fault.target].go_on()
        else:
            here.links[fault.target].set("pass")
