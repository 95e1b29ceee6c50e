from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit import noise

WORD = 0xFFFFFFFF


def words(*values: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor([value]) for value in values)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the known answers that ship with Random123 for philox4x32-10
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_words(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    got = noise.philox(words(*counter), words(*key))  # type: ignore[arg-type]
    assert tuple(int(word) for word in got) == expected


def test_the_table_is_the_one_that_all_stored_traces_were_made_with() -> None:
    raw = files("prelogit").joinpath("normal_quantiles.f32").read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    assert digest == "cfbfab01f8ed25854ec7d06b1bf0c4840e1d8ecb2459c245f51197319f2d3506"


def test_moments_are_those_of_a_standard_normal() -> None:
    x = torch.cat(
        [
            noise.path_normal(seed=7, prompt="p", iteration=1, sample=i, steps=32, dim=576)
            for i in range(32)
        ]
    ).double()
    count = x.numel()
    assert abs(float(x.mean())) < 5 / count**0.5
    assert abs(float(x.var()) - 1) < 5 * (2 / count) ** 0.5
    assert abs(float((x**3).mean())) < 5 * (15 / count) ** 0.5
    assert abs(float((x**4).mean()) - 3) < 0.03
    # Neighbours in every direction of the counter are uncorrelated.
    y = x.view(32, 32, 576)
    for a, b in ((y[1:], y[:-1]), (y[:, 1:], y[:, :-1]), (y[:, :, 1:], y[:, :, :-1])):
        assert abs(float((a * b).mean())) < 5 / a.numel() ** 0.5


@given(
    seed=st.integers(0, 2**63 - 1),
    prompt=st.text(max_size=20),
    iteration=st.integers(1, 1000),
    order=st.permutations(list(range(6))),
    step=st.integers(1, 5000),
    dim=st.integers(1, 40),
)
def test_a_row_is_a_function_of_its_name_alone(
    seed: int, prompt: str, iteration: int, order: list[int], step: int, dim: int
) -> None:
    rows = noise.rows_of(
        seed=seed,
        prompt=prompt,
        iteration=iteration,
        sample=torch.tensor(order),
        step=torch.full((6,), step),
    )
    together = noise.normal_rows(rows, dim)
    for place, sample in enumerate(order):
        alone = noise.standard_normal(
            seed=seed, prompt=prompt, iteration=iteration, sample=sample, step=step, dim=dim
        )
        assert alone.dtype == torch.float32
        assert torch.equal(alone, together[place])
        # A narrower vector is the beginning of a wider one.
        wider = noise.standard_normal(
            seed=seed, prompt=prompt, iteration=iteration, sample=sample, step=step, dim=dim + 5
        )
        assert torch.equal(wider[:dim], alone)


def test_every_part_of_the_name_counts() -> None:
    name = {"seed": 1, "prompt": "a", "iteration": 1, "sample": 1, "step": 1, "dim": 64}
    base = noise.standard_normal(**name)  # type: ignore[arg-type]
    for change in ({"seed": 2}, {"prompt": "b"}, {"iteration": 2}, {"sample": 2}, {"step": 2}):
        other = noise.standard_normal(**{**name, **change})  # type: ignore[arg-type]
        assert abs(float(torch.dot(base, other)) / 64) < 0.6
        assert not torch.equal(base, other)


def test_uniforms_are_uniform_and_unlike_the_normals() -> None:
    rows = noise.rows_of(
        seed=1,
        prompt="p",
        iteration=1,
        sample=torch.arange(4000) % 50,
        step=1 + torch.arange(4000) // 50,
    )
    u = noise.uniform_rows(rows)
    assert float(u.min()) > 0
    assert float(u.max()) < 1
    assert abs(float(u.mean()) - 0.5) < 0.02
    assert abs(float(u.var()) - 1 / 12) < 0.005
    first = noise.normal_rows(rows, 1)[:, 0].double()
    assert abs(float(((u - 0.5) * first).mean())) < 0.03
