"""Playlists and elementary streams, as bytes and text."""

from __future__ import annotations

import time

import pytest

from models.vocabulary.errors import FetchRefused, StreamUndecodable
from workers.recorder.capture.pull.elementary import (
    Adts,
    adts_duration_s,
    adts_of,
    has_parameters,
    is_adts,
    is_annexb,
)
from workers.recorder.capture.pull.opening import application_of
from workers.recorder.capture.pull.playlists import encrypted, ended, narrowed
from workers.recorder.capture.pull.redirects import NoRedirects

MASTER = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="low",NAME="a",URI="low/a.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="high",NAME="de",URI="high/de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="high",NAME="en",DEFAULT=YES,URI="high/en.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="en",URI="subs.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO="low",CODECS="avc1.42c00c,mp4a.40.2"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=4000000,RESOLUTION=1280x720,AUDIO="high"

#EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=1,BANDWIDTH=3000000,RESOLUTION=1280x720,AUDIO="high"
high.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI="iframes.m3u8"
"""


def test_of_a_master_playlist_the_richest_variant_and_its_sound_are_left() -> None:
    kept = narrowed(MASTER).splitlines()
    assert [line for line in kept if not line.startswith("#")] == ["high.m3u8"]
    assert [line for line in kept if "MEDIA:" in line] == [
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="high",NAME="en",DEFAULT=YES,URI="high/en.m3u8"'
    ]
    assert kept[0] == "#EXTM3U" and not any("low" in line or "iframes" in line or "subs" in line for line in kept)


def test_a_playlist_of_segments_stays_as_it_is() -> None:
    text = "#EXTM3U\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"
    assert narrowed(text) == text
    assert ended(text) and not ended("#EXTM3U\n#EXTINF:2,\na.ts\n")


@pytest.mark.parametrize(
    ("line", "is_secret"),
    [('METHOD=AES-128,URI="k"', True), ("METHOD=SAMPLE-AES", True), ("METHOD=NONE", False)],
)
def test_encrypted_segments_are_seen(line: str, is_secret: bool) -> None:
    assert encrypted(f"#EXTM3U\n#EXT-X-KEY:{line}\n") is is_secret


@pytest.mark.parametrize(
    ("config", "header"),
    [
        ("1210", Adts(1, 4, 2)),  # LC, 44.1 kHz, stereo
        ("1188", Adts(1, 3, 1)),  # LC, 48 kHz, mono
        ("2b920800", Adts(1, 7, 2)),  # SBR told, LC at 22.05 kHz below
    ],
)
def test_aac_gets_the_header_that_its_configuration_says(config: str, header: Adts) -> None:
    found = adts_of(bytes.fromhex(config))
    assert found == header
    framed = found.framed(b"\x21" * 200)
    assert is_adts(framed) and len(framed) == 207
    assert (framed[3] & 3) << 11 | framed[4] << 3 | framed[5] >> 5 == 207
    assert adts_duration_s(framed) == found.duration_s


@pytest.mark.parametrize("config", ["", "12", "fffe", "1780", "1200"])
def test_other_aac_is_refused(config: str) -> None:
    with pytest.raises(StreamUndecodable):
        adts_of(bytes.fromhex(config))


def test_parameter_sets_are_found_before_the_picture_only() -> None:
    sps, pps, idr = b"\0\0\0\1\x67\x42", b"\0\0\1\x68\xce", b"\0\0\1\x65\x88"
    assert has_parameters(sps + pps + idr)
    assert has_parameters(b"\0\0\0\1\x09\xf0" + sps + pps + idr)
    assert not has_parameters(idr + sps) and not has_parameters(b"") and not has_parameters(b"\0\0\1")
    assert is_annexb(sps) and not is_annexb(b"\1\x64")


@pytest.mark.parametrize(
    ("target", "application"),
    [
        ("/live/key", "live"),
        ("/live/instance/key", "live/instance"),
        ("/live/instance/a/b?x=/y/z", "live/instance"),
        ("/key", ""),
        ("/live/key?token=a/b/c", "live"),
    ],
)
def test_an_rtmp_application_is_one_or_two_steps_of_the_path(target: str, application: str) -> None:
    assert application_of(target) == application


@pytest.mark.parametrize(
    "pieces",
    [
        [b"RTSP/1.0 302 Found\r\nLocation: rtsp://10.0.0.1/\r\n\r\n"],
        [b"RTSP/1.0 301 Moved\r\nCSeq: 1\r\nLoca", b"tion: rtsp://10.0.0.1/\r\n\r\n"],
        [b"RTSP/1.0 302 Found\nLo\rcati\r", b"on\r: rtsp://10.0.0.1/\n\n"],
        [b"RTSP/1.0 302 Found\n$\0\0\0LOCATION: rtsp://10.0.0.1/\n\n"],
    ],
)
def test_a_server_that_sends_us_elsewhere_is_not_passed_on(pieces: list[bytes]) -> None:
    watch = NoRedirects()
    with pytest.raises(FetchRefused, match="elsewhere"):
        for piece in pieces:
            watch(piece)


def test_other_answers_are_passed_on() -> None:
    watch = NoRedirects()
    for piece in (b"RTSP/1.0 200 OK\r\nContent-Loc", b"ation: rtsp://here/\r\n\r\nv=0\r\n", b"$\0\0\x04abcd" * 1000):
        watch(piece)


@pytest.mark.parametrize(
    "line", ["#EXT-X-KEY:" + "A" * 50_000, "#EXT-X-KEY:" + ',A="' * 20_000, "#EXT-X-KEY:" + ", " * 50_000]
)
def test_no_line_takes_long(line: str) -> None:
    began = time.thread_time()
    assert not encrypted(line)
    assert time.thread_time() - began < 0.5
