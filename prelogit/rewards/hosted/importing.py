"""Python objects named ``module:attribute``, as rewards name functions and classes. Torch-free."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from prelogit.core.errors import InputError, ModelError


def import_attribute(path: str, form: str) -> tuple[Any, str, str]:
    """What ``module:attribute`` names; dots after the colon reach into classes.

    A module that is not installed is also looked for in the current folder, after all others.
    Args:    form: how the path must look, for the error.
    Returns: the object, None where the module has none of that name; module; attribute.
    Raises:  InputError: not of that form. ModelError: no such module.
    """
    module_name, colon, attribute = path.partition(":")
    if not (colon and attribute and module_name):
        raise InputError(f"the reward {path!r} must be named {form}", field="reward")
    found: Any = _import_module(module_name)
    for part in attribute.split("."):
        found = getattr(found, part, None)
    return found, module_name, attribute


def _import_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        here = Path.cwd()
        if error.name == top and ((here / f"{top}.py").is_file() or (here / top).is_dir()):
            # At the end, so that nothing in the folder hides an installed module.
            sys.path.append(str(here))
            importlib.invalidate_caches()
            return _import_module_once(name)
        raise _not_imported(name, error) from error
    except Exception as error:  # a module runs whatever its author wrote
        raise _not_imported(name, error) from error


def _import_module_once(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise _not_imported(name, error) from error


def _not_imported(name: str, error: Exception) -> ModelError:
    """Names a missing module, but repeats no other text: that may hold paths."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    reason = f"no module named {missing!r}" if missing else type(error).__name__
    return ModelError(
        f"the module {name!r} of a reward cannot be imported ({reason}): "
        "install what it needs, or put its folder on PYTHONPATH"
    )
