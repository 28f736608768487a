"""Which performance counters PRO uses, under which names they come, and what they are called inside.

Pure data and two look-ups. `find(object, counter, instance)` answers what one column or row of a counter file means:
a `Meaning`, or None when PRO has no use for it. Names are compared without regard to case or surplus blanks, in English
and in the display languages of `OBJECTS` and `COUNTERS`: Windows writes PerfMon logs in the language of the machine.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MIB = 1024.0 * 1024.0
_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


@dataclass(frozen=True)
class Rule:
    """One line of the catalogue.

    Attributes
    ----------
    object, counter
        English names, as Windows and the SCOM management packs write them.
    name
        Canonical counter (`pro.core.units.COUNTERS`).
    instance
        Regular expression the whole instance name must match. Its group `vm` names a VM that the computer hosts; its
        group `part` names one adapter, disk or processor. Neither: the value speaks for the computer as a whole.
    factor
        Multiplies the value into the canonical unit.
    group
        Which family of parts it belongs to. Families count the same traffic at another layer and are never added to
        one another: see `GROUP_ORDER`.
    """

    object: str
    counter: str
    name: str
    instance: str = r"|_Total"
    factor: float = 1.0
    group: str = ""


@dataclass(frozen=True)
class Meaning:
    """What a counter of one computer is: canonical counter, the VM it is about (None: the computer itself), and its part."""

    name: str
    factor: float
    vm: str | None
    part: str


GROUP_ORDER = ("", "nic", "adapter", "logical", "physical", "core", "lp", "vp", "vnic", "vdev", "vpt")
"""Where several families of parts are known at one instant, the first one here speaks; within it parts are added
(bytes) or averaged (per cent)."""

_PART = r"(?P<part>(?!_Total$).+)"
_VP = r"(?P<vm>.+?):\s*Hv VP (?P<part>\d+)"
_VNIC = rf"(?P<vm>.+)_(?P<part>[^_]+_{_GUID}--{_GUID})"

RULES: tuple[Rule, ...] = (
    # processors: inside a guest these are its own; on a Hyper-V host they are the root partition's
    Rule("Processor", "% Processor Time", "cpu_pct"),
    Rule("Processor", "% Processor Time", "cpu_pct", r"(?P<part>\d+)", group="core"),
    Rule("Processor Information", "% Processor Time", "cpu_pct"),
    Rule("Processor Information", "% Processor Time", "cpu_pct", r"(?P<part>\d+,\d+)", group="core"),
    # the whole machine, as its hypervisor sees it
    Rule("Hyper-V Hypervisor Logical Processor", "% Total Run Time", "host_cpu_pct"),
    Rule(
        "Hyper-V Hypervisor Logical Processor", "% Total Run Time", "host_cpu_pct", r"Hv LP (?P<part>\d+)", group="lp"
    ),
    # VMs, counted on their host
    Rule("Hyper-V Hypervisor Virtual Processor", "% Guest Run Time", "cpu_pct", _VP, group="vp"),
    Rule("Hyper-V Hypervisor Virtual Processor", "% Total Run Time", "cpu_pct", _VP, group="vpt"),
    Rule("Hyper-V Dynamic Memory VM", "Physical Memory", "memory_assigned_mib", r"(?P<vm>(?!_Total$).+)"),
    Rule("Hyper-V Virtual Network Adapter", "Bytes/sec", "net_bps", _VNIC, group="vnic"),
    # memory
    Rule("Memory", "Available MBytes", "memory_available_mib"),
    Rule("Memory", "Available KBytes", "memory_available_mib", factor=1.0 / 1024.0),
    Rule("Memory", "Available Bytes", "memory_available_mib", factor=1.0 / MIB),
    # disks
    Rule("LogicalDisk", "Disk Bytes/sec", "disk_bps", r"_Total"),
    Rule("LogicalDisk", "Disk Bytes/sec", "disk_bps", _PART, group="logical"),
    Rule("PhysicalDisk", "Disk Bytes/sec", "disk_bps", r"_Total"),
    Rule("PhysicalDisk", "Disk Bytes/sec", "disk_bps", _PART, group="physical"),
    # network; Windows keeps no total here
    Rule("Network Interface", "Bytes Total/sec", "net_bps", r"_Total"),
    Rule("Network Interface", "Bytes Total/sec", "net_bps", _PART, group="nic"),
    Rule("Network Adapter", "Bytes Total/sec", "net_bps", r"_Total"),
    Rule("Network Adapter", "Bytes Total/sec", "net_bps", _PART, group="adapter"),
)

OBJECTS: dict[str, tuple[str, ...]] = {
    "Processor": ("Prozessor", "Processeur", "Procesador", "Процессор", "プロセッサ", "处理器", "處理器", "Processore"),
    "Processor Information": (
        "Prozessorinformationen",
        "Informations sur le processeur",
        "Información del procesador",
        "Сведения о процессоре",
        "プロセッサ情報",
        "处理器信息",
        "處理器資訊",
    ),
    "Memory": ("Arbeitsspeicher", "Speicher", "Mémoire", "Memoria", "Память", "メモリ", "内存", "記憶體"),
    "LogicalDisk": (
        "Logical Disk",
        "Logischer Datenträger",
        "Disque logique",
        "Disco lógico",
        "Логический диск",
        "論理ディスク",
        "逻辑磁盘",
        "邏輯磁碟",
    ),
    "PhysicalDisk": (
        "Physical Disk",
        "Physikalischer Datenträger",
        "Physischer Datenträger",
        "Disque physique",
        "Disco físico",
        "Физический диск",
        "物理ディスク",
        "物理磁盘",
        "實體磁碟",
    ),
    "Network Interface": (
        "Netzwerkschnittstelle",
        "Interface réseau",
        "Interfaz de red",
        "Сетевой интерфейс",
        "ネットワーク インターフェイス",
        "网络接口",
        "網路介面",
    ),
    "Network Adapter": (
        "Netzwerkadapter",
        "Carte réseau",
        "Adaptador de red",
        "Сетевой адаптер",
        "ネットワーク アダプター",
        "网络适配器",
        "網路介面卡",
    ),
    "Hyper-V Hypervisor Logical Processor": (
        "Logischer Prozessor für Hyper-V-Hypervisor",
        "Logischer Hyper-V-Hypervisor-Prozessor",
        "Processeur logique de l'hyperviseur Hyper-V",
        "Procesador lógico del hipervisor Hyper-V",
        "Логический процессор низкоуровневой оболочки Hyper-V",
        "Логический процессор гипервизора Hyper-V",
        "Hyper-V ハイパーバイザー論理プロセッサ",
        "Hyper-V 虚拟机监控程序逻辑处理器",
    ),
    "Hyper-V Hypervisor Virtual Processor": (
        "Virtueller Prozessor für Hyper-V-Hypervisor",
        "Virtueller Hyper-V-Hypervisor-Prozessor",
        "Processeur virtuel de l'hyperviseur Hyper-V",
        "Procesador virtual del hipervisor Hyper-V",
        "Виртуальный процессор низкоуровневой оболочки Hyper-V",
        "Виртуальный процессор гипервизора Hyper-V",
        "Hyper-V ハイパーバイザー仮想プロセッサ",
        "Hyper-V 虚拟机监控程序虚拟处理器",
    ),
}
"""English object -> its names in German, French, Spanish, Russian, Japanese, Chinese (and Linux agents)."""

COUNTERS: dict[str, tuple[str, ...]] = {
    "% Processor Time": (
        "Prozessorzeit (%)",
        "% temps processeur",
        "% de tiempo de procesador",
        "% de tiempo del procesador",
        "% загруженности процессора",
        "プロセッサ時間 (%)",
        "% プロセッサ時間",
        "处理器时间百分比",
        "處理器時間百分比",
    ),
    "Available MBytes": (
        "Available MBytes Memory",
        "Verfügbare MB",
        "Mégaoctets disponibles",
        "Mbytes disponibles",
        "MB disponibles",
        "Доступно МБ",
        "利用可能なメガバイト数",
        "可用 MB",
        "可用 MB 数",
    ),
    "Available KBytes": (
        "Verfügbare KB",
        "Kilo-octets disponibles",
        "Kilooctets disponibles",
        "KBytes disponibles",
        "Доступно КБ",
        "利用可能なキロバイト数",
        "可用 KB",
    ),
    "Available Bytes": (
        "Verfügbare Bytes",
        "Octets disponibles",
        "Bytes disponibles",
        "Доступно байт",
        "利用可能なバイト数",
        "可用字节",
        "可用字节数",
    ),
    "Disk Bytes/sec": (
        "Bytes/s",
        "Octets disque/s",
        "Bytes de disco/s",
        "Обмен с диском (байт/с)",
        "Скорость обмена с диском (байт/с)",
        "Скорость обмена с диском (байт/сек)",
        "ディスク バイト数/秒",
        "磁盘字节数/秒",
    ),
    "Bytes Total/sec": (
        "Gesamtanzahl Bytes/s",
        "Gesamtzahl Bytes/s",
        "Total des octets/s",
        "Total octets/s",
        "Total de bytes/s",
        "Всего байт/с",
        "Всего байт/сек",
        "合計バイト数/秒",
        "字节总数/秒",
    ),
    "% Total Run Time": (
        "Gesamtlaufzeit (%)",
        "% Gesamtlaufzeit",
        "% durée d'exécution totale",
        "% de tiempo de ejecución total",
        "% общего времени выполнения",
        "% 合計実行時間",
        "总运行时间百分比",
    ),
    "% Guest Run Time": (
        "Gastlaufzeit (%)",
        "% Gastlaufzeit",
        "% durée d'exécution de l'invité",
        "% de tiempo de ejecución del invitado",
        "% времени выполнения гостевого кода",
        "% ゲスト実行時間",
        "来宾运行时间百分比",
    ),
    "Physical Memory": ("Physischer Speicher", "Mémoire physique", "Memoria física", "Физическая память", "物理メモリ"),
}
"""English counter -> its names in the same languages. A name counts only together with a known object."""


def key(name: str) -> str:
    """`name` as it is compared: width and accents in one form, no case, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _aliases(table: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {key(alias): key(english) for english, others in table.items() for alias in (english, *others)}


_OBJECT, _COUNTER = _aliases(OBJECTS), _aliases(COUNTERS)
_TOTALS = frozenset(map(key, ("_Total", "_Gesamt", "_total", "Gesamt", "Total")))
_RULES: dict[tuple[str, str], list[tuple[Rule, re.Pattern[str]]]] = {}
for _rule in RULES:
    _pattern = re.compile(_rule.instance, re.IGNORECASE | re.DOTALL)
    _RULES.setdefault((key(_rule.object), key(_rule.counter)), []).append((_rule, _pattern))


def find(object_name: str, counter: str, instance: str) -> Meaning | None:
    """What the counter is, or None when PRO does not use it (or cannot say whose it is)."""
    thing, what = key(object_name), key(counter)
    rules = _RULES.get((_OBJECT.get(thing, thing), _COUNTER.get(what, what)))
    if rules is None:
        return None
    instance = instance.strip()
    if key(instance) in _TOTALS:
        instance = "_Total"
    for rule, pattern in rules:
        match = pattern.fullmatch(instance)
        if match is None:
            continue
        groups = match.groupdict()
        part = groups.get("part")
        label = "" if part is None else f"{rule.group}:{key(part)}"
        return Meaning(rule.name, rule.factor, groups.get("vm"), label)
    return None


def is_hypervisor(object_name: str) -> bool:
    """Whether only a Hyper-V host has this object (the integration services of a guest aside)."""
    thing = key(object_name)
    return _OBJECT.get(thing, thing).startswith("hyper-v ") and "integration" not in thing


def known_names(object_name: str, counter: str) -> int:
    """How many of the two names the catalogue knows, in any language; readers use it to guess a code page."""
    return (key(object_name) in _OBJECT) + (key(counter) in _COUNTER)
