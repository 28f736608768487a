"""rules.json: what people want kept together, apart, in or out."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.fleet.fleet import RuleSpec
from pro.fleet.readers.csv import decode
from pro.fleet.rule_kinds import KINDS, MOST_WORTH, contradictions

if TYPE_CHECKING:
    from pathlib import Path

    from pro.fleet.readers import Found

SCHEMA = "rules/1"
_KEYS = ("rule", "name", "kind", "members", "vms", "hosts", "scope", "least", "count", "most", "soft", "worth", "owner",
         "origin", "comment")  # fmt: skip

_SAME = (("members", "vms"), ("least", "count"))
"""Two words for one thing."""
_TOO_MANY = 2**31


class RulesReader:
    """A list of rules, or an object whose "rules" is that list.

    One rule: `{"rule": name, "kind": spread, "members": [VMs], "scope": "host", "least": 2, "owner": who to ask}`. What
    goes with which kind is in `pro.fleet.rule_kinds`; what does not is refused, and so is a key that nobody knows. Any rule
    may be `"soft": true`, with a `worth`. VMs and hosts by id, name or DNS name. Text in JSON is taken as it is: no
    spreadsheet has been near it.
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
        if isinstance(data, dict) and data.get("schema", SCHEMA) != SCHEMA:
            found.problems.append(InputError("unknown schema", got=data["schema"], expected=SCHEMA, where=path.name))
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
    for name in ("least", "most", "soft", "worth"):
        if getattr(rule, name):
            entry[name] = getattr(rule, name)
    if rule.owner:
        entry["owner"] = rule.owner
    return {**entry, "origin": rule.origin}


class _Entry:
    """One entry of the file, read key by key; what cannot be read is noted in `wrong` and missing."""

    def __init__(self, entry: dict[str, Any], where: str) -> None:
        self._entry, self._where = entry, where
        self.wrong = [_unknown(key, where) for key in entry if key not in _KEYS]
        for one, other in _SAME:
            if one in entry and other in entry:
                self._refuse(
                    f"the same as {one}, which is given too", entry[other], other, f"only one of {one} and {other}"
                )

    def _refuse(self, what: str, got: object, key: str, expected: str | None = None) -> None:
        self.wrong.append(InputError(what, got=got, expected=expected, where=f"{self._where}: {key}"))

    def text(self, key: str, default: str = "") -> str:
        value = self._entry.get(key, default)
        if value is None:
            return default
        if not isinstance(value, str) or not _unicode(value):
            self._refuse("not text", value, key)
            return default
        return value

    def texts(self, *keys: str) -> tuple[str, ...]:
        key = next((k for k in keys if k in self._entry), keys[0])
        value = self._entry.get(key)
        value = [] if value is None or value == "" else [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(v, str) and v and _unicode(v) for v in value):
            self._refuse("not a list of names", value, key)
            return ()
        return tuple(dict.fromkeys(value))

    def count(self, *keys: str, least: int = 0) -> int:
        key = next((k for k in keys if k in self._entry), keys[0])
        value = self._entry.get(key)
        value = 0 if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _TOO_MANY:
            self._refuse("not a count", value, key, "0, 1, 2, ...")
            return 0
        if value < least and self._entry.get(key) is not None:
            self._refuse(f"must be at least {least}", value, key, "1, 2, 3, ...; a ban keeps VMs off hosts")
        return value

    def soft(self, kind: str) -> bool:
        value = self._entry.get("soft")
        if value is not None and not isinstance(value, bool):
            self._refuse("neither true nor false", value, "soft")
        return kind in KINDS and KINDS[kind].soft if value is None else bool(value)

    def worth(self) -> float:
        value = self._entry.get("worth")
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_WORTH:
            self._refuse("not a worth", value, "worth", f"migrations, above 0 and at most {MOST_WORTH:,}")
            return 0.0
        return float(value)


def _rule(entry: dict[str, Any], where: str, problems: list[InputError]) -> RuleSpec | None:
    """The rule, or None when something in it makes no sense: a rule half understood is worse than none."""
    read = _Entry(entry, where)
    kind = read.text("kind").strip().casefold()
    called, also = read.text("rule"), read.text("name")
    rule = RuleSpec(
        name=called or also or f"{kind} {where.rsplit(' ', 1)[-1]}",
        kind=kind,
        members=read.texts("members", "vms"),
        hosts=read.texts("hosts"),
        scope=read.text("scope", "host").strip().casefold() or "host",
        least=read.count("least", "count"),
        most=read.count("most", least=int(kind in KINDS and "most" in KINDS[kind].needs)),
        soft=read.soft(kind),
        worth=read.worth(),
        owner=read.text("owner"),
        origin=read.text("origin") or where,
    )
    wrong = read.wrong or list(contradictions(rule, where))
    problems += wrong
    return None if wrong else rule


def _unknown(key: str, where: str) -> InputError:
    near = difflib.get_close_matches(key, _KEYS, 1)
    return InputError(
        "a rule has nothing of this name", got=key, expected=f"perhaps {near[0]}" if near else None, where=where
    )


def _unicode(text: str) -> bool:
    """JSON can spell half of a surrogate pair, which no file can hold."""
    return not any("\ud800" <= c <= "\udfff" for c in text)
