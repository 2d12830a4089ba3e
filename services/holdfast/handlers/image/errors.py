"""Every way in which a picture is refused. All are final: the same picture would be refused again.

Rejected
├── NotAnImage         not one of the formats that are read
├── ImageTruncated     it begins well and breaks off
├── ImageDamaged       it cannot be decoded
├── TooManyPixels      one frame, all frames, or a wanted size is past its limit
├── TooManyFrames      an animation is past its limit
├── TooManyScans       a progressive JPEG is past its limit
├── CropOutside        the crop reaches past the (upright) picture
├── WatermarkInvalid   the watermark cannot be drawn
└── EncodingFailed     the wanted format cannot hold the result
"""

from __future__ import annotations

from holdfast.domain.errors import Rejected


class NotAnImage(Rejected):
    """The source is not one of the formats that are read."""


class ImageTruncated(Rejected):
    """The source ends before the picture does."""


class ImageDamaged(Rejected):
    """The source looks like an image and cannot be decoded."""


class TooManyPixels(Rejected):
    """Decoding or making the picture would take more memory than a job may have."""


class TooManyFrames(Rejected):
    """The animation is too long."""


class TooManyScans(Rejected):
    """The progressive JPEG refines its picture too often."""


class CropOutside(Rejected):
    """The crop is not within the picture."""


class WatermarkInvalid(Rejected):
    """The watermark cannot be drawn."""


class EncodingFailed(Rejected):
    """The target format refuses the picture."""
