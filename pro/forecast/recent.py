"""What VMs will ask for in the next hours, from a past of minutes to hours: for new estates, where there are no days to replay.

The level is the mean over the last samples. One sample says less about a VM than it seems to, so the level is drawn towards the
mean of VMs of the same kind, by Buhlmann's credibility k / (k + NOISE) for k samples. Around the level, path s repeats one past
instant for all VMs together, so that what was busy together stays so. While there are fewer instants than `window`, a part of
the scatter is borrowed from VMs of the same kind, as few samples have seen few peaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pro.core.arrays import Floats, Ints


NOISE = 0.35
"""Variance of one sample about a VM's own mean over the hours to come, over that between VMs. Measured on PlanetLab at 5 minutes."""
BORROW = 6.0
"""So many samples of its own, and a VM borrows half of its scatter."""
FIRST_SPREAD = 0.07
"""Standard deviation of the scatter when there is one sample only, as a share of the VM's cap."""


def recent_paths(past: Floats, kind: Ints, cap: Floats, *, paths: int, window: int, rng: np.random.Generator) -> Floats:
    """(V, S) joint scenarios of one moment in the next hours, within 0 and `cap`.

    `past` (V, n) samples, the newest last, n >= 1, none missing; only the last `window` count. `kind` (V,) which VMs are
    alike; `cap` (V,) the most a VM can ask for. Raises ValueError without a sample.
    """
    if past.shape[1] < 1:
        raise ValueError("at least one sample is needed")
    past = past[:, -window:]
    known = past.shape[1]
    own = past.mean(axis=1)
    usual = (np.bincount(kind, own) / np.maximum(np.bincount(kind), 1))[kind]
    level = usual + known / (known + NOISE) * (own - usual)
    return np.asarray(np.clip(level[:, None] + _scatter(past, kind, cap, paths, window, rng), 0.0, cap[:, None]))


def _scatter(past: Floats, kind: Ints, cap: Floats, paths: int, window: int, rng: np.random.Generator) -> Floats:
    """(V, S) deviations from the level."""
    vms, known = past.shape
    if known == 1:
        return np.asarray(rng.standard_normal((vms, paths)) * (FIRST_SPREAD * cap)[:, None])
    about = past - past.mean(axis=1, keepdims=True)
    if known == window:
        return np.asarray(about[:, np.linspace(0, known - 1, paths).round().astype(np.int64)])
    about *= (known / (known - 1)) ** 0.5
    scatter = about[:, rng.integers(0, known, paths)]
    for k in np.unique(kind):
        alike = np.flatnonzero(kind == k)
        lent = rng.choice(about[alike].ravel(), (alike.size, paths))
        borrows = rng.random((alike.size, paths)) > known / (known + BORROW)
        scatter[alike] = np.where(borrows, lent, scatter[alike])
    return np.asarray(scatter)
