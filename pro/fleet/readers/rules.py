"""rules.json: what people want kept together, apart, in or out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.fleet.fleet import RuleSpec
from pro.fleet.readers.csv import decode

if TYPE_CHECKING:
    from pathlib import Path

    from pro.fleet.readers import Found

KINDS = ("spread", "gather", "fence", "pin", "ban")
_NEEDS_HOSTS = ("fence", "ban")


class RulesReader:
    """A list of rules, or an object whose "rules" is that list.

    One rule: `{"rule": name, "kind": spread|gather|fence|pin|ban, "members": [VMs], "scope": "host", "least": 2, "hosts":
    [...], "owner": who to ask}`. `scope` and `least` go with spread and gather, `hosts` with fence, ban and pin (a pin
    without hosts keeps its members where they are). VMs and hosts by id, name or DNS name. Text in JSON is taken as it
    is: no spreadsheet has been near it.
    """

    name = "rules.json"

    def sniff(self, head: bytes, path: Path) -> bool:
        """JSON that speaks of kinds and members, or that is named rules.json."""
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        return start in (b"[", b"{") and (
            path.name.casefold() == "rules.json" or (b'"kind"' in head and b'"members"' in head)
        )

    def read(self, path: Path, found: Found) -> None:
        """Add the rules of one file to `found`."""
        try:
            data = json.loads(decode(path.read_bytes(), path.name))
        except InputError as error:
            found.problems.append(error)
            return
        except (ValueError, RecursionError) as error:
            found.problems.append(InputError("not JSON", got=str(error), where=path.name))
            return
        entries = data.get("rules") if isinstance(data, dict) else data
        if not isinstance(entries, list):
            found.problems.append(InputError("no list of rules", expected='[...] or {"rules": [...]}', where=path.name))
            return
        for number, entry in enumerate(entries, 1):
            where = f"{path.name}: rule {number}"
            if isinstance(entry, dict):
                rule = _rule(entry, where, found.problems)
                if rule is not None:
                    found.rules.append(rule)
            else:
                found.problems.append(InputError("a rule is an object", got=entry, where=where))


def rule_json(rule: RuleSpec) -> dict[str, Any]:
    """`rule` as rules.json says it; reading it back gives the same rule."""
    entry: dict[str, Any] = {"rule": rule.name, "kind": rule.kind, "members": list(rule.members), "scope": rule.scope}
    if rule.hosts:
        entry["hosts"] = list(rule.hosts)
    if rule.least:
        entry["least"] = rule.least
    if rule.owner:
        entry["owner"] = rule.owner
    return {**entry, "origin": rule.origin}


def _rule(entry: dict[str, Any], where: str, problems: list[InputError]) -> RuleSpec | None:
    """The rule, or None when something in it makes no sense: a rule half understood is worse than none."""
    wrong: list[InputError] = []

    def text(key: str, default: str) -> str:
        value = entry.get(key, default)
        if value is None:
            return default
        if not isinstance(value, str) or not _unicode(value):
            wrong.append(InputError("not text", got=value, where=f"{where}: {key}"))
            return default
        return value

    def texts(*keys: str) -> tuple[str, ...]:
        key = next((k for k in keys if k in entry), keys[0])
        value = entry.get(key) or []
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(v, str) and v and _unicode(v) for v in value):
            wrong.append(InputError("not a list of names", got=value, where=f"{where}: {key}"))
            return ()
        return tuple(dict.fromkeys(value))

    kind = text("kind", "").strip().casefold()
    name = text("rule", "") or text("name", "") or f"{kind} {where.rsplit(' ', 1)[-1]}"
    least = entry.get("least", entry.get("count", 0)) or 0
    if kind not in KINDS:
        wrong.append(InputError("unknown kind of rule", got=entry.get("kind"), expected=" | ".join(KINDS), where=where))
    if not isinstance(least, int) or isinstance(least, bool) or least < 0:
        wrong.append(InputError("not a count", got=least, expected="0, 1, 2, ...", where=f"{where}: least"))
        least = 0
    rule = RuleSpec(
        name=name,
        kind=kind,
        members=texts("members", "vms"),
        hosts=texts("hosts"),
        scope=text("scope", "host").strip().casefold() or "host",
        least=least,
        owner=text("owner", ""),
        origin=text("origin", "") or where,
    )
    if kind in _NEEDS_HOSTS and not rule.hosts and not wrong:
        wrong.append(InputError(f"a {kind} without hosts", expected='"hosts": [...]', where=where))
    problems += wrong
    return None if wrong else rule


def _unicode(text: str) -> bool:
    """JSON can spell half of a surrogate pair, which no file can hold."""
    return not any("\ud800" <= c <= "\udfff" for c in text)
