"""The simulator: an estate in a file that moves on by the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.backends import HostSeen, MigrationRefused, TicketState, VmSeen, VmState, World, open_backend
from pro.backends.faults import KINDS, Fault, parse_fault
from pro.backends.simulated import FileStore, SimulatedBackend
from pro.backends.simulation import Model, Simulation
from pro.core.clock import ManualClock, SystemClock
from pro.core.errors import BackendError, InputError
from tests.backends.conformance import BackendSuite, Estate
from tests.conftest import HOSTILE_NAMES

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def world(vms: dict[str, str], mib: int = 2048) -> World:
    hosts = {f"h{i}": HostSeen(f"h{i}", True, 8192) for i in range(3)}
    return World(START.isoformat(), hosts, {v: VmSeen(v, (h,), VmState.RUNNING, mib) for v, h in vms.items()})


def backend(
    tmp_path: Path, options: str = "", vms: dict[str, str] | None = None, clock: ManualClock | None = None
) -> SimulatedBackend:
    made = open_backend(
        f"simulated:{tmp_path / 'state.json'}?jitter=0&{options}",
        world=world(vms or {"a": "h0", "b": "h1"}),
        clock=clock or ManualClock(START),
    )
    assert isinstance(made, SimulatedBackend)
    return made


class TestSimulatedBackend(BackendSuite):
    def estate(self, tmp_path: Path) -> Estate:
        clock = ManualClock(START)
        made = backend(tmp_path, "overhead_s=8", clock=clock)
        return Estate(made, clock, vm="a", source="h0", destination="h1", third="h2", lasts_s=10.0)


def test_a_migration_goes_on_while_nobody_looks(tmp_path: Path) -> None:
    url = f"simulated:{tmp_path / 's.json'}?overhead_s=8&jitter=0&speed=60"
    first = open_backend(url, world=world({"a": "h0"}), clock=ManualClock(START))
    ticket = first.migrate("a", "h0", "h1", "live")
    del first
    lasts = (8 + 2.048) / 60
    before, after = (ManualClock(START + timedelta(seconds=lasts * k)) for k in (0.99, 1.01))
    assert open_backend(url, clock=before).status(ticket.id).state == TicketState.RUNNING
    assert open_backend(url, clock=after).status(ticket.id).state == TicketState.DONE


def test_an_absent_file_needs_a_world(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no inventory"):
        open_backend(f"simulated:{tmp_path / 'none.json'}", clock=SystemClock())
    assert not (tmp_path / "none.json").exists()


def test_a_world_does_not_overwrite_a_file(tmp_path: Path) -> None:
    backend(tmp_path).migrate("a", "h0", "h1", "live")
    again = backend(tmp_path, vms={"z": "h0"})
    assert set(again.inventory().vms) == {"a", "b"}
    assert again.running("a") is not None


@pytest.mark.parametrize(
    "url",
    ["simulated", "simulated:", "qemu+ext:///x", "libvirt+unix:///run", "vsphere://u@h/", "hyperv://h/", "", "file:x"],
)
def test_only_listed_schemes_open(url: str) -> None:
    with pytest.raises(InputError):
        open_backend(url, clock=SystemClock())


@pytest.mark.parametrize(
    "query",
    ["speed=0", "speed=x", "speed=nan", "jitter=2", "colour=red", "fault=burn", "fault=fail,x=1", "fault=moved,vm=a"],
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path: Path, query: str) -> None:
    with pytest.raises(InputError):
        backend(tmp_path, query)
    assert not (tmp_path / "state.json").exists()


def test_options_are_kept_in_the_file(tmp_path: Path) -> None:
    backend(tmp_path, "speed=60&fault=fail,vm=b")
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["model"]["speed"] == 60.0
    backend(tmp_path, "speed=30&fault=fail,vm=b")
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["model"]["speed"] == 30.0
    assert len(state["faults"]) == 1


@given(st.lists(st.tuples(st.sampled_from([0.1, 1.0, 7.0, 600.0]), st.floats(0.01, 3.0)), min_size=1, max_size=5))
def test_however_often_its_speed_changes_a_migration_takes_its_simulated_time(
    tmp_path_factory: pytest.TempPathFactory, stretches: list[tuple[float, float]]
) -> None:
    """Each stretch: a speed, and for how many simulated seconds it is kept. The migration takes 20."""
    url = f"simulated:{tmp_path_factory.mktemp('s') / 's.json'}"
    clock, gone = ManualClock(START), 0.0
    ticket = open_backend(
        f"{url}?overhead_s=20&jitter=0&bandwidth_mib_s=1e12", world=world({"a": "h0"}), clock=clock
    ).migrate("a", "h0", "h1", "live")
    for speed, lasts in stretches:
        opened = open_backend(f"{url}?speed={speed}", clock=clock)
        assert opened.status(ticket.id).progress == pytest.approx(gone / 20, abs=1e-3)
        clock.sleep(lasts / speed)
        gone += lasts
    clock.sleep((19.9 - gone) / speed)
    assert opened.status(ticket.id).state == TicketState.RUNNING
    clock.sleep(0.2 / speed)
    assert opened.status(ticket.id).state == TicketState.DONE
    assert opened.status(ticket.id).seconds == pytest.approx(20)


def test_memory_goes_at_the_pace_of_the_slower_network_of_its_hosts() -> None:
    """As in a plan; 1,000 MiB/s where it is not known, and what an option says before all."""
    seen = world({vm: "h0" for vm in "abc"})
    mbps = {"h0": 4500, "h1": 90, "h2": 18000, "h3": 0}
    seen = replace(seen, hosts={h: HostSeen(h, True, 8192, migration_mbps=known) for h, known in mbps.items()})
    for model, wanted in ((Model(jitter=0), (4.096, 204.8, 2.048)), (Model(jitter=0, bandwidth_mib_s=2048), (1, 1, 1))):
        simulation = Simulation.of(seen, 0.0, model, ())
        for vm, host, seconds in zip("abc", ("h2", "h1", "h3"), wanted, strict=True):
            ticket = simulation.tickets[simulation.begin(vm, "h0", host, "live", 0.0)]
            assert ticket.seconds == pytest.approx(model.overhead_s + seconds)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "simulated/9"}', '{"schema": "simulated/1"}', "null"])
def test_a_file_that_is_no_state_is_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(InputError):
        open_backend(f"simulated:{tmp_path / 'state.json'}", clock=SystemClock())


def test_memory_is_held_on_both_ends_in_flight(tmp_path: Path) -> None:
    clock = ManualClock(START)
    full = backend(tmp_path, vms={"a": "h0", "b": "h1", "c": "h1", "d": "h1", "e": "h1"}, clock=clock)
    with pytest.raises(MigrationRefused) as refused:
        full.migrate("a", "h0", "h1", "live")
    assert refused.value.busy
    full.migrate("b", "h1", "h2", "live")
    with pytest.raises(MigrationRefused):
        full.migrate("a", "h0", "h1", "live")
    clock.sleep(60)
    full.migrate("a", "h0", "h1", "live")


def test_a_limit_per_host_is_kept(tmp_path: Path) -> None:
    busy = backend(tmp_path, "per_host=1", vms={"a": "h0", "b": "h0"})
    busy.migrate("a", "h0", "h1", "live")
    with pytest.raises(MigrationRefused) as refused:
        busy.migrate("b", "h0", "h2", "live")
    assert refused.value.busy


def test_each_fault_does_what_it_says(tmp_path: Path) -> None:
    clock = ManualClock(START)
    one = backend(
        tmp_path,
        "&".join(
            [
                "fault=lost_ack,vm=a",
                "fault=fail,vm=b",
                "fault=error,vm=c",
                "fault=delay,vm=d,seconds=7",
                "fault=refuse,vm=e",
                "fault=hang,vm=f,seconds=9",
                "fault=stuck,vm=g",
                "fault=slow,vm=k,factor=10",
                "fault=moved,vm=m,to=h2,after=5",
            ]
        ),
        vms=dict.fromkeys("abc", "h0") | dict.fromkeys("def", "h1") | dict.fromkeys("gkm", "h2") | {"m": "h0"},
        clock=clock,
    )
    with one.edit() as simulation:
        for host in simulation.hosts.values():
            host.memory_mib = 10**6
        simulation.changed = True
    with pytest.raises(BackendError, match="no answer"):
        one.migrate("a", "h0", "h1", "live")
    assert one.running("a") is not None
    fails = one.migrate("b", "h0", "h1", "live")
    with pytest.raises(BackendError):
        one.migrate("c", "h0", "h1", "live")
    assert one.running("c") is None
    with pytest.raises(BackendError):
        one.migrate("d", "h1", "h0", "live")
    assert one.running("d") is None
    with pytest.raises(MigrationRefused):
        one.migrate("e", "h1", "h0", "live")
    stuck, slow = one.migrate("g", "h2", "h0", "live"), one.migrate("k", "h2", "h0", "live")
    with pytest.raises(BackendError, match="9 s"):
        one.migrate("f", "h1", "h0", "live")
    assert clock.monotonic() == 9.0
    assert one.status(fails.id).state == TicketState.FAILED
    assert one.inventory().vms["b"].hosts == ("h0",)
    assert one.running("d") is not None
    assert one.inventory().vms["m"].hosts == ("h2",)
    clock.sleep(20)
    assert one.status(slow.id).state == TicketState.RUNNING
    clock.sleep(3600)
    assert one.status(slow.id).state == TicketState.DONE
    assert one.status(stuck.id).state == TicketState.RUNNING
    with one.edit() as simulation:
        assert {f.kind for f in simulation.faults} == set(KINDS) - {"host_down"}


def test_a_host_that_goes_down_takes_its_migrations_with_it(tmp_path: Path) -> None:
    clock = ManualClock(START)
    one = backend(tmp_path, "overhead_s=30&fault=host_down,host=h1,after=5", clock=clock)
    ticket = one.migrate("a", "h0", "h1", "live")
    clock.sleep(6)
    seen = one.inventory()
    assert one.status(ticket.id).state == TicketState.FAILED
    assert not seen.hosts["h1"].accepting
    assert seen.vms["b"].state == VmState.OFF
    assert seen.vms["a"] == VmSeen("a", ("h0",), VmState.RUNNING, 2048)
    with pytest.raises(MigrationRefused):
        one.migrate("a", "h0", "h1", "live")


def test_a_clock_that_goes_back_undoes_nothing(tmp_path: Path) -> None:
    one = backend(tmp_path, clock=ManualClock(START))
    ticket = one.migrate("a", "h0", "h1", "live")
    assert backend(tmp_path, clock=ManualClock(START + timedelta(hours=1))).status(ticket.id).state == TicketState.DONE
    earlier = backend(tmp_path, clock=ManualClock(START - timedelta(hours=1)))
    assert earlier.status(ticket.id).state == TicketState.DONE
    assert earlier.inventory().vms["a"].hosts == ("h1",)


def test_the_history_holds_every_effective_move_once(tmp_path: Path) -> None:
    clock = ManualClock(START)
    one = backend(tmp_path, clock=clock)
    for _ in range(3):
        one.migrate("a", "h0", "h1", "live")
        clock.sleep(1)
    clock.sleep(60)
    one.inventory()
    one.migrate("a", "h0", "h1", "live")
    history = json.loads((tmp_path / "state.json").read_text())["history"]
    assert [(h["vm"], h["source"], h["destination"], h["by"]) for h in history] == [("a", "h0", "h1", "migration")]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_ids_pass_through_untouched(tmp_path: Path, name: str) -> None:
    clock = ManualClock(START)
    one = backend(tmp_path, vms={name: "h0"}, clock=clock)
    one.migrate(name, "h0", "h1", "live")
    clock.sleep(60)
    assert one.inventory().vms[name].hosts == ("h1",)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["migrate", "cancel", "wait"]),
            st.sampled_from("abcd"),
            st.sampled_from(["h0", "h1", "h2"]),
            st.floats(0, 9),
        ),
        max_size=30,
    ),
    st.lists(st.sampled_from([k for k in KINDS if k not in ("host_down", "moved", "hang")]), max_size=4),
)
def test_whatever_is_asked_no_vm_is_lost_doubled_or_squeezed(
    asked: list[tuple[str, str, str, float]], kinds: list[str]
) -> None:
    faults = [Fault(kind, vm="abcd"[i], attempt=0) for i, kind in enumerate(kinds)]
    now = START.timestamp()
    sim = Simulation.of(world({"a": "h0", "b": "h0", "c": "h1", "d": "h2"}, mib=4096), now, Model(), faults)
    for verb, vm, host, seconds in asked:
        sim.advance(now)
        if verb == "wait":
            now += seconds
        elif verb == "cancel":
            sim.cancel(sim.running(vm) or "")
        elif sim.repeated(vm, host, now) is None:
            try:
                sim.begin(vm, sim.vms[vm].hosts[0], host, "live", now)
            except MigrationRefused:
                assert sim.running(vm) is None or sim.tickets[sim.running(vm)].destination != host
        assert all(len(v.hosts) == 1 for v in sim.vms.values())
        assert all(sim.memory_in_use(h) <= 8192 for h in sim.hosts)
        assert Simulation.loads(sim.dumps(), "here").dumps() == sim.dumps()


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    vms = {f"v{i}": "h0" for i in range(20)}
    url = f"simulated:{tmp_path / 'state.json'}?speed=1000"
    open_backend(url, world=world(vms, mib=100), clock=SystemClock())
    code = (
        "import sys; from pro.backends import open_backend; from pro.core import SystemClock\n"
        "b = open_backend(sys.argv[1], clock=SystemClock())\n"
        "for i in range(int(sys.argv[2]), 20, 2): b.migrate(f'v{i}', 'h0', 'h1', 'live')"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    both = [subprocess.Popen([sys.executable, "-c", code, url, str(i)], env=env) for i in range(2)]
    assert [p.wait(timeout=60) for p in both] == [0, 0]
    with FileStore(tmp_path / "state.json").open() as simulation:
        assert sorted({t.vm for t in simulation.tickets.values()}) == sorted(vms)
        assert len(simulation.tickets) == 20


def test_a_thousand_vms_are_no_burden_on_the_file(tmp_path: Path) -> None:
    hosts = {f"h{i}": HostSeen(f"h{i}", True, 10**6) for i in range(50)}
    vms = {f"v{i}": VmSeen(f"v{i}", (f"h{i % 50}",), VmState.RUNNING, 4096) for i in range(1000)}
    one = open_backend(f"simulated:{tmp_path / 's.json'}", world=World("", hosts, vms), clock=ManualClock(START))
    written = (tmp_path / "s.json").stat().st_mtime_ns
    for _ in range(20):
        assert len(one.inventory().vms) == 1000
    assert (tmp_path / "s.json").stat().st_mtime_ns == written
    assert (tmp_path / "s.json").stat().st_size < 200_000


@pytest.mark.parametrize("text", ["fail", "fail,vm=a,attempt=2", "moved,vm=a,to=h2,after=5", "slow,factor=2.5"])
def test_faults_are_written_in_urls(text: str) -> None:
    fault = parse_fault(text, "here")
    assert fault.kind == text.split(",")[0]
