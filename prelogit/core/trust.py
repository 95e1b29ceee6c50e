"""What the files of a model may do when it is loaded. By default: be read, and nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple


class Trust(NamedTuple):
    """Whether a model's author is trusted to run code here.

    pickle_weights: weights may be pickled (``.bin``), not in safetensors alone.
    remote_code: the model may bring classes of its own, as Python.
    """

    pickle_weights: bool = False
    remote_code: bool = False

    @property
    def of_weights(self) -> dict[str, Any]:
        """Options of ``from_pretrained`` for a model."""
        # None leaves it to transformers, which takes safetensors where there are both.
        return {"use_safetensors": None if self.pickle_weights else True, **self.of_code}

    @property
    def of_code(self) -> dict[str, Any]:
        """Options of ``from_pretrained`` for a tokenizer or a configuration."""
        return {"trust_remote_code": self.remote_code}

    def needed(self, what: str, error: BaseException) -> str | None:
        """Why the model cannot be loaded, and the cure, where it is for want of trust.

        Args:   what: the model, as the error calls it.
        """
        told = str(error)
        if "trust_remote_code" in told and not self.remote_code:
            return (
                f"{what} brings code of its own, which is not run: name a model whose class "
                "transformers has; or, if you trust its author as you trust a program, allow it "
                f"({_WHERE.format('trust_remote_code', 'PRELOGIT_TRUST_REMOTE_CODE')})"
            )
        if "safetensors" in told and not self.pickle_weights:
            return (
                f"{what} has no weights in safetensors; pickled ones can run code and are not read: "
                "convert them (load them where you trust them, and save_pretrained), or, if you "
                "trust their author as you trust a program, allow them "
                f"({_WHERE.format('pickle_weights', 'PRELOGIT_PICKLE_WEIGHTS')})"
            )
        return None


UNTRUSTED = Trust()
_WHERE = "{0}: true of a reward, {0}=True in Python, or the model's name in {1} of its worker"
