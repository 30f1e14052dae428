"""Requests for jobs: types only; what the values may be is judged by `scheduler.jobs.orders`, for every door alike."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from gateway.wire.body import Shape
from scheduler.jobs import orders


class JobShape(Shape):
    """Names as our own API has them, snake_case; `start` and `acquire` hold the contract's clientRequest as it is."""

    model_config = ConfigDict(alias_generator=str)


class CredentialsFields(JobShape):
    key: str = Field(repr=False)
    secret: str = Field(repr=False)


class JobRequest(JobShape):
    """POST …/jobs."""

    key: str = Field(description="The caller's own; submitting it again finds the same job.")
    cname: str
    uids: list[str] = Field(default_factory=list, description="The main UID and its spare; random ones where missing.")
    mode: str = "mix"
    start: dict[str, Any] = Field(default_factory=dict, repr=False, description="clientRequest of start.")
    acquire: dict[str, Any] = Field(default_factory=dict, repr=False, description="clientRequest of acquire.")
    not_before_ms: int | None = Field(None, description="Unix ms; none: now.")
    until_ms: int | None = Field(None, description="Unix ms; none: until it is stopped, 30 days at most.")
    for_s: int | None = Field(None, description="Seconds from its first sid.")
    start_within_s: int = Field(900, description="Without a confirmed recording for so long the job fails.")
    max_rounds: int = Field(6, description="Acquires without a confirmed recording after which the job fails.")
    endpoints: list[str] = Field(
        default_factory=list, description="Base URLs of one service, a second domain included; none: this farm."
    )
    remote_appid: str = Field("", description="The app's id at the endpoint; none: the same.")
    credentials: CredentialsFields | None = Field(
        None, repr=False, description="Customer key and secret at the endpoint; at this farm those of the request."
    )

    def order(self) -> orders.JobOrder:
        """Raises `BadParameter`."""
        said = {name: getattr(self, name) for name in JobRequest.model_fields}
        if self.credentials is not None:
            said["credentials"] = {"key": self.credentials.key, "secret": self.credentials.secret}
        return orders.parse(said)
