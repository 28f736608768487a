"""Hot hosts against plain loops, and stories."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.fleet.fleet import Demand, Fleet
from pro.fleet.memory import MemoryUse
from pro.heat.fans import QUANTILES, host_fan
from pro.heat.hotspots import CAUSES, MEMORY_THRESHOLD, find_hotspots, find_short, lasting, summary, to_json
from tests.builders import START, demand_of, fleet, fleet_of, stand
from tests.conftest import HOSTILE_NAMES
from tests.strategies import demands, fleets, placements

HALF_HOUR = 1800


def fraction(f: Fleet, d: Demand, host_of: np.ndarray, h: int, r: int, s: int, t: int) -> float:  # type: ignore[type-arg]
    """Use over capacity at one moment, the long way round."""
    k = s * d.slots + t
    use = int(d.base[h, r, k]) + sum(int(d.use[v, r, k]) for v in range(f.n_vms) if host_of[v] == h)
    return use / int(f.capacity[h, r]) if f.capacity[h, r] > 0 else 0.0


@given(st.data(), st.sampled_from((0.5, 0.85)), st.sampled_from((300, 600, 900)), st.sampled_from((0.01, 0.3, 0.7)))
def test_hotspots_equal_a_plain_loop(data: st.DataObject, threshold: float, dwell_s: int, least: float) -> None:
    f = data.draw(fleets())
    d, host_of = data.draw(demands(f)), data.draw(placements(f))
    found = {(x.host, x.resource): x for x in find_hotspots(
        f, d, threshold=threshold, dwell_s=dwell_s, min_probability=least, host_of=host_of
    )}  # fmt: skip
    need = dwell_s // d.step_s
    for h, host in enumerate(f.hosts):
        for r, resource in enumerate(f.resources):
            limit = MEMORY_THRESHOLD if resource == "memory" else threshold
            paths = [[fraction(f, d, host_of, h, r, s, t) for t in range(d.slots)] for s in range(d.scenarios)]
            hot = [runs([x > limit for x in path], need) for path in paths]
            probability = sum(any(path) for path in hot) / d.scenarios
            assert ((host, resource) in found) == (probability >= least and probability > 0)
            if (host, resource) not in found:
                continue
            spot = found[host, resource]
            assert spot.probability == pytest.approx(probability)
            assert spot.expected_peak == pytest.approx(sum(map(max, paths)) / d.scenarios)
            over = sum(x > limit for path in paths for x in path)
            assert spot.expected_hot_minutes == pytest.approx(over / d.scenarios * d.step_s / 60)
            assert START <= spot.starts < spot.ends <= START + timedelta(seconds=d.step_s * d.slots)
            shares = {c.vm: c.share for c in spot.vms}
            assert shares == pytest.approx(plain_shares(f, d, host_of, h, r, hot))
            assert sum(shares.values()) == pytest.approx(1.0) or not shares


def runs(flags: list[bool], need: int) -> list[bool]:
    out = [False] * len(flags)
    for begin in range(len(flags)):
        stop = begin
        while stop < len(flags) and flags[stop]:
            stop += 1
        if stop - begin >= need:
            out[begin:stop] = [True] * (stop - begin)
    return out


def plain_shares(f: Fleet, d: Demand, host_of, h: int, r: int, hot: list[list[bool]]) -> dict[str, float]:  # type: ignore[no-untyped-def]
    use = {
        f.vms[v]: sum(
            int(d.use[v, r, s * d.slots + t]) for s in range(d.scenarios) for t in range(d.slots) if hot[s][t]
        )
        for v in range(f.n_vms)
        if host_of[v] == h
    }
    total = sum(use.values())
    return {v: u / total for v, u in use.items() if u > 0} if total else {}


@given(st.data(), st.sampled_from((0.5, 0.95)), st.sampled_from((300, 900)), st.sampled_from((0.01, 0.5)))
def test_hosts_short_of_memory_equal_a_plain_loop(
    data: st.DataObject, threshold: float, dwell_s: int, least: float
) -> None:
    f = data.draw(fleets())
    host_of, rng = data.draw(placements(f)), np.random.default_rng(data.draw(st.integers(0, 2**16)))
    judged = rng.random(f.n_hosts) < 0.7
    paths = rng.integers(0, 40, (f.n_hosts, 4, 6)) * judged[:, None, None]
    memory = MemoryUse(paths, judged, rng.integers(0, 9, f.n_vms), f.host_of, START, 300, {})
    found = {x.host: x for x in find_short(
        f, memory, threshold=threshold, dwell_s=dwell_s, min_probability=least, host_of=host_of
    )}  # fmt: skip
    for h, host in enumerate(f.hosts):
        has = max(int(f.capacity[h, 1]), 1)
        shift = sum(int(memory.held[v]) * (int(host_of[v] == h) - int(f.host_of[v] == h)) for v in range(f.n_vms))
        part = [[max(int(x) + shift, 0) / has for x in path] for path in paths[h]] if judged[h] else [[0.0] * 6] * 4
        hot = [runs([x > threshold for x in path], dwell_s // 300) for path in part]
        probability = sum(map(any, hot)) / 4
        assert (host in found) == (probability >= least and probability > 0)
        if host not in found:
            continue
        spot, there = found[host], [v for v in range(f.n_vms) if host_of[v] == h]
        held = sum(int(memory.held[v]) for v in there)
        assert (spot.resource, spot.measured) == ("memory", True)
        assert spot.probability == pytest.approx(probability)
        assert spot.expected_peak == pytest.approx(sum(map(max, part)) / 4)
        shares = {f.vms[v]: int(memory.held[v]) / held for v in there if memory.held[v]} if held else {}
        assert {c.vm: c.share for c in spot.vms} == pytest.approx(shares)
        assert to_json((spot,), START, 1800)["hotspots"][0]["measured"] is True


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(1, 25))
def test_lasting_equals_a_plain_loop(flags: list[bool], need: int) -> None:
    assert lasting(np.array(flags), need).tolist() == runs(flags, need)


@given(st.data(), st.sampled_from((0.5, 0.85)))
def test_summary_equals_a_plain_loop(data: st.DataObject, threshold: float) -> None:
    f = data.draw(fleets())
    d, host_of = data.draw(demands(f)), data.draw(placements(f))
    got = summary(f, d, host_of, threshold)
    minutes = area = hosts = 0.0
    for h in range(f.n_hosts):
        for s in range(d.scenarios):
            any_hot = False
            for t in range(d.slots):
                over = []
                for r, resource in enumerate(f.resources):
                    limit = MEMORY_THRESHOLD if resource == "memory" else threshold
                    over.append(max(fraction(f, d, host_of, h, r, s, t) - limit, 0.0))
                minutes += d.step_s / 60 * any(x > 0 for x in over)
                area += sum(over) * d.step_s / 3600
                any_hot = any_hot or any(x > 0 for x in over)
            hosts += any_hot
    assert got.hot_minutes == pytest.approx(minutes / d.scenarios)
    assert got.area == pytest.approx(area / d.scenarios, abs=1e-9)
    assert got.hot_hosts == pytest.approx(hosts / d.scenarios)
    json.dumps(got.to_json(), allow_nan=False)


@given(st.data())
def test_renaming_hosts_changes_nothing_but_names(data: st.DataObject) -> None:
    f = data.draw(fleets())
    d = data.draw(demands(f))
    back = dict(zip((f"z{9 - i}" for i in range(f.n_hosts)), f.hosts, strict=True))
    new = {old: name for name, old in back.items()}
    renamed = fleet_of(
        {vm: new[f.hosts[h]] for vm, h in zip(f.vms, f.host_of, strict=True)},
        list(back),
        cpu={new[h]: int(c) for h, c in zip(f.hosts, f.capacity[:, 0], strict=True)},
        memory={new[h]: int(c) for h, c in zip(f.hosts, f.capacity[:, 1], strict=True)},
        vm_memory=dict(zip(f.vms, f.memory_mib.tolist(), strict=True)),
    )
    order = [f.host_index(back[h]) for h in renamed.hosts]
    again = Demand(d.use, d.base[order], d.scenarios, d.slots, d.start, d.step_s, d.known)
    plain = {(x.host, x.resource): x for x in find_hotspots(f, d)}
    other = {(back[x.host], x.resource): x for x in find_hotspots(renamed, again)}
    assert plain.keys() == other.keys()
    for key, spot in plain.items():
        assert (spot.probability, spot.starts, spot.ends, spot.vms) == (
            other[key].probability,
            other[key].starts,
            other[key].ends,
            other[key].vms,
        )


def test_two_vms_that_peak_together_make_a_host_hot_and_two_that_alternate_do_not() -> None:
    f = fleet("h1: a b | h2: c d")
    together, alternate = [500, 5_000] * 4, [5_000, 500] * 4
    d = demand_of(f, {"a": together, "b": together, "c": together, "d": alternate}, scenarios=4, step_s=HALF_HOUR)
    spots = find_hotspots(f, d)
    assert [s.host for s in spots] == ["h1"]
    assert spots[0].probability == 1.0
    assert {c.vm: c.share for c in spots[0].vms} == {"a": 0.5, "b": 0.5}


def test_a_what_if_asks_about_another_placement() -> None:
    f = fleet("h1: a b | h2:")
    d = demand_of(f, {"a": [5_000] * 4, "b": [4_500] * 4}, step_s=HALF_HOUR)
    apart = stand(f, "h2: b")
    assert [s.host for s in find_hotspots(f, d)] == ["h1"]
    assert find_hotspots(f, d, host_of=apart) == ()
    assert summary(f, d, f.host_of).hot_minutes == 120
    assert summary(f, d, apart).hot_minutes == 0


def test_a_short_burst_is_no_hotspot_but_its_minutes_count() -> None:
    f = fleet("h1: a | h2:")
    d = demand_of(f, {"a": [1_000, 9_000, 1_000, 1_000]}, step_s=300)
    assert find_hotspots(f, d, dwell_s=900) == ()
    assert len(find_hotspots(f, d, dwell_s=300)) == 1
    assert summary(f, d, f.host_of).hot_minutes == 5


def test_the_window_is_where_it_is_hot_with_the_reporting_probability() -> None:
    f = fleet("h1: a")
    often, once = [0, 0, 9_000, 9_000, 9_000, 0], [9_000, 9_000, 9_000, 0, 0, 0]
    d = demand_of(f, {"a": [*often, *often, *often, *once]}, scenarios=4, step_s=HALF_HOUR)
    (spot,) = find_hotspots(f, d, min_probability=0.3)
    assert spot.starts == START + timedelta(hours=1)
    assert spot.ends == START + timedelta(hours=2.5)
    assert spot.expected_hot_minutes == 90


def test_heat_that_wanders_has_a_window_too() -> None:
    f = fleet("h1: a")
    paths = [[9_000 * (t == s) for t in range(4)] for s in range(4)]
    d = demand_of(f, {"a": np.ravel(paths).tolist()}, scenarios=4, step_s=HALF_HOUR)
    (spot,) = find_hotspots(f, d, min_probability=0.5)
    assert spot.probability == 1.0
    assert (spot.starts, spot.ends) == (START, START + timedelta(hours=2))


def test_sure_and_high_is_critical_and_comes_first() -> None:
    f = fleet("h1: a | h2: b | h3: c | h4: d")
    use = {
        "a": [8_700, 8_700, 8_700, 8_700],
        "b": [9_900, 0, 9_900, 0],
        "c": [0, 9_900, 9_900, 9_900],
        "d": [9_900, 9_900, 0, 0],
    }
    spots = find_hotspots(f, demand_of(f, use, scenarios=2, step_s=HALF_HOUR))
    assert [(s.host, s.severity, s.expected_hot_minutes) for s in spots] == [
        ("h3", "critical", 45),
        ("h2", "critical", 30),
        ("h1", "warning", 60),
        ("h4", "warning", 30),
    ]


def test_memory_is_hot_only_when_more_is_asked_than_there_is() -> None:
    f = fleet("h1: a b | h2: c", memory={"h1": 2_000, "h2": 1_100})
    spots = find_hotspots(f, demand_of(f, scenarios=4, step_s=HALF_HOUR), threshold=0.85)
    assert [(s.host, s.resource, s.probability) for s in spots] == [("h1", "memory", 1.0)]


def test_only_the_ten_largest_causes_are_named() -> None:
    vms = [f"v{i:02d}" for i in range(14)]
    f = fleet_of(dict.fromkeys(vms, "h1"), ["h1"])
    d = demand_of(f, {v: [700 + i] * 2 for i, v in enumerate(vms)}, step_s=HALF_HOUR)
    causes = find_hotspots(f, d)[0].vms
    assert [c.vm for c in causes] == vms[:-11:-1]
    assert len(causes) == CAUSES
    assert 0 < sum(c.share for c in causes) < 1


def test_hostile_ids_travel_through_the_document_unchanged() -> None:
    f = fleet_of(dict.fromkeys(HOSTILE_NAMES, "=h1"), ["=h1"])
    d = demand_of(f, 2_000, scenarios=1, step_s=HALF_HOUR)
    document = json.loads(json.dumps(to_json(find_hotspots(f, d), START, 86_400)))
    assert document["schema"] == "hotspots/1"
    assert document["now"] == START.isoformat()
    (spot,) = [s for s in document["hotspots"] if s["resource"] == "cpu"]
    assert spot["host"] == "=h1"
    assert {v["vm"] for v in spot["vms"]} == set(HOSTILE_NAMES)


@given(st.data())
def test_a_fan_is_the_quantiles_of_the_hosts_sum(data: st.DataObject) -> None:
    f = data.draw(fleets())
    d, host_of = data.draw(demands(f)), data.draw(placements(f))
    for h, host in enumerate(f.hosts):
        fan = host_fan(f, d, host, host_of)
        assert fan.shape == (len(QUANTILES), d.slots)
        assert (np.diff(fan, axis=0) >= 0).all()
        if f.capacity[h, 0] == 0:
            continue
        for t in range(d.slots):
            sums = [fraction(f, d, host_of, h, 0, s, t) for s in range(d.scenarios)]
            np.testing.assert_allclose(fan[:, t], np.quantile(sums, QUANTILES))
    with pytest.raises(KeyError):
        host_fan(f, d, "nowhere")
