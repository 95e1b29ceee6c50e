"""What ``import prelogit`` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import prelogit


def loaded_after(statement: str) -> set[str]:
    """Top-level modules of a fresh interpreter after the statement."""
    code = f"{statement}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_or_its_border_types_loads_no_torch() -> None:
    loaded = loaded_after(
        "import prelogit; prelogit.AISP(n=4); prelogit.Client; prelogit.errors; prelogit.records"
    )
    assert not loaded & {"torch", "transformers", "numpy", "pyarrow", "fastapi"}


def test_every_promised_name_is_there() -> None:
    for name in prelogit.__all__:
        assert getattr(prelogit, name) is not None
    assert set(prelogit.__all__) <= set(dir(prelogit))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(prelogit, "nothing_of_that_name")


def test_align_stays_the_function_after_its_module_was_imported() -> None:
    code = (
        "import prelogit.align, prelogit\n"
        "from prelogit.align import by_length\n"
        "from prelogit import align\n"
        "assert callable(prelogit.align) and align is prelogit.align and callable(by_length)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
