"""The demo: three synthetic people in a WebRTC call on this machine, recorded by the embedded farm, judged by what came out."""

from farm.demo.run import run

__all__ = ["run"]
