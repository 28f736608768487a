"""From end to end: what was learned before a step is named, goes unused, and is learned anew by a watch."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pro.fleet.inventory import import_inventory
from pro.telemetry.store import Store
from tests.forecast.pasts import DAY, START, STEP_S, rhythmic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro

VMS, DAYS, AFTER = 12, 7, 2


@pytest.fixture(scope="module", params=[1.6, 1.0])
def shelf(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[float, Path]:
    """Two hosts, twelve VMs with office hours, nine days; in the last two everybody asks for so many times as much."""
    folder = tmp_path_factory.mktemp("step")
    values = rhythmic(VMS, DAYS + AFTER, 3)
    values[:, DAYS * DAY :] = np.clip(values[:, DAYS * DAY :] * request.param, 0, 100)
    with (folder / "counters.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["DateTime", "Path", "ObjectName", "CounterName", "InstanceName", "SampleValue"])
        for k in range(values.shape[1] * 6):
            at = START + timedelta(seconds=300 * (k + 1))
            for v in range(VMS):
                out.writerow([f"{at:%Y-%m-%d %H:%M:%S}", f"vm{v:02d}", "Processor", "% Processor Time", "_Total", f"{values[v, k // 6]:.3f}"])  # fmt: skip
    hosts = ["host,cores,core_mhz,memory_mib", *(f"h{h},16,2000,65536" for h in range(2))]
    vms = ["vm,vcpus,memory_mib,host", *(f"vm{v:02d},2,1024,h{v % 2}" for v in range(VMS))]
    (folder / "hosts.csv").write_text("\n".join(hosts), "utf-8")
    (folder / "vms.csv").write_text("\n".join(vms), "utf-8")
    Store(folder / "store").ingest([folder / "counters.csv"])
    import_inventory(folder / "store", [folder / "hosts.csv", folder / "vms.csv"], START)
    return request.param, folder / "store"


def test_what_was_learned_before_a_step_is_told_not_used_and_learned_anew(
    pro: Pro, shelf: tuple[float, Path], home: Path
) -> None:
    factor, store = shelf
    at = START + timedelta(seconds=STEP_S * DAYS * DAY)
    learned = pro("train", "--store", store, "--now", at.isoformat(), "--json").json("models/1")
    assert learned["forecast"]
    assert "true no more" not in pro("doctor", "--store", store, "--now", at.isoformat()).out
    doctor = pro("doctor", "--store", store, "--json").json("doctor/1")
    told = [w for w in doctor["warnings"] if "true no more" in w]
    assert bool(told) == (factor != 1.0)
    assert all("cpu_pct" in w and "pro train" in w for w in told)
    watched = pro("watch", "--once", "--json", "--backend", "simulated:sim.json", "--store", store)
    watched.json("watch/1")
    until = json.loads((store / "models" / "models.json").read_text("utf-8"))["until"]
    assert (until > learned["until"]) == (factor != 1.0)
    assert "true no more" not in pro("doctor", "--store", store).out
