"""Writes docs/cli.md from the commands themselves: ``python docs/write_cli_page.py``."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import typer.main

from prelogit.cli.app import app

PAGE = Path(__file__).with_name("cli.md")
HEAD = """\
# The command line

*What does each command do?* This page is written by `docs/write_cli_page.py`; a test says when it
is old. `prelogit COMMAND --help` shows the same.

- Commands that talk to a service find it by `PRELOGIT_URL`, else at `http://127.0.0.1:8000`.
- `--json` makes every command answer in JSON on standard output. Errors go to standard error.
- A command ends with 0 when all is well, 1 when something failed, 2 when it was used wrongly, and
  130 after Ctrl-C.
"""
# What a reader can copy; a job's and a prompt's id stand in variables.
EXAMPLES = {
    "up": ["prelogit up", "prelogit up --port 8080 --home ./data --workers 2"],
    "submit": [
        'prelogit submit --prompt "How do I sleep better?" --watch',
        "prelogit submit scripts/demo_prompts.jsonl --n 8 --iterations 4 --baseline bon "
        "--baseline bon:gaussian",
        "prelogit submit scripts/demo_prompts.jsonl --estimate",
        "prelogit submit scripts/demo_prompts.jsonl --webhook https://example.com/hooks/prelogit",
    ],
    "status": ['prelogit status "$JOB" --watch'],
    "jobs": ["prelogit jobs --status succeeded --limit 5"],
    "results": ['prelogit results "$JOB"', 'prelogit results "$JOB" --format csv > results.csv'],
    "trace": ['prelogit trace "$JOB" p1'],
    "export": ['prelogit export "$JOB" --as sft --to answers.jsonl'],
    "cancel": ['prelogit cancel "$JOB"'],
    "retry": ['prelogit retry "$JOB"'],
    "delete": ['prelogit delete "$JOB"'],
    "align": ['prelogit align --prompt "How do I make tea?" --n 8 --iterations 2'],
    "judge": [
        "prelogit judge ours.jsonl theirs.jsonl --prompts scripts/demo_prompts.jsonl "
        "--url http://127.0.0.1:9000/v1 --model my-judge",
    ],
    "evaluate": [
        "prelogit evaluate scripts/demo_prompts.jsonl --out evaluation --limit 4 "
        "--method aisp:n=8,iterations=3 --method bon --max-new-tokens 16"
    ],
    "tune": [
        "prelogit tune scripts/demo_prompts.jsonl --out tuning --limit 2 --max-new-tokens 16 "
        "--method aisp:n=8,iterations=2 --grid lambda=auto,0.5 --grid sigma2=0.3,0.5"
    ],
    "value collect": [
        'prelogit value collect mine --prompt "How do I make tea?" --prompt "Why is the sky blue?"'
    ],
    "value train": ["prelogit value train mine"],
    "keys create": [
        "prelogit keys create",
        "prelogit keys create --project web --scope read --expires 90d --rate 60/minute",
    ],
    "keys list": ["prelogit keys list --project web"],
    "keys revoke": ['prelogit keys revoke "$KEY_ID"'],
    "replay": ['prelogit replay "$JOB" p1'],
    "doctor": ["prelogit doctor", "prelogit doctor --reward relevance"],
}


def page() -> str:
    """The whole page."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return "\n".join([HEAD, *(section(name, one) for name, one in flattened(commands).items())])


def flattened(commands: dict[str, Any]) -> dict[str, Any]:
    """Commands by all words that call them; those of a group by two."""
    found = {}
    for name, command in commands.items():
        for part, inner in getattr(command, "commands", {}).items():
            found[f"{name} {part}"] = inner
        if not hasattr(command, "commands"):
            found[name] = command
    return found


def section(name: str, command: Any) -> str:
    """One command: what it does, examples, arguments and options."""
    arguments = [one for one in command.params if not one.opts[0].startswith("-")]
    options = [one for one in command.params if one.opts[0].startswith("-")]
    usage = " ".join(["prelogit", name, *map(shown, arguments)])
    parts = [f"## `{usage}`\n", textwrap.dedent(command.help or "").strip() + "\n"]
    if name in EXAMPLES:
        parts.append("```bash\n" + "\n".join(EXAMPLES[name]) + "\n```\n")
    rows = [(f"`{shown(one)}`", one) for one in arguments]
    rows += [(", ".join(f"`{flag}`" for flag in one.opts), one) for one in options]
    parts += [
        "| argument or option | meaning |",
        "|---|---|",
        *(f"| {cell} | {meaning(one)} |" for cell, one in rows),
    ]
    return "\n".join(parts) + "\n"


def shown(argument: Any) -> str:
    """An argument as the usage line has it."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def meaning(parameter: Any) -> str:
    """Its help, and the default where the help does not say it already."""
    text = " ".join((parameter.help or "").split()).replace("|", "\\|").replace("*", "\\*")
    default = getattr(parameter.default, "value", parameter.default)
    told = parameter.show_default and default not in (None, False, True)
    return f"{text} Default: `{default}`." if told else text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
