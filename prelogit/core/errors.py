"""Every error that Prelogit raises on purpose: each names what is wrong and the cure."""

from __future__ import annotations


class PrelogitError(Exception):
    """Parent of all errors raised on purpose; its text is safe to show to a user."""


class InputError(PrelogitError):
    """A request that cannot be run; names the field and the cure."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ModelError(PrelogitError):
    """A language model that cannot be loaded or does not decode as promised."""


class DeviceError(ModelError):
    """A loaded model that is of no more use to this process, whatever the prompt: load it again."""


class MemoryShortError(ModelError):
    """A prompt whose samples do not fit into the device's memory, not even two or one at a time."""


class RewardError(PrelogitError):
    """Rewards that cannot be had or cannot be trusted; never replaced by a number."""


class RewardUnavailableError(RewardError):
    """The reward service does not answer (down, slow, overloaded): worth trying again later."""


class RewardAnswerError(RewardError):
    """The reward service answered nonsense (count, NaN, type): asking again does not help."""


class StoreError(PrelogitError):
    """The database refused or lost something."""


class LeaseLostError(StoreError):
    """Another worker holds the prompt now; whatever this one computed must not be written."""


class LaunchError(PrelogitError):
    """The embedded stack cannot be started here; names the setting and the cure."""


class ServiceError(PrelogitError):
    """The gateway answered with a problem; carries its status and problem document.

    ``retry_after_seconds``: when it may be asked again, where it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        problem: dict[str, object] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}
        self.retry_after_seconds = retry_after_seconds
