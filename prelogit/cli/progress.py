"""How far an evaluation is: a bar for people, a line a search for a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from prelogit.cli.reporting import notes

if TYPE_CHECKING:
    from prelogit.evaluation.store import Run, Task


@contextmanager
def searched(total: int, *, quiet: bool) -> Iterator[Callable[[Task, Run], None]]:
    """Told of every search that has ended; says why one failed."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    done = 0
    with Progress(
        *columns, TimeElapsedColumn(), console=notes, transient=True, disable=quiet
    ) as bar:
        row = bar.add_task("searches", total=total)

        def on_run(task: Task, run: Run) -> None:
            nonlocal done
            done += 1
            bar.update(row, advance=1, description=f"{task.arm.label}, seed {task.seed}")
            told = f"{run.result.reward:.3f}" if run.failure is None else f"failed: {run.failure}"
            if not quiet and (run.failure is not None or not notes.is_terminal):
                where = f"{task.arm.label}, seed {task.seed}, {run.result.prompt_id}"
                line = f"{done}/{total} {where}: {told}"
                notes.print(line, highlight=False, markup=False, soft_wrap=True)

        yield on_run


@contextmanager
def counted(name: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar that goes on by one when it is told so."""
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True, disable=quiet) as bar:
        row = bar.add_task(name, total=total)
        yield lambda: bar.advance(row)
