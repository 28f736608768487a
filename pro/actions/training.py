"""Learning from a store: models are kept beside it, with what they were taught on and how they scored, and read without pickle."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pro.config import Config
    from pro.workflow import Tell


def train_models(
    root: Path, config: Config, now: datetime | None, tell: Tell, *, spare: bool = False
) -> dict[str, Any]:
    """models.json: learn from what lies at or before `now`, keep it under `STORE/models`, and say what came of it.

    Where better models lie there already, they stay, and `kept` says why; with `spare` that is all there is then, and nothing is learned.
    """
    from pro.core.errors import InputError
    from pro.forecast import taught as keep
    from pro.forecast.teaching import train
    from pro.heat.direct import to_arrays
    from pro.heat.soon import loads_of, train_heat, wanted
    from pro.outlook import MODELS, days_of
    from pro.workflow import look_ahead

    outlook = look_ahead(root, config, now, tell, trained=False)
    if not outlook.scenarios:
        raise InputError("there are no counters to learn from", expected="`pro ingest` first", where=root)
    slot_s = outlook.demand.step_s
    days = days_of(outlook.history)
    why = stays(root / MODELS, outlook.now, days)
    if spare and why is not None:
        return {"kept": why}
    tell("learning to forecast")
    grids = {c: outlook.history[c] for c in outlook.scenarios}
    lessons = train(grids, outlook.now, outlook.demand.slots * slot_s, slot_s, days)
    arrays, heat = keep.arrays_of(lessons), []
    for resource in wanted(outlook.fleet):
        loads = loads_of(outlook.fleet, outlook.demand, outlook.history, resource, config.heat.threshold)
        if loads is None:
            continue
        tell(f"learning which hosts run hot on {resource}")
        for hours, model in train_heat(loads, days, config.forecast.seed).items():
            arrays |= to_arrays(model, f"heat.{resource}.{hours}.")
            heat.append(
                {"resource": resource, "hours": hours, "used": model.wins, "average_precision": round(model.score, 4),
                 "best_rule": model.best, "gain": round(model.gain, 4), "brier": round(model.brier, 5)}
            )  # fmt: skip
    page = {**lessons.to_json(), "threshold": config.heat.threshold, "heat": heat}
    return keep.save(root / MODELS, page, arrays) if why is None else {**page, "kept": why}


def stays(folder: Path, until: datetime, days: float) -> str | None:
    """Why the models in `folder` are not replaced by those of a training up to `until` on so many `days`; None: they are.

    One that sees as late and has days enough replaces them whatever it finds: that nothing beats simple rules any more is worth knowing, too.
    """
    from pro.core.errors import InputError
    from pro.core.text import minute
    from pro.heat.learnt import read
    from pro.heat.soon import LEAST_DAYS

    try:
        there = read(folder)
    except InputError:
        return None
    if there is None or not (there.taught.lessons or there.heat):
        return None
    before = f"what was learned up to {minute(there.until.isoformat())} stays"
    if until < there.until:
        return f"{before}: this training looked from an earlier instant; delete {folder} to go back to it"
    if days < LEAST_DAYS:
        return f"{before}: {days:.1f} days of counters are too few to judge it by, {LEAST_DAYS:g} are needed"
    return None


def due(root: Path, config: Config, now: datetime) -> bool:
    """Whether the models are older than the settings allow, or of another threshold, or there are none that can be read.

    Never where training is switched off (0 days), while there are too few days to learn from, or for models that saw more than there is now:
    a training would not replace them.
    """
    from pro.core.errors import InputError
    from pro.heat.learnt import read
    from pro.heat.soon import LEAST_DAYS
    from pro.outlook import MODELS
    from pro.telemetry.partitions import stored_days

    every = config.forecast.retrain_days
    since = (now - timedelta(days=config.forecast.history_days)).date()
    if every <= 0 or sum(day >= since for day in stored_days(root)) <= LEAST_DAYS:
        return False
    try:
        found = read(root / MODELS)
    except InputError:
        return True
    if found is None or now - found.until > timedelta(days=every):
        return True
    return found.until <= now and found.threshold != config.heat.threshold
