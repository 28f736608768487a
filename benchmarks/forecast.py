"""How well is demand forecast, per VM and per host? Rolling origins on public traces, simple rules and boosted trees beside ours.

    python -m benchmarks.forecast DATASET... [--slot 300] [--origins 8] [--first DAY] [--paths 48] [--json]

DATASET: a folder of PlanetLab days (the last is forecast, the others teach the boosted trees), a trace as OpenDC writes it (Bitbrains), an estate folder.
Per VM: pinball losses in points of its own cap, and how much the 90 % interval covers. Per host (VMs thrown together at random, capacity
at the 97th percentile of their sum / 0.85): share of actuals under the 0.9 and 0.95 quantiles of summed paths, and, as the wrong way,
under the sum of per-VM 0.95 quantiles, with its over-estimate. Nothing after an origin is read for it.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.heat import throw
from benchmarks.traces import PER_DAY, STEP_S, Trace, estate, opendc, planetlab
from pro.forecast.history import DAY_S, history
from pro.forecast.joint import forecast
from pro.forecast.learned import _features, _size
from pro.forecast.losses import pinball
from pro.forecast.marginals import LEVELS, WAYS, ways
from pro.forecast.together import tied
from pro.telemetry.grid import Grid

Array = np.ndarray[Any, np.dtype[np.float32]]
ASKED = (0.05, 0.5, 0.9, 0.95)
NAMES = {"last": "last value + its changes", "hour": "mean of 1 h + its errors", "hours": "mean of 3 h + its errors",
         "day": "quantiles of the last day", "whole": "quantiles of all there is", "clock": "same time of day, a week"}  # fmt: skip
SEASON, BOOSTED = "seasonal naive + its errors", "boosted quantiles, global"
HEAD = ("pinball .5", "pinball .9", "pinball .95", "in 90 %")
DUST = 1e-3


def past_of(trace: Trace, end: int) -> Grid:
    begin = max(end - 8 * PER_DAY, 0)
    names = tuple(f"{i:05d}" for i in range(len(trace.pct)))
    return Grid("cpu_pct", names, trace.start + timedelta(seconds=STEP_S * begin), STEP_S, trace.pct[:, begin:end])


def rivals(values: Array, slots: int, per_day: int) -> dict[str, Array]:
    """Rule -> (E, T, 4) quantiles `ASKED`, out of a past (E, N)."""
    ahead = np.arange(slots)
    found = ways(values, np.zeros((len(values), 2, slots), np.float32), ahead, per_day)
    at = [LEVELS.index(q) for q in ASKED]
    out = {NAMES[w]: found[k][..., at] for k, w in enumerate(WAYS) if w in NAMES}
    n, season = values.shape[1], per_day * -(-slots // per_day)
    if n >= season + per_day:
        errors = np.quantile(values[:, season:] - values[:, :-season], ASKED, axis=1)
        out[SEASON] = values[:, n - season : n - season + slots, None] + np.moveaxis(errors, 0, -1)[:, None, :]
    return out


class Boosted:
    """scikit-learn's boosted quantiles, one model a level for all VMs, taught on earlier days only."""

    def __init__(self, taught: list[Array], slots: int, per_day: int) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        rng = np.random.default_rng(0)
        rows, target = [], []
        for values in taught:
            each = max(24_000 // (len(taught) * len(values)), 2)
            at = rng.integers(min(per_day // 4, values.shape[1] - slots - 1), values.shape[1] - slots, size=each)
            ahead = rng.integers(0, slots, size=each)
            x = _features(values, _size(values), at, ahead, per_day)
            rows.append(self._wider(x, _size(values)).reshape(-1, x.shape[-1] + 1))
            target.append(values[:, at + ahead].ravel())
        self.slots, self.per_day = slots, per_day
        x = np.concatenate(rows)
        self.blind = ~np.isfinite(x).any(axis=0)
        x[:, self.blind] = 0.0
        self.models = [
            HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=0).fit(x, np.concatenate(target))
            for q in ASKED
        ]  # fmt: skip

    @staticmethod
    def _wider(x: Array, size: Any) -> Array:
        """Features in points, and the size of the VM as one more."""
        raw = np.concatenate([x[..., :-1] * size[:, None, None], x[..., -1:]], axis=-1)
        return np.concatenate([raw, np.broadcast_to(size[:, None, None], (*raw.shape[:2], 1))], axis=-1).astype(
            np.float32
        )

    def quantiles(self, values: Array) -> Array:
        n, ahead = values.shape[1], np.arange(self.slots)
        x = self._wider(_features(values, _size(values), np.full(self.slots, n), ahead, self.per_day), _size(values))
        flat = x.reshape(-1, x.shape[-1])
        flat[:, self.blind] = 0.0
        found = np.stack([m.predict(flat) for m in self.models], axis=-1)
        return np.sort(found.reshape(len(values), self.slots, -1), axis=-1)


def score(
    name: str, cases: list[tuple[Trace, int]], slots: int, slot_s: int, boosted: Boosted | None, paths: int
) -> dict[str, Any]:
    """Losses of every method at every horizon, and how host totals are covered."""
    each, per_day = slot_s // STEP_S, DAY_S // slot_s
    rows: dict[tuple[str, int], list[list[float]]] = {}
    totals: list[list[float]] = []
    far = [h for h in (3600, 7200, 86_400) if h <= slots * slot_s]
    for number, (trace, end) in enumerate(cases):
        grid = past_of(trace, end)
        drawn = forecast({"cpu_pct": grid}, horizon_s=slots * slot_s, scenarios=paths, seed=1, slot_s=slot_s)["cpu_pct"]
        past = history(grid, grid.cutoff, slot_s, slots * slot_s + DAY_S)
        able = past.seen.any(axis=1)
        actual = trace.pct[able, end : end + slots * each].reshape(int(able.sum()), slots, each).mean(axis=2)
        found = {
            "pro": np.stack([drawn.quantile(q)[able] for q in ASKED], axis=-1),
            **rivals(past.values[able], slots, per_day),
        }
        if boosted is not None:
            found[BOOSTED] = boosted.quantiles(past.values[able])
        for method, q in found.items():
            q = np.clip(q, 0, 120)
            for horizon in far:
                y, z = actual[:, : horizon // slot_s], q[:, : horizon // slot_s]
                inside = (y >= z[..., 0] - DUST) & (y <= z[..., 3] + DUST)
                losses = [pinball(y, z[..., k], ASKED[k]) for k in (1, 2, 3)]
                rows.setdefault((method, horizon), []).append([*losses, float(inside[np.isfinite(y)].mean())])
        for seed in range(5):
            totals.append(host_totals(tied(drawn.values[able], drawn.tie), actual, trace.mhz[able], seed))
        print(f"{name}: origin {number + 1} of {len(cases)}", file=sys.stderr)
    table = {f"{m} @ {h // 3600} h": np.mean(v, axis=0).tolist() for (m, h), v in rows.items()}
    return {
        "dataset": name,
        "vms": table,
        "hosts": np.mean(totals, axis=0).tolist(),
        "spread": np.std(totals, axis=0).tolist(),
    }


def host_totals(paths: Array, actual: Array, mhz: Any, seed: int) -> list[float]:
    """Share of host totals under their 0.9 and 0.95 quantiles, under the sum of VM 0.95 quantiles, and that sum over the quantile of sums."""
    hosts = throw(len(paths), np.random.default_rng(seed), 8, 12)
    shape = (int(hosts.max()) + 1,)

    def summed(x: Any) -> Any:
        out = np.zeros(shape + x.shape[1:])
        np.add.at(out, hosts, np.nan_to_num(x) * mhz.reshape(-1, *[1] * (x.ndim - 1)) / 100)
        return out

    came, drawn = summed(actual), summed(paths)
    q90, q95 = np.quantile(drawn, (0.9, 0.95), axis=1, method="hazen")
    wrong = summed(np.quantile(paths, 0.95, axis=1, method="hazen"))
    return [
        float((came <= q90).mean()),
        float((came <= q95).mean()),
        float((came <= wrong).mean()),
        float(wrong.sum() / q95.sum() - 1),
    ]


def cases_of(
    path: Path, slot_s: int, origins: int, first: int | None = None
) -> tuple[list[tuple[Trace, int]], int, Boosted]:
    """What to forecast, how many slots ahead, and the boosted trees taught on earlier days."""
    each = slot_s // STEP_S
    if path.is_dir() and any(path.glob("20*.parquet")):
        days = [planetlab(p) for p in sorted(path.glob("20*.parquet"))]
        slots = 7200 // slot_s
        taught = [d.pct[:, : PER_DAY // each * each].reshape(len(d.pct), -1, each).mean(axis=2) for d in days[:-1]]
        ends = np.linspace(PER_DAY * 0.35, PER_DAY - slots * each - 1, min(origins, 3)).astype(int) // each * each
        return [(days[-1], int(e)) for e in ends], slots, Boosted(taught, slots, DAY_S // slot_s)
    trace = estate(path)[0] if path.is_dir() else opendc(path)
    whole = trace.pct.shape[1] // PER_DAY
    first, slots = first or (3 if whole < 14 else whole // 2), DAY_S // slot_s
    if whole <= first:
        raise SystemExit(f"{path}: {whole} days, and the first origin is to be after {first}")
    early = Grid(
        "cpu_pct", tuple(map(str, range(len(trace.pct)))), trace.start, STEP_S, trace.pct[:, : first * PER_DAY]
    )
    learnt = history(early, early.cutoff, slot_s)
    ends = np.linspace(first * PER_DAY, whole * PER_DAY - slots * each - 1, origins).astype(int) // each * each
    boosted = Boosted([learnt.values[learnt.seen.any(axis=1)]], slots, DAY_S // slot_s)
    return [(trace, int(e)) for e in ends], slots, boosted


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dataset", type=Path, nargs="+")
    options.add_argument("--slot", type=int, default=STEP_S, help="seconds a slot")
    options.add_argument("--origins", type=int, default=8)
    options.add_argument(
        "--first", type=int, help="day of the first origin; default: 3, or half of a trace of two weeks or more"
    )
    options.add_argument("--paths", type=int, default=48)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    for path in given.dataset:
        cases, slots, boosted = cases_of(path, given.slot, given.origins, given.first)
        found = score(path.stem, cases, slots, given.slot, boosted, given.paths)
        print(json.dumps(found) if given.json else text(found, len(cases)))


def text(found: dict[str, Any], origins: int) -> str:
    """The tables."""
    lines = [f"\n{found['dataset']}: {origins} origins", f"{'per VM':44}" + "".join(f"{h:>12}" for h in HEAD)]
    lines += [
        f"{m:44}" + "".join(f"{x:12.3f}" for x in v)
        for m, v in sorted(found["vms"].items(), key=lambda r: r[0].split(" @ ")[1])
    ]
    mean, spread = found["hosts"], found["spread"]
    names = (
        "totals under q.9 of summed paths",
        "totals under q.95 of summed paths",
        "under the sum of VM q.95 (wrong)",
        "over-estimate of that sum",
    )
    lines += [f"{n:44}{m:12.3f} ± {s:.3f}" for n, m, s in zip(names, mean, spread, strict=True)]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
