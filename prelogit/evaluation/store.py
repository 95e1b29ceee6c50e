"""What has been run, a line each, so that nothing is run twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TextIO

from prelogit.core.errors import InputError
from prelogit.core.records import Iteration, Record, Result
from prelogit.data.entry import Entry
from prelogit.evaluation.arms import Arm, fields_of, key_of, read_json
from prelogit.evaluation.lines import append_line, read_lines

Place = tuple[str, str, int, str, str]


class Run(Record):
    """One prompt searched by one method with one seed, steered by one reward.

    ``rows`` are the trace's, without weights and endings, which no table needs.
    """

    reward: str
    method: dict[str, Any]
    prompt: str  # fingerprint of its text
    result: Result
    rows: tuple[Iteration, ...] = ()

    @property
    def place(self) -> Place:
        """What makes it one."""
        result = self.result
        return self.reward, key_of(self.method), result.seed, result.prompt_id, self.prompt

    @property
    def failure(self) -> str | None:
        """Why there is no answer."""
        if self.result.status == "succeeded" and self.result.reward is not None:
            return None
        return self.result.error or f"it is {self.result.status}"


class Task(NamedTuple):
    """Prompts to search by one method with one seed, steered by one reward."""

    reward: str
    arm: Arm
    seed: int
    entries: list[Entry]

    @property
    def key(self) -> str:
        """The same for the same method, seed and reward, whatever the prompts."""
        return f"{self.reward}|{self.arm.key}|{self.seed}"

    def run(self, entry: Entry, result: Result, rows: Iterable[Iteration]) -> Run:
        """The run of one of the prompts."""
        slim = tuple(row.model_copy(update={"weights": (), "finish": ()}) for row in rows)
        fields, prompt = fields_of(self.arm.params), fingerprint(entry)
        return Run(reward=self.reward, method=fields, prompt=prompt, result=result, rows=slim)


def fingerprint(entry: Entry) -> str:
    """Of a prompt's text."""
    text = entry.item.model_dump_json(exclude={"id"})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Store:
    """A folder with ``setup.json`` and lines of runs, of measures of answers, and of posted jobs."""

    def __init__(self, folder: Path, setup: Mapping[str, Any]) -> None:
        """
        Raises: InputError: the folder holds runs of another setup, is in use by another process,
                or cannot be written to.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
        except OSError as error:
            raise InputError(f"{folder}: cannot be used: {error.strerror}", field="out") from error
        try:
            self.id = self._hold(setup)
            self._runs = {run.place: run for run in map(Run.model_validate, self._read("runs"))}
            self._measures = {tuple(one["place"]): one["value"] for one in self._read("measures")}
            self.jobs: list[dict[str, Any]] = self._read("jobs")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the folder to others."""
        self._lock.close()

    def missing(self, task: Task) -> list[Entry]:
        """Those that have no answer yet."""
        return [one for one in task.entries if self._place(task, one) not in self._runs]

    def run(self, task: Task, entry: Entry) -> Run | None:
        """The run, if it is there."""
        return self._runs.get(self._place(task, entry))

    def add(self, run: Run) -> None:
        """Keep a run; on disk when this returns.

        Raises: InputError: model or reward are not those of the runs that are there.
        """
        self._check_same(run)
        append_line(self.folder / "runs.jsonl", run.model_dump(mode="json"))
        self._runs[run.place] = run

    def measure(self, run: Run, name: str) -> float | None:
        """A number about the chosen answer."""
        return self._measures.get((name, *run.place))

    def add_measure(self, run: Run, name: str, value: float) -> None:
        """Keep a number about the chosen answer."""
        place = (name, *run.place)
        append_line(self.folder / "measures.jsonl", {"place": place, "value": value})
        self._measures[place] = value

    @property
    def measure_names(self) -> list[str]:
        """Of all that is known of any answer."""
        return list(dict.fromkeys(name for name, *_ in self._measures))

    def add_job(self, **fields: Any) -> None:
        """Keep what is known of a posted job."""
        append_line(self.folder / "jobs.jsonl", fields)
        self.jobs.append(fields)

    @property
    def runs(self) -> Iterable[Run]:
        """All that succeeded."""
        return self._runs.values()

    def _place(self, task: Task, entry: Entry) -> Place:
        return task.reward, task.arm.key, task.seed, entry.item.id or "", fingerprint(entry)

    def _read(self, name: str) -> list[Any]:
        return read_lines(self.folder / f"{name}.jsonl")

    def _hold(self, setup: Mapping[str, Any]) -> str:
        path = self.folder / "setup.json"
        if not path.exists():
            written = path.with_suffix(".new")
            held = {"id": uuid.uuid4().hex, **setup}
            written.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
            written.replace(path)
        held = read_json(path)
        for name, value in setup.items():
            if held.get(name) != value:
                raise InputError(
                    f"{self.folder} holds runs with {name} {held.get(name)!r}, not {value!r}: "
                    "name another folder, or give what it was begun with",
                    field=name,
                )
        return str(held["id"])

    def _check_same(self, run: Run) -> None:
        for other in self._runs.values():
            if other.reward != run.reward:
                continue
            mine, theirs = run.result, other.result
            if (mine.model, mine.reward_model) != (theirs.model, theirs.reward_model):
                raise InputError(
                    f"{self.folder} holds runs of {theirs.model} steered by {theirs.reward_model}, "
                    f"and this is {mine.model} steered by {mine.reward_model}: their numbers do "
                    "not compare; name another folder",
                    field="out",
                )
            return


def _locked(folder: Path) -> TextIO:
    """The folder for this process alone, until it ends, however it does."""
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InputError(
            f"{folder} is in use by another evaluation: wait for it, or name another folder",
            field="out",
        ) from error
    return file
