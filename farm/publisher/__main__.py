"""`python -m farm.publisher URL --user NAME`: publish a synthetic user until interrupted.

The token is read from the environment variable REELYARD_WHIP_TOKEN, so that it is in nobody's process list.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal

from farm.publisher.publisher import SyntheticPublisher
from workers.synthetic.plan import MediaPlan


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m farm.publisher")
    parser.add_argument("url", help="WHIP endpoint of this user")
    parser.add_argument(
        "--token", default=os.environ.get("REELYARD_WHIP_TOKEN", ""), help="default: REELYARD_WHIP_TOKEN"
    )
    parser.add_argument("--user", default="user", help="name shown in the picture")
    parser.add_argument("--number", type=int, default=1, help="1 to 255, in the picture's marker and the beep's pitch")
    parser.add_argument("--colour", default="#2a6f97")
    parser.add_argument("--codec", choices=("h264", "vp8"), default="h264")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=None, help="default: until interrupted")
    return parser.parse_args()


async def publish(args: argparse.Namespace) -> None:
    width, height = (int(side) for side in args.size.split("x"))
    plan = MediaPlan(args.number, args.codec, width, height, args.fps, colour=args.colour, name=args.user)
    publisher = SyntheticPublisher(args.url, args.token, plan)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await publisher.open()
    with contextlib.suppress(TimeoutError):  # the time is over
        await asyncio.wait_for(ended.wait(), args.seconds)
    await publisher.close()


if __name__ == "__main__":
    asyncio.run(publish(arguments()))
