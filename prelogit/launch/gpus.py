"""Which GPUs a worker sees: each its own share, so that they never meet on one while others idle.

By visibility and not by a device's number: a worker whose model needs several GPUs keeps to its
share as well. ``python -m prelogit.launch.gpus`` writes how many GPUs torch sees as its last line,
in a process of its own: the supervisor stays small and never touches one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(count: int, outer: Mapping[str, str]) -> tuple[str, ...]:
    """The names of this machine's ``count`` GPUs, as far as the user's own choice shows them."""
    chosen = [name.strip() for name in outer.get(VISIBLE, "").split(",") if name.strip()]
    return tuple(chosen or map(str, range(count)))[:count]


def gpu_share(gpus: Sequence[str], worker: int, workers: int) -> Sequence[str]:
    """What worker number ``worker`` (from 0) of ``workers`` sees: neighbours, or one in turn.

    All GPUs are dealt out; where there are fewer than workers, some workers share one.
    """
    if len(gpus) < workers:
        return gpus[worker % len(gpus) :][:1]
    return gpus[worker * len(gpus) // workers : (worker + 1) * len(gpus) // workers]


if __name__ == "__main__":
    import torch

    sys.stdout.write(f"{torch.cuda.device_count() if torch.cuda.is_available() else 0}\n")
