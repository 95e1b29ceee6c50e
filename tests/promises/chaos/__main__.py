"""``python -m tests.promises.chaos``: kills, stops and cuts off a whole stack, and looks what is left."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.promises.chaos import moments
from tests.promises.chaos.checks import Found
from tests.promises.chaos.run import Size, run
from tests.workers.services import save_model

MOST_SHOWN = 20


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """0 when every promise held, 1 when one was broken; the logs are kept then."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.chaos", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--seed", type=int, default=None, help="of the order of faults")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=None, help="of each job")
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument(
        "--moments", type=int, default=None, help="instead: jobs that are hit by one kill each"
    )
    told = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if told.seed is None else told.seed
    prompts = told.prompts or (20 if told.moments is None else 8)
    work = f"--jobs {told.jobs} --prompts {prompts} --faults {told.faults}"
    if told.moments is not None:
        work = f"--moments {told.moments} --prompts {prompts}"
    again = f"python -m tests.promises.chaos --database {told.database} --seed {seed} {work}"
    say(f"seed {seed}; again: {again}")
    folder = Path(tempfile.mkdtemp(prefix="prelogit-chaos-"))
    model = save_model(folder / "model")
    if told.moments is not None:
        found = moments.run(folder, model, told.database, seed, told.moments, prompts, say)
    else:
        size = Size(told.jobs, prompts, told.faults)
        found = run(folder, model, told.database, seed, size, say)
    say(table(found))
    if found.breaches:
        say(f"\n{len(found.breaches)} promises broken. The logs are in {folder}\nagain: {again}")
        return 1
    say("\nevery promise held")
    shutil.rmtree(folder)
    return 0


def table(found: Found) -> str:
    """What was counted, and what was broken."""
    lines = [f"{what:<38} {count:>7}" for what, count in found.counted]
    broken = [f"BROKEN: {breach}" for breach in found.breaches[:MOST_SHOWN]]
    return "\n".join(["", *lines, "", *broken])


if __name__ == "__main__":
    sys.exit(main())
