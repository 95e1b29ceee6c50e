"""``python -m tests.promises.bad_input``: sends a whole installation what it should refuse, and more."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.conftest import running_postgres
from tests.promises.bad_input import answers, bodies, chains, files, reward_routes, scorers, sockets
from tests.promises.bad_input.house import House, clear, house
from tests.promises.bad_input.tally import Tally, table

STEPS = 20
PARTS: Mapping[str, Callable[[House, int, int], Tally]] = {
    "chains": lambda one, cases, begin: chains.run(
        one, chains=max(1, cases // STEPS), steps=STEPS, begin=begin
    ),
    "rewards": lambda one, cases, begin: reward_routes.run(
        one, cases=max(1, cases // 15), begin=begin
    ),
    "bodies": lambda one, cases, begin: bodies.run(one, cases=cases, begin=begin),
    "sockets": lambda one, cases, begin: sockets.run(one, cases=cases, begin=begin),
    "answers": lambda one, cases, begin: answers.run(one, cases=cases, begin=begin),
    "scorers": lambda _, cases, begin: scorers.run(cases=cases, begin=begin),
    "files": lambda one, cases, begin: files.run(one.folder, cases=cases, begin=begin),
}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """0 when every promise held, 1 when one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.bad_input", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="of each part, about")
    parser.add_argument("--part", choices=tuple(PARTS), action="append", help="these alone")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--seed", type=int, default=None)
    told = parser.parse_args()
    begin = random.SystemRandom().randrange(10**6) if told.seed is None else told.seed
    parts = told.part or list(PARTS)
    again = f"--cases {told.cases} --database {told.database} --seed {begin}"
    say(f"seed {begin}; again: python -m tests.promises.bad_input {again}")
    folder = Path(tempfile.mkdtemp(prefix="prelogit-bad-input-"))
    tallies = []
    with ExitStack() as stack:
        stack.callback(clear, folder)
        url = stack.enter_context(running_postgres()) if told.database == "postgresql" else None
        one = stack.enter_context(house(folder, url))
        for part in parts:
            start = time.monotonic()
            tallies.append(PARTS[part](one, told.cases, begin))
            say(f"{part}: {tallies[-1].cases:,} cases in {time.monotonic() - start:.0f} s")
    broken = table(tallies, say)
    say(f"\n{broken} promises broken" if broken else "\nevery promise held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
