"""The answer's word on how fast a browser may begin."""

from __future__ import annotations

from workers.ingest.startrate import with_start_rate

ANSWER = """v=0
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=fmtp:102 packetization-mode=1;profile-level-id=42e01f
"""


def test_pictures_may_begin_faster_and_nothing_else_changes() -> None:
    told = with_start_rate(ANSWER).splitlines()
    assert "a=fmtp:96 x-google-start-bitrate=1500" in told
    assert "a=fmtp:102 packetization-mode=1;profile-level-id=42e01f;x-google-start-bitrate=1500" in told
    assert [line for line in told if "google" not in line] == [
        line for line in ANSWER.splitlines() if not line.startswith("a=fmtp:102")
    ]


def test_an_answer_without_pictures_stays_as_it_is() -> None:
    audio = "".join(line + "\r\n" for line in ANSWER.splitlines()[:4])
    assert with_start_rate(audio) == audio
