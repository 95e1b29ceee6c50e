"""Which device each part of a model goes to, as a setting says it."""

from __future__ import annotations

import json

from prelogit.core.errors import ModelError

STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")

DeviceMap = str | dict[str, int | str]


def read_device_map(told: object) -> DeviceMap:
    """A strategy by name, or the device (a GPU's number, a device, "disk") of each module.

    Args:    told: either of these, or the second one as JSON.
    Raises:  ModelError: it is neither.
    """
    found = told
    if isinstance(told, str) and told not in STRATEGIES:
        try:
            found = json.loads(told)
        except ValueError:
            found = None
    if isinstance(found, str) and found in STRATEGIES:
        return found
    if isinstance(found, dict) and found:
        devices = {
            name: place
            for name, place in found.items()
            if isinstance(name, str)
            and isinstance(place, int | str)
            and not isinstance(place, bool)
        }
        if len(devices) == len(found):
            return devices
    raise ModelError(
        f"a device map is one of {', '.join(STRATEGIES)}, or the device of each module as JSON, "
        'for example {"model.embed_tokens": 0, "model.layers.0": 1, "lm_head": "cpu"}'
    )
