"""Stories of applying a plan: what is done, what is refused and why, and what can be said about it meanwhile."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.backends import VmSeen, VmState, World, open_backend
from pro.backends.simulated import SimulatedBackend
from pro.core.clock import ManualClock, SystemClock
from pro.core.errors import BackendError, RefusedError
from pro.planning.io import dumps, loads
from pro.remediation import Limits, Permit, abandon, apply, request_stop, resume, status
from pro.remediation.gates import KillSwitch
from pro.remediation.guard import Guard
from pro.remediation.journal import Journal
from pro.remediation.lock import WriterLock
from pro.remediation.records import StepState
from pro.remediation.staleness import done_already
from tests.conftest import HOSTILE_NAMES
from tests.remediation.estate import START, final, plan, random_case, world

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pro.planning.plan import Plan
    from pro.remediation.result import ApplyResult

LIMITS = Limits(call_timeout_s=0.0, settle_s=2.0, grace_s=20.0)
STANDS = {"a": "h0", "b": "h0", "c": "h1", "d": "h2"}


class Scene:
    """An estate of four VMs, a plan that moves a over h1 to h3 and c to h0, and a clock."""

    def __init__(self, folder: Path, faults: str = "", stands: dict[str, str] | None = None) -> None:
        self.clock = ManualClock(START)
        self.journal = folder / "journal.sqlite"
        self.seen = world(stands or STANDS)
        url = f"simulated:{folder / 'state.json'}?jitter=0&{faults}"
        backend = open_backend(url, world=self.seen, clock=self.clock)
        assert isinstance(backend, SimulatedBackend)
        self.backend = backend
        self.plan = plan(self.seen, [("a", "h0", "h1"), ("c", "h1", "h0")], [("a", "h1", "h3")])
        self.told: list[str] = []

    def apply(self, what: Plan | None = None, **options: Any) -> ApplyResult:
        limits = options.pop("limits", LIMITS)
        return apply(
            what or self.plan,
            self.backend,
            self.journal,
            clock=self.clock,
            limits=limits,
            on_event=lambda e: self.told.append(e.kind),
            **options,
        )

    def resume(self) -> ApplyResult:
        return resume(self.backend, self.journal, clock=self.clock, limits=LIMITS)

    def stands(self) -> dict[str, str]:
        return {vm: v.hosts[0] for vm, v in self.backend.inventory().vms.items()}

    def change(self, **hosts: str) -> None:
        """Another hand moves VMs."""
        with self.backend.edit() as simulation:
            for vm, host in hosts.items():
                simulation.vms[vm].hosts = [host]
            simulation.changed = True


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_plan_is_applied_wave_after_wave_and_ends_as_promised(scene: Scene) -> None:
    result = scene.apply()
    assert (result.state, result.exit_code, result.moved) == ("done", 0, 3)
    assert scene.stands() == final(scene.plan, scene.seen)
    assert scene.told == ["intent", "sent", "intent", "sent", "done", "done", "intent", "sent", "done"]
    assert all(s.seconds and s.mib == 1024 for s in result.steps)
    json.dumps(result.to_json())


def test_a_second_apply_moves_nothing(scene: Scene) -> None:
    scene.apply()
    again = scene.apply()
    assert (again.state, again.exit_code, again.moved) == ("nothing to do", 0, 0)
    assert len(Journal(scene.journal).runs()) == 1


def test_gates_are_not_asked_when_there_is_nothing_to_do(scene: Scene) -> None:
    scene.apply()
    assert scene.apply(gates=[No("closed")]).exit_code == 0


def test_what_was_done_by_hand_is_not_done_again(scene: Scene) -> None:
    scene.change(a="h1", c="h0")
    result = scene.apply()
    assert (result.exit_code, result.moved) == (0, 1)
    assert [s.reason for s in result.steps] == ["already there", "already there", ""]
    assert scene.stands() == final(scene.plan, scene.seen)


class No:
    """A gate that is shut."""

    name = "a test"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        return Permit(False, self.reason)


def test_all_gates_must_permit_and_every_refusal_is_told(scene: Scene) -> None:
    result = scene.apply(gates=[No("too late"), No("too much")])
    assert (result.state, result.exit_code, result.reasons) == ("refused", 4, ("too late", "too much"))
    assert scene.stands() == STANDS
    assert Journal(scene.journal).runs() == []


def test_another_balancer_is_stood_back_from(scene: Scene) -> None:
    with scene.backend.edit() as simulation:
        simulation.hosts["h2"].balancer = "Dynamic Optimization"
        simulation.changed = True
    refused = scene.apply()
    assert refused.exit_code == 4
    assert "Dynamic Optimization" in refused.reasons[0]
    assert scene.apply(limits=replace(LIMITS, ignore_balancer=True)).exit_code == 0


def changed(seen: World, what: str) -> World:
    """`seen` with one thing different."""
    vm, host, fields = {
        "moved": ("a", "", {"hosts": ("h2",)}),
        "gone": ("c", "", None),
        "grown": ("a", "", {"memory_mib": 4096}),
        "paused": ("a", "", {"state": VmState.PAUSED}),
        "doubled": ("a", "", {"hosts": ("h0", "h2")}),
        "bystander left": ("b", "", {"hosts": ("h2",)}),
        "bystander came": ("d", "", {"hosts": ("h3",)}),
        "bystander grown": ("b", "", {"memory_mib": 2048}),
        "newcomer": ("new", "", {}),
        "closed": ("", "h3", {"accepting": False}),
        "shrunk": ("", "h1", {"memory_mib": 4096}),
        "host gone": ("", "h3", None),
    }[what]
    vms = {**seen.vms, "new": VmSeen("new", ("h1",), VmState.RUNNING, 1024)} if vm == "new" else dict(seen.vms)
    hosts = dict(seen.hosts)
    if fields is None:
        (vms if vm else hosts).pop(vm or host)
    elif vm:
        vms[vm] = replace(vms[vm], **fields)
    else:
        hosts[host] = replace(hosts[host], **fields)
    return World(seen.at, hosts, vms)


CHANGES = {
    "moved": "a",
    "gone": "c",
    "grown": "4,096",
    "paused": "paused",
    "doubled": "2 hosts at once",
    "bystander left": "b",
    "bystander came": "d",
    "bystander grown": "2,048",
    "newcomer": "new",
    "closed": "h3",
    "shrunk": "4,096",
    "host gone": "h3",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_stale_plan_is_refused_and_says_what_changed(tmp_path: Path, what: str) -> None:
    scene = Scene(tmp_path)
    other = tmp_path / "changed.json"
    backend = open_backend(f"simulated:{other}", world=changed(scene.seen, what), clock=scene.clock)
    result = apply(scene.plan, backend, scene.journal, clock=scene.clock, limits=LIMITS)
    assert result.exit_code == 4
    assert any(CHANGES[what] in reason for reason in result.reasons), result.reasons
    assert not json.loads(other.read_text())["tickets"]


def test_every_change_is_told_not_only_the_first(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    seen = changed(changed(changed(scene.seen, "closed"), "grown"), "newcomer")
    backend = open_backend(f"simulated:{tmp_path / 'changed.json'}", world=seen, clock=scene.clock)
    reasons = " ".join(apply(scene.plan, backend, scene.journal, clock=scene.clock, limits=LIMITS).reasons)
    assert all(word in reasons for word in ("h3", "4,096", "new"))


def test_what_does_not_concern_the_plan_does_not_make_it_stale(scene: Scene) -> None:
    with scene.backend.edit() as simulation:
        simulation.vms["d"].memory_mib = 4096
        simulation.hosts["h2"].accepting = False
        simulation.changed = True
    assert scene.apply().exit_code == 0


def test_a_migration_by_another_hand_is_seen_before_the_start(scene: Scene) -> None:
    scene.backend.migrate("a", "h0", "h2", "live")
    result = scene.apply()
    assert result.exit_code == 4
    assert any("another hand" in reason for reason in result.reasons)


def test_the_first_failure_lets_the_wave_end_and_starts_nothing_more(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "fault=fail,vm=c")
    result = scene.apply()
    assert (result.state, result.exit_code, result.moved) == ("partial", 5, 1)
    assert [s.state for s in result.steps] == [StepState.DONE, StepState.FAILED, StepState.PENDING]
    assert "injected failure" in result.reasons[0]
    again = scene.resume()
    assert (again.exit_code, again.reasons[1:]) == (5, result.reasons)
    assert "nothing to resume: run 1 ended" in again.reasons[0]
    assert scene.apply().exit_code == 0
    assert scene.stands() == final(scene.plan, scene.seen)


def test_a_lost_answer_is_found_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "fault=lost_ack,vm=a,attempt=0")
    assert scene.apply().exit_code == 0
    assert [s.attempt for s in Journal(scene.journal).steps(1)] == [1, 1, 1]


def test_a_broken_connection_is_tried_three_times_and_no_more(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "fault=error,vm=a,attempt=0")
    result = scene.apply()
    assert result.exit_code == 5
    assert result.steps[0].attempt == 3
    assert result.steps[0].state == StepState.FAILED


def test_a_refusal_is_not_repeated(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "fault=refuse,vm=a,attempt=0")
    result = scene.apply()
    assert result.steps[0].attempt == 1
    assert "injected refusal" in result.steps[0].reason


def test_a_busy_host_is_waited_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "per_host=1")
    assert scene.apply().exit_code == 0
    assert scene.stands() == final(scene.plan, scene.seen)


def test_a_migration_that_takes_too_long_is_cancelled(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "fault=stuck,vm=a")
    result = scene.apply()
    assert result.steps[0].state == StepState.FAILED
    assert "not over in time" in result.steps[0].reason
    assert scene.stands()["a"] == "h0"
    assert scene.clock.monotonic() == pytest.approx(3 * 4.0 + 20.0, abs=3.0)


def test_a_vm_moved_by_another_hand_meanwhile_is_left_alone(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "overhead_s=10&fault=moved,vm=a,to=h2,after=5")
    result = scene.apply()
    assert result.steps[0].state == StepState.SKIPPED
    assert "another hand to h2" in result.steps[0].reason
    assert scene.stands()["a"] == "h2"
    assert result.exit_code == 5


@pytest.mark.parametrize(
    ("hosts", "state"),
    [(["h0", "h1"], "running"), ([], "running"), (["h1"], "paused"), (["h1"], "off")],
    ids=["doubled", "absent", "paused", "dead"],
)
def test_a_vm_in_doubt_stops_everything_until_a_person_has_looked(scene: Scene, hosts: list[str], state: str) -> None:
    def disturb(event: Any) -> None:
        if event.kind == "sent" and event.step == 1:
            with scene.backend.edit() as simulation:
                del simulation.tickets[simulation.running("c")]
                simulation.vms["c"].hosts, simulation.vms["c"].state = hosts, state
                simulation.changed = True

    result = apply(scene.plan, scene.backend, scene.journal, clock=scene.clock, limits=LIMITS, on_event=disturb)
    assert (result.state, result.exit_code) == ("in_doubt", 5)
    assert [s.state for s in result.steps] == [StepState.DONE, StepState.IN_DOUBT, StepState.PENDING]
    assert scene.apply().exit_code == 4
    assert scene.resume().state == "in_doubt"
    with scene.backend.edit() as simulation:
        simulation.vms["c"].hosts, simulation.vms["c"].state = ["h0"], "running"
        simulation.changed = True
    assert scene.resume().state == "done"
    assert scene.stands() == final(scene.plan, scene.seen)


def test_a_run_in_doubt_can_be_abandoned_with_a_reason(scene: Scene) -> None:
    halfway(scene)
    with pytest.raises(RefusedError):
        abandon(scene.journal, " ", clock=scene.clock)
    assert scene.apply().exit_code == 4
    assert abandon(scene.journal, "looked at every VM, Kim", clock=scene.clock)
    assert not abandon(scene.journal, "again", clock=scene.clock)
    scene.clock.sleep(60)
    assert scene.apply().exit_code == 0


def halfway(scene: Scene) -> None:
    """A run whose process has died with two migrations under way."""

    def die(event: Any) -> None:
        if event.kind == "sent" and event.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(scene.plan, scene.backend, scene.journal, clock=scene.clock, limits=LIMITS, on_event=die)


def test_an_interrupted_run_is_resumed_and_nothing_else_is_applied_before(scene: Scene) -> None:
    halfway(scene)
    now = status(scene.journal)
    assert now is not None
    assert now.interrupted
    assert [s.vm for s in now.in_flight] == ["a", "c"]
    refused = scene.apply()
    assert refused.exit_code == 4
    assert "pro resume" in refused.reasons[0]
    assert scene.resume().exit_code == 0
    assert scene.stands() == final(scene.plan, scene.seen)
    again = scene.resume()
    assert (again.state, again.exit_code, again.moved) == ("nothing to do", 0, 0)
    assert "nothing to resume: run 1 ended" in again.reasons[0]


def test_a_resumed_run_ends_what_is_under_way_and_starts_nothing_if_the_world_has_changed(scene: Scene) -> None:
    halfway(scene)
    with scene.backend.edit() as simulation:
        simulation.hosts["h3"].accepting = False
        simulation.changed = True
    result = scene.resume()
    assert (result.state, result.moved) == ("partial", 2)
    assert [s.state for s in result.steps] == [StepState.DONE, StepState.DONE, StepState.SKIPPED]
    assert "h3" in result.reasons[0]


def test_resume_goes_to_the_same_estate_only(scene: Scene, tmp_path: Path) -> None:
    halfway(scene)
    other = open_backend(f"simulated:{tmp_path / 'other.json'}", world=scene.seen, clock=scene.clock)
    result = resume(other, scene.journal, clock=scene.clock, limits=LIMITS)
    assert result.exit_code == 4
    assert "other.json" in result.reasons[0]


def test_a_stop_lets_end_what_is_under_way_and_resume_goes_on(scene: Scene) -> None:
    def stop(event: Any) -> None:
        if event.kind == "sent" and event.step == 0:
            request_stop(scene.journal, clock=scene.clock)

    result = apply(scene.plan, scene.backend, scene.journal, clock=scene.clock, limits=LIMITS, on_event=stop)
    assert (result.state, result.exit_code, result.moved) == ("stopped", 5, 1)
    assert [s.attempt for s in result.steps] == [1, 0, 0]
    resumed = scene.resume()
    assert (resumed.state, resumed.exit_code) == ("done", 0)


def test_a_kill_switch_thrown_on_the_way_stops_and_holds_resume_back(scene: Scene, tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "STOP")

    def throw(event: Any) -> None:
        if event.kind == "sent" and event.step == 0:
            switch.path.write_text("fire drill\n", encoding="utf-8")

    result = apply(
        scene.plan, scene.backend, scene.journal, clock=scene.clock, limits=LIMITS, on_event=throw, gates=(switch,)
    )
    assert (result.state, result.exit_code, result.moved) == ("stopped", 5, 1)
    assert result.reasons == (f"the kill switch {switch.path} is thrown: fire drill",)
    held = resume(scene.backend, scene.journal, clock=scene.clock, limits=LIMITS, halt=switch.thrown)
    assert (held.state, held.exit_code, held.reasons) == ("refused", 4, result.reasons)
    switch.path.unlink()
    resumed = resume(scene.backend, scene.journal, clock=scene.clock, limits=LIMITS, halt=switch.thrown)
    assert (resumed.state, resumed.exit_code) == ("done", 0)
    assert scene.stands() == final(scene.plan, scene.seen)


def test_stop_and_status_say_when_there_is_nothing(tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "journal.sqlite"
    assert status(nowhere) is None
    assert request_stop(nowhere, clock=SystemClock()) is None
    assert not nowhere.parent.exists()


def test_a_stop_from_another_thread_is_heard_within_a_second(tmp_path: Path) -> None:
    clock, journal = SystemClock(), tmp_path / "journal.sqlite"
    seen = world({f"v{i}": "h0" for i in range(6)})
    what = plan(seen, *[[(f"v{i}", "h0", "h1")] for i in range(6)])
    backend = open_backend(f"simulated:{tmp_path / 's.json'}?speed=3", world=seen, clock=clock)
    calls: list[float] = []
    asked: list[float] = []

    def note(event: Any) -> None:
        if event.kind == "intent":
            calls.append(time.monotonic())

    def stop() -> None:
        while not calls:
            time.sleep(0.01)
        request_stop(journal, clock=clock)
        asked.append(time.monotonic())

    thread = threading.Thread(target=stop)
    thread.start()
    result = apply(what, backend, journal, clock=clock, limits=Limits(poll_s=0.1), on_event=note)
    thread.join()
    assert result.state == "stopped"
    assert result.steps[-1].state == StepState.PENDING
    assert all(call < asked[0] + 1.0 for call in calls)


def test_one_apply_at_a_time_and_the_message_says_who(scene: Scene) -> None:
    with WriterLock(scene.journal, "apply of plan other", START):
        result = scene.apply()
    assert result.exit_code == 4
    assert "apply of plan other, held by process" in result.reasons[0]
    assert scene.apply().exit_code == 0


def test_a_backend_that_stops_answering_leaves_the_run_for_resume(scene: Scene) -> None:
    class Deaf:
        """Answers until told otherwise."""

        url = scene.backend.url
        deaf = False

        def __getattr__(self, name: str) -> Any:
            if self.deaf:
                raise BackendError("nobody is there")
            return getattr(scene.backend, name)

    backend = Deaf()

    def go_deaf(event: Any) -> None:
        backend.deaf = event.kind == "sent" or backend.deaf

    limits = replace(LIMITS, unreachable_s=30.0)
    result = apply(scene.plan, backend, scene.journal, clock=scene.clock, limits=limits, on_event=go_deaf)  # type: ignore[arg-type]
    assert result.exit_code == 5
    assert "pro resume" in result.reasons[-1]
    assert scene.resume().exit_code == 0


def test_a_backend_that_is_silent_about_one_vm_does_not_hold_up_the_others(scene: Scene) -> None:
    class Silent:
        """Never says anything about tickets of VM a."""

        url, settle_s = scene.backend.url, scene.backend.settle_s

        def __getattr__(self, name: str) -> Any:
            return getattr(scene.backend, name)

        def status(self, ticket: str) -> Any:
            known = scene.backend.status(ticket)
            if known.vm == "a":
                raise BackendError("500")
            return known

    result = apply(scene.plan, Silent(), scene.journal, clock=scene.clock, limits=LIMITS)  # type: ignore[arg-type]
    assert [s.state for s in result.steps] == [StepState.IN_DOUBT, StepState.DONE, StepState.PENDING]
    assert scene.resume().exit_code == 0


def test_a_call_that_hangs_is_given_up_and_remembered() -> None:
    class Hung:
        url = "hung:"
        hold = threading.Event()

        def migrate(self, *_: str) -> Any:
            self.hold.wait(10)

        def inventory(self) -> Any:
            raise ConnectionResetError("reset")

    inner = Hung()
    guard = Guard(inner, timeout_s=0.05)  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="no answer"):
        guard.migrate("a", "x", "y", "live")
    assert guard.hanging("a")
    assert not guard.hanging("b")
    with pytest.raises(BackendError, match="reset"):
        guard.inventory()
    inner.hold.set()
    guard._hanging["a"].join(5)
    assert not guard.hanging("a")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_ids_are_moved_like_any_other(tmp_path: Path, name: str) -> None:
    scene = Scene(tmp_path, stands={**STANDS, name: "h0"})
    what = plan(scene.seen, [(name, "h0", "h2")])
    assert scene.apply(what).exit_code == 0
    assert scene.stands() == {**STANDS, name: "h2"}
    assert Journal(scene.journal).verify() == []
    assert loads(Journal(scene.journal).runs()[0].plan).id == loads(dumps(what)).id


@given(st.integers(0, 10**6), st.data())
def test_wherever_the_vms_of_a_plan_stand_on_its_way_only_the_rest_is_left(seed: int, data: st.DataObject) -> None:
    seen, what = random_case(seed)
    reached = data.draw(st.integers(0, len(what.migrations)))
    stands = {v.vm: v.hosts[0] for v in seen.vms.values()}
    for m in what.migrations[:reached]:
        stands[m.vm] = m.destination
    now = World("", seen.hosts, {vm: replace(v, hosts=(stands[vm],)) for vm, v in seen.vms.items()})
    assert done_already(what, now) == [i < reached for i in range(len(what.migrations))]


def test_a_round_trip_in_a_plan_is_finished_only_when_all_is() -> None:
    seen = world({"a": "h0", "b": "h1"})
    what = plan(seen, [("a", "h0", "h2")], [("b", "h1", "h3")], [("a", "h2", "h0")])
    assert done_already(what, seen) == [False, False, False]
    ended = world({"a": "h0", "b": "h3"})
    assert done_already(what, ended) == [True, True, True]


def test_wall_clock_jumps_do_not_matter(tmp_path: Path) -> None:
    class Jumpy(ManualClock):
        jump = timedelta()

        def now(self) -> datetime:
            return super().now() + self.jump

    scene = Scene(tmp_path)
    clock = Jumpy(START)

    def leap(event: Any) -> None:
        clock.jump = {"sent": timedelta(minutes=5 * -1), "done": timedelta(minutes=5 * 1)}.get(event.kind, clock.jump)

    steady = SimulatedBackend(scene.backend._store, clock, scene.backend.url)
    result = apply(scene.plan, steady, scene.journal, clock=clock, limits=replace(LIMITS, grace_s=900.0), on_event=leap)
    assert result.exit_code == 0
    assert scene.stands() == final(scene.plan, scene.seen)
