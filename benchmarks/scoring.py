"""What a reward model costs for n responses to one prompt: each alone, in a batch, the prompt once.

    python -m benchmarks.scoring --out scoring.json
    python -m benchmarks.scoring --model /models/my-reward-model --n 16

Three ways take turns on the same rows of tokens: ``alone`` scores pair by pair, ``batch`` pads the
pairs and reads every prompt again, ``shared`` is what the hosted rewards do. Scores are compared
with those of ``alone``, relative to their standard deviation. The default model has the shape of
SmolLM2-135M and random weights, made in memory: time does not depend on them.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig, PreTrainedModel

from benchmarks import models
from benchmarks.report import table, write
from benchmarks.rounds import Stopwatch, paired, play
from prelogit.rewards.hosted.checkpoint import pick_device
from prelogit.rewards.hosted.forward import Reader, read_rows
from prelogit.rewards.hosted.rendering import Row
from prelogit.rewards.hosted.sharing import Sharing, find_sharing

RANDOM = "smollm2-135m-random"
WAYS = ("alone", "batch", "shared")
_SHAPE = LlamaConfig(
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    vocab_size=49152,
    max_position_embeddings=8192,
    rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
    tie_word_embeddings=True,
    num_labels=1,
    pad_token_id=0,
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default=RANDOM, help=f"folder or hub id of a classifier, or {RANDOM}"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", choices=models.DTYPES, default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n", type=int, default=32, help="responses")
    parser.add_argument("--prompt", type=int, default=512, help="tokens")
    parser.add_argument("--response", type=int, default=64, help="tokens on average, +- a quarter")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def load(name: str, dtype: str, device: str) -> Reader:
    """The model, whole rows only."""
    auto: Any = AutoModelForSequenceClassification
    kind, where = getattr(torch, models.DTYPES[dtype]), pick_device(device)
    torch.manual_seed(0)
    if name == RANDOM:
        model: PreTrainedModel = auto.from_config(_SHAPE, dtype=kind)
    else:
        model = auto.from_pretrained(name, dtype=kind)
    model = model.to(where).eval()  # type: ignore[arg-type]
    return Reader(model, where, lambda answer: answer.logits[:, 0].to("cpu", torch.float64))


def make_rows(vocabulary: int, *, n: int, prompt: int, response: int) -> list[Row]:
    """Random tokens, for time depends on their number alone."""
    before = models.prompt_ids(vocabulary, prompt)
    draw = random.Random(0)
    lengths = [draw.randint(response - response // 4, response + response // 4) for _ in range(n)]
    after = (models.prompt_ids(vocabulary, each, seed=1 + at) for at, each in enumerate(lengths))
    return [Row([*before, *each], None, False) for each in after]


def measure(reader: Reader, rows: list[Row], *, rounds: int) -> dict[str, Any]:
    """Seconds, ratios over ``alone`` within a round, and how far scores lie apart.

    Raises: SystemExit: the model cannot share a prompt.
    """
    sharing = find_sharing(reader.model)
    if not isinstance(sharing, Sharing):
        raise SystemExit(f"this model reads a prompt anew for each response: {sharing}")
    shared = reader._replace(sharing=sharing)
    scores: dict[str, torch.Tensor] = {}

    def alone(watch: Stopwatch) -> None:
        with watch.lap("alone"):
            scores["alone"] = torch.cat([read_rows(reader, [row]) for row in rows])

    def batch(watch: Stopwatch) -> None:
        with watch.lap("batch"):
            scores["batch"] = read_rows(reader, rows)

    def once(watch: Stopwatch) -> None:
        with watch.lap("shared"):
            scores["shared"] = read_rows(shared, rows)

    for reading in (reader, shared):
        read_rows(reading, rows[:2])  # the first pass of a process sets things up
    watch = play([alone, batch, once], rounds)
    apart = {way: (scores[way] - scores["alone"]).abs().max() for way in WAYS}
    spread = scores["alone"].std()
    return {
        "seconds": {way: watch.median(way) for way in WAYS},
        "ratio": {way: paired(watch.laps[way], watch.laps["alone"]) for way in WAYS},
        "apart": {way: float(apart[way] / spread) for way in WAYS},
        "laps": watch.laps,
    }


def show(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        [way, *found["seconds"][way], *found["ratio"][way], found["apart"][way], mark]
        for way, mark in zip(WAYS, (None, None, "< 0.5"), strict=True)
    ]
    columns = ["", "wall s", "cpu s", "wall ratio", "cpu ratio", "scores apart", "mark"]
    return table("scoring", columns, lines)


def main() -> None:
    """Measure, print, write."""
    args = arguments()
    models.set_threads(args.threads)
    reader = load(args.model, args.dtype, args.device)
    vocabulary = reader.model.config.get_text_config().vocab_size
    rows = make_rows(vocabulary, n=args.n, prompt=args.prompt, response=args.response)
    found = measure(reader, rows, rounds=args.rounds)
    print(show(found), flush=True)
    write(args.out, "scoring", args, {"scoring": found})


if __name__ == "__main__":
    main()
