"""Which channel an address means."""

from __future__ import annotations

import random
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from models.settings import settings
from models.vocabulary.address import SUPPORTED
from models.vocabulary.channel import Channel
from models.vocabulary.errors import ChannelAddressInvalid
from models.vocabulary.timing import Clock
from workers.recorder.capture.scripted import ScriptedChannel


def open_channel(address: str, clock: Clock, allow_networks: Sequence[IPv4Network | IPv6Network] = ()) -> Channel:
    """A channel that is not joined yet: `Channel.open(room)` does that. Raises `ChannelAddressInvalid`.

    `allow_networks`: private networks that an address may lie in.
    """
    scheme, colon, rest = address.partition(":")
    match scheme if colon else "":
        case "scripted" if rest:
            return ScriptedChannel(clock, Path(rest))
        case "whip":
            from workers.recorder.capture.whip import WhipChannel  # its libraries cost 30 MB: only where used

            return WhipChannel(clock)
        case "pull" if not rest:
            from workers.recorder.capture.pull.channel import PullChannel  # as above

            return PullChannel(clock, allow_networks, random.random)
        case "janus+ws" | "janus+wss":
            from workers.recorder.capture.janus.channel import JanusChannel  # as above

            return JanusChannel(clock, allow_networks, settings().ice_addresses)
        case _:
            raise ChannelAddressInvalid(f"the channel address must be {SUPPORTED}")
