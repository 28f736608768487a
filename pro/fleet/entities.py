"""Which VM or host a counter speaks for. The only bridge between names in telemetry and indices in a Fleet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pro.fleet.names import AMBIGUOUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Bools, Ints
    from pro.fleet.fleet import Fleet
    from pro.telemetry.grid import Grid


@dataclass(frozen=True)
class Matched:
    """For each of E entities, whom it is about.

    `vm` (E,) index of a VM or -1; `host` (E,) index of a host or -1; at most one of the two is set. `host_side` (E,): a
    VM as its host counts it (`host/vm`), rather than as the guest does; `counted_on` (E,) that host, or -1.
    """

    vm: Ints
    host: Ints
    host_side: Bools
    counted_on: Ints


def entity_of(fleet: Fleet, entities: Sequence[str]) -> Matched:
    """Match counter entities to VMs and hosts, without regard to case or surrounding space.

    An entity is tried as a DNS name, then as an id, a name, and at last by its first label (`web1` for a VM known as
    `web1.contoso.test`, and `web1.contoso.test` for one that is known only as `web1`). What two things share at the deciding step
    belongs to neither. `host/vm` is the VM of that id or name; where several VMs have the name, the one on that
    host.
    """
    hosts, vms = (fleet.host_fqdn, fleet.hosts, fleet.host_names), (fleet.vm_fqdn, fleet.vms, fleet.vm_names)
    return _match(hosts, vms, fleet.host_of.tobytes(), tuple(entities))


Words = tuple[str, ...]


@lru_cache(maxsize=64)
def _match(
    of_hosts: tuple[Words, Words, Words], of_vms: tuple[Words, Words, Words], placed: bytes, entities: Words
) -> Matched:
    """Asked again and again about one fleet: a backtest asks thousands of times."""
    hosts, vms, host_of = _lookup(*of_hosts), _lookup(*of_vms), np.frombuffer(placed, dtype=np.int64)
    called: dict[str, list[int]] = {}
    for i, (ident, name) in enumerate(zip(of_vms[1], of_vms[2], strict=True)):
        for key in {ident.strip().casefold(), name.strip().casefold()}:
            called.setdefault(key, []).append(i)
    out = np.full((3, len(entities)), -1, dtype=np.int64)
    side = np.zeros(len(entities), dtype=np.bool_)
    for e, entity in enumerate(entities):
        host, vm = _decide(entity.strip().casefold(), hosts, vms)
        if host < 0 and vm < 0 and "/" in entity:
            computer, _, instance = entity.casefold().partition("/")
            counted = _decide(computer, hosts, [])[0]
            owners = called.get(instance, [])
            if len(owners) > 1:
                owners = [v for v in owners if host_of[v] == counted]
            if counted >= 0 and len(owners) == 1:
                vm, side[e], out[2, e] = owners[0], True, counted
        out[0, e], out[1, e] = vm, host
    out.flags.writeable = side.flags.writeable = False
    return Matched(vm=out[0], host=out[1], host_side=side, counted_on=out[2])


def _lookup(fqdns: Iterable[str], ids: Iterable[str], names: Iterable[str]) -> list[dict[str, int]]:
    """Tables to be tried in turn: DNS name, id, name, first label of DNS names, names of those without a DNS name."""
    fqdns, ids, names = list(fqdns), list(ids), list(names)
    bare = [n if not f else "" for n, f in zip(names, fqdns, strict=True)]
    tables = (fqdns, ids, names, [f.partition(".")[0] for f in fqdns], bare)
    return [_index([t.strip().casefold() for t in table]) for table in tables]


def _index(keys: Sequence[str]) -> dict[str, int]:
    index: dict[str, int] = {}
    for i, key in enumerate(keys):
        if key:
            index[key] = AMBIGUOUS if index.get(key, i) != i else i
    return index


def _decide(entity: str, hosts: list[dict[str, int]], vms: list[dict[str, int]]) -> tuple[int, int]:
    """(host, vm) of a folded entity, -1 for the one it is not."""
    for step in range(5):
        key = entity.partition(".")[0] if step == 4 else entity
        host = hosts[step].get(key, -1)
        vm = vms[step].get(key, -1) if vms else -1
        if host != -1 or vm != -1:
            return (-1, -1) if host != -1 and vm != -1 else (max(host, -1), max(vm, -1))
    return -1, -1


def spokesmen(fleet: Fleet, matched: Matched, known: NDArray[np.float32]) -> Ints:
    """(V,) the one entity that speaks for each VM, -1 where none was ever known. `known` (E,) share of history known.

    What the host counts is preferred to what the guest does, for it is what the host really spends; but not when less
    than half as much of it is known (a VM that has just moved has hardly any history under its new host's name).
    """
    best = np.full(fleet.n_vms, -1, dtype=np.int64)
    rows = np.flatnonzero((matched.vm >= 0) & (known > 0))
    vm = matched.vm[rows]
    here = matched.counted_on[rows] == fleet.host_of[vm]
    score = known[rows].astype(np.float64) * np.where(matched.host_side[rows], 2.0, 1.0) * np.where(here, 1.01, 1.0)
    order = np.lexsort((-rows, score))
    best[vm[order]] = rows[order]
    return best


def host_entities(fleet: Fleet, matched: Matched, known: NDArray[np.float32]) -> Ints:
    """(H,) the entity that speaks for each host, -1 where none was ever known."""
    best = np.full(fleet.n_hosts, -1, dtype=np.int64)
    rows = np.flatnonzero((matched.host >= 0) & (known > 0))
    order = np.lexsort((-rows, known[rows]))
    best[matched.host[rows[order]]] = rows[order]
    return best


def unite(fleet: Fleet, grid: Grid) -> Grid:
    """`grid` with one history for a VM that was counted on several hosts in turn, because it moved.

    Its rows become one, under the entity of the host where it stands now, or else of the one that saw it last; where two
    hosts have a value for one instant, that entity's counts. Rows of other entities stay as they are.
    """
    matched = entity_of(fleet, grid.entities)
    rows = np.flatnonzero(matched.host_side)
    finite = np.isfinite(grid.values[rows])
    last = np.where(finite, np.arange(finite.shape[1]), -1).max(axis=1, initial=-1)
    here = matched.counted_on[rows] == fleet.host_of[matched.vm[rows]]
    order = np.lexsort((-last, ~here, matched.vm[rows]))
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = matched.vm[rows[order[1:]]] != matched.vm[rows[order[:-1]]]
    if first.all():
        return grid
    values, kept = grid.values.copy(), 0
    seen = None if grid.seen_us is None else grid.seen_us.copy()
    for heir, row in zip(first.tolist(), rows[order].tolist(), strict=True):
        if heir:
            kept = row
        else:
            values[kept] = np.where(np.isnan(values[kept]), values[row], values[kept])
            if seen is not None:
                seen[kept] = max(seen[kept], seen[row])
    stay = np.ones(len(grid.entities), dtype=np.bool_)
    stay[rows[order[~first]]] = False
    names = tuple(e for e, s in zip(grid.entities, stay.tolist(), strict=True) if s)
    return replace(grid, entities=names, values=values[stay], seen_us=None if seen is None else seen[stay])
