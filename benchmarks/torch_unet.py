"""The same U-Net in PyTorch, trained as its users would on this device."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trainer.device import cpu_precision
from trainer.hyperparameters import Hyperparameters


class TorchTraining:
    """Network, optimizer and loss; one step at a time."""

    def __init__(self, hyperparameters: Hyperparameters, threads: int) -> None:
        """Builds it on the GPU where there is one."""
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        # A processor without bfloat16 would emulate it, many times slower than float32.
        self._mixed = self._device == "cuda" or cpu_precision() == "mixed_bfloat16"
        network = _UNet(hyperparameters.level_filters)
        self.network = network.to(self._device, memory_format=torch.channels_last)
        self._optimizer = torch.optim.Adam(self.network.parameters(), 1e-3, eps=1e-7)

    @property
    def description(self) -> str:
        """Version, device and precision."""
        precision = "bfloat16 autocast" if self._mixed else "float32"
        return f"torch {torch.__version__}, {self._device}, {precision}, channels_last"

    def step(self, images: np.ndarray, masks: np.ndarray) -> float:
        """Trains on tiles (tile, y, x, 1) and gives the loss."""
        image, mask = (self._tensor(array) for array in (images, masks))
        with torch.autocast(self._device, torch.bfloat16, enabled=self._mixed):
            logits = self.network(image)
        loss = _bce_dice(mask, logits.float())
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    def _tensor(self, array: np.ndarray) -> Any:
        # (tile, y, x, channel) in memory is channels_last already.
        return torch.from_numpy(array).permute(0, 3, 1, 2).to(self._device)


def _bce_dice(mask: Any, logits: Any) -> Any:
    probability = torch.sigmoid(logits)
    overlap = (mask * probability).sum()
    dice = (2 * overlap + 1) / (mask.sum() + probability.sum() + 1)
    return functional.binary_cross_entropy_with_logits(logits, mask) + 1 - dice


class _UNet(nn.Module):
    def __init__(self, filters: tuple[int, ...]) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _level(before, after) for before, after in zip((1, *filters), filters, strict=False)
        )
        pairs = list(pairwise(filters))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.merge = nn.ModuleList(_level(2 * a, a) for a, _ in pairs)
        self.logits = nn.Conv2d(filters[0], 1, 1)

    def forward(self, x: Any) -> Any:
        *down, centre = self.down
        x, bridges = 4 * x - 2, []
        for level in down:
            x = level(x)
            bridges.append(x)
            x = functional.max_pool2d(x, 2)
        x = centre(x)
        for up, merge, bridge in reversed(list(zip(self.up, self.merge, bridges, strict=True))):
            x = merge(torch.cat([bridge, up(x)], 1))
        return self.logits(x)


def _level(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [
            nn.Conv2d(channels, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after, momentum=0.1),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
