"""A second ICE session under a transport that goes on (RFC 8445 §9): DTLS and media stay what they are.

aiortc has no ICE restart. What its transport holds of its session is a connection of aioice and what it receives into;
this file and ice.py are all that touch these. tests/webrtc/test_private_names.py holds the names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aioice
from aiortc.rtcicetransport import RTCIceTransport

from workers.webrtc import ice
from workers.webrtc.fragment import Fragment

_CONNECT_WITHIN_S: Final = 10.0


class SecondSession:
    """Media stays with the first session until this one has a pair of candidates; if it never does, for good."""

    def __init__(self, transport: RTCIceTransport) -> None:
        self._transport = transport
        self._first = transport._connection
        self._connection = aioice.Connection(ice_controlling=self._first.ice_controlling)
        # whatever arrives by either is the transport's
        self._connection._queue = self._first._queue
        self._has_taken_over = False

    async def gather(self) -> Fragment:
        """Our own credentials and candidates."""
        await self._connection.gather_candidates()
        ours = self._connection
        return Fragment(ours.local_username, ours.local_password, tuple(ours.local_candidates))

    def on_check(self, heard: Callable[[], None]) -> None:
        """As `ice.on_check`."""
        ice.watch_checks(self._connection, heard)

    async def take_over(self, theirs: Fragment) -> None:
        """Raises ConnectionError when there is no way, TimeoutError; then this session is closed, and the first goes on."""
        self._connection.remote_username, self._connection.remote_password = theirs.ufrag, theirs.password
        try:
            for candidate in theirs.candidates:
                await self._connection.add_remote_candidate(candidate)
            await asyncio.wait_for(self._connection.connect(), _CONNECT_WITHIN_S)
            if self._transport.state == "closed" or self._transport._connection is not self._first:
                raise ConnectionError("the transport has gone on without this session")
        except BaseException:
            await self.close()
            raise
        await self._replace()

    async def close(self) -> None:
        """Once it has taken over, the transport closes it."""
        if self._has_taken_over:
            return
        self._connection._queue = asyncio.Queue()  # closing wakes who receives from it
        await self._connection.close()

    async def _replace(self) -> None:
        self._has_taken_over = True
        first, second, transport = self._first, self._connection, self._transport
        first._queue = asyncio.Queue()  # as above
        # who waits for the first to end waits for the second now
        second._event_waiter, first._event_waiter = first._event_waiter, None
        transport._connection = transport.iceGatherer._connection = second
        transport._recv, transport._send = second.recv, second.send
        await first.close()
