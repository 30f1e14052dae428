"""At which bit rate a browser begins, told in the answer. Pure.

Chromium begins at 300 kb/s, sends 640×360 for it, and takes half a minute up to 720p since it may only grow by parts of
what it sends. It honours `x-google-start-bitrate` of the other side; who does not know the parameter passes it over
(RFC 8866 §6.15). What arrives, and what it is told to send from then on, is up to the estimation.
"""

from __future__ import annotations

import re
from typing import Final

START_KBPS: Final = 1_500
_PARAMETER: Final = f"x-google-start-bitrate={START_KBPS}"
_RTPMAP: Final = re.compile(r"a=rtpmap:(\d+) (H264|VP8)/90000", re.IGNORECASE)


def with_start_rate(sdp: str) -> str:
    """An answer whose pictures may begin at `START_KBPS`."""
    lines = sdp.splitlines()
    pictures = [found[1] for line in lines if (found := _RTPMAP.match(line))]
    described = {payload for payload in pictures if any(line.startswith(f"a=fmtp:{payload} ") for line in lines)}
    told: list[str] = []
    for line in lines:
        fmtp = line.startswith("a=fmtp:") and line.removeprefix("a=fmtp:").partition(" ")[0] in described
        told.append(f"{line};{_PARAMETER}" if fmtp else line)
        found = _RTPMAP.match(line)
        if found and found[1] not in described:
            told.append(f"a=fmtp:{found[1]} {_PARAMETER}")
    return "\r\n".join(told) + "\r\n"
