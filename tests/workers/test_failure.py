from __future__ import annotations

import pytest
import torch

from prelogit.core.errors import InputError
from workers.failure import explain


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - any
        return caught


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("/root/secret: what the user wrote"),
        KeyError("/root/secret: what the user wrote"),
        torch.OutOfMemoryError("/root/secret: what the user wrote"),
        torch.AcceleratorError("/root/secret: what the user wrote"),
        MemoryError("/root/secret: what the user wrote"),
    ],
)
def test_the_reason_names_the_type_and_nothing_of_the_message(error: Exception) -> None:
    failure = explain(raised(error))
    assert type(error).__name__ in failure.reason
    assert "secret" not in failure.reason + failure.where
    assert "/root" not in failure.reason + failure.where
    assert failure.where.startswith("test_failure.py:")


def test_an_error_raised_on_purpose_speaks_for_itself() -> None:
    assert explain(raised(InputError("shorten the prompt"))).reason == "shorten the prompt"


def test_memory_that_runs_out_is_told_with_the_cure_on_every_device() -> None:
    on_cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
    for error in (on_cpu, torch.OutOfMemoryError("CUDA out of memory"), MemoryError()):
        failure = explain(raised(error))
        assert "max_new_tokens" in failure.reason
        assert not failure.broken


def test_only_a_failed_device_is_broken() -> None:
    assert explain(raised(torch.AcceleratorError("CUDA error: device-side assert"))).broken
    assert not explain(raised(RuntimeError("size mismatch"))).broken
