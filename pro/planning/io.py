"""plan.json: schema "plan/1". What is written is read back equal; what was edited by hand is refused."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from pro.core.errors import InputError
from pro.planning.identity import content_id, contents
from pro.planning.plan import Blocked, Migration, Plan, Wave

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCHEMA = "plan/1"

_MAX_CHARS = 256 * 2**20
_KINDS = ("live", "quick")
_PLAIN_RULE = 5
"""Facts of a rule that says nothing of its own."""


def dumps(plan: Plan) -> str:
    """`plan` as JSON text, the same bytes for the same plan."""
    return json.dumps({"schema": SCHEMA, **contents(plan)}, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def loads(text: str) -> Plan:
    """The plan in `text`.

    Raises InputError, with the path to the field, if anything is missing, superfluous, of the wrong kind, not finite or
    contradictory, and if the content does not match the id: "the plan was edited".
    """
    if len(text) > _MAX_CHARS:
        raise InputError("plan file is too long", got=f"{len(text)} characters", expected=f"at most {_MAX_CHARS}")
    try:
        body = json.loads(text, object_pairs_hook=_unique, parse_constant=_not_finite)
    except RecursionError:
        raise InputError("plan file is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"plan file is not JSON: {error}") from error
    plan = _plan(_object(body, "plan", _PLAN, optional=("explain", "violations", "answers", "policy", "asked")))
    if content_id(plan) != plan.id:
        raise InputError("the plan was edited: its content does not match its id", where="plan.id")
    return plan


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise InputError("field given twice", got=next(n for n in names if names.count(n) > 1), where="plan")
    return found


def _not_finite(text: str) -> NoReturn:
    raise InputError("number is not finite", got=text, where="plan")


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise InputError("not text", got=value, where=path)
    return value


def _name(value: Any, path: str) -> str:
    if not _text(value, path):
        raise InputError("must not be empty", where=path)
    return str(value)


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise InputError("not true or false", got=value, where=path)
    return value


def _whole(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError("not a whole number of at least 0", got=value, where=path)
    return value


def _seconds(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError("not a finite number of at least 0", got=value, where=path)
    return value


def _kind(value: Any, path: str) -> str:
    if value not in _KINDS:
        raise InputError("unknown kind of migration", got=value, expected=" or ".join(_KINDS), where=path)
    return str(value)


def _schema(value: Any, path: str) -> str:
    if value != SCHEMA:
        raise InputError("this version reads no such schema", got=value, expected=SCHEMA, where=path)
    return SCHEMA


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError("not a list", got=type(value).__name__, where=path)
    return value


def _free(value: Any, path: str) -> Any:
    """Any JSON value, all numbers finite (1e999 reads as infinity)."""
    match value:
        case dict():
            return {k: _free(v, f"{path}.{k}") for k, v in value.items()}
        case list():
            return [_free(v, f"{path}[{i}]") for i, v in enumerate(value)]
        case float() if not math.isfinite(value):
            raise InputError("number is not finite", got=value, where=path)
    return value


def _free_object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("not an object", got=type(value).__name__, where=path)
    return dict(_free(value, path))


def _free_objects(value: Any, path: str) -> tuple[dict[str, Any], ...]:
    return tuple(_free_object(v, f"{path}[{i}]") for i, v in enumerate(_list(value, path)))


def _object(
    value: Any, path: str, fields: Mapping[str, Callable[[Any, str], Any]], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`value` with every field read by its reader; nothing missing, nothing unknown."""
    if not isinstance(value, dict):
        raise InputError("not an object", got=type(value).__name__, where=path)
    for name in value:
        if name not in fields:
            raise InputError("unknown field", got=name, where=path)
    for name in fields:
        if name not in value and name not in optional:
            raise InputError(f"field {name!r} is missing", where=path)
    return {name: read(value[name], f"{path}.{name}") for name, read in fields.items() if name in value}


def _migration(value: Any, path: str) -> Migration:
    step = Migration(**_object(value, path, _MIGRATION, optional=("stopover", "vm_name")))
    if step.source == step.destination:
        raise InputError("source and destination are the same host", got=step.source, where=path)
    return step


def _wave(value: Any, path: str) -> Wave:
    steps = _list(_object(value, path, {"migrations": _list})["migrations"], f"{path}.migrations")
    migrations = tuple(_migration(s, f"{path}.migrations[{i}]") for i, s in enumerate(steps))
    if not migrations:
        raise InputError("a wave without migrations", where=path)
    seen: set[str] = set()
    for i, m in enumerate(migrations):
        if m.vm in seen:
            raise InputError("a VM moves twice in one wave", got=m.vm, where=f"{path}.migrations[{i}].vm")
        seen.add(m.vm)
    return Wave(migrations)


def _waves(value: Any, path: str) -> tuple[Wave, ...]:
    return tuple(_wave(w, f"{path}[{i}]") for i, w in enumerate(_list(value, path)))


def _blocked(value: Any, path: str) -> tuple[Blocked, ...]:
    fields = {"vm": _name, "reason": _text}
    return tuple(Blocked(**_object(b, f"{path}[{i}]", fields)) for i, b in enumerate(_list(value, path)))


def _facts(value: Any, path: str) -> dict[str, Any]:
    found = _object(value, path, {"vms": _free_object, "hosts": _free_object, "rules": _free_object})
    for vm, fact in found["vms"].items():
        _tuple(fact, f"{path}.vms.{vm}", (_text, _whole, _text))
    for host, fact in found["hosts"].items():
        _tuple(fact, f"{path}.hosts.{host}", (_flag, _whole, _texts))
    for rule, facts in found["rules"].items():
        for i, fact in enumerate(_list(facts, f"{path}.rules.{rule}")):
            more = (_free_object,) if len(_list(fact, f"{path}.rules.{rule}[{i}]")) > _PLAIN_RULE else ()
            _tuple(fact, f"{path}.rules.{rule}[{i}]", (_text, _text, _whole, _texts, _texts, *more))
    return found


def _tuple(value: Any, path: str, readers: Sequence[Callable[[Any, str], Any]]) -> None:
    if len(_list(value, path)) != len(readers):
        raise InputError("wrong number of entries", got=len(value), expected=len(readers), where=path)
    for i, (read, entry) in enumerate(zip(readers, value, strict=True)):
        read(entry, f"{path}[{i}]")


def _texts(value: Any, path: str) -> list[str]:
    return [_text(v, f"{path}[{i}]") for i, v in enumerate(_list(value, path))]


def _hex(value: Any, path: str) -> str:
    if len(_text(value, path)) != 64 or not set(value) <= set("0123456789abcdef"):
        raise InputError("not a SHA-256 in hex", got=value, where=path)
    return str(value)


def _policy(value: Any, path: str) -> dict[str, Any]:
    return _object(value, path, _POLICY) if value != {} else {}


def _failover(value: Any, path: str) -> dict[str, Any]:
    return _object(value, path, {"hosts": _whole, "granted": _counts})


def _counts(value: Any, path: str) -> dict[str, int]:
    return {name: _whole(n, f"{path}.{name}") for name, n in _free_object(value, path).items()}


def _whole_if_any(value: Any, path: str) -> int | None:
    return None if value is None else _whole(value, path)


def _ends(value: Any, path: str) -> dict[str, str]:
    return {vm: _name(host, f"{path}.{vm}") for vm, host in _free_object(value, path).items()}


def _plan(fields: dict[str, Any]) -> Plan:
    plan = Plan(**{k: v for k, v in fields.items() if k != "schema"})
    stands: dict[str, str] = {}
    for w, wave in enumerate(plan.waves):
        for i, m in enumerate(wave.migrations):
            path = f"plan.waves[{w}].migrations[{i}]"
            if stands.get(m.vm, m.source) != m.source:
                raise InputError(
                    "the VM is not there any more", got=m.source, expected=stands[m.vm], where=f"{path}.source"
                )
            stands[m.vm] = m.destination
    if stands != plan.ends:
        raise InputError("the steps do not end where the plan promises", where="plan.ends")
    for i, b in enumerate(plan.blocked):
        if b.vm in stands:
            raise InputError("a blocked VM moves", got=b.vm, where=f"plan.blocked[{i}].vm")
    return plan


_MIGRATION: dict[str, Callable[[Any, str], Any]] = {
    "vm": _name,
    "source": _name,
    "destination": _name,
    "kind": _kind,
    "memory_mib": _whole,
    "seconds": _seconds,
    "blackout_s": _seconds,
    "mib": _whole,
    "starts_s": _seconds,
    "reason": _text,
    "stopover": _flag,
    "vm_name": _text,
}

_POLICY: dict[str, Callable[[Any, str], Any]] = {
    "memory_reserve_mib": _whole,
    "memory_start_mib": _whole,
    "max_moves": _whole_if_any,
    "max_gib": _whole_if_any,
    "max_moves_per": _counts,
    "evacuate": _texts,
    "failover": _failover,
}

_PLAN: dict[str, Callable[[Any, str], Any]] = {
    "schema": _schema,
    "id": _hex,
    "created_at": _text,
    "now": _text,
    "fleet_fingerprint": _hex,
    "goal": _text,
    "profile": _text,
    "waves": _waves,
    "blocked": _blocked,
    "tiers": _free_objects,
    "proof": _free_object,
    "before": _free_object,
    "after": _free_object,
    "in_flight": _free_object,
    "facts": _facts,
    "explain": _free_object,
    "violations": _free_objects,
    "answers": _free_object,
    "policy": _policy,
    "asked": _free_object,
    "ends": _ends,
}
