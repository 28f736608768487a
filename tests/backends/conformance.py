"""What every backend must do. A backend's own tests derive a class from `BackendSuite` and say how to make an estate.

class TestMine(BackendSuite):
    def estate(self, tmp_path):
        return Estate(backend=..., clock=..., vm="...", source="...", destination="...", third="...", lasts_s=5.0)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pro.backends.base import Backend, MigrationRefused, TicketState

if TYPE_CHECKING:
    from pathlib import Path

    from pro.core.clock import Clock


@dataclass
class Estate:
    """A backend with a VM on `source` that may go to `destination` or `third`, which takes about `lasts_s` by `clock`."""

    backend: Backend
    clock: Clock
    vm: str
    source: str
    destination: str
    third: str
    lasts_s: float


class BackendSuite:
    """The promises of `pro.backends.base.Backend`."""

    def estate(self, tmp_path: Path) -> Estate:
        raise NotImplementedError

    @pytest.fixture
    def e(self, tmp_path: Path) -> Estate:
        return self.estate(tmp_path)

    def test_an_unknown_vm_is_refused(self, e: Estate) -> None:
        with pytest.raises(MigrationRefused):
            e.backend.migrate("no such vm", e.source, e.destination, "live")

    def test_an_unknown_destination_is_refused(self, e: Estate) -> None:
        with pytest.raises(MigrationRefused):
            e.backend.migrate(e.vm, e.source, "no such host", "live")

    def test_a_wrong_source_is_refused_and_nothing_starts(self, e: Estate) -> None:
        with pytest.raises(MigrationRefused):
            e.backend.migrate(e.vm, e.third, e.destination, "live")
        assert e.backend.running(e.vm) is None

    def test_a_started_migration_is_running_and_the_vm_is_seen_on_its_source_only(self, e: Estate) -> None:
        ticket = e.backend.migrate(e.vm, e.source, e.destination, "live")
        assert ticket.state == TicketState.RUNNING
        assert e.backend.running(e.vm) == e.backend.status(ticket.id)
        assert e.backend.inventory().vms[e.vm].hosts == (e.source,)

    def test_asking_again_while_it_runs_is_harmless(self, e: Estate) -> None:
        first = e.backend.migrate(e.vm, e.source, e.destination, "live")
        assert e.backend.migrate(e.vm, e.source, e.destination, "live").id == first.id

    def test_asking_for_another_destination_while_it_runs_is_refused(self, e: Estate) -> None:
        e.backend.migrate(e.vm, e.source, e.destination, "live")
        with pytest.raises(MigrationRefused):
            e.backend.migrate(e.vm, e.source, e.third, "live")

    def test_the_inventory_shows_a_finished_migration(self, e: Estate) -> None:
        ticket = e.backend.migrate(e.vm, e.source, e.destination, "live")
        e.clock.sleep(2.0 * e.lasts_s)
        assert e.backend.inventory().vms[e.vm].hosts == (e.destination,)
        ended = e.backend.status(ticket.id)
        assert ended.state == TicketState.DONE
        assert ended.progress == 1.0
        assert ended.seconds > 0
        assert e.backend.running(e.vm) is None

    def test_asking_again_after_it_has_arrived_is_harmless(self, e: Estate) -> None:
        e.backend.migrate(e.vm, e.source, e.destination, "live")
        e.clock.sleep(2.0 * e.lasts_s)
        again = e.backend.migrate(e.vm, e.source, e.destination, "live")
        assert again.state == TicketState.DONE
        assert e.backend.status(again.id).state == TicketState.DONE
        assert e.backend.running(e.vm) is None

    def test_the_status_only_goes_forward(self, e: Estate) -> None:
        ticket = e.backend.migrate(e.vm, e.source, e.destination, "live")
        seen = []
        for _ in range(20):
            seen.append(e.backend.status(ticket.id))
            e.clock.sleep(e.lasts_s / 10.0)
        progress = [t.progress for t in seen]
        states = [t.state for t in seen]
        assert progress == sorted(progress)
        assert states == sorted(states, key=[TicketState.RUNNING, TicketState.DONE].index)
        assert set(states) == {TicketState.RUNNING, TicketState.DONE}

    def test_a_cancelled_migration_leaves_the_vm_on_its_source(self, e: Estate) -> None:
        ticket = e.backend.migrate(e.vm, e.source, e.destination, "live")
        assert e.backend.cancel(ticket.id).state == TicketState.CANCELLED
        e.clock.sleep(2.0 * e.lasts_s)
        assert e.backend.inventory().vms[e.vm].hosts == (e.source,)
        assert e.backend.running(e.vm) is None

    def test_cancelling_what_is_over_changes_nothing(self, e: Estate) -> None:
        ticket = e.backend.migrate(e.vm, e.source, e.destination, "live")
        e.clock.sleep(2.0 * e.lasts_s)
        assert e.backend.cancel(ticket.id).state == TicketState.DONE
        assert e.backend.inventory().vms[e.vm].hosts == (e.destination,)

    def test_a_ticket_nobody_knows_is_unknown(self, e: Estate) -> None:
        assert e.backend.status("no such ticket").state == TicketState.UNKNOWN
        assert e.backend.cancel("no such ticket").state == TicketState.UNKNOWN
