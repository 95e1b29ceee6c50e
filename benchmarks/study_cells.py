"""What the study keeps of a search, a line of JSON each, and all of them by method."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Chosen(NamedTuple):
    """An answer that one reward has picked, and what it costs the others."""

    text: str
    tokens: int
    nll: float | None  # a token under the model, nats
    rewards: dict[str, float]  # by all rewards


class Cell(NamedTuple):
    """One search: a method, a seed, a prompt; steered by one reward, or by none (independent samples).

    rewards: of all candidates, by the rewards that have scored them, a list for each round.
    cpu: seconds of the batch it was in, divided by its prompts; a steered search's own scoring is part of
    it. scoring: those seconds by reward, where they are not.
    """

    model: str
    arm: str
    steer: str | None
    seed: int
    prompt: str
    rewards: dict[str, list[list[float]]]
    chosen: dict[str, Chosen]
    cpu: float
    tokens: int
    diversity: float | None = None
    kl: dict[str, float | None] | None = None
    rows: Sequence[dict[str, float | None]] = ()
    scoring: dict[str, float] | None = None

    @property
    def name(self) -> tuple[str, str, str | None, int, str]:
        """No two cells have the same."""
        return self.model, self.arm, self.steer, self.seed, self.prompt

    def seconds(self, reward: str) -> float:
        """CPU time of the search by a reward, scoring included where it is known."""
        return self.cpu + (self.scoring or {}).get(reward, 0.0)

    def best(self, reward: str) -> float:
        """Of all its candidates."""
        return max(max(part) for part in self.rewards[reward])

    def flat(self, reward: str) -> list[float]:
        """All candidates' rewards in the order in which they were drawn."""
        return [one for part in self.rewards[reward] for one in part]


def read(path: Path) -> Iterator[Cell]:
    """All cells of a file; a line that was cut off by a kill is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            found = json.loads(line)
            found["chosen"] = {name: Chosen(**one) for name, one in found["chosen"].items()}
            yield Cell(**found)


def append(path: Path, cells: Sequence[Cell]) -> None:
    """Add cells as lines."""
    with path.open("a", encoding="utf-8") as file:
        for cell in cells:
            told = cell._asdict()
            told["chosen"] = {name: one._asdict() for name, one in cell.chosen.items()}
            file.write(json.dumps(told, ensure_ascii=False) + "\n")


REWARDS = ("relevance", "flesch", "sentiment")


class Study(NamedTuple):
    """All cells, by what they are of."""

    cells: dict[tuple[str, str | None], list[Cell]]

    def of(self, arm: str, reward: str) -> dict[tuple[str, int], Cell]:
        """A method's cells by prompt and seed; of independent samples the same for all rewards."""
        found = self.cells.get((arm, reward)) or self.cells.get((arm, None)) or []
        return {(c.prompt, c.seed): c for c in found if reward in c.rewards}

    def arms(self) -> list[str]:
        """All methods, in the order in which they were run."""
        return list(dict.fromkeys(arm for arm, _ in self.cells))


def load(paths: Iterable[Path], model: str) -> Study:
    """One model's cells of some files."""
    cells: dict[tuple[str, str | None], list[Cell]] = {}
    for path in paths:
        for cell in read(path):
            if cell.model == model:
                cells.setdefault((cell.arm, cell.steer), []).append(cell)
    return Study(cells)


def so_far(cell: Cell, reward: str) -> list[float]:
    """The best reward after each round."""
    best, found = -float("inf"), []
    for part in cell.rewards[reward]:
        best = max(best, *part)
        found.append(best)
    return found


def ends(cell: Cell, reward: str) -> list[int]:
    """Samples drawn after each round."""
    found, total = [], 0
    for part in cell.rewards[reward]:
        total += len(part)
        found.append(total)
    return found
