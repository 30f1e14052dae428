"""What a recording costs, in hundredths of a core: the unit of a node's capacity.

From measurements of the mixer (docs/design): H.264 decoding takes 1.2 % of a core for a 640×360@30 stream and its
picture 0.2 % more; x264 veryfast takes 5.8 % at 360×640@15 and 36 % at 1280×720@30, 81 % at 1920×1080@30, thus at
most 1.7 % for each million pixels a second. A weight reserves; it is not a limit that anybody enforces.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from models.vocabulary.address import is_janus
from models.vocabulary.spec import Mode, RecordingSpec

#: Interpreter, pipe, segmenter, uploads.
BASE: Final = 3.0
PER_MEGAPIXEL_PER_S: Final = 1.7
PER_VIDEO_USER: Final = 1.5
PER_AUDIO_USER: Final = 0.15
AUDIO_ENCODER: Final = 0.6
#: Copying one user's track costs a hundredth of mixing him; his sound as AAC is decoded and encoded.
PER_COPIED_USER: Final = 0.3
PER_AAC_USER: Final = 0.75
#: A recorder in a room of Janus ends each user's WebRTC itself; of WHIP rooms the ingest does, outside the weights.
PER_WEBRTC_USER: Final = 1.0
#: Of a pulled channel it reads each user's container.
PER_PULLED_USER: Final = 1.2
#: A browser that plays and encodes a page.
PAGE: Final = 300
#: Who will come is not known when a recording starts; a white list tells.
EXPECTED_USERS: Final = 8
MOST_USERS: Final = 17
#: A finaliser captures nothing: it reads rows and puts a playlist.
FINALISER: Final = 1


def weight(spec: RecordingSpec) -> int:
    """Hundredths of a core to reserve for this recording."""
    if spec.mode is Mode.WEB:
        return PAGE
    video_users = users(spec, "video") if spec.has_video else 0
    audio_users = users(spec, "audio") if spec.has_audio else 0
    per_user = PER_WEBRTC_USER if is_janus(spec.channel) else PER_PULLED_USER if spec.is_pulled else 0.0
    base = BASE + per_user * max(video_users, audio_users)
    if spec.mode is Mode.INDIVIDUAL:
        per_sound = PER_COPIED_USER if spec.stream_mode == "original" else PER_AAC_USER
        return ceil(base + PER_COPIED_USER * video_users + per_sound * audio_users)
    cost = base + PER_VIDEO_USER * video_users + PER_AUDIO_USER * audio_users
    if spec.has_video:
        cost += PER_MEGAPIXEL_PER_S * spec.video.width * spec.video.height * spec.video.fps / 1e6
    if spec.has_audio:
        cost += AUDIO_ENCODER
    return ceil(cost)


def users(spec: RecordingSpec, medium: str) -> int:
    selection = spec.video_from if medium == "video" else spec.audio_from
    if selection.rule == "none":
        return 0
    if selection.rule == "only":
        return min(len(selection.uids), MOST_USERS)
    return EXPECTED_USERS
