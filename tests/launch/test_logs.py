"""Lines of the stack's children, as text with their names or as one JSON object each."""

from __future__ import annotations

import io
import json
from pathlib import Path

from prelogit.launch.logs import Logs
from prelogit.telemetry.lines import line


def test_text_lines_carry_the_name_on_the_terminal_alone(tmp_path: Path) -> None:
    out = io.StringIO()
    logs = Logs(tmp_path, out)
    logs.write("worker", "ready")
    logs.write("worker", "  ")
    logs.say("stopping")
    logs.close()
    assert out.getvalue() == "worker   | ready\nprelogit | stopping\n"
    assert logs.file("worker").read_text() == "ready\n"


def test_in_json_every_line_is_an_object_whoever_says_it(tmp_path: Path) -> None:
    out = io.StringIO()
    logs = Logs(tmp_path, out, "json")
    own = line(0.0, level="INFO", process="worker", message="ready", job="job_1")
    logs.write("worker", own)
    logs.write("queue", '1:M 01 Jan * Ready "to" accept')
    logs.say("stopping")
    logs.close()
    first, second, third = out.getvalue().splitlines()
    assert first == own
    assert json.loads(second)["process"] == "queue"
    assert json.loads(second)["message"] == '1:M 01 Jan * Ready "to" accept'
    assert json.loads(third)["message"] == "stopping"
    assert logs.file("queue").read_text() == second + "\n"
    assert logs.last("queue") == ['1:M 01 Jan * Ready "to" accept'], "as it was said, for errors"
