"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Path, Query

from gateway.runtime import Runtime, runtime

#: What goes into a query of the state has no NUL: databases refuse it.
NO_NUL: Final = "^[^\\x00]*$"

Run = Annotated[Runtime, Depends(runtime)]
Sid = Annotated[str, Path(description="Of start.", max_length=64)]
Before = Annotated[str, Query(description="`next` of the page before.", pattern="^[0-9a-f]{0,32}$")]
Page = Annotated[int, Query(description="How many, 1 to 200.")]
