"""Images of a layout: decoded with a bound on their pixels, at most as large as the canvas needs them."""

from __future__ import annotations

import io
import warnings
from typing import Final

import av
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image, ImageOps, UnidentifiedImageError

from workers.recorder.mixer.colour import FULL, LIMITED
from workers.recorder.mixer.tile import Picture

#: The contract's bound (§4).
MAX_BYTES: Final = 6 << 20
#: 6 MB of JPEG can unpack to gigabytes; a photograph has fewer pixels than this.
MAX_PIXELS: Final = 40_000_000
_FORMATS: Final = ("JPEG", "BMP", "PNG")


class ImageUnusable(ValueError):
    """Its text says why, for the record."""


def decoded(content: bytes, longest_px: int) -> Picture:
    """A JPG, BMP or PNG, upright, scaled down to `longest_px`; what is transparent becomes black. For a thread.

    Raises `ImageUnusable`.
    """
    if len(content) > MAX_BYTES:
        raise ImageUnusable("it is larger than 6 MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound here is another
            return _picture(content, longest_px)
    except ImageUnusable:
        raise
    except UnidentifiedImageError as error:
        raise ImageUnusable("it is no JPG, BMP or PNG") from error
    except Exception as error:  # Pillow's decoders raise whatever their library does on broken files
        raise ImageUnusable("it cannot be decoded") from error


def _picture(content: bytes, longest_px: int) -> Picture:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageUnusable(
                f"it has {image.width}×{image.height} pixels, more than {MAX_PIXELS // 1_000_000} million"
            )
        image.draft("RGB", (longest_px, longest_px))  # a large JPEG is decoded small at once
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((longest_px, longest_px))
        flat = Image.new("RGB", upright.size)
        flat.paste(upright, mask=upright.getchannel("A") if "A" in upright.getbands() else None)
    return _planar(flat)


def _planar(image: Image.Image) -> Picture:
    width, height = max(2, image.width & ~1), max(2, image.height & ~1)
    if image.size != (width, height):
        image = image.resize((width, height))
    frame = av.VideoFrame.from_ndarray(np.asarray(image), "rgb24")
    return Picture(
        frame.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU601, src_color_range=FULL, dst_color_range=LIMITED
        )
    )
