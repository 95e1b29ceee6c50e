"""A shell script of a page as its simple commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

_NOT_COMMANDS = re.compile(r"(do|then|for|in|done|\w+=.*)", re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each simple command; assignments before it are left out."""
    text = re.sub(r"\\\n", " ", text)
    # What stands inside $( ) is a command of its own.
    text = re.sub(r"\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)", lambda found: f"X\n{found[1]}\n", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, "#"
    words: list[str] = []
    for token in [*lexer, ";"]:
        if set(token) <= set("|&;\n"):
            while words and _NOT_COMMANDS.fullmatch(words[0]):
                words = words[1:]
            if words:
                yield words
            words = []
        else:
            words.append(token)
