"""A device that torch keeps apart from the CPU as strictly as a GPU, for machines that have none.

Its tensors are real ones of torch's PrivateUse1 backend: every operator on them comes here, is refused where CUDA would
refuse it, and is computed by the CPU's kernel in the same memory, which DLPack hands over under another device's name.
It has a random generator of its own, and notes whatever the host would wait for a GPU for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "strict"
_CPU_IN_DLPACK, _OTHER_IN_DLPACK = 1, 12
_ATEN = torch.ops.aten

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

# The size of what these give depends on values, so that the host waits for them.
_SIZED_BY_VALUES = {"nonzero", "_unique2", "unique_dim", "unique_consecutive", "masked_select", "bincount"}
# How autocast treats them on a GPU (torch's documentation, "CUDA Ops that can autocast to float16").
_AUTOCAST = ("conv1d", "conv2d", "linear", "matmul", "mm", "addmm", "bmm", "baddbmm")


class StrictDevice:
    """To be made once, since torch cannot forget a backend; `the_strict_device` is that one.

    operators: how many were computed. waits: what the host would have waited for a GPU for, one after another.
    """

    def __init__(self) -> None:
        self.operators = 0
        self.waits: list[str] = []
        self.generator = torch.Generator()
        _setup_privateuseone_for_python_backend(NAME, backend_module=_Module(self))
        self.device = torch.device(NAME, 0)
        self._kernels = torch.library.Library("_", "IMPL")
        self._kernels.fallback(self._run, "PrivateUse1")
        self._kernels.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
        self._named = torch.library.Library("aten", "IMPL")
        self._named.impl("convolution_overrideable", self._convolution, "PrivateUse1")
        self._named.impl("convolution_backward_overrideable", self._convolution_backward, "PrivateUse1")
        for name in _AUTOCAST:
            self._named.impl(name, _casting(getattr(_ATEN, name)), "AutocastPrivateUse1")

    def _run(self, op: Any, *args: Any, **kwargs: Any) -> Any:
        self.operators += 1
        name = op.overloadpacket.__name__
        if name == "_copy_from":
            return self._copy(*args, **kwargs)
        leaves, form = pytree.tree_flatten((args, kwargs))
        self._refuse_mixing(op, name, args, leaves)
        self._note_wait(name, args, kwargs)
        ours = [self._off(leaf) if _is_ours(leaf) else leaf for leaf in leaves]
        ours = [torch.device("cpu") if isinstance(leaf, torch.device) else leaf for leaf in ours]
        cpu_args, cpu_kwargs = pytree.tree_unflatten(ours, form)
        with self._own_randomness(torch.Tag.nondeterministic_seeded in op.tags):
            results = op(*cpu_args, **cpu_kwargs)
        # What is written in place is the tensor itself.
        given = {id(cpu): leaf for cpu, leaf in zip(ours, leaves, strict=True) if isinstance(cpu, Tensor)}
        for cpu in ours:
            if isinstance(cpu, Tensor) and cpu.shape != given[id(cpu)].shape:
                given[id(cpu)].data = _relabelled(cpu, _OTHER_IN_DLPACK)

        def on_device(result: Any) -> Any:
            return given[id(result)] if id(result) in given else _relabelled(result, _OTHER_IN_DLPACK)

        return pytree.tree_map_only(Tensor, on_device, results)

    def _convolution(self, *args: Any) -> Any:
        return self._run(_ATEN.convolution.default, *args)

    def _convolution_backward(self, gradient: Tensor, images: Tensor, weight: Tensor, *args: Any) -> Any:
        *settings, output_mask = args
        sizes = [weight.shape[0]]
        return self._run(_ATEN.convolution_backward.default, gradient, images, weight, sizes, *settings, output_mask)

    def _copy(self, source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
        """CUDA waits for every copy to the host, and for one from its pageable memory unless non_blocking is given."""
        if not _is_ours(target):
            self.waits.append("copy to the host")
        elif not _is_ours(source) and not non_blocking:
            self.waits.append("copy from the host")
        (self._off(target) if _is_ours(target) else target).copy_(self._off(source) if _is_ours(source) else source)
        return target

    def _off(self, tensor: Tensor) -> Tensor:
        # Results are given as tensors of no element, to be made as large as they need to be: borrowed memory cannot be.
        return _relabelled(tensor, _CPU_IN_DLPACK) if tensor.numel() else torch.empty(tensor.shape, dtype=tensor.dtype)

    def _refuse_mixing(self, op: Any, name: str, args: tuple[Any, ...], leaves: list[Any]) -> None:
        """Like CUDA: numbers of the host go into element-wise operators, indices of the host into indexing."""
        of_host = [leaf for leaf in leaves if isinstance(leaf, Tensor) and not _is_ours(leaf)]
        if name in ("index", "index_put_", "_index_put_impl_"):
            of_host = [leaf for leaf in of_host if all(leaf is not index for index in args[1])]
        numbers = torch.Tag.pointwise in op.tags or name in ("fill_", "masked_fill_", "index_put_", "where")
        for tensor in of_host:
            if tensor.ndim or not numbers:
                raise RuntimeError(
                    f"Expected all tensors to be on the same device, but {op} got one of {list(tensor.shape)} on"
                    f" {tensor.device} beside others on {self.device}"
                )
        for leaf in leaves:
            if isinstance(leaf, torch.Generator) and leaf.device.type != NAME:
                raise RuntimeError(f"Expected a {NAME!r} device type for generator but found {leaf.device.type!r}")

    def _note_wait(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        by_mask = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        unsized = name == "repeat_interleave" and kwargs.get("output_size") is None
        if name in ("_local_scalar_dense", "equal") or name in _SIZED_BY_VALUES or by_mask or unsized:
            self.waits.append(name)

    @contextmanager
    def _own_randomness(self, draws: bool) -> Iterator[None]:
        if not draws:
            yield
            return
        of_cpu = torch.get_rng_state()
        torch.set_rng_state(self.generator.get_state())
        try:
            yield
        finally:
            self.generator.set_state(torch.get_rng_state())
            torch.set_rng_state(of_cpu)


def deep_copy(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """For Tensor.__deepcopy__, which copies a storage by an allocator that a device in Python cannot have."""
    if not _is_ours(tensor):
        return _deep_copy_of_torch(tensor, memo)
    return memo.setdefault(id(tensor), tensor.detach().clone().requires_grad_(tensor.requires_grad))


_deep_copy_of_torch = Tensor.__deepcopy__


@cache
def the_strict_device() -> StrictDevice:
    return StrictDevice()


class _Module:
    """What torch.cuda is to "cuda", as far as it is used."""

    def __init__(self, strict: StrictDevice) -> None:
        self._strict = strict

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        # Another stream than the CPU's of the same seed, as a GPU's is.
        self._strict.generator.manual_seed(seed ^ 0x5DEECE66D)

    def get_rng_state(self, device: torch.device) -> Tensor:
        return self._strict.generator.get_state()

    def set_rng_state(self, state: Tensor, device: torch.device) -> None:
        self._strict.generator.set_state(state)

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def _is_ours(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.device.type == NAME


def _relabelled(tensor: Tensor, device_type: int) -> Tensor:
    """The same memory as a tensor of another device (DLPack's struct DLTensor: void *data, int32 device_type, ...)."""
    capsule = torch._C._to_dlpack(tensor)
    address = _capsule_pointer(capsule, b"dltensor")
    ctypes.c_int32.from_address(address + ctypes.sizeof(ctypes.c_void_p)).value = device_type
    return torch._C._from_dlpack(capsule)


def _casting(op: Any) -> Callable[..., Any]:
    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(torch.get_autocast_dtype(NAME)) if tensor.is_floating_point() else tensor

    def kernel(*args: Any, **kwargs: Any) -> Any:
        own = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
        with torch._C._ExcludeDispatchKeyGuard(own):
            cast_args, cast_kwargs = pytree.tree_map_only(Tensor, cast, (args, kwargs))
            return op(*cast_args, **cast_kwargs)

    return kernel
