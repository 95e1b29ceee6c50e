"""The demo behind ``scripts/demo``: eight prompts, AISP and both best-of-n forms at equal samples."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from prelogit.cli.tables import job_table
from prelogit.client import Client, JobHandle
from prelogit.core.records import Result
from prelogit.wire.params import AISP, BestOfN

METHOD = AISP(n=8, iterations=7, batch_size=8)
BASELINES = [BestOfN(), BestOfN(noise="gaussian")]
MAX_NEW_TOKENS = 32
PROMPTS = Path(__file__).with_name("demo_prompts.jsonl")
START_SECONDS = 300

console = Console(width=None if sys.stdout.isatty() else 150)


def main() -> int:
    """Run the demo; the exit status says whether every prompt was aligned."""
    begun = time.monotonic()
    home = Path(os.environ.get("PRELOGIT_HOME") or "~/.prelogit").expanduser()
    log = home / "logs" / "demo.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    console.print(f"Starting queue, reward service, worker and gateway (log: {log}) ...")
    stack, url = start(log)
    try:
        console.print(f"Ready at {url} after {time.monotonic() - begun:.0f} s.")
        prompts = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
        with Client(url) as client:
            job = client.submit(
                prompts, method=METHOD, baselines=BASELINES, max_new_tokens=MAX_NEW_TOKENS
            )
            console.print(
                f"Submitted {job.id}: {len(prompts)} prompts, {METHOD.samples} candidates each by AISP "
                f"and by each best-of-n (top-p; Gaussian noise)."
            )
            watch(job)
            results = list(job.results())
            show(job, results, {p["id"]: p["prompt"] for p in prompts})
            tell_trace(job, results[0], home)
        console.print(f"Took {time.monotonic() - begun:.0f} s; stopping what was started.")
        return 0 if job.status == "succeeded" else 1
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(timeout=60)


def start(log: Path) -> tuple[subprocess.Popen[str], str]:
    """``prelogit up`` on free ports, and the URL that it reports when all parts are ready."""
    command = ["prelogit.cli.app", "up", "--json", "--port", "0", "--reward-port", "0"]
    with log.open("w") as file:
        stack = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", "from prelogit.cli.app import main; main()", *command[1:]],
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            start_new_session=True,  # Ctrl-C reaches this program, which then stops the stack
        )
    answer = ""
    for line in stack.stdout or ():
        answer += line
        if line.startswith("}"):
            return stack, json.loads(answer)["url"]
    stack.wait(timeout=START_SECONDS)
    last = "\n".join(log.read_text().splitlines()[-5:])
    raise SystemExit(f"the stack did not start; the end of {log}:\n{last}")


def watch(job: JobHandle) -> None:
    """Show progress until the job ends: live on a terminal, a line every few seconds elsewhere."""
    if console.is_terminal:
        with Live(job_table(job.job), console=console, transient=True) as live:
            job.wait(on_update=lambda now: live.update(job_table(now)))
        return
    told: Any = None

    def line(now: Any) -> None:
        nonlocal told
        if (now.status, now.usage.candidates, now.counts) == told:
            return
        told = (now.status, now.usage.candidates, now.counts)
        best = now.reward.mean_best
        console.print(
            f"  {now.status}: {now.progress.fraction:4.0%}, {now.usage.candidates} candidates, "
            f"{now.counts.succeeded} of {now.counts.total} prompts done"
            + (f", mean best reward {best:.2f}" if best is not None else "")
        )

    job.wait(on_update=line)


def show(job: JobHandle, results: list[Result], prompts: dict[str, str]) -> None:
    """The table of results, the means, and the answers."""
    table = Table(
        box=SIMPLE_HEAD, title="Best reward of equally many candidates (relevance, -10 to 10)"
    )
    table.add_column("prompt", no_wrap=True)
    for name in (
        "BoN top-p",
        "BoN Gaussian",
        "AISP",
        "- top-p",
        "- Gaussian",
        "KL (nats)",
        "seconds",
    ):
        table.add_column(name, justify="right")
    pairs: list[tuple[float, float]] = []
    for result in results:
        cells = [result.prompt_id]
        if result.status != "succeeded" or result.reward is None:
            table.add_row(*cells, f"{result.status}: {result.error}")
            continue
        top, gaussian = result.baselines
        margins = [b.margin for b in (top, gaussian) if b.margin is not None]
        pairs.append((margins[0], margins[1]))
        table.add_row(
            result.prompt_id,
            f"{top.reward:.2f}",
            f"{gaussian.reward:.2f}",
            f"{result.reward:.2f}",
            *(f"{margin:+.2f}" for margin in margins),
            f"{result.kl.token_exact:.1f}",
            f"{result.seconds.decode + result.seconds.reward:.1f}",
        )
    console.print(table)
    for place, name in enumerate(("top-p", "Gaussian")):
        values = [pair[place] for pair in pairs]
        if len(values) > 1:
            error = statistics.stdev(values) / len(values) ** 0.5
            console.print(
                f"AISP minus BoN {name}: {statistics.fmean(values):+.2f} ± {error:.2f} "
                f"(mean of {len(values)} prompts, one seed, ± one standard error)"
            )
    rounds = job.job.reward
    console.print(
        f"Mean reward of AISP's candidates: {rounds.mean_first:.2f} in the first round; "
        f"mean best: {rounds.mean_best:.2f}.\n"
        if rounds.mean_first is not None and rounds.mean_best is not None
        else ""
    )
    for result in results:
        console.print(f"[bold]{escape(prompts[result.prompt_id])}[/bold]")
        answers = [("AISP", result.response)]
        answers += [
            ("BoN top-p" if b.noise is None else "BoN Gaussian", b.response)
            for b in result.baselines
        ]
        for name, text in answers:
            console.print(
                f"  {name:13s} {escape(' '.join((text or '-').split()))}", highlight=False
            )


def tell_trace(job: JobHandle, result: Result, home: Path) -> None:
    """One trace, and where all of them can be read."""
    trace = job.trace(result.prompt_id)
    table = Table(box=SIMPLE_HEAD, title=f"Trace of {result.prompt_id!r}")
    for name in ("round", "mean", "best", "best so far", "ESS", "lambda", "sigma2", "KL of noise"):
        table.add_column(name, justify="right")
    for row in trace.iterations:
        table.add_row(
            f"{row.k}{' (final)' if row.final else ''}",
            f"{row.mean:.2f}",
            f"{row.best:.2f}",
            f"{row.best_so_far:.2f}",
            f"{row.ess:.1f}",
            "-" if row.lambda_ is None else f"{row.lambda_:.3f}",
            "-" if row.sigma2 is None else f"{row.sigma2:.3f}",
            "-" if row.kl_gaussian is None else f"{row.kl_gaussian:.0f}",
        )
    console.print(table)
    console.print(
        f"All traces are in SQL (table iterations of {home / 'prelogit.db'}). To read them by job id:\n"
        f"  .venv/bin/prelogit up                          # in one terminal\n"
        f"  .venv/bin/prelogit trace {job.id} {result.prompt_id}\n"
        f"  curl http://127.0.0.1:8000/v1/jobs/{job.id}/results/{result.prompt_id}/trace",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
