"""Images drawn by repeat factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from ..data import epoch_indices

__all__ = ["RepeatFactorSampler", "Resampled"]


def _worker(rank: int | None, world_size: int | None) -> tuple[int, int]:
    distributed = torch.distributed
    running = distributed.is_available() and distributed.is_initialized()
    if world_size is None:
        world_size = distributed.get_world_size() if running else 1
    if rank is None:
        rank = distributed.get_rank() if running else 0
    if not 0 <= rank < world_size:
        raise ValueError(f"rank is {rank} of {world_size} processes")
    return rank, world_size


class RepeatFactorSampler(Sampler[int]):
    """Indices of images, each repeated by its factor, in random order; a share of them for each process.

    :param factors: one an image, as :func:`longtail.data.repeat_factors` makes them.
    :param seed: the same in all processes.
    :param rank, world_size: by default those of ``torch.distributed``.
    :param infinite: go from epoch to epoch without an end, as iteration-based trainers want.

    Call :meth:`set_epoch` before each epoch. Every process gets the same number of indices.

    >>> sampler = RepeatFactorSampler([1.0, 2.0], seed=0)
    >>> sorted(sampler)
    [0, 1, 1]
    """

    def __init__(
        self,
        factors: Sequence[float] | np.ndarray[Any, Any],
        *,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        infinite: bool = False,
    ) -> None:
        self.factors = np.asarray(factors, dtype=np.float64)
        self.seed, self.infinite, self.epoch = seed, infinite, 0
        self.rank, self.world_size = _worker(rank, world_size)
        if not self._epoch(0).size:
            raise ValueError("no factor gives any image")

    def _epoch(self, epoch: int) -> np.ndarray[Any, Any]:
        order = epoch_indices(self.factors, seed=self.seed, epoch=epoch)
        # The first ones again, so that every process has as many steps.
        missing = -len(order) % self.world_size
        return np.resize(order, len(order) + missing) if len(order) else order

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order and rounding are drawn."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._epoch(self.epoch)) // self.world_size

    def __iter__(self) -> Iterator[int]:
        epoch = self.epoch
        while True:
            yield from self._epoch(epoch)[self.rank :: self.world_size].tolist()
            if not self.infinite:
                return
            epoch += 1


class Resampled(Dataset[Any]):
    """A data set in which each image is there as often as its factor says, for trainers that replace the
    sampler.

    :param dataset: any data set with ``__getitem__``; attributes that are not here are looked up there.
    :param factors: one an image.
    :param seed: of the rounding; :meth:`set_epoch` rounds anew.

    >>> Resampled(["a", "b"], [1.0, 2.0])[2]
    'b'
    """

    def __init__(
        self, dataset: Any, factors: Sequence[float] | np.ndarray[Any, Any], *, seed: int = 0
    ) -> None:
        if len(factors) != len(dataset):
            raise ValueError(f"{len(factors)} factors for {len(dataset)} images; give one an image")
        self.dataset, self.factors, self.seed = dataset, np.asarray(factors, dtype=np.float64), seed
        self.indices: np.ndarray[Any, Any] = np.zeros(0, dtype=np.int64)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Rounds the factors anew. The length may change by the number of images with a fraction."""
        # In the order of the data set: shuffling is the sampler's.
        self.indices = np.sort(epoch_indices(self.factors, seed=self.seed, epoch=epoch))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)
