"""Each platform's law of migration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pro.core.errors import InputError
from pro.fleet import Groups
from pro.planning.estimates import Estimates
from pro.planning.physics import Dirtying
from pro.planning.profiles import PROFILES, Profile, of_hosts, profile, refusal
from tests.builders import demand_of, fleet

R2, NEW = PROFILES["hyperv-2008r2"], PROFILES["hyperv-2012+"]


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (("Hyper-V 2008 R2", "Hyper-V 2008 R2"), "hyperv-2008r2"),
        (("HYPERV server 2008R2 SP1", "Hyper-V 2019"), "hyperv-2008r2"),
        (("Hyper-V 2012 R2", "Hyper-V 2022"), "hyperv-2012+"),
        (("", "something else"), "hyperv-2012+"),
    ],
)
def test_one_old_host_binds_all_hosts_involved(texts: tuple[str, str], name: str) -> None:
    f = fleet("h1: a | h2:")
    f = replace(f, host_groups={**f.host_groups, "hypervisor": Groups(np.array([0, 1]), texts)})
    assert of_hosts(f, [0, 1]).name == name


def test_hosts_of_no_known_hypervisor_follow_the_newer_law() -> None:
    f = fleet("h1: a | h2:")
    assert of_hosts(replace(f, host_groups={}), [0, 1]) is NEW
    assert of_hosts(replace(f, host_groups={"hypervisor": Groups(np.array([-1, -1]), ())}), [0, 1]) is NEW


def test_a_profile_is_found_by_name() -> None:
    assert profile("hyperv-2008r2") is R2
    with pytest.raises(InputError, match="unknown migration profile"):
        profile("xen")
    with pytest.raises(ValueError, match="positive"):
        Profile("none", per_host=0, same_cluster=True, same_cpu_vendor=True)


def test_live_migration_stays_within_cluster_and_cpu_maker() -> None:
    f = fleet("h1: a | h2: | h3:", clusters={"h1": "c", "h2": "c", "h3": "d"}, vendors={"h1": "Intel", "h2": "AMD"})
    assert "makers" in refusal(R2, f, 0, 1)
    assert "clusters" in refusal(R2, f, 0, 2)
    assert refusal(R2, f, 0, 0) == ""
    assert refusal(replace(R2, same_cluster=False, same_cpu_vendor=False), f, 0, 2) == ""
    assert "no migration network" in refusal(NEW, fleet("h1: a | h2:", mbps={"h2": 0}), 0, 1)


def test_large_vms_of_2008_r2_and_hasty_ones_need_quick_migration_and_consent() -> None:
    f = fleet("h1: big hasty calm | h2:", vm_memory={"big": 100_000, "hasty": 32_768, "calm": 8_192}, memory=262_144)
    hasty = {"hasty": Dirtying(500, 32_768)}
    asked, agreed = (Estimates(f, None, R2, hasty, consent_quick=c) for c in (False, True))
    big, calm, quick = f.vm_index("big"), f.vm_index("calm"), f.vm_index("hasty")
    assert asked.kind(calm, 0, 1) == ("live", "")
    assert "at most 65,536 MiB" in asked.kind(big, 0, 1)[1]
    assert "was not consented to" in asked.kind(big, 0, 1)[1]
    assert "writes memory too fast" in asked.kind(quick, 0, 1)[1]
    assert agreed.kind(big, 0, 1) == agreed.kind(quick, 0, 1) == ("quick", "")
    single = Estimates(replace(f, highly_available=np.zeros(3, np.bool_)), None, R2, hasty, consent_quick=True)
    assert "needs a highly available VM" in single.kind(big, 0, 1)[1]
    lost = Estimates(replace(f, movable=np.zeros(3, np.bool_)), None, R2, hasty, consent_quick=True)
    assert lost.kind(calm, 0, 1) == ("", "this VM cannot be migrated")
    unsized = Estimates(replace(f, memory_mib=np.zeros(3, np.int64)), None, R2, {}, consent_quick=True)
    assert unsized.kind(calm, 0, 1) == ("", "its memory size is not known")


def test_a_busy_vm_takes_longer_than_an_idle_one_and_a_measured_one_what_was_measured() -> None:
    f = fleet("h1: busy idle | h2:", vm_memory=8192, memory=65_536)
    demand = demand_of(f, {"busy": [2000, 2000], "idle": [0, 0]})
    priced = Estimates(f, demand, NEW, {})
    busy, idle = f.vm_index("busy"), f.vm_index("idle")
    assert priced.transfer("live", busy, 0, 1).seconds > 1.5 * priced.transfer("live", idle, 0, 1).seconds
    measured = Estimates(f, demand, NEW, {"busy": Dirtying(), "idle": Dirtying()})
    assert measured.transfer("live", busy, 0, 1) == priced.transfer("live", idle, 0, 1)


def test_a_shared_link_is_divided_at_the_end_that_is_shared_most() -> None:
    f = fleet("h1: a | h2:", vm_memory=9000, mbps={"h1": 10_000, "h2": 1_000}, memory=65_536)
    priced = Estimates(f, None, NEW, {"a": Dirtying(0, 0)})
    alone = priced.transfer("live", 0, 0, 1).seconds
    assert alone == pytest.approx(81.2)
    assert priced.transfer("live", 0, 0, 1, sharers=(5, 1)).seconds == alone
    assert priced.transfer("live", 0, 0, 1, sharers=(1, 2)).seconds == pytest.approx(2 * 81 + 0.2)
