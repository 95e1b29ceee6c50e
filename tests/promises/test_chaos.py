"""Everything is killed, stopped and cut off, in the order of a seed: nothing is lost or doubled."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.promises.chaos.run import Size, run

SHORT = Size(jobs=3, prompts=4, faults=8)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_stack_that_is_disturbed_keeps_its_promises(
    database: str, tmp_path: Path, model_folder: str
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    told = [
        f"again: python -m tests.promises.chaos --database {database} --seed {seed} "
        f"--jobs {SHORT.jobs} --prompts {SHORT.prompts} --faults {SHORT.faults}"
    ]
    found = run(tmp_path, model_folder, database, seed, SHORT, told.append)
    assert found.breaches == [], "\n".join(told)
    counted = dict(found.counted)
    assert counted["jobs"] == SHORT.jobs
    assert counted["answers compared"] == SHORT.jobs * SHORT.prompts
    assert counted["fences that were raised"] > 0
