"""Writes docs/data-dictionary.md from the schemas in the code: `python docs/data_dictionary.py`. A test fails when it is stale."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pro.actions.looking import quantiles_schema
from pro.core.table import describe
from pro.core.units import COUNTERS, RESOURCES
from pro.fleet import RuleSpec
from pro.fleet.columns import HOST_COLUMNS, STATES, VM_COLUMNS, schema
from pro.fleet.rule_kinds import KINDS, SCOPES
from pro.heat import Hotspot
from pro.planning.plan import Blocked, Migration, Plan
from pro.replay.measure import Account
from pro.replay.policies import PolicySpec
from pro.replay.tables import probabilities_schema, trajectory_schema, use_schema
from pro.telemetry import samples_schema
from pro.telemetry.ingest import quarantine_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TARGET = Path(__file__).with_name("data-dictionary.md")


def _with(field: str) -> str:
    """Kinds of rule that use a field."""
    return ", ".join(name for name, kind in KINDS.items() if field in kind.uses)


RULE_FIELDS = (
    ("rule", "text", "what people call the rule; without it, the kind and the number of the entry"),
    ("kind", "text", ", ".join(KINDS)),
    ("members", "list of VMs", "ids, names or DNS names; a limit without members is about all VMs"),
    ("hosts", "list of hosts", f"{_with('hosts')}; a pin without hosts keeps its members where they are"),
    ("scope", "text", f"{_with('scope')}: {', '.join(SCOPES)}; host unless given"),
    ("least", "count", "spread over at least so many scope items; 0: no two members in one"),
    ("most", "count", "limit: members in one scope item; licence: cores of the hosts that hold any"),
    ("soft", "truth", "a preference, not a rule; false unless given, but for prefer"),
    ("worth", "number", "how many migrations at most one unit of a soft rule is worth; 1 unless given"),
    ("owner", "text", "whom to ask about the rule"),
    ("origin", "text", "which file and entry it came from; filled in by the import"),
)


def render() -> str:
    """The whole document."""
    parts = [
        "# Data dictionary",
        "Made from the code by `python docs/data_dictionary.py`; do not edit. Every Parquet column carries its unit and meaning "
        "in the file itself, as the field metadata `unit` and `doc`. A value that is not known is absent or null, never 0.",
        _section(
            "Resources",
            "What hosts have and VMs use; integers everywhere past the inventory.",
            RESOURCES_HEAD,
            _resources(),
        ),
        _section(
            "Counters",
            "Canonical names of performance counters. `x_max` beside any counter `x` is the largest value inside an aggregated "
            "interval. Values outside the range go to quarantine. One sample stands for what follows it, for the carry time at most.",
            ("counter", "unit", "range", "carry", "meaning"),
            [(c.name, c.unit, f"{c.low:g} to {c.high:g}", f"{c.carry_s} s", c.doc) for c in COUNTERS.values()],
        ),
        _table_section("Samples", "`STORE/samples/date=YYYY-MM-DD/samples.parquet`", samples_schema()),
        _table_section("Quarantine", "`STORE/quarantine/*.parquet`: what could not be read.", quarantine_schema()),
        _table_section(
            "Hosts",
            "`hosts.csv` on the way in, `STORE/inventory/<UTC stamp>/hosts.parquet` in the store. Required columns: "
            f"{_required(HOST_COLUMNS)}. Columns not listed are kept as text attributes.",
            schema(HOST_COLUMNS),
        ),
        _states(),
        _table_section(
            "VMs",
            "`vms.csv` on the way in, `STORE/inventory/<UTC stamp>/vms.parquet` in the store. Required columns: "
            f"{_required(VM_COLUMNS)}. Columns not listed are kept as text attributes.",
            schema(VM_COLUMNS),
        ),
        _rules(),
        _section(
            "Kinds of rule",
            "What may be said beside members; what must be is in bold.",
            ("kind", "what it says", "beside members"),
            [
                (name, kind.doc, ", ".join(f"**{f}**" if f in kind.needs else f for f in kind.uses))
                for name, kind in KINDS.items()
            ],
        ),
        _table_section(
            "Trajectory", "`trajectory-POLICY.parquet` of `pro backtest -o`: where every VM stood.", trajectory_schema()
        ),
        _table_section(
            "Probabilities",
            "`probabilities-POLICY.parquet` of `pro backtest -o`: how likely every host was to run hot, at the first look of every hour; "
            "looks further apart than an hour leave hours out.",
            probabilities_schema(),
        ),
        _table_section("Use", "`use-POLICY.parquet` of `pro backtest -o`: how full every host was.", use_schema()),
        _table_section(
            "Forecast",
            "`pro forecast -o FILE.parquet`: quantiles of every series and slot; what is asked for is rounded up to whole slots.",
            quantiles_schema(),
        ),
        _record("Account", Account),
        _policies(),
        _record("Hotspot", Hotspot),
        _record("Plan", Plan),
        _record("Migration", Migration),
        _record("Blocked", Blocked),
    ]
    return "\n\n".join(parts) + "\n"


RESOURCES_HEAD = ("resource", "unit", "meaning")


def _resources() -> list[tuple[str, ...]]:
    return [(r.name, r.unit, r.doc) for r in RESOURCES.values()]


def _required(columns: Iterable[Any]) -> str:
    return ", ".join(f"`{c.name}`" for c in columns if c.required)


def _section(title: str, text: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return f"## {title}\n\n{text}\n\n" + "\n".join(lines)


def _table_section(title: str, text: str, table: Any) -> str:
    return _section(title, text, ("column", "type", "unit", "meaning"), describe(table))


def _states() -> str:
    spellings: dict[str, list[str]] = {}
    for spelling, state in STATES.items():
        spellings.setdefault(state, []).append(spelling or "(empty)")
    text = "Case does not matter; any other word is taken as restricted, with a warning."
    meaning = {
        "ok": "takes VMs",
        "restricted": "takes no more, keeps what it has",
        "maintenance": "takes none and must be emptied",
        "paused": "a cluster node that takes none and keeps what it has",
        "down": "takes none; what stands there cannot be moved live",
    }
    return _section(
        "Host states",
        text,
        ("state", "spellings", "meaning"),
        [(s, ", ".join(w), meaning[s]) for s, w in spellings.items()],
    )


def _rules() -> str:
    told = {"name" if key == "rule" else key for key, _, _ in RULE_FIELDS}
    if told != {f.name for f in fields(RuleSpec)}:
        raise ValueError("RULE_FIELDS does not fit RuleSpec")
    text = "`rules.json`: a list of objects, or an object whose `rules` is that list. See [rules](rules.md)."
    return _section("Rules", text, ("field", "type", "meaning"), RULE_FIELDS)


def _policies() -> str:
    text = "A file for `pro backtest --policy`, in TOML; without a name it is called as its file."
    rows = [
        (k, "" if f.is_required() else "unset" if f.default is None else str(f.default), f.description or "")
        for k, f in PolicySpec.model_fields.items()
    ]
    return _section("Policy", text, ("parameter", "default", "meaning"), rows)


def _record(title: str, kind: type) -> str:
    """A dataclass that is written as JSON."""
    text = " ".join((kind.__doc__ or "").split())
    return _section(title, text, ("field", "type"), [(f.name, f"`{f.type}`") for f in fields(kind)])


if __name__ == "__main__":
    TARGET.write_text(render(), "utf-8", newline="\n")
