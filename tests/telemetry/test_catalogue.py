"""The catalogue: what a counter means, in every language it knows."""

from __future__ import annotations

import pytest

from pro.core.units import COUNTERS
from pro.telemetry.readers.catalogue import COUNTERS as COUNTER_NAMES
from pro.telemetry.readers.catalogue import GROUP_ORDER, OBJECTS, RULES, Meaning, find, is_hypervisor

ADAPTER = "3AA8D474-2365-4041-A7CB-2A78287D6FE0--98F1DBEE-505C-4086-B80E-87A27FAECBD4"


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (("Processor", "% Processor Time", "_Total"), Meaning("cpu_pct", 1.0, None, "")),
        (("Processor Information", "% Processor Time", "0,_Total"), None),
        (("Processor Information", "% Processor Time", "0,3"), Meaning("cpu_pct", 1.0, None, "core:0,3")),
        (("memory", "available  KBYTES", ""), Meaning("memory_available_mib", 1 / 1024, None, "")),
        (("Logical Disk", "Disk Bytes/sec", "_total"), Meaning("disk_bps", 1.0, None, "")),
        (("Network Interface", "Bytes Total/sec", "Intel[R] X"), Meaning("net_bps", 1.0, None, "nic:intel[r] x")),
        (
            ("Hyper-V Hypervisor Logical Processor", "% Total Run Time", "Hv LP 11"),
            Meaning("host_cpu_pct", 1.0, None, "lp:11"),
        ),
        (
            ("Hyper-V Hypervisor Virtual Processor", "% Guest Run Time", "a:b:Hv VP 2"),
            Meaning("cpu_pct", 1.0, "a:b", "vp:2"),
        ),
        (
            ("Hyper-V Dynamic Memory VM", "Physical Memory", "web (1)"),
            Meaning("memory_assigned_mib", 1.0, "web (1)", ""),
        ),
        (
            ("Hyper-V Virtual Network Adapter", "Bytes/sec", f"my_vm_Adaptador de Rede_{ADAPTER}"),
            Meaning("net_bps", 1.0, "my_vm", f"vnic:adaptador de rede_{ADAPTER.lower()}"),
        ),
        (("Hyper-V Virtual Network Adapter", "Bytes/sec", "Default Switch_312FF9C7-1F07-4EBA-81FE-F5B4F445B810"), None),
        (
            ("Procesador lógico del hipervisor Hyper-V", "% de tiempo de ejecución total", "_Total"),
            Meaning("host_cpu_pct", 1.0, None, ""),
        ),
        (("Disque physique", "Octets disque/s", "_Total"), Meaning("disk_bps", 1.0, None, "")),
        (("Print Queue", "Jobs", ""), None),
        (("Processor", "Available MBytes", ""), None),
    ],
)
def test_counters_mean_what_they_mean(path, want):
    assert find(*path) == want


def test_every_rule_leads_to_a_known_counter_and_a_known_group():
    assert {rule.name for rule in RULES} == set(COUNTERS)
    assert {rule.group for rule in RULES} <= set(GROUP_ORDER)
    assert all(rule.group for rule in RULES if "(?P<part>" in rule.instance)


def test_no_alias_has_two_meanings():
    for table in (OBJECTS, COUNTER_NAMES):
        aliases = [alias.casefold() for others in table.values() for alias in others]
        assert len(aliases) == len(set(aliases))


def test_only_hosts_have_hypervisor_objects():
    assert is_hypervisor("Hyper-V Virtual Switch")
    assert is_hypervisor("Procesador lógico del hipervisor Hyper-V")
    assert not is_hypervisor("Hyper-V VM IO APIC integration")
    assert not is_hypervisor("Processor")
