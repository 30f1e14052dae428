"""SDP fragments (RFC 8840 §9): one side's ICE credentials and candidates by themselves. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aioice import Candidate

from models.vocabulary.errors import BadBody
from workers.webrtc.ice import MAX_CANDIDATES, is_udp_address

TYPE: Final = "application/trickle-ice-sdpfrag"

_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")  # RFC 8839 §5.4, and the password below
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")


@dataclass(frozen=True, slots=True)
class Fragment:
    """`ufrag` and `password` are both given or both empty."""

    ufrag: str
    password: str
    candidates: tuple[Candidate, ...] = ()


def ufrag_of(sdp: str) -> str:
    """The username fragment of a whole description; empty where there is none."""
    found = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    return found[1] if found else ""


def parsed(text: str) -> Fragment:
    """What we can use of it: candidates that are no UDP address are left out. Raises `BadBody`."""
    ufrags: list[str] = []
    passwords: list[str] = []
    candidates: list[Candidate] = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(":")
        match name:
            case "a=ice-ufrag":
                ufrags.append(value)
            case "a=ice-pwd":
                passwords.append(value)
            case "a=candidate" if is_udp_address(line.strip()) and len(candidates) < MAX_CANDIDATES:
                candidates.append(_candidate(value))
            case _:
                pass  # media sections share one transport
    if bool(ufrags) != bool(passwords) or not (ufrags or candidates):
        raise BadBody("an SDP fragment has an ice-ufrag with its ice-pwd, or candidates")
    ufrag, password = (ufrags[0], passwords[0]) if ufrags else ("", "")
    if ufrags and not (_UFRAG.fullmatch(ufrag) and _PASSWORD.fullmatch(password)):
        raise BadBody("the ice-ufrag or the ice-pwd is none")
    return Fragment(ufrag, password, tuple(candidates))


def rendered(fragment: Fragment, mid: str, kind: str) -> str:
    """All of one side's, as that of the media section which the others are bundled with."""
    lines: Sequence[str] = (
        f"m={kind} 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{mid}",
        f"a=ice-ufrag:{fragment.ufrag}",
        f"a=ice-pwd:{fragment.password}",
        *(f"a=candidate:{candidate.to_sdp()}" for candidate in fragment.candidates),
        "a=end-of-candidates",
    )
    return "".join(f"{line}\r\n" for line in lines)


def _candidate(value: str) -> Candidate:
    try:
        return Candidate.from_sdp(value)
    except (ValueError, AssertionError) as error:
        raise BadBody("a candidate is none") from error
