"""Where the class and the subject of an image stand in its path: published layouts, or a user's own expressions.

Sources: ImageNet (Russakovsky et al., arXiv:1409.0575) as training code unpacks it; "Note on CASIA-IrisV4"
(http://biometrics.idealtest.org); UBIRIS.v1 and UBIRIS.v2 as published (http://iris.di.ubi.pt).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from dccdka.datasets.dataset import DatasetError

BY_IMAGE = "by-image"
SUBJECT_DISJOINT = "subject-disjoint"


@dataclass(frozen=True)
class ImageOptions:
    """How a folder of image files is read; None takes what the layout says.

    layout: a name in LAYOUTS. class_from and subject_from: regular expressions, searched for in the path below the
    folder (with /); what their named groups match, joined by "-", is the class and the subject. size: (h, w) that
    images are scaled to; None leaves them as they are, which must be alike. channels: 1 (grey) or 3 (colour).
    split: "by-image", or "subject-disjoint" for tests on subjects that no training image shows. test_share: the
    share of images that are drawn for the test, where the folder does not say which (None: 0.2).
    """

    layout: str | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    split: str | None = None
    class_from: str | None = None
    subject_from: str | None = None
    test_share: float | None = None

    def given(self) -> list[str]:
        """The names of the options that are not None."""
        return [name for name, value in vars(self).items() if value is not None]


@dataclass(frozen=True)
class Layout:
    """has_parts: the images of the training and the test set lie in train/ and in test/ or val/."""

    class_from: str
    subject_from: str | None
    channels: int
    has_parts: bool = False


_CASIA_SUBJECT = r"S(?P<subject>\d{4})"
_UBIRIS_V1_SUBJECT = r"(?:^|/)(?P<subject>\d+)/[^/]+$"
LAYOUTS = {
    # train/CLASS/*.jpg
    "folders": Layout(r"^(?P<folder>[^/]+)/", None, 3, has_parts=True),
    # CASIA-Iris-Interval/001/L/S1001L01.jpg: the subset's digit, the subject, the eye (left, right; in the subsets
    # Distance and Syn D or S for both and for no real one), a running number. As usual, each eye is a class.
    "casia-iris-v4": Layout(_CASIA_SUBJECT + r"(?P<eye>[LRDS])\d+\.\w+$", _CASIA_SUBJECT + r"[LRDS]\d+\.\w+$", 1),
    # Sessao_1/61/Img_61_1_5.jpg: session, subject. One eye of each was photographed.
    "ubiris-v1": Layout(_UBIRIS_V1_SUBJECT, _UBIRIS_V1_SUBJECT, 3),
    # C12_S1_I3.tiff: eye, session, running number. Which two eyes are one subject's, names do not say.
    "ubiris-v2": Layout(r"C(?P<eye>\d+)_S\d+_I\d+\.\w+$", None, 3),
}


def layout_of(options: ImageOptions) -> Layout:
    """The layout that the options name, or make up by class_from; raises DatasetError naming an option out of range."""
    if options.layout is not None and options.layout not in LAYOUTS:
        raise DatasetError(f"layout: {options.layout!r} is not known; there are {', '.join(LAYOUTS)}")
    if options.split not in (None, BY_IMAGE, SUBJECT_DISJOINT):
        raise DatasetError(f"split: {options.split!r} is not known; there are {BY_IMAGE} and {SUBJECT_DISJOINT}")
    if options.channels not in (None, 1, 3):
        raise DatasetError(f"channels: must be 1 (grey) or 3 (colour), is {options.channels}")
    if options.size is not None and not _is_size(options.size):
        raise DatasetError(f"size: must be [h, w] in pixels from 1 to 65535, is {options.size!r}")
    if options.test_share is not None and not _is_share(options.test_share):
        raise DatasetError(f"test_share: must lie between 0 and 1, is {options.test_share!r}")
    if options.layout is not None:
        return LAYOUTS[options.layout]
    if options.class_from is not None:
        return Layout(options.class_from, None, 3)
    return LAYOUTS["folders"]


def _is_size(given: object) -> bool:
    return (
        isinstance(given, Sequence)
        and len(given) == 2
        and all(isinstance(length, Integral) and 1 <= int(length) <= 65_535 for length in given)
    )


def _is_share(given: object) -> bool:
    return isinstance(given, int | float) and 0 < given < 1


def reader_of(pattern: str, option: str) -> Callable[[str, Path], str]:
    """A function of a path below the folder, and of its file for the message: what the pattern's named groups match.

    Several groups' texts are joined by "-". The function raises DatasetError where the pattern is not found, this one
    where it is no regular expression with a named group; option is what the message calls the pattern.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, RecursionError, OverflowError, TypeError) as error:
        raise DatasetError(f"{option}: {pattern!r} is no regular expression ({error})") from error
    if not expression.groupindex:
        raise DatasetError(f"{option}: {pattern!r} has no named group; write (?P<name>...) around what names the class")

    def found(path: str, file: Path) -> str:
        match = expression.search(path)
        parts = [part for part in match.groupdict().values() if part is not None] if match else []
        if not parts:
            raise DatasetError(
                f"{file}: {option} {pattern!r} is not found in {path!r}; remove the file, or give another layout or "
                f"{option}"
            )
        return "-".join(parts)

    return found
