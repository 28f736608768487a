"""The report for machines: schema "report/1", plain JSON values only."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pro.heat import hotspots as heat
from pro.reports import words

if TYPE_CHECKING:
    from pro.placement.problem import Violation
    from pro.reports.report import Report

SCHEMA = "report/1"


def document(report: Report) -> dict[str, Any]:
    """Keys: schema, now, horizon_s, threshold, headline, fleet, hotspots, hotspots_after, soon, plan, placement, rules, data.

    Names stand only in `names` (id -> what people call it); everything else refers to ids.
    """
    placement = report.placement
    return {
        "schema": SCHEMA,
        "now": report.now.isoformat(),
        "horizon_s": report.horizon_s,
        "threshold": report.threshold,
        "headline": words.headline(report).replace("\u00a0", " "),
        "names": {"hosts": dict(report.host_label), "vms": dict(report.vm_label)},
        "fleet": {"hosts": report.fleet.n_hosts, "vms": report.fleet.n_vms, "resources": list(report.fleet.resources)},
        "hotspots": heat.to_json((*report.hotspots, *report.short), report.now, report.horizon_s)["hotspots"],
        "hotspots_after": heat.to_json((*report.hotspots_after, *report.short_after), report.now, report.horizon_s)[
            "hotspots"
        ],
        "soon": [s.to_json() for s in report.soon],
        "before": report.before.to_json(),
        "after": report.after.to_json(),
        "plan": {
            "id": report.plan.id,
            "goal": report.plan.goal,
            "profile": report.plan.profile,
            "seconds": words.plan_seconds(report),
            "mib": sum(m.mib for m in report.plan.migrations),
            "waves": [[asdict(m) for m in wave.migrations] for wave in report.plan.waves],
            "blocked": [asdict(b) for b in report.plan.blocked],
        },
        "placement": {
            "host_of": {
                v: report.fleet.hosts[h] for v, h in zip(report.fleet.vms, placement.host_of.tolist(), strict=True)
            },
            "tiers": [t.to_json() for t in placement.tiers],
            "bound": placement.bound,
            "gap": placement.gap,
            "minimal_moves": placement.minimal_moves,
            "engine": placement.engine,
            "seed": placement.seed,
        },
        "failover": None
        if report.failover is None
        else {
            "text": words.failover(report),
            "before": report.failover[0].to_json(),
            "after": report.failover[1].to_json(),
        },
        "rules": {
            "repaired": [_violation(v) for v in report.repaired],
            "broken": [_violation(v) for v in placement.violations],
            "preferences": [_violation(v) for v in placement.unkept],
        },
        "data": {
            "readiness": report.readiness.to_json() if report.readiness else None,
            "warnings": list(report.warnings),
            "accuracy": [dict(row) for row in report.accuracy],
        },
    }


def _violation(violation: Violation) -> dict[str, Any]:
    return {**asdict(violation), "vms": list(violation.vms), "hosts": list(violation.hosts)}


def dumps(report: Report) -> str:
    """`document` as text, stable from run to run."""
    return json.dumps(document(report), ensure_ascii=False, indent=1, sort_keys=False, allow_nan=False) + "\n"
