"""Image files: decoded to the pixel, scaled, and refused by name where they are damaged, hostile or too large."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dccdka.datasets import DatasetError
from dccdka.datasets.image_files import find_images, image_size, read_images
from dccdka.datasets.memory import free_memory

WriteImage = Callable[..., Path]
GENERATOR = np.random.default_rng(0)


def read_one(path: Path, channels: int = 3, size: tuple[int, int] | None = None) -> np.ndarray:
    wanted = size or image_size(path)
    return read_images(path.parent, [path.name], channels, wanted, resize=size is not None)[0]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_lossless_files_are_read_to_the_pixel(tmp_path: Path, write_image: WriteImage, suffix: str) -> None:
    pixels = GENERATOR.integers(0, 256, (5, 7, 3), np.uint8)
    path = write_image(tmp_path / f"a{suffix}", pixels)
    assert image_size(path) == (5, 7)
    assert np.array_equal(read_one(path), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_a_jpeg_keeps_its_colours_in_order_through_scaling(
    tmp_path: Path, write_image: WriteImage, suffix: str
) -> None:
    path = write_image(tmp_path / f"a{suffix}", (200, 100, 30), size=(256, 128))
    read = read_one(path, size=(8, 4))
    assert read.shape == (3, 8, 4)
    assert np.abs(read.astype(int) - np.array([200, 100, 30])[:, None, None]).max() <= 3


def test_a_large_jpeg_scales_to_the_means_of_its_areas(tmp_path: Path, write_image: WriteImage) -> None:
    """Through a decoder that may decode at a smaller scale: quarters of four greys stay quarters."""
    quarters = np.repeat(np.repeat(np.array([[10, 90], [170, 250]], np.uint8), 256, 0), 256, 1)
    read = read_one(write_image(tmp_path / "a.jpg", quarters), 1, (8, 8))[0].astype(int)
    assert [read[1, 1], read[1, 6], read[6, 1], read[6, 6]] == pytest.approx([10, 90, 170, 250], abs=2)


def test_one_channel_is_the_luma_of_three_and_three_repeat_one(tmp_path: Path, write_image: WriteImage) -> None:
    red = write_image(tmp_path / "red.png", (255, 0, 0))
    assert np.unique(read_one(red, channels=1)).tolist() == [76]  # 0.299 * 255 (ITU-R BT.601)
    grey = write_image(tmp_path / "grey.png", 120)
    assert read_one(grey).shape == (3, 4, 6)
    assert np.unique(read_one(grey)).tolist() == [120]


def test_without_a_size_all_must_be_alike(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "a.png", size=(4, 6))
    other = write_image(tmp_path / "b.png", size=(4, 7))
    with pytest.raises(DatasetError, match=rf"{other}: is 4 x 7 pixels, the first image 4 x 6; give size: \[h, w\]"):
        read_images(tmp_path, ["a.png", "b.png"], 1, (4, 6), resize=False)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_truncated_file_is_named(tmp_path: Path, write_image: WriteImage, suffix: str) -> None:
    path = write_image(tmp_path / f"a{suffix}", GENERATOR.integers(0, 256, (40, 40, 3), np.uint8))
    whole = path.read_bytes()
    for length in (0, 20, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match=f"{path}: no whole image"):
            read_one(path, size=(8, 8))


@given(position=st.integers(0, 5_000), byte=st.integers(0, 255), suffix=st.sampled_from(["png", "jpg", "tif", "bmp"]))
def test_a_changed_byte_is_read_or_refused_by_the_file_s_name(
    position: int, byte: int, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzzed.{suffix}"
    Image.fromarray(np.arange(20 * 20 * 3, dtype=np.uint16).astype(np.uint8).reshape(20, 20, 3)).save(path)
    data = bytearray(path.read_bytes())
    data[position % len(data)] = byte
    path.write_bytes(data)
    try:
        assert read_one(path, size=(8, 8)).shape == (3, 8, 8)
    except DatasetError as error:
        assert str(path) in str(error)


def png_of(width: int, height: int, pixels: bytes = b"", bits: int = 8) -> bytes:
    """A PNG of three channels that claims a size; pixels are its rows, each after a zero."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side))
    with pytest.raises(DatasetError, match=f"{path}: its header claims more pixels"):
        read_one(path, size=(8, 8))


def test_more_than_8_bits_a_channel_are_refused_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(path)
    with pytest.raises(DatasetError, match=rf"{path}: its pixels \(I;16\) have more than 8 bits"):
        read_one(path)


def tiff_of(bits: int, planar: int) -> bytes:
    """A TIFF (revision 6.0, June 1992) of 2 x 2 pixels, 3 channels: planar 1 has them together, 2 in three planes."""
    data_at, bits_at, strips_at = 200, 300, 310
    strip = 4 * bits // 8
    strips = [strip] * 3 if planar == 2 else [3 * strip]
    offsets = [data_at + sum(strips[:n]) for n in range(len(strips))]
    tags = [(256, 1, 2), (257, 1, 2), (258, 3, bits_at), (259, 1, 1), (262, 1, 2)]
    tags += [(273, len(strips), offsets[0] if planar == 1 else strips_at), (277, 1, 3), (278, 1, 2)]
    tags += [(279, len(strips), strips[0] if planar == 1 else strips_at + 12), (284, 1, planar)]
    entries = [struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, *rest) for tag, *rest in tags]
    head = b"II*\x00" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    content = bytearray(400)
    content[: len(head)] = head
    struct.pack_into("<3H", content, bits_at, *[bits] * 3)
    struct.pack_into(f"<{2 * len(strips)}I", content, strips_at, *offsets, *strips)
    return bytes(content)


@pytest.mark.parametrize("planar", [1, 2])
def test_a_tiff_of_16_bits_a_colour_is_refused_and_one_of_8_is_read(tmp_path: Path, planar: int) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of(8, planar))
    assert read_one(path).shape == (3, 2, 2)
    path.write_bytes(tiff_of(16, planar))
    with pytest.raises(DatasetError, match=rf"{path}: its pixels \(RGB\) have more than 8 bits"):
        read_one(path)


def test_a_png_of_16_bits_a_colour_is_refused_and_one_of_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_of(2, 2, 2 * bytes(1 + 2 * 3)))
    assert read_one(path).shape == (3, 2, 2)
    path.write_bytes(png_of(2, 2, 2 * bytes(1 + 2 * 6), bits=16))
    with pytest.raises(DatasetError, match=rf"{path}: its pixels \(RGB\) have more than 8 bits"):
        read_one(path)


@pytest.mark.parametrize(("suffix", "size"), [("jpg", (4, 6)), ("png", (4, 6)), ("tif", (6, 4))])
def test_only_a_tiff_is_turned_as_its_orientation_says(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path, exif=exif)
    assert read_one(path).shape == (3, *size)


def test_a_file_of_another_kind_is_refused_whatever_its_name(tmp_path: Path) -> None:
    for content in (b"not an image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF89a" + bytes(20)):
        path = tmp_path / "a.png"
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=f"{path}: no whole image"):
            read_one(path)


def test_images_beyond_half_the_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [f"{number}.png" for number in range(1000)]  # none of which is there
    monkeypatch.setattr("dccdka.datasets.memory.free_memory", lambda: 2 * 3_072_000 - 1)
    with pytest.raises(DatasetError, match=f"{tmp_path}: the images take 3,072,000 bytes .* give a smaller size"):
        read_images(tmp_path, files, 3, (32, 32), resize=True)


def test_the_free_memory_is_this_machine_s() -> None:
    assert 2**20 < free_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_images_are_found_below_a_folder_by_their_suffix_in_order(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.png", "a.tiff", "b/c/d.bmp", "notes.txt", ".hidden.png", ".cache/e.png", "b/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path) == ["a.tiff", "b/10.png", "b/2.JPG", "b/c/d.bmp"]


@pytest.mark.parametrize("name", ["b/x.webp", "b/X.GIF", "b/x.pgm"])
def test_an_image_in_a_format_that_is_not_read_is_refused_and_not_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "b").mkdir()
    for present in ("b/1.png", name):
        (tmp_path / present).touch()
    with pytest.raises(DatasetError, match=rf"{tmp_path / name}: images of this format are not read, only \.png"):
        find_images(tmp_path)


def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    for name in ("data/a", "data/b", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / "1.png").touch()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    assert find_images(tmp_path / "data") == ["linked/1.png"]
    # A loop over two folders: neither link leads to a folder that really lies above it.
    (tmp_path / "data" / "a" / "to_b").symlink_to(tmp_path / "data" / "b")
    (tmp_path / "data" / "b" / "to_a").symlink_to(tmp_path / "data" / "a")
    with pytest.raises(DatasetError, match=f"{tmp_path}/data/.*/to_[ab]: leads back to {tmp_path}/data/[ab], in which"):
        find_images(tmp_path / "data")


def test_a_link_to_itself_is_no_image(tmp_path: Path) -> None:
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    with pytest.raises(DatasetError, match=f"{loop}"):
        read_images(tmp_path, find_images(tmp_path), 3, (8, 8), resize=True)
