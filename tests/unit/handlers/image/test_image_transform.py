"""`image.transform` with the real libvips in a real child."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from holdfast.domain.attempt import Bury, Retry, Succeeded
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.errors import Rejected
from holdfast.handlers.image import ImageTransform
from holdfast.handlers.image.payload import ImagePayload
from holdfast.ports.limits import Limits
from imagepdf_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEMO = Path(__file__).parents[4] / "examples" / "demo"


async def run(world: World, source: Any, *variants: dict[str, Any], limits: Limits | None = None) -> Any:
    payload = ImagePayload.model_validate(
        {
            "source": world.upload(source) if isinstance(source, bytes) else source,
            "variants": [{"name": f"v{number}"} | variant for number, variant in enumerate(variants)],
        }
    )
    return await ImageTransform().run(world.context(limits), payload)


async def made(world: World, source: bytes, **variant: Any) -> Image.Image:
    outcome = await run(world, source, variant)
    assert isinstance(outcome, Succeeded)
    (facts,) = outcome.result["variants"]
    image = Image.open(io.BytesIO(world.saved(facts["artifact"])))
    assert image.size == (facts["width"], facts["height"])
    assert facts["bytes"] == len(world.saved(facts["artifact"]))
    return image


async def refused(world: World, source: bytes, limits: Limits | None = None, **variant: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await run(world, source, variant, limits=limits)
    return caught.value


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def quarters(size: tuple[int, int] = (400, 200), mode: str = "RGB") -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new(mode, size, "white")
    draw = ImageDraw.Draw(image)
    x, y = size[0] // 2, size[1] // 2
    draw.rectangle((0, 0, x - 1, y - 1), "red")
    draw.rectangle((x, 0, size[0], y - 1), (0, 255, 0))
    draw.rectangle((0, y, x - 1, size[1]), "blue")
    return image


def close(one: Any, other: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize(
    ("fit", "size"),
    [
        ("inside", (100, 50)),
        ("outside", (200, 100)),
        ("contain", (100, 100)),
        ("cover", (100, 100)),
        ("fill", (100, 100)),
    ],
)
async def test_each_fit_gives_its_size(world: World, fit: str, size: tuple[int, int]) -> None:
    image = await made(world, saved(quarters(), "PNG"), width=100, height=100, fit=fit)
    assert image.size == size


async def test_cover_keeps_the_side_of_its_gravity(world: World) -> None:
    source = saved(quarters(), "PNG")
    west = await made(world, source, width=50, height=100, fit="cover", gravity="west")
    east = await made(world, source, width=50, height=100, fit="cover", gravity="east")
    assert (west.getpixel((5, 5)), east.getpixel((45, 5))) == (RED, GREEN)


async def test_cover_by_attention_finds_the_bright_spot(world: World) -> None:
    dull = Image.new("RGB", (600, 200), (90, 90, 90))
    ImageDraw.Draw(dull).ellipse((480, 60, 560, 140), fill=(255, 60, 0))
    image = await made(world, saved(dull, "PNG"), width=100, height=100, fit="cover", gravity="attention")
    assert image.getcolors(10_000) != [(10_000, (90, 90, 90))]


async def test_contain_pads_with_nothing_or_with_the_background(world: World) -> None:
    source = saved(quarters(), "PNG")
    clear = await made(world, source, width=100, height=100, fit="contain")
    assert clear.getpixel((50, 5)) == (0, 0, 0, 0)
    grey = await made(world, source, width=100, height=100, fit="contain", background="#404040")
    assert grey.getpixel((50, 5)) == (64, 64, 64)
    white = await made(world, source, width=100, height=100, fit="contain", format="jpeg")
    assert close(white.getpixel((50, 5)), WHITE)


async def test_nothing_is_enlarged_unless_asked(world: World) -> None:
    source = saved(quarters((40, 20)), "PNG")
    assert (await made(world, source, width=400)).size == (40, 20)
    assert (await made(world, source, width=400, enlarge=True)).size == (400, 200)


async def test_exif_orientation_is_obeyed_and_then_gone(world: World) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise to see it upright
    source = saved(quarters(), "JPEG", exif=exif, quality=95, subsampling=0)
    image = await made(world, source)
    assert image.size == (200, 400)
    assert close(image.getpixel((150, 50)), RED)
    assert close(image.getpixel((50, 50)), BLUE)
    assert not image.getexif()
    assert (await made(world, source, auto_orient=False)).size == (400, 200)


async def test_rotation_crop_and_resize_come_in_this_order(world: World) -> None:
    source = saved(quarters(), "PNG")
    crop = {"left": 100, "top": 0, "width": 100, "height": 400}
    image = await made(world, source, rotate=90, crop=crop, width=50)
    assert image.size == (50, 200)
    assert (image.getpixel((25, 10)), image.getpixel((25, 190))) == (RED, GREEN)


async def test_a_crop_of_a_large_jpeg_is_right_though_it_is_shrunk_while_loading(world: World) -> None:
    source = saved(quarters((3200, 1600)), "JPEG", quality=95)
    crop = {"left": 1600, "top": 800, "width": 1600, "height": 800}
    image = await made(world, source, crop=crop, width=100)
    assert image.size == (100, 50)
    assert all(close(image.getpixel(at), WHITE) for at in ((1, 1), (98, 48)))


def by_libvips(expression: str) -> bytes:
    """What Pillow cannot make; in a process of its own, for the tests' own must stay free of libvips."""
    script = f"import pyvips, sys; sys.stdout.buffer.write({expression})"
    return subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout


async def test_colours_become_srgb_by_the_embedded_profile(world: World) -> None:
    dull_red = "(pyvips.Image.black(60, 40, bands=3) + [200, 50, 50]).cast('uchar').copy(interpretation='srgb')"
    source = by_libvips(f"{dull_red}.icc_transform('p3', input_profile='srgb').pngsave_buffer(profile='p3')")
    stored = Image.open(io.BytesIO(source))
    assert stored.info["icc_profile"]
    assert not close(stored.getpixel((5, 5)), (200, 50, 50), 8), "Display P3 has other numbers for this colour"
    image = await made(world, source)
    assert close(image.getpixel((5, 5)), (200, 50, 50), 2)
    assert "icc_profile" not in image.info


async def test_cmyk_becomes_srgb_and_metadata_is_left_behind(world: World) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    source = saved(Image.new("CMYK", (60, 40), (0, 255, 255, 0)), "JPEG", exif=exif)
    assert b"SecretCamera" in source
    image = await made(world, source)
    assert image.mode == "RGB"
    red, green, blue = image.getpixel((30, 20))
    assert red > 180 > 90 > green
    assert blue < 110
    assert b"SecretCamera" not in world.saved("v0.jpg")


async def test_sixteen_bit_grey_and_palettes_become_eight_bit_srgb(world: World) -> None:
    deep = await made(world, saved(Image.new("I;16", (30, 20), 0x8080), "PNG"))
    assert deep.mode == "RGB"
    assert close(deep.getpixel((5, 5)), (128, 128, 128), 2)
    palette = await made(world, saved(quarters((40, 40)).quantize(4), "PNG"), width=20)
    assert close(palette.getpixel((3, 3)), RED)


async def test_transparency_is_kept_or_flattened(world: World) -> None:
    source = saved(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG")
    assert (await made(world, source)).getpixel((5, 5))[3] == 0
    assert close((await made(world, source, format="jpeg")).getpixel((5, 5)), WHITE)
    assert (await made(world, source, background="#0000ff")).getpixel((5, 5)) == BLUE
    half = saved(Image.new("RGBA", (40, 40), (255, 0, 0, 128)), "PNG")
    assert close((await made(world, half, format="png", background="black", width=20)).getpixel((5, 5)), (128, 0, 0))


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif", "gif"])
async def test_every_format_is_written_and_read_again(world: World, form: str) -> None:
    outcome = await run(world, saved(quarters(), "PNG"), {"format": form, "width": 100})
    name = outcome.result["variants"][0]["artifact"]
    assert name == ("v0.jpg" if form == "jpeg" else f"v0.{form}")
    again = await run(world, world.saved(name), {"width": 50, "format": "png"})
    assert again.result["source"]["format"] == form
    assert again.result["variants"][0]["width"] == 50


async def test_tiff_is_read_and_becomes_jpeg(world: World) -> None:
    outcome = await run(world, saved(quarters(), "TIFF"), {"width": 100})
    assert outcome.result["source"]["format"] == "tiff"
    assert outcome.result["variants"][0]["format"] == "jpeg"


def animation(count: int = 4, size: tuple[int, int] = (60, 40)) -> bytes:
    frames = [Image.new("RGB", size, (40 * number + 30, 0, 200)) for number in range(count)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=[100] * count, loop=0)


async def test_an_animation_stays_one_where_the_format_can(world: World) -> None:
    source = animation()
    for form in ("gif", "webp"):
        image = await made(world, source, width=30, height=30, fit="cover", format=form)
        assert getattr(image, "n_frames", 1) == 4
        colours = set()
        for number in range(4):
            image.seek(number)
            image.load()
            assert image.info["duration"] == 100
            colours.add(image.convert("RGB").getpixel((15, 15))[0] // 20)
        assert len(colours) == 4
    outcome = await run(world, source, {"format": "png", "width": 30}, {"format": "webp", "width": 20})
    assert [one["frames"] for one in outcome.result["variants"]] == [1, 4]
    assert outcome.result["source"]["frames"] == 4


async def test_a_watermark_of_text_and_one_of_a_picture(world: World) -> None:
    source = saved(Image.new("RGB", (400, 200), (0, 0, 0)), "PNG")
    text = await made(world, source, watermark={"text": "© <b>Holdfast</b> & Co", "opacity": 1, "scale": 0.5})
    box = text.getbbox()
    assert box is not None
    assert box[0] > 150
    assert box[1] > 100
    assert box[2] <= 400 - 5
    logo = world.upload(saved(Image.new("RGB", (50, 50), RED), "PNG"))
    mark = {"source": logo, "gravity": "northwest", "opacity": 0.5, "scale": 0.1, "margin": 0.1}
    image = await made(world, source, watermark=mark)
    assert image.getbbox() == (20, 20, 60, 60)
    assert close(image.getpixel((40, 40)), (128, 0, 0), 2)


async def test_a_watermark_lies_on_every_frame(world: World) -> None:
    logo = world.upload(saved(Image.new("RGB", (10, 10), WHITE), "PNG"))
    mark = {"source": logo, "gravity": "centre", "opacity": 1, "scale": 0.5}
    image = await made(world, animation(), format="webp", lossless=True, watermark=mark)
    for number in range(4):
        image.seek(number)
        assert close(image.convert("RGB").getpixel((30, 20)), WHITE, 3)


def photograph() -> bytes:
    """Made in a process of its own, for the tests' own must stay free of libvips."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); import assets; sys.stdout.buffer.write(assets.photograph())"
    return subprocess.run([sys.executable, "-c", script, str(DEMO)], stdout=subprocess.PIPE, check=True).stdout


async def test_the_photograph_of_the_demo_loses_its_gps_data_and_comes_out_upright(world: World) -> None:
    photo = photograph()
    assert 3e6 < len(photo) < 8e6
    assert Image.open(io.BytesIO(photo)).getexif().get_ifd(0x8825)
    outcome = await run(
        world, photo, {"width": 1600}, {"width": 400, "format": "webp"}, {"width": 160, "format": "avif"}
    )
    assert outcome.result["source"] == {
        "format": "jpeg",
        "width": 4000,
        "height": 3000,
        "frames": 1,
        "bytes": len(photo),
    }
    assert [(one["width"], one["height"]) for one in outcome.result["variants"]] == [
        (1600, 1200),
        (400, 300),
        (160, 120),
    ]
    small = Image.open(io.BytesIO(world.saved("v0.jpg")))
    assert not small.getexif()
    assert "icc_profile" not in small.info


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that claims to be enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(3_000_000), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


async def test_a_pixel_bomb_is_refused_before_it_is_decoded(world: World) -> None:
    await run(world, saved(quarters(), "PNG"), {})
    error = await refused(world, bomb(30_000, 30_000))
    assert error.error == "TooManyPixels"
    assert "30000 × 30000" in str(error)


async def test_frames_and_the_sum_of_pixels_are_capped(world: World) -> None:
    assert (await refused(world, animation(6), Limits(image_frames=5))).error == "TooManyFrames"
    assert (await refused(world, animation(6), Limits(image_total_pixels=9_000))).error == "TooManyPixels"
    tiny = Limits(image_pixels=2_000)
    assert (
        await refused(world, saved(quarters((40, 40)), "PNG"), tiny, width=60, enlarge=True)
    ).error == "TooManyPixels"


async def test_a_truncated_jpeg_is_refused_and_not_half_shown(world: World) -> None:
    whole = saved(Image.effect_noise((800, 600), 80), "JPEG")
    error = await refused(world, whole[: len(whole) // 2], width=100)
    assert error.error == "ImageTruncated"
    assert (await refused(world, whole[:40])).error in ("ImageTruncated", "NotAnImage")


async def test_a_damaged_png_is_refused(world: World) -> None:
    whole = bytearray(saved(Image.effect_noise((400, 300), 80), "PNG"))
    whole[len(whole) // 2 : len(whole) // 2 + 200] = bytes(200)
    assert (await refused(world, bytes(whole))).error in ("ImageDamaged", "ImageTruncated")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"just some text", "its format is unknown"),
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html><body>404", "it is a web page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "it is SVG"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "its format is unknown"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n12345678", "its format is unknown"),
        (b"P6\n2 2\n255\n123456789012", "its format is unknown"),
    ],
)
async def test_what_is_not_an_image_is_refused_by_name(world: World, source: bytes, reason: str) -> None:
    error = await refused(world, source)
    assert error.error == "NotAnImage"
    assert str(error).startswith("the source is not an image that Holdfast reads (JPEG, PNG, WebP, AVIF, GIF, TIFF)")
    assert reason in str(error)


async def test_a_crop_outside_and_a_bad_watermark_are_refused(world: World) -> None:
    source = saved(quarters(), "PNG")
    crop = {"left": 300, "top": 0, "width": 101, "height": 10}
    assert (await refused(world, source, crop=crop)).error == "CropOutside"
    mark = {"source": world.upload(b"no picture")}
    assert (await refused(world, source, watermark=mark)).error == "WatermarkInvalid"


async def test_neither_picture_nor_watermark_takes_more_than_half_of_the_memory(world: World) -> None:
    small, large = saved(quarters(), "PNG"), saved(Image.new("L", (5000, 4000)), "PNG")
    limits = Limits(image_memory=150 * 1024 * 1024)
    error = await refused(world, large, limits)
    assert (error.error, "takes 76 MiB; at most half of the 150 MiB" in str(error)) == ("TooManyPixels", True)
    error = await refused(world, small, limits, watermark={"source": world.upload(large)})
    assert (error.error, "takes 76 MiB; at most half of the 150 MiB" in str(error)) == ("TooManyPixels", True)


async def test_a_side_that_the_format_cannot_hold_is_refused(world: World) -> None:
    source = saved(Image.new("L", (17_000, 4)), "PNG")
    assert (await refused(world, source, format="webp")).error == "EncodingFailed"


async def test_running_out_of_memory_is_a_burial_that_names_the_limit_or_the_signal(world: World) -> None:
    source = saved(Image.effect_noise((5000, 4000), 50), "PNG", compress_level=1)
    limits = Limits(image_memory=175 * 1024 * 1024)  # what is decoded may take half of it; at 200 it sometimes fits
    outcome = await run(world, source, {"width": 4000, "format": "webp"}, limits=limits)
    assert isinstance(outcome, Bury)
    # Now and then a codec touches what malloc did not give it, and dies of a signal without a word.
    expected = {"MemoryLimit": "175 MiB", "IsolatedCrash": "died of SIG"}
    assert expected[outcome.failure.error] in outcome.failure.message


async def test_running_out_of_time_is_timed_out(world: World) -> None:
    source = saved(Image.effect_noise((2000, 2000), 50).convert("RGB"), "PNG")
    outcome = await run(world, source, {"format": "avif", "quality": 90}, limits=Limits(image_timeout=0.4))
    assert isinstance(outcome, Bury | Retry)
    assert outcome.failure.reason is DeadReason.TIMED_OUT
