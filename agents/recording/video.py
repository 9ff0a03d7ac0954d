"""Frames into a file: MP4 by PyAV, GIF by Pillow; or the last one alone, PNG."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np

HINT = "pip install 'longhold[video]'"
FORMATS = (".mp4", ".gif", ".png")
GIF_COLOURS = 256
TRIAL_BYTES = 2**16
"""Written to find out whether anything can be."""


def check_format(path: Path) -> None:
    """Makes sure that a film can be written.

    Raises:
        ValueError: an ending that stands for no format, or a package that is missing.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"--out must end in .mp4, .gif or .png, got {path.name!r}")
    require_pillow()
    if path.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise ValueError(f"an MP4 needs the package av: {HINT}, or give --out FILE.gif") from None


def require_pillow() -> None:
    """Makes sure that pictures can be written.

    Raises:
        ValueError: Pillow is missing.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ValueError(f"pictures need the package pillow: {HINT}") from None


def check_place(path: Path) -> None:
    """Makes sure that a file can be written, and leaves nothing behind.

    Raises:
        OSError: it can't.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        part.write_bytes(bytes(TRIAL_BYTES))  # a full disk still makes empty files
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")


def write_video(path: Path, frames: Iterable[np.ndarray], fps: int) -> None:
    """Writes a film; a file of that name appears, or is replaced, only when it is whole.

    Args:
        path: its ending decides the format.
        frames: [H, W, 3] uint8 each, all of one even size.
        fps: frames per second.
    """
    part = part_of(path)
    write = {".mp4": write_mp4, ".gif": write_gif, ".png": write_last}[path.suffix.lower()]
    try:
        write(part, iter(frames), fps)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_mp4(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Writes H.264, which every browser plays."""
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "20"})
        stream.pix_fmt = "yuv420p"
        for i, frame in enumerate(frames):
            if not i:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_gif(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Writes an endless GIF; the colours of a frame are reduced without a pattern of dots."""
    from PIL import Image

    def reduced() -> Iterator[Image.Image]:
        for frame in frames:
            yield Image.fromarray(frame).quantize(
                GIF_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
            )

    images = reduced()
    first = next(images)
    # A GIF counts in hundredths of a second.
    first.save(path, save_all=True, append_images=images, duration=round(100 / fps) * 10, loop=0)


def write_last(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Writes the last frame: the curves of a whole episode, and how it ended."""
    from PIL import Image

    (last,) = deque(frames, maxlen=1)
    Image.fromarray(last).save(path)
