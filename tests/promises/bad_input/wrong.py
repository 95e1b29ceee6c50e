"""What is put where something else belongs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st

Path = tuple[str | int, ...]


def _deep(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 0.1, -0.0,
    1e308, 1e-320, float("nan"), float("inf"), float("-inf"), "", " ", "0", "null", "\x00", "a\x00b",
    "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "\r\nX-Injected: 1", "'; DROP TABLE jobs; --", "{{7*7}}",
    "%s%n%x", "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/",
    "http://[::1", "http://a:99999/", "https://user:pw@127.0.0.1:1/", "\\\\host\\share", "x" * 70_000, "\U0001d518" * 300,
    "e\u0301" * 200, [], {}, [[]], [None], {"": None}, {"__class__": 1}, {"$ref": "#"}, {"name": None},
    _deep(60), _deep(150), ["a"] * 2000, {f"k{place}": 0 for place in range(500)},
)  # fmt: skip
NAMES = (
    "",
    "x",
    "__proto__",
    "a\x00",
    "\ud800",
    "n" * 5000,
    "prompts ",
    "PROMPTS",
    "lambda_",
    "$schema",
    "id",
)


class Mutation(NamedTuple):
    """A value with one place changed. ``at``: where."""

    value: Any
    at: Path


def mutations(value: Any) -> st.SearchStrategy[Mutation]:
    """One place replaced, taken out, doubled, or with a field beside it that nobody knows."""
    places = list(_places(value))
    replaced = st.builds(
        lambda at, new: _changed(value, at, new),
        st.sampled_from(places),
        st.sampled_from(HOSTILE) | st.text(max_size=20) | st.integers() | st.floats(),
    )
    parts = [at for at in places if at]
    removed = st.sampled_from(parts or places).map(lambda at: _removed(value, at))
    objects = [at for at in places if isinstance(_found(value, at), dict)]
    added = st.builds(
        lambda at, name, new: _added(value, at, name, new),
        st.sampled_from(objects or places),
        st.sampled_from(NAMES) | st.text(max_size=10),
        st.sampled_from(HOSTILE),
    )
    return st.one_of(replaced, replaced, removed, added)


def _places(value: Any, at: Path = ()) -> Iterator[Path]:
    yield at
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value[:5])
    for name, part in inside:
        yield from _places(part, (*at, name))


def _found(value: Any, at: Path) -> Any:
    for name in at:
        value = value[name]
    return value


def _changed(value: Any, at: Path, new: Any) -> Mutation:
    if not at:
        return Mutation(new, at)
    whole = copy.deepcopy(value)
    _found(whole, at[:-1])[at[-1]] = new
    return Mutation(whole, at)


def _removed(value: Any, at: Path) -> Mutation:
    if not at:
        return Mutation({}, at)
    whole = copy.deepcopy(value)
    del _found(whole, at[:-1])[at[-1]]
    return Mutation(whole, at)


def _added(value: Any, at: Path, name: str, new: Any) -> Mutation:
    if not isinstance(_found(value, at), dict):
        return _changed(value, at, new)
    return _changed(value, (*at, name), new)


def broken_bytes(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some of them flipped, cut off, doubled, or written in another way."""
    size = len(whole)

    def flipped(changes: list[tuple[int, int]]) -> bytes:
        found = bytearray(whole)
        for place, byte in changes:
            found[place % size] = byte
        return bytes(found)

    insertions = (
        b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\xaf", b"\n", b"\r", b"\xe2\x80\xa8", b"\\ud800",
        b"1e999999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"NaN", b"//", b'"', b"\x1f\x8b", b"PAR1",
    )  # fmt: skip
    return st.one_of(
        st.lists(st.tuples(st.integers(0, size), st.integers(0, 255)), min_size=1, max_size=8).map(flipped),
        st.integers(0, size).map(lambda cut: whole[:cut]),
        st.integers(0, size).map(lambda cut: whole[:cut] + whole),
        st.builds(
            lambda at, new: whole[:at] + new + whole[at:],
            st.integers(0, size),
            st.sampled_from(insertions) | st.binary(max_size=30),
        ),
        st.sampled_from(("utf-16", "utf-16-be", "utf-32", "utf-7", "latin-1", "cp500")).map(
            lambda name: whole.decode("utf-8", "replace").encode(name, "replace")
        ),
        st.binary(max_size=60),
    )  # fmt: skip
