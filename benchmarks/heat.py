"""Which hosts run hot within the hour, or within so many? Our classifier, a plain one and every rule in use, on VMs thrown onto hosts at random.

    python -m benchmarks.heat DATASET... [--hours 1] [--groupings 5] [--first 0] [--json]

DATASET: a folder of PlanetLab days (the last to test, the last but one to choose by, the others to train on), a trace as OpenDC writes it
(Bitbrains; of 30 days the last ten to test, four to choose by, days 3 to 16 to train on), or an estate folder (the last day, the one before it,
and the others but the first). Hot: over 85 % for 15 minutes on end; capacity as in each branch of `splits`. Fresh: not hot in the hour before.
Thresholds for alarms are chosen for at most one false alarm per host and day, on the days to choose by.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.traces import PER_DAY, Trace, estate, opendc, planetlab
from pro.heat.ahead import Foreseen, learn_ahead
from pro.heat.direct import (
    JUDGED_ON,
    Examples,
    HeatModel,
    Window,
    average_precision,
    examples,
    shuffles,
    together,
    train,
)
from pro.heat.features import HOUR, Loads, heat_ahead

LEVEL = 0.85
LEAST_DAYS = 3
HEAD = ("AUC-PR", "fresh", "Brier", "caught", "FA/host-day", "lead min")
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Part:
    """One stretch of time on hosts: examples are taken at the instants of `window`."""

    loads: Loads
    window: Window


@dataclass(frozen=True)
class Split:
    """What to learn from, choose by and be tested on. The first `own` parts to learn from, and the first to choose by, are of one grouping."""

    own: int
    learn: list[Part]
    choose: list[Part]
    test: list[Part]
    daily: bool
    steps: int


def loads_of(trace: Trace, host_of: np.ndarray[Any, Any], capacity: Array) -> Loads:
    first = trace.start.hour * 3600 + trace.start.minute * 60
    return Loads(trace.load, trace.mhz, host_of, capacity * LEVEL, np.zeros(len(capacity)), first)


def totals(trace: Trace, host_of: np.ndarray[Any, Any]) -> Array:
    out = np.zeros((int(host_of.max()) + 1, trace.pct.shape[1]))
    np.add.at(out, host_of, np.nan_to_num(trace.pct * trace.mhz[:, None] / 100))
    return out


def throw(count: int, rng: np.random.Generator, low: int, high: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Hosts of between `low` and `high` VMs, at random."""
    sizes: list[int] = []
    while sum(sizes) < count:
        sizes.append(int(rng.integers(low, high + 1)))
    hosts = np.repeat(np.arange(len(sizes)), sizes)[:count]
    if (hosts == hosts[-1]).sum() < low:
        hosts[hosts == hosts[-1]] -= 1
    return np.asarray(rng.permutation(hosts))


def planetlab_split(days: list[Trace], seed: int, steps: int) -> Split:
    """Capacity: mean of the first six hours / 0.60; the instants after them, each with all `steps` ahead."""
    rng = np.random.default_rng(seed)

    def part(day: Trace, every: int) -> Part:
        hosts = throw(len(day.pct), rng, 15, 25)
        capacity = np.maximum(totals(day, hosts)[:, :72].mean(axis=1) / 0.60, 1.0)
        return Part(loads_of(day, hosts, capacity), Window(72, PER_DAY - steps, every))

    *first, fourth, last = days

    def early(times: int) -> list[Part]:
        return [part(d, 3) for _ in range(times) for d in first]

    learn, choose, test = early(3), [part(fourth, 1)], [part(last, 1)]
    learn += early(shuffles(sum(p.loads.hosts * p.window.instants.size for p in learn[: len(first)])) - 2)
    choose += [part(fourth, 1) for _ in range(JUDGED_ON - 1)]
    return Split(len(first), learn, choose, test, daily=False, steps=steps)


def long_split(
    trace: Trace, seed: int, days: tuple[int, int, int, int], sizes: tuple[int, int], fixed: float | None, steps: int
) -> Split:
    """One trace of many days: learn from days[0] to days[1], choose to days[2], test to days[3].

    Capacity: `fixed`, or what puts the threshold at the 97th percentile of the days before the test.
    """
    rng = np.random.default_rng(seed)
    edges = [d * PER_DAY for d in days]

    def thrown() -> Loads:
        hosts = throw(len(trace.pct), rng, *sizes)
        if fixed is not None:
            return loads_of(trace, hosts, np.full(int(hosts.max()) + 1, fixed))
        return loads_of(trace, hosts, np.quantile(totals(trace, hosts)[:, : edges[2]], 0.97, axis=1) / LEVEL)

    judged, window = thrown(), Window(edges[0], edges[1] - steps, 3)
    early = [judged, *(thrown() for _ in range(shuffles(judged.hosts * window.instants.size)))]
    learn = [Part(loads, window) for loads in early]
    choose = [Part(loads, Window(edges[1], edges[2] - steps)) for loads in early[:JUDGED_ON]]
    return Split(1, learn, choose, [Part(judged, Window(edges[2], edges[3] - steps))], daily=True, steps=steps)


def rules(part: Part) -> dict[str, Array]:
    """(H, n) score of every rule in use at the instants of the part; higher is hotter, 1 is the threshold."""
    u, t = part.loads.use(), part.window.instants

    def last(n: int) -> Array:
        return np.stack([u[:, t - k] for k in range(n)])

    x = np.arange(1, 11.0)
    w = (1 - ((10 - x) / 10) ** 3) ** 3
    y = last(10)[::-1]
    mx, my = (w * x).sum() / w.sum(), np.einsum("k,khn->hn", w, y) / w.sum()
    slope = np.einsum("k,khn->hn", w * (x - mx), y) / (w * (x - mx) ** 2).sum()
    hour = last(12)
    middle = np.median(hour, axis=0)
    quarter = np.subtract(*np.percentile(hour, [75, 25], axis=0))
    return {
        "present value": u[:, t], "SCOM, 3 samples": last(3).min(axis=0), "average of 1 h": hour.mean(axis=0),
        "average of 2 h": last(24).mean(axis=0), "CloudSim LR": 1.2 * (my + slope * (11 - mx)),
        "CloudSim MAD": u[:, t] + 2.5 * np.median(np.abs(hour - middle), axis=0), "CloudSim IQR": u[:, t] + 1.5 * quarter,
    }  # fmt: skip


PLAIN = ("now", "change", "change 3", "mean 3", "mean 6", "mean 12", "mean 24", "mean 36", "least 3", "most 12", "spread 12",
         "spread 36", "trend", "sin", "cos")  # fmt: skip


def plain_classifier(learn: Examples) -> Any:
    """scikit-learn's boosted classifier as it comes, on the host's own level and spread."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = [learn.names.index(n) for n in PLAIN if n in learn.names]
    model = HistGradientBoostingClassifier(random_state=0).fit(learn.rows[:, columns], learn.hot)
    return lambda e: model.predict_proba(e.rows[:, columns])[:, 1]


def run(split: Split) -> tuple[dict[str, dict[str, float]], HeatModel, Array]:
    """Figures of every method on one grouping, our model, and its reliability."""

    own, steps = split.learn[: split.own], split.steps
    ahead = learn_ahead([(p.loads, replace(p.window, every=1).instants) for p in own], steps, daily=split.daily)
    known: dict[tuple[int, Window], Foreseen] = {}

    def gathered(parts: list[Part]) -> Examples:
        found = []
        for p in parts:
            same = (id(p.loads.load), p.window)
            known[same] = known.get(same) or ahead.foresee(p.loads, p.window.instants)
            found.append(examples(p.loads, p.window, steps, known[same], daily=split.daily))
        return together(found)

    learn, choose, test = gathered(split.learn), gathered(split.choose), gathered(split.test)
    ours = train(learn, choose, steps, ahead)
    if ours is None:
        raise SystemExit("hardly anything runs hot in this data set")
    plain = plain_classifier(gathered([replace(p, window=replace(p.window, every=1)) for p in own]))
    choose = gathered(split.choose[:1])
    scores = {
        "pro": (ours.probability(choose.rows), ours.probability(test.rows)),
        "plain classifier": (plain(choose), plain(test)),
    }
    before, after = rules(split.choose[0]), rules(split.test[0])
    scores |= {name: (before[name].ravel(), after[name].ravel()) for name in before}
    found = {}
    for name, (chosen, judged) in scores.items():
        alarm = level_for(split.choose[0], chosen, steps)
        fresh = ~test.before
        found[name] = dict(zip(HEAD, (
            average_precision(test.hot, judged), average_precision(test.hot[fresh], judged[fresh]),
            float(np.mean((judged - test.hot) ** 2)) if name in ("pro", "plain classifier") else float("nan"),
            *events(split.test[0], judged, alarm, steps),
        ), strict=True))  # fmt: skip
    return found, ours, reliability(scores["pro"][1], test.hot)


def events(part: Part, score: Array, level: float, steps: int) -> tuple[float, float, float]:
    """Share of onsets with an alarm in the `steps` before, false alarms per host and day, minutes between first alarm and onset."""
    use, t = part.loads.use(), part.window.instants
    ahead, before = heat_ahead(use, steps)
    alarm = np.zeros(use.shape, dtype=bool)
    alarm[:, t] = score.reshape(len(use), -1) >= level
    run = np.zeros(use.shape, dtype=bool)
    run[:, 2:] = (use[:, 2:] > 1) & (use[:, 1:-1] > 1) & (use[:, :-2] > 1)
    leads, onsets, false = [], 0, 0
    for h in range(len(use)):
        for end in np.flatnonzero(run[h]):
            onset = end - 2
            if onset - steps >= t[0] and onset <= t[-1] and not run[h, max(end - HOUR, 0) : end].any():
                onsets += 1
                raised = np.flatnonzero(alarm[h, onset - steps : onset])
                if raised.size:
                    leads.append((steps - int(raised[0])) * 5)
        quiet = -HOUR
        for k in t:
            if alarm[h, k] and not ahead[h, k] and not before[h, k] and k - quiet >= HOUR:
                false += 1
                quiet = k
    days = len(use) * t.size / PER_DAY
    return len(leads) / max(onsets, 1), false / days, float(np.median(leads)) if leads else float("nan")


def level_for(part: Part, score: Array, steps: int) -> float:
    """The lowest alarm level with at most one false alarm per host and day."""
    levels = np.unique(np.quantile(score, np.linspace(0.5, 0.9995, 60)))
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if events(part, score, levels[middle], steps)[1] <= 1:
            high = middle
        else:
            low = middle + 1
    return float(levels[low])


def reliability(probability: Array, hot: np.ndarray[Any, Any]) -> Array:
    """(bins, 3) said, was, how many."""
    rows = []
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        mine = (probability >= low) & (probability < high)
        rows.append((float(probability[mine].sum()), float(hot[mine].sum()), float(mine.sum())))
    return np.array(rows)


def splits(path: Path, seeds: range, steps: int) -> Any:
    """A data set's splits, one per grouping, to look `steps` ahead."""
    if path.is_dir() and any(path.glob("20*.parquet")):
        days = [planetlab(p) for p in sorted(path.glob("20*.parquet"))]
        if len(days) < LEAST_DAYS:
            raise SystemExit(
                f"{path}: {len(days)} days; one to train on, one to choose by and one to test are the least"
            )
        return (planetlab_split(days, seed, steps) for seed in seeds)
    if path.is_dir():
        trace, mhz = estate(path)
        whole = trace.pct.shape[1] // PER_DAY
        if whole < 2 * LEAST_DAYS:
            raise SystemExit(f"{path}: {whole} days are too few to train, choose and test on")
        return (long_split(trace, seed, (1, whole - 2, whole - 1, whole), (8, 12), mhz, steps) for seed in seeds)
    trace = opendc(path)
    whole = trace.pct.shape[1] // PER_DAY
    train, choose, test = whole // 10, whole * 16 // 30, whole * 20 // 30
    if not train < choose < test < whole:
        raise SystemExit(f"{path}: {whole} days are too few to train, choose and test on")
    return (long_split(trace, seed, (train, choose, test, whole), (6, 10), None, steps) for seed in seeds)


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dataset", type=Path, nargs="+")
    options.add_argument("--hours", type=int, default=1, choices=(1, 4, 24), help="hot within so many hours")
    options.add_argument("--groupings", type=int, default=5)
    options.add_argument("--first", type=int, default=0, help="seed of the first grouping")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    for path in given.dataset:
        each = []
        for split in splits(path, range(given.first, given.first + given.groupings), given.hours * HOUR):
            each.append(run(split))
            print(f"{path.name}: grouping {len(each)} of {given.groupings}", file=sys.stderr)
        if given.json:
            print(json.dumps({"dataset": path.name, "groupings": [f for f, _, _ in each]}))
            continue
        show(path.name, each)


def show(name: str, each: list[tuple[dict[str, dict[str, float]], HeatModel, Array]]) -> None:
    """A table of means and spreads, and how often ours is above."""
    print(
        f"\n{name}: {len(each)} groupings; mean and standard deviation; 'won': groupings in which ours is above (all / fresh)"
    )
    print(f"{'':18}" + "".join(f"{h:>17}" for h in HEAD) + "        won")
    for method in each[0][0]:
        values = np.array([[found[method][h] for h in HEAD] for found, _, _ in each])
        mean, spread = (
            np.ma.masked_invalid(values).mean(axis=0).filled(np.nan),
            np.ma.masked_invalid(values).std(axis=0).filled(np.nan),
        )
        won = [sum(f["pro"][h] > f[method][h] for f, _, _ in each) for h in HEAD[:2]]
        cells = "".join(f"{m:>10.3f} ± {s:.3f}" if m == m else f"{'-':>17}" for m, s in zip(mean, spread, strict=True))
        print(f"{method:18}{cells}" + ("" if method == "pro" else f"   {won[0]}/{len(each)} {won[1]}/{len(each)}"))
    total = np.sum([r for _, _, r in each], axis=0)
    print("reliability: " + "; ".join(f"said {s / n:.2f} was {w / n:.2f} ({n:.0f})" for s, w, n in total if n))


if __name__ == "__main__":
    main()
