"""An error's name read back as its class, whoever raised it and wherever it was written down."""

from __future__ import annotations

from cleanplate.adobe.errors import AdobeError
from cleanplate.errors import CleanplateError, StepCrashedError, StepTimedOutError


def _subclasses(cls: type[CleanplateError]) -> dict[str, type[CleanplateError]]:
    found = {cls.__name__: cls}
    for sub in cls.__subclasses__():
        found.update(_subclasses(sub))
    return found


def error_named(name: str) -> type[CleanplateError]:
    """Return the class for an error name as Step Functions reports it; names from outside map to our nearest class."""
    if name in {"States.Timeout", "Sandbox.Timedout", "States.HeartbeatTimeout"}:
        return StepTimedOutError
    known = _subclasses(CleanplateError) | _subclasses(AdobeError)
    return known.get(name, StepCrashedError)
