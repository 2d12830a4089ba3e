"""The limits that stand between a hostile input and the worker. Every default is safe on a small machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MIB = 1024 * 1024


class Limits(BaseModel):
    """Sizes in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_bytes: int = 50 * MIB
    """Largest image source, fetched or uploaded. A 50 MP camera JPEG is about 25 MiB."""
    source_timeout: float = 30.0
    """Longest fetch of an image source or of one PDF asset."""
    image_pixels: int = 100_000_000
    """Most pixels in one frame. A decoded pixel costs about 4 bytes: 400 MB at the worst."""
    image_frames: int = 500
    """Most frames or pages of an animation."""
    image_scans: int = 100
    """Most scans of a progressive JPEG. Cameras and encoders write about ten; each one walks the whole picture."""
    image_total_pixels: int = 400_000_000
    """Most pixels over all frames."""
    image_timeout: float = 60.0
    """Longest run of all variants of one image job."""
    image_memory: int = 2048 * MIB
    """Address space of the process that decodes images."""
    html_bytes: int = 2 * MIB
    """Largest HTML after the template was filled in."""
    asset_bytes: int = 10 * MIB
    """Largest single asset (image, font, style sheet) of a PDF."""
    assets_total_bytes: int = 50 * MIB
    """All assets of one PDF together."""
    pdf_timeout: float = 60.0
    """Longest layout of one PDF; with Chromium, loading included."""
    pdf_memory: int = 2048 * MIB
    """Address space of the process that lays out PDFs."""
    answer_bytes: int = 256 * MIB
    """Most that an isolated process may answer: all variants of an image job, or one PDF; also of Chromium."""
    child_file_bytes: int = 256 * MIB
    """Largest file that an isolated process may write, into a folder that is removed with it."""
    child_open_files: int = 256
    """Files that an isolated process may have open at once."""
    chromium_memory: int = 1024 * MIB
    """Memory of all processes of one Chromium together; each of them alone may have as much data."""
    webhook_body_bytes: int = 1 * MIB
    """Largest webhook body."""
    webhook_response_bytes: int = 16 * 1024
    """How much of a receiver's answer is read and kept in the attempt."""
    webhook_timeout: float = 30.0
    """Longest delivery that a job may ask for; the default of a job is 15 s."""
