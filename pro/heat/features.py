"""What is known of a host at an instant that bears on whether it will run hot: its own level and spread, and what its VMs are made of.

Everything is divided by the threshold (so 1 is "hot") and reads only samples at or before the instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Bools, Floats, Ints, Singles

STEP_S = 300
HOUR = 3600 // STEP_S
DAY = 24 * HOUR
MEANS = (2, 3, 6, 12, 24, 36, 72)
RISING = ("now", *(f"mean {k}" for k in MEANS), "least 3", "most 12", "over 12", "over 36", "ahead", "ahead room")
"""Features of which more can only mean more heat."""
BURST = 0.2
SMALLEST_SPREAD, FARTHEST = 0.01, 6.0
"""Of the limit, and how many standard deviations from it are told apart: "room" lies between minus and plus so many."""
DWELL = 3
"""Instants on end over the limit that make a host hot: a quarter of an hour."""


@dataclass(frozen=True)
class Table:
    """(H, T, F) features by host and instant, with their names."""

    names: tuple[str, ...]
    values: Singles

    def rows(self, instants: Ints) -> Singles:
        """(H * n, F) of the instants, host by host."""
        picked = self.values[:, instants]
        return np.ascontiguousarray(picked.reshape(-1, picked.shape[-1]))


@dataclass(frozen=True)
class Loads:
    """(V, T) load of VMs without holes, in the unit of `limit`; `host_of` (V,); `limit` (H,) the load from which a host is hot.

    `cap` (V,): the most a VM can take. `own` (H,): what hosts spend on themselves. `first`: seconds since midnight of the first instant.
    """

    load: Singles
    cap: Floats
    host_of: Ints
    limit: Floats
    own: Floats
    first: int = 0

    @property
    def hosts(self) -> int:
        return int(self.limit.size)

    def summed(self, each: NDArray[np.floating[Any]]) -> Floats:
        """(H, T) of (V, T), as a fraction of the limit."""
        out = np.zeros((self.hosts, each.shape[1]))
        np.add.at(out, self.host_of, each)
        return np.asarray(out / np.maximum(self.limit, 1e-9)[:, None])

    def shares(self) -> Floats:
        """(V, T) load as a share of each VM's cap."""
        return np.asarray(self.load / np.maximum(self.cap, 1e-9)[:, None], dtype=np.float64)

    def use(self) -> Floats:
        """(H, T) use as a fraction of the limit: above 1 is hot."""
        return self.summed(self.load) + (self.own / np.maximum(self.limit, 1e-9))[:, None]


def features(loads: Loads, *, daily: bool = True) -> Table:
    """The table for every instant. `daily`: also what was at this time yesterday; NaN where there is no yesterday."""
    u = loads.use()
    out: dict[str, NDArray[Any]] = {"now": u, "change": u - back(u, 1), "change 3": u - back(u, 3)}
    mean = {k: rolling_mean(u, k) for k in (*MEANS, DAY)}
    for k in MEANS:
        out[f"mean {k}"] = mean[k]
    out["least 3"], out["most 12"], out["least 12"] = rolling_least(u, 3), -rolling_least(-u, 12), rolling_least(u, 12)
    out["spread 12"], out["spread 36"] = rolling_spread(u, 12), rolling_spread(u, 36)
    out["trend"], out["trend 6"] = mean[3] - mean[12], mean[12] - mean[36]
    hot = (u > 1).astype(np.float64)
    out["over 12"], out["over 36"], out["over 72"] = (rolling_mean(hot, k) for k in (12, 36, 72))
    out["over day"], out["mean day"] = rolling_mean(hot, DAY), mean[DAY]
    out["peak"] = np.maximum.accumulate(mean[3], axis=1)
    out["above usual"] = mean[6] - mean[DAY]
    out |= _of_vms(loads)
    if daily:
        out |= _yesterday(u)
        out["sin"], out["cos"] = (np.broadcast_to(f, u.shape) for f in clock(loads))
    names = tuple(out)
    return Table(names, np.stack([out[n] for n in names], axis=-1).astype(np.float32))


def _of_vms(loads: Loads) -> dict[str, Floats]:
    x = loads.load.astype(np.float64)
    shape = (loads.hosts, x.shape[1])
    short, day = rolling_mean(x, 12), rolling_mean(x, DAY)
    s12, s72 = rolling_spread(x, 12), rolling_spread(x, 72)
    limit = np.maximum(loads.limit, 1e-9)
    square = np.zeros(shape)
    np.add.at(square, loads.host_of, s72**2)
    top = np.zeros(shape)
    np.maximum.at(top, loads.host_of, short)
    many = np.zeros(shape)
    np.add.at(many, loads.host_of, (s72 > BURST * loads.cap[:, None]).astype(np.float64))
    spiky = np.maximum(x - short, 0)
    room = np.minimum(loads.cap[:, None], short + 1.3 * s72)
    low = np.maximum(short - 1.3 * s72, 0)
    count = np.bincount(loads.host_of, minlength=loads.hosts).astype(np.float64)
    return {
        "vm spread": loads.summed(s12), "vm spread root": np.sqrt(square) / limit[:, None], "vm top": top / limit[:, None],
        "vm bursty": many, "vm above": loads.summed(spiky), "vm high": loads.summed(room), "vm low": loads.summed(low),
        "vm day": loads.summed(day), "vm cap": np.broadcast_to((_by_host(loads, loads.cap) / limit)[:, None], shape),
        "vm count": np.broadcast_to(count[:, None], shape),
    }  # fmt: skip


def _by_host(loads: Loads, each: Floats) -> Floats:
    return np.asarray(np.bincount(loads.host_of, weights=each, minlength=loads.hosts), dtype=np.float64)


def _yesterday(u: Floats) -> dict[str, Floats]:
    """The hour that follows this instant, a day and a week ago, and on all days before."""
    ahead = rolling_mean(u, HOUR)
    peak = -rolling_least(-rolling_least(u, 3), HOUR)
    out = {}
    for name, days in (("yesterday", 1), ("last week", 7)):
        out[f"{name} mean"], out[f"{name} peak"] = (back(z, days * DAY - HOUR, fill=np.nan) for z in (ahead, peak))
    total, count = np.zeros(u.shape), np.zeros(u.shape)
    for day in range(1, min(u.shape[1] // DAY, 7) + 1):
        past = back(peak, day * DAY - HOUR, fill=np.nan)
        total += np.nan_to_num(past)
        count += np.isfinite(past)
    out["usual peak"] = np.divide(total, count, out=np.full(u.shape, np.nan), where=count > 0)
    return out


def clock(loads: Loads) -> tuple[Floats, Floats]:
    """(T,) sine and cosine of the time of day."""
    at = (loads.first + np.arange(loads.load.shape[1]) * STEP_S) % 86_400 / 86_400 * 2 * np.pi
    return np.sin(at), np.cos(at)


def back(x: NDArray[Any], steps: int, fill: float | None = None) -> NDArray[Any]:
    """`x` as it was so many steps before; before the beginning its first value, or `fill`."""
    if steps >= x.shape[1]:
        return np.full(x.shape, np.nan) if fill is not None else np.repeat(x[:, :1], x.shape[1], axis=1)
    lead = np.repeat(x[:, :1], steps, axis=1) if fill is None else np.full((x.shape[0], steps), fill)
    return np.concatenate([lead, x[:, : x.shape[1] - steps]], axis=1)


def rolling_mean(x: NDArray[Any], span: int) -> Floats:
    """(., T) mean over the last `span` instants, or as many as there are."""
    n = x.shape[1]
    sums = np.concatenate([np.zeros((x.shape[0], 1)), np.cumsum(x, axis=1, dtype=np.float64)], axis=1)
    end = np.arange(1, n + 1)
    begin = np.maximum(end - span, 0)
    return np.asarray((sums[:, end] - sums[:, begin]) / (end - begin))


def rolling_spread(x: NDArray[Any], span: int) -> Floats:
    """(., T) standard deviation over the last `span` instants."""
    centred = x - x.mean(axis=1, keepdims=True)
    return np.sqrt(np.maximum(rolling_mean(np.square(centred), span) - rolling_mean(centred, span) ** 2, 0))


def rolling_least(x: NDArray[Any], span: int) -> Floats:
    """(., T) least of the last `span` instants; before there are so many, of those there are."""
    out = x.astype(np.float64, copy=True)
    have = 1
    while have < span:
        step = min(have, span - have)
        out[:, step:] = np.minimum(out[:, step:], out[:, :-step].copy())
        have += step
    return out


def without_blanks(rows: Singles) -> Singles:
    """`rows` (n, F) with 0 for features nobody ever had (last week, in a first week): trees refuse to learn from one without a value."""
    return np.where(np.isfinite(rows).any(axis=0), rows, np.float32(0.0))


def heat_ahead(use: Floats, steps: int, dwell: int = DWELL) -> tuple[Bools, Bools]:
    """(H, T) whether a host runs hot for `dwell` instants on end within the `steps` after each instant, and whether it did in the hour before.

    The first is meaningless for the last `steps` instants.
    """
    run = rolling_least(use, dwell) > 1
    run[:, : dwell - 1] = False
    count = np.concatenate([np.zeros((len(use), 1), np.int64), np.cumsum(run, axis=1)], axis=1)
    t = np.arange(use.shape[1])
    ends = np.minimum(t + steps + 1, use.shape[1])
    begins = np.minimum(t + dwell, ends)
    ahead = count[:, ends] - count[:, begins] > 0
    past = count[:, t + 1] - count[:, np.maximum(t + 1 - HOUR, 0)] > 0
    return np.asarray(ahead), np.asarray(past)
