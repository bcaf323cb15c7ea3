"""Trained nets in a form that a page can run: a list of operations, and their weights in one blob.

    blob = Blob()
    net = net_of(vae, blob, "float16")
    text = blob.base64()

templates/net.js runs what this writes. There an image is (H, W, C), with the channels last, and a
weight has its output channels last, so that the innermost loop runs along memory.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vaelab.nets import conv, fc
from vaelab.vae.model import VAE

Precision = Literal["float16", "int8"]
Operation = dict[str, Any]
ALIGNED = 4  # bytes: where an array may begin


class CannotRun(Exception):
    """A net has a module that the page has no operation for; the message names it."""


class Blob:
    """Arrays one after the other; an array is known by where it begins, its length and its type."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, values: Tensor, kind: str) -> dict[str, Any]:
        array = values.detach().cpu().numpy()
        data = array.astype(np.dtype(kind).newbyteorder("<")).tobytes()
        place = {"at": self._size, "length": int(array.size), "kind": kind}
        data += b"\0" * (-len(data) % ALIGNED)
        self._parts.append(data)
        self._size += len(data)
        return place

    def copy(self) -> Blob:
        """To which others can be added."""
        other = Blob()
        other._parts, other._size = list(self._parts), self._size
        return other

    def base64(self) -> str:
        return base64.b64encode(b"".join(self._parts)).decode("ascii")


def net_of(vae: VAE, blob: Blob, precision: Precision) -> dict[str, Any]:
    """Its encoder to mu and its decoder, their weights in the blob. Raises CannotRun."""
    shape = vae.shape
    return {
        "shape": shape,
        "latent_dim": vae.latent_dim,
        "likelihood": vae.config.likelihood,
        "encoder": _Writer(blob, precision, shape).write(vae.encoder, keep=vae.latent_dim),
        "decoder": _Writer(blob, precision, shape).write(vae.decoder),
    }


def _modules(module: nn.Module) -> Iterator[nn.Module]:
    """In the order in which they run, without the Sequentials about them."""
    if isinstance(module, nn.Sequential):
        for each in module:
            yield from _modules(each)
    else:
        yield module


class _Writer:
    """Follows an image's shape through a net: (C, H, W)."""

    def __init__(self, blob: Blob, precision: Precision, shape: tuple[int, ...]) -> None:
        self.blob, self.precision = blob, precision
        self.shape = shape

    def write(self, net: nn.Module, keep: int | None = None) -> list[Operation]:
        """keep: outputs of the last layer that are wanted; None: all."""
        modules = list(_modules(net))
        operations: list[Operation] = []
        for i, module in enumerate(modules):
            before = modules[i - 1] if i else None
            after = modules[i + 1] if i + 1 < len(modules) else None
            match module:
                case nn.Flatten() if isinstance(after, nn.Linear):
                    pass  # the linear layer's weights are put in the order of the image
                case nn.Unflatten() if isinstance(before, nn.Linear):
                    self.shape = tuple(module.unflattened_size)
                case nn.SiLU():
                    operations.append({"op": "silu"})
                case nn.LayerNorm():
                    operations.append(self._norm(module))
                case nn.Linear():
                    weight: Tensor = module.weight[: keep if after is None else None]
                    bias: Tensor = module.bias[: len(weight)]
                    if isinstance(before, nn.Flatten):  # reads an image, channels last
                        weight = _channels_last(weight.T, self.shape).T
                    if isinstance(after, nn.Unflatten):
                        shape = tuple(after.unflattened_size)
                        weight, bias = _channels_last(weight, shape), _channels_last(bias, shape)
                    operations.append(self._linear(weight, bias))
                case conv.Halve():
                    odd = self.shape[1] % 2
                    operations.append(self._conv(module.conv, module.conv.bias, edge=odd))
                case conv.Double():
                    operations.append(self._conv(module.conv, module.bias, side=module.side))
                case nn.Conv2d():
                    operations.append(self._conv(module, module.bias))
                case conv.Residual() | fc.Residual():
                    operations.append({"op": "residual", "ops": self.write(module.branch)})
                case _:
                    raise CannotRun(type(module).__name__)
        return operations

    def _linear(self, weight: Tensor, bias: Tensor) -> Operation:
        return {"op": "linear", "weight": self._weight(weight.T), "bias": self._float(bias)}

    def _norm(self, module: nn.LayerNorm) -> Operation:
        gain, bias = self._float(module.weight), self._float(module.bias)
        return {"op": "norm", "weight": gain, "bias": bias, "eps": module.eps}

    def _conv(
        self,
        module: nn.Conv2d | nn.ConvTranspose2d,
        bias: Tensor | None,
        *,
        edge: int = 0,
        side: int | None = None,
    ) -> Operation:
        """edge: rows and columns that the input's last are repeated by. side: of a transposed
        convolution's output, which is cut to it.
        """
        known = {"dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
        is_known = all(getattr(module, name) == value for name, value in known.items())
        if bias is None or isinstance(module.padding, str) or not is_known:
            raise CannotRun(str(module))
        up = isinstance(module, nn.ConvTranspose2d)
        kernel, stride, padding = module.kernel_size[0], module.stride[0], module.padding[0]
        _, height, _ = self.shape
        if side is None:
            side = (height + edge + 2 * padding - kernel) // stride + 1
        order = (2, 3, 0, 1) if up else (2, 3, 1, 0)  # to (ky, kx, in, out)
        self.shape = (module.out_channels, side, side)
        return {
            "op": "conv",
            "weight": self._weight(module.weight.permute(order)),
            "bias": self._float(bias),
            **{"kernel": kernel, "stride": stride, "padding": padding, "up": up},
            **{"from": height, "edge": edge, "to": side},
            **{"inputs": module.in_channels, "outputs": module.out_channels},
        }

    def _float(self, tensor: Tensor) -> dict[str, Any]:
        return self.blob.add(tensor, "float32")

    def _weight(self, weight: Tensor) -> dict[str, Any]:
        """Output channels last. With int8 each has a scale of its own, of its largest weight."""
        if self.precision == "float16":
            return self.blob.add(weight, "float16")
        largest = weight.detach().abs().flatten(0, -2).amax(0)
        scale = torch.where(largest > 0.0, largest / 127.0, 1.0)
        place = self.blob.add((weight / scale).round(), "int8")
        return place | {"scale": self.blob.add(scale, "float32")}


def _channels_last(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Rows that stand for (C, H, W) in the order (H, W, C). tensor: (C * H * W, ...)."""
    return tensor.unflatten(0, shape).movedim(0, 2).flatten(0, 2)
