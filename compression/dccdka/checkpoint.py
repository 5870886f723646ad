"""The file from which an interrupted training goes on: safetensors with JSON beside the tensors, no pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dccdka.differences import first_difference

FORMAT = "dccdka checkpoint 2"


class CheckpointError(Exception):
    """A checkpoint cannot be gone on from; the message names the file, what is wrong with it, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file of one training; the file may not exist yet.

    fingerprint: plain values that tell this training from another; a file with other ones is refused.
    """

    path: Path
    fingerprint: Mapping[str, Any]

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the file in one step: a kill leaves the old one or the new one. Raises CheckpointError."""
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        metadata = {
            "format": FORMAT,
            "fingerprint": json.dumps(self.fingerprint, sort_keys=True),
            "sha256": _digest(plain),
        }
        with self._writing():
            with self._unfinished.open("wb") as file:
                file.write(save(plain, metadata))
                file.flush()
                os.fsync(file.fileno())
            self._unfinished.replace(self.path)

    def check(self, *, later: Collection[str] = ()) -> None:
        """Raises CheckpointError, before anything is trained, for what `load` or `save` would raise.

        Only the tensors of a file that is there are not looked at. later: fields of the fingerprint that are not known
        yet.
        """
        with self._writing():
            if self.path.is_dir():
                raise CheckpointError(f"{self.path}: is a folder; give the name of a file in it")
            if not self.path.parent.is_dir():
                raise CheckpointError(f"{self.path}: its folder does not exist; make it first")
            self._unfinished.touch()
            self._unfinished.unlink()
            exists = self.path.exists()
        if exists:
            with self._opened() as file:
                self._require_same(file.metadata() or {}, later)

    def load(self) -> dict[str, Tensor] | None:
        """The tensors saved, on the CPU; None when there is no file yet.

        Raises CheckpointError when the file is damaged, or of another training: then the field is named that differs.
        """
        if not self.path.exists():
            return None
        with self._opened() as file:
            metadata = file.metadata() or {}
            self._require_same(metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        if metadata.get("sha256") != _digest(tensors):
            raise self.damaged("its tensors have another hash than when they were written")
        return tensors

    def damaged(self, why: str) -> CheckpointError:
        """The error that says why the file cannot be used."""
        return CheckpointError(f"{self.path}: damaged ({why}); remove it to begin the training anew")

    @property
    def _unfinished(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: cannot be written: {error.strerror}; give a file where there is room and leave to write"
            ) from error

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with safe_open(self.path, "pt") as file:
                yield file
        except (OSError, SafetensorError) as error:
            raise self.damaged(str(error)) from error

    def _require_same(self, metadata: Mapping[str, str], later: Collection[str] = ()) -> None:
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{self.path}: is no checkpoint of a training; give another file, or remove it")
        try:
            theirs = json.loads(metadata.get("fingerprint", ""))
        except (ValueError, RecursionError) as error:
            raise self.damaged(f"its fingerprint cannot be read: {error}") from error
        ours = json.loads(json.dumps(self.fingerprint))
        if not isinstance(theirs, dict):
            raise self.damaged(f"its fingerprint is no table: {theirs!r:.80}")
        known = {name: value for name, value in theirs.items() if name not in later}
        different = first_difference(known, ours, "the file", "the training asked for")
        if different is not None:
            raise CheckpointError(
                f"{self.path}: is of another training: {different}; give another file, or remove it to begin anew"
            )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
