"""P(a host runs hot for 15 minutes within the next hours), asked directly: boosted trees and a logistic regression, calibrated.

Trained per site on the user's own counters, on hosts as they are and on the same VMs thrown onto hosts at random, because tomorrow's
hosts are not today's. How much the trees count against the regression is decided on a held-back window, and whether the whole is worth anything
too: `gain` says by how much it beats the best trivial rule there, and it is not used unless it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.forecast.trees import Trees
from pro.heat.ahead import Ahead, Foreseen, of_hosts
from pro.heat.ahead import from_arrays as ahead_from_arrays
from pro.heat.ahead import to_arrays as ahead_to_arrays
from pro.heat.features import RISING, Loads, Table, features, heat_ahead, without_blanks
from pro.heat.futures import NAMES as OF_FUTURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Bools, Floats, Ints, Singles

TRIVIAL = {
    "present value": "now",
    "n samples on end": "least 3",
    "average of 1 h": "mean 12",
    "average of 2 h": "mean 24",
}
MOST_ROWS, MOST_JUDGED = 60_000, 200_000
"""Examples to learn from and to judge by, about: large fleets have more than are needed."""
LEAST_HOT = 30
"""Hot instants without which there is nothing to learn."""
MOST_SHUFFLES, JUDGED_ON = 11, 4
"""Arrangements at random, at most, and how many there are to weigh and calibrate by."""
BAGS, BAGS_OF_HOSTS = 3, 4
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the trees against the regression, that are tried."""


@dataclass(frozen=True)
class Line:
    """A logistic regression on standardised features; unknown ones count as average."""

    mean: Floats
    size: Floats
    weight: Floats
    start: float

    def predict(self, rows: NDArray[np.floating[Any]]) -> Floats:
        """(n,) log-odds."""
        z = np.clip((rows - self.mean) / self.size, -8, 8)
        return np.asarray(np.where(np.isnan(z), 0.0, z) @ self.weight + self.start)


@dataclass(frozen=True)
class HeatModel:
    """A fitted model for one horizon of `steps` grid points: of the features `names`, the last of which `ahead` foresees.

    Its log-odds are those by `trees`, for `share` of the whole, and by `line`; `slope`, `offset` calibrate them.
    `gain`: average precision on the held-back window beyond that of the best trivial rule, `best`; `score`, `brier` its own there.
    """

    steps: int
    names: tuple[str, ...]
    ahead: Ahead
    trees: tuple[Trees, ...]
    line: Line
    share: float
    slope: float
    offset: float
    score: float
    best: str
    gain: float
    brier: float

    @property
    def wins(self) -> bool:
        """Whether it is better than every trivial rule on the held-back window."""
        return self.gain > 0

    def probability(self, rows: NDArray[np.floating[Any]]) -> Floats:
        """(n,) for `rows` (n, F) of the features `names`."""
        odds = _mixed(self.share, *_odds(self.trees, self.line, rows))
        return _logistic(self.slope * odds + self.offset)


def _odds(trees: Sequence[Trees], line: Line, rows: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """(n,) log-odds by either, not calibrated."""
    return np.mean([t.predict(rows) for t in trees], axis=0), line.predict(rows)


def _mixed(share: float, grown: Floats, straight: Floats) -> Floats:
    return np.asarray(share * grown + (1 - share) * straight)


def _logistic(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


@dataclass(frozen=True)
class Window:
    """Instants [begin, end) of a table, so many steps apart."""

    begin: int
    end: int
    every: int = 1

    @property
    def instants(self) -> Ints:
        return np.arange(self.begin, self.end, self.every)


@dataclass(frozen=True)
class Examples:
    """Feature rows, whether it became hot, and whether it was hot in the hour before; host by host."""

    names: tuple[str, ...]
    rows: Singles
    hot: Bools
    before: Bools


def examples(
    loads: Loads, window: Window, steps: int, foreseen: Foreseen, *, daily: bool = True, table: Table | None = None
) -> Examples:
    """What was known at each instant of `window`, and what came. The window must end `steps` before the loads do.

    `foreseen`: at these instants. `table`: the features of `loads`, if they are there already.
    """
    table = features(loads, daily=daily) if table is None else table
    ahead, before = heat_ahead(loads.use(), steps)
    t = window.instants
    rows = np.concatenate([table.rows(t), of_hosts(loads, foreseen)], axis=1)
    return Examples((*table.names, *foreseen.names), rows, ahead[:, t].ravel(), before[:, t].ravel())


def together(parts: Sequence[Examples]) -> Examples:
    """Examples one after the other."""
    return Examples(
        parts[0].names, np.concatenate([p.rows for p in parts]), np.concatenate([p.hot for p in parts]),
        np.concatenate([p.before for p in parts]),
    )  # fmt: skip


def shuffles(rows: int) -> int:
    """How often to throw the VMs onto hosts at random, besides hosts as they are, where one arrangement gives so many rows to learn from.

    Few hosts are few accidents of who stands with whom, and trees learn them by heart; other groups of the same VMs are other accidents.
    """
    return int(np.clip(MOST_ROWS // max(rows, 1) - 1, 1, MOST_SHUFFLES))


def train(learn: Examples, choose: Examples, steps: int, ahead: Ahead) -> HeatModel | None:
    """Fit on `learn`; calibrate and judge on `choose`. None where hardly anything ever ran hot."""
    if min(learn.hot.sum(), choose.hot.sum()) < LEAST_HOT or learn.hot.all() or choose.hot.all():
        return None
    rows, hot = _thinned(learn)
    trees = tuple(Trees.of(_grow(rows, hot, learn.names, seed)) for seed in range(BAGS))
    line = _fit_line(rows, hot)
    grown, straight = _odds(trees, line, choose.rows)
    share = _share(grown, straight, choose.hot)
    odds = _mixed(share, grown, straight)
    slope, offset = _platt(odds, choose.hot)
    probability = _logistic(slope * odds + offset)
    rules = {rule: average_precision(choose.hot, choose.rows[:, choose.names.index(n)]) for rule, n in TRIVIAL.items()}
    best = max(rules, key=lambda r: rules[r])
    score = average_precision(choose.hot, odds)
    return HeatModel(
        steps, learn.names, ahead, trees, line, share, slope, offset, score, best, score - rules[best],
        float(np.mean((probability - choose.hot) ** 2)),
    )  # fmt: skip


def _share(grown: Floats, straight: Floats, hot: Bools) -> float:
    """What `grown` (n,) counts against `straight` (n,), so that average precision is best; averaged over leaving out one stretch of the hosts after
    the other, and never all or nothing: one window is too short to tell."""
    stretch, best = np.arange(hot.size) * BAGS_OF_HOSTS // hot.size, []
    for left_out in range(BAGS_OF_HOSTS):
        mine = stretch != left_out
        if hot[mine].any():
            scores = [average_precision(hot[mine], _mixed(s, grown[mine], straight[mine])) for s in SHARES]
            best.append(SHARES[int(np.argmax(scores))])
    return float(np.mean(best))


def _thinned(given: Examples) -> tuple[Singles, Bools]:
    every = -(-len(given.hot) // MOST_ROWS)
    return without_blanks(given.rows[::every]), given.hot[::every]


def _grow(rows: Singles, hot: Bools, names: tuple[str, ...], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rising = [1 if n in RISING or n in OF_FUTURES else 0 for n in names]
    model = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=12, min_samples_leaf=60, l2_regularization=5.0,
        max_features=0.35, monotonic_cst=rising, early_stopping=False, random_state=seed,
    )  # fmt: skip
    return model.fit(rows, hot)


def _fit_line(rows: Singles, hot: Bools) -> Line:
    from sklearn.linear_model import LogisticRegression

    with np.errstate(all="ignore"):
        mean, size = np.nanmean(rows, axis=0, dtype=np.float64), np.nanstd(rows, axis=0, dtype=np.float64)
    mean, size = np.asarray(np.nan_to_num(mean)), np.asarray(np.where(np.nan_to_num(size) > 1e-9, size, 1.0))
    z = np.clip((rows - mean) / size, -8, 8)
    model = LogisticRegression(C=0.02, max_iter=300).fit(np.where(np.isnan(z), 0.0, z), hot)
    return Line(mean, size, np.asarray(model.coef_[0], np.float64), float(model.intercept_[0]))


def _platt(odds: Floats, hot: Bools, rounds: int = 50) -> tuple[float, float]:
    """Slope and offset of the log-odds at which probabilities are right on average (Platt 1999), by Newton's method."""
    slope, offset = 1.0, 0.0
    for _ in range(rounds):
        p = _logistic(slope * odds + offset)
        w = p * (1 - p) + 1e-9
        g = np.array([((p - hot) * odds).sum() + 0.1 * (slope - 1), (p - hot).sum()])
        h = np.array([[(w * odds**2).sum() + 0.1, (w * odds).sum()], [(w * odds).sum(), w.sum()]])
        move = np.linalg.solve(h, g)
        slope, offset = slope - float(np.clip(move[0], -1, 1)), offset - float(np.clip(move[1], -3, 3))
        if np.abs(move).max() < 1e-8:
            break
    return max(slope, 0.05), offset


def average_precision(hot: Bools, score: NDArray[np.floating[Any]]) -> float:
    """Area under precision over recall, as a sum over thresholds; NaN where nothing is hot. Unknown scores come last."""
    total = int(hot.sum())
    if not total:
        return float("nan")
    s = np.where(np.isnan(score), -np.inf, score)
    order = np.argsort(-s, kind="stable")
    s, y = s[order], hot[order]
    ends = np.flatnonzero(np.append(s[1:] != s[:-1], True))
    hits = np.cumsum(y)[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / total)


def to_arrays(model: HeatModel, prefix: str) -> dict[str, NDArray[Any]]:
    """Plain arrays for an .npz file: no pickle."""
    line = model.line
    out: dict[str, NDArray[Any]] = {
        prefix + "names": np.array(model.names), prefix + "best": np.array(model.best),
        prefix + "numbers": np.array([model.steps, len(model.trees), model.share, model.slope, model.offset, model.score, model.gain,
                                      model.brier]),
        prefix + "line": np.stack([line.mean, line.size, line.weight, np.full(line.mean.shape, line.start)]),
    }  # fmt: skip
    for k, tree in enumerate(model.trees):
        out |= tree.arrays(f"{prefix}tree{k}.")
    return out | ahead_to_arrays(model.ahead, f"{prefix}ahead.")


def from_arrays(found: Mapping[str, NDArray[Any]], prefix: str) -> HeatModel:
    """Back from `to_arrays`. Raises KeyError or ValueError for anything else."""
    steps, count, share, slope, offset, score, gain, brier = (float(x) for x in found[prefix + "numbers"])
    mean, size, weight, start = found[prefix + "line"]
    trees = tuple(Trees.read(found, f"{prefix}tree{k}.") for k in range(int(count)))
    names = tuple(str(n) for n in found[prefix + "names"])
    ahead = ahead_from_arrays(found, f"{prefix}ahead.")
    line = Line(mean, size, weight, float(start[0]))
    return HeatModel(
        int(steps), names, ahead, trees, line, share, slope, offset, score, str(found[prefix + "best"]), gain, brier
    )
