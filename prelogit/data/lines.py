"""Lines of a text file: UTF-8, with or without a byte order mark, any line ending."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from prelogit.core.errors import InputError

_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def text_lines(raw: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line that is not blank, without its line ending.

    Lines end at a line feed alone: JSON strings may hold the other Unicode separators.
    Raises: InputError: a line is not UTF-8.
    """
    for number, line in enumerate(raw, start=1):
        if number == 1:
            if line.startswith(_OTHER_ENCODINGS):
                raise InputError("line 1: the file is UTF-16: save it as UTF-8")
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"line {number}: byte {error.start + 1} is not UTF-8: save the file as UTF-8"
            ) from error
        text = text.removesuffix("\n").removesuffix("\r")
        if text.strip():
            yield number, text
