"""Finds the image files below a folder and decodes them into one array of pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from dccdka.datasets.dataset import DatasetError
from dccdka.datasets.memory import require_memory
from dccdka.function_reference import in_one_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
# Images, too, which would be missed without a word if they were passed over like other files.
_UNREAD = (".webp", ".gif", ".avif", ".heic", ".heif", ".jp2", ".jxl", ".pbm", ".pgm", ".ppm")
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
# Those of 8 bits a channel; Pillow would cut off, not scale, the values of the others.
_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def find_images(folder: Path) -> list[str]:
    """The paths, relative to the folder and with /, of all image files below it, sorted.

    Symbolic links are followed; names that begin with a dot are passed over. Raises DatasetError naming what cannot be
    read, an image in a format that is not, or a link that leads back to a folder that it lies in.
    """
    found: list[str] = []
    pending: list[tuple[Path, tuple[Path, ...]]] = [(folder, (folder.resolve(),))]
    while pending:
        here, lies_in = pending.pop()
        try:
            entries = [entry for entry in here.iterdir() if not entry.name.startswith(".")]
            for entry in entries:
                if entry.is_dir():
                    real = entry.resolve()
                    if real in lies_in:
                        raise DatasetError(f"{entry}: leads back to {real}, in which it lies; remove the symbolic link")
                    pending.append((entry, (*lies_in, real)))
                elif entry.suffix.lower() in SUFFIXES:
                    found.append(entry.relative_to(folder).as_posix())
                elif entry.suffix.lower() in _UNREAD:
                    raise DatasetError(
                        f"{entry}: images of this format are not read, only {', '.join(SUFFIXES)}; convert it, or move "
                        "it out of the folder"
                    )
        except OSError as error:
            raise DatasetError(f"{here}: cannot be read ({error}); mend or remove it") from error
    return sorted(found)


def image_size(path: Path) -> tuple[int, int]:
    """(h, w) in pixels, from the file's header. Raises DatasetError naming the file."""
    with _opened(path) as image:
        return image.height, image.width


def read_images(
    folder: Path, files: Sequence[str], channels: int, size: tuple[int, int], *, resize: bool
) -> NDArray[np.uint8]:
    """Pixels [n, c, h, w] of the folder's files; channels is 1 (luma) or 3 (red, green, blue), size (h, w).

    With resize, images are scaled to the size, whatever their proportions (bilinear, averaging where they shrink);
    without, it must be theirs. Raises DatasetError naming the file, and before anything is read where all of them
    would not fit.
    """
    height, width = size
    require_memory(
        len(files) * channels * height * width,
        str(folder),
        "give a smaller size, such as size: [32, 32], or fewer images",
    )
    pixels = np.empty((len(files), channels, height, width), np.uint8)
    for target, file in zip(pixels, files, strict=True):
        path = folder / file
        with _opened(path) as image:
            target[:] = _decoded(image, path, channels, size, resize)
    return pixels


def _decoded(image: Image.Image, path: Path, channels: int, size: tuple[int, int], resize: bool) -> NDArray[np.uint8]:
    height, width = size
    if image.mode not in _MODES or _has_wide_colours(image):
        raise DatasetError(f"{path}: its pixels ({image.mode}) have more than 8 bits a channel; convert it to 8")
    if resize:
        # A JPEG is decoded at the smallest of its scales that is still twice what is wanted: several times faster.
        image.draft(None, (2 * width, 2 * height))
    elif (image.height, image.width) != size:
        raise DatasetError(
            f"{path}: is {image.height} x {image.width} pixels, the first image {height} x {width}; give size: [h, w]"
            " for all to be scaled to it"
        )
    converted = image.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(converted).reshape(height, width, channels).transpose(2, 0, 1)


def _has_wide_colours(image: Image.Image) -> bool:
    """Whether its channels have more than 8 bits, though Pillow's mode has 8: it cuts off what colours have beyond."""
    if isinstance(image, PngImageFile):
        return any(";16" in str(tile.args) for tile in image.tile)
    return isinstance(image, TiffImageFile) and max(image.tag_v2.get(BITSPERSAMPLE, (1,))) > 8


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # about damaged metadata beside whole pixels
        try:
            with Image.open(path, formats=_FORMATS) as image:
                yield image
        except DatasetError:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise DatasetError(
                f"{path}: its header claims more pixels than an image to learn from has ({error}); remove it or scale "
                "it down"
            ) from error
        except UnidentifiedImageError as error:
            raise DatasetError(f"{path}: no whole image ({', '.join(_FORMATS)} are read); mend or remove it") from error
        except Exception as error:  # on damaged files the decoders raise OSError, SyntaxError, ValueError and others
            raise DatasetError(f"{path}: no whole image ({in_one_line(error)}); mend or remove it") from error
