"""From a recording's fault to the error that the caller gets, and to a sentence that says whose fault it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from models.vocabulary.errors import Internal, ReelyardError, Scope, table
from models.vocabulary.playlist import program_date_time
from models.vocabulary.states import Status

WHOSE: Final = {
    Scope.CALLER: "to be mended by the caller: the request, or the bucket, token or channel it names",
    Scope.SESSION: "this recording alone",
    Scope.NODE: "the farm's own fault",
}


def error_of(fault: Mapping[str, Any] | None, otherwise: str = "") -> ReelyardError:
    """The error of the table with the fault's code and scope, its text saying whose fault it is."""
    if not fault:
        return Internal(otherwise)
    kin = [cls for cls in table() if cls.code == fault.get("code")]
    # Codes are shared along families: the best fit, of these the most particular.
    kin.sort(
        key=lambda cls: (cls.scope != fault.get("scope"), cls.retryable != fault.get("retryable"), -len(cls.__mro__))
    )
    return (kin[0] if kin else Internal)(in_words(fault))


def in_words(fault: Mapping[str, Any]) -> str:
    text = str(fault.get("text") or "it failed")
    try:
        whose = WHOSE[Scope(str(fault.get("scope")))]
    except ValueError:
        return text
    return f"{text} ({whose})"


def what_happened(*, status: int, reason: str, fault: Mapping[str, Any] | None, ended_ms: int | None) -> str:
    """How a recording ended, in one sentence."""
    when = f" at {program_date_time(ended_ms)}" if ended_ms is not None else ""
    if status == Status.FAILED:
        return f"the recording failed{when}: {in_words(fault) if fault else reason or 'unknown'}"
    return f"the recording ended{when}: {reason or 'stop called'}"
