"""What an error of libvips means."""

from __future__ import annotations

import pytest
import pyvips

from holdfast.handlers.image.errors import ImageDamaged
from holdfast.handlers.image.libvips import refusing


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        ("VipsJpeg: bad marker", ImageDamaged),
        ("vips_tracked: out of memory --- size == 60MB", MemoryError),
        ("glib: Error creating thread: Resource temporarily unavailable", MemoryError),
    ],
)
def test_what_there_is_no_memory_for_is_not_blamed_on_the_picture(said: str, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=said), refusing(lambda error: ImageDamaged(str(error))):
        raise pyvips.Error(said)
