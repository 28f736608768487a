"""Settings: one `pro.toml`, overridden by environment variables (`PRO__HEAT__THRESHOLD=0.9`), overridden by options.

Every value has a default that is safe: nothing is applied alone, nothing is read from elsewhere. Unknown keys are errors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _fits(minutes: int) -> int:
    if minutes <= 0 or minutes % 5 or 1440 % minutes:
        raise ValueError("expected a multiple of 5 that divides a day, such as 15, 30 or 60")
    return minutes


SlotMinutes = Annotated[
    int,
    AfterValidator(_fits),
    WithJsonSchema({"type": "integer", "enum": [m for m in range(5, 1441, 5) if 1440 % m == 0]}),
]
"""Length of a slot: a whole number of grid points, and a day is a whole number of slots, or time of day would have no meaning."""


def _weight(what: str) -> Any:
    """A weight of a goal: how many migrations a unit of it is worth."""
    return Field(
        0.0, ge=0, le=1_000, allow_inf_nan=False, description=f"migrations it is worth: {what}; 0: does not count"
    )


class ForecastConfig(_Section):
    """How the future is drawn."""

    horizon_h: float = Field(24.0, gt=0, le=24 * 14, description="hours ahead")
    history_days: float = Field(8.0, gt=0, description="days of counters that are looked at")
    slot_minutes: SlotMinutes = Field(30, description="length of one time slot of a moment")
    scenarios: int = Field(24, ge=1, le=1000, description="joint sample paths")
    seed: int = Field(1, description="of the draws")
    retrain_days: float = Field(
        7.0, ge=0, description="age of the models at which `pro watch` trains anew; 0: only `pro train` does"
    )


class HeatConfig(_Section):
    """When a host is called hot."""

    threshold: float = Field(0.85, gt=0, le=1, description="fraction of capacity")
    memory_threshold: float = Field(
        0.95, gt=0, le=1, description="fraction of a host's memory that may be in use, as its counters say"
    )
    dwell_minutes: int = Field(15, ge=1, description="so long over the threshold without a break")
    min_probability: float = Field(0.3, gt=0, le=1, description="least share of scenarios for a hotspot to be reported")


class PlacementConfig(_Section):
    """What a recommendation may cost and must gain."""

    aggressiveness: int = Field(
        3, ge=1, le=5, description="how little gain is worth a migration: 1 only what hurts, 5 almost any"
    )
    margin: float = Field(
        0.05, ge=0, lt=1, description="fraction of capacity: plans aim so far below the threshold, for forecasts err"
    )
    max_moves: int | None = Field(None, ge=0, description="migrations in one plan; unset: a tenth of the VMs, 2 to 20")
    max_gib: int | None = Field(None, ge=0, description="memory moved in one plan")
    max_moves_per_service: int | None = Field(None, ge=0, description="migrations of VMs of one service (role)")
    max_moves_per_cluster: int | None = Field(None, ge=0, description="migrations of VMs of one cluster")
    memory_reserve_mib: int = Field(2048, ge=0, description="memory that every host keeps for itself, always")
    memory_start_mib: int | None = Field(
        None, ge=0, description="where less memory is free, VMs are moved away; unset: as memory_reserve_mib"
    )
    memory_placement_mib: int | None = Field(
        None, ge=0, description="no host is filled until less is free, but to repair a rule; unset: as memory_start_mib"
    )
    weigh_contention: float = _weight("1 % of a mean host, asked for and not given for an hour")
    weigh_power: float = _weight("100 W (typical curves)")
    weigh_fragments: float = _weight("a free core that no 16-core VM can use on one NUMA node")
    weigh_licences: float = _weight("a core of a host that holds any member of a licence rule")
    weigh_disturbance: float = _weight("a migration of the service that has most of them")
    weigh_ratio: float = _weight("a GiB missing beside the CPU that is left on a host")
    failover: int = Field(
        1, ge=0, le=2, description="hosts of a cluster that may fail: no plan makes that worse; 0: not looked at"
    )
    seconds: float = Field(5.0, gt=0, description="time for the search")
    steps: int | None = Field(
        None,
        ge=1,
        description="rounds after which the search ends, unless time ends it; unset: by the size of the fleet",
    )
    seed: int = Field(1, description="of the search")
    workers: int = Field(2, ge=1, le=64, description="threads that search a large fleet; the answer is the same")


class ApplyConfig(_Section):
    """How a plan is carried out."""

    consent_quick: bool = Field(
        False, description="VMs may be saved and resumed (an outage) where live migration is refused"
    )
    concurrent: int = Field(4, ge=1, description="migrations at the same time, in all")
    per_host: int = Field(2, ge=1, description="migrations at the same time, on one host")
    expires_minutes: float = Field(60.0, gt=0, description="age at which `pro watch` will not apply a plan any more")
    counters_minutes: float = Field(
        90.0, gt=0, description="age of the newest counters, by the clock, at which `pro watch` acts no more alone"
    )
    per_day: int | None = Field(
        None,
        ge=0,
        description="migrations in any 24 hours, for `pro watch` alone; unset: as in backtests, one a day for every 30 VMs, at least 2, saved up for 2.5 days",
    )
    lead_hours: float = Field(
        3.0, gt=0, description="heat that is expected later than this can wait: `pro watch` does not act on it alone"
    )
    cooldown_minutes: float = Field(240.0, ge=0, description="rest of a VM after a migration, doubled each time")
    longest_minutes: float = Field(2880.0, ge=0, description="longest rest of a VM")
    most_hot: float = Field(0.4, gt=0, le=1, description="share of hosts measured hot before the data is doubted")
    least_coverage: float = Field(
        0.9, ge=0, le=1, description="share of expected samples of the last day that must be known"
    )
    kill_switch: str = Field("STOP", description="file in the store; while it exists nothing is applied")


class Config(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="PRO__", env_nested_delimiter="__")

    forecast: ForecastConfig = ForecastConfig()
    heat: HeatConfig = HeatConfig()
    placement: PlacementConfig = PlacementConfig()
    apply: ApplyConfig = ApplyConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file named by `load`."""
        file = _file.get("path")
        below = (TomlConfigSettingsSource(settings_cls, file),) if file else ()
        return (init_settings, env_settings, *below)


_file: dict[str, Path] = {}

Origin = Literal["default", "file", "environment"]


def load(path: Path | None = None) -> Config:
    """Settings from `path`, or from `$PRO_CONFIG`, or from `pro.toml` here if there is one.

    Raises InputError naming the key, what it got and what was expected.
    """
    file = path or (Path(os.environ["PRO_CONFIG"]) if "PRO_CONFIG" in os.environ else None)
    if file is not None and not file.is_file():
        raise InputError("no such settings file", got=str(file))
    if file is None and Path("pro.toml").is_file():
        file = Path("pro.toml")
    _file.clear()
    if file is not None:
        _file["path"] = file
    try:
        return Config()
    except ValidationError as error:
        raise InputError(
            faults_of(error, lambda key: f"unknown setting {key}{_nearest(key)}"), where=_where(error, file)
        ) from None
    except ValueError as error:
        raise InputError(f"not TOML: {error}", where=file) from None


def _where(error: ValidationError, file: Path | None) -> object:
    """Where what is wrong was said: variables of the environment if each stands there, else the file."""
    there = {name.upper() for name in os.environ}
    names = dict.fromkeys("__".join(("PRO", *map(str, e["loc"]))).upper() for e in error.errors())
    if file is None or all(name in there for name in names):
        return ", ".join(["environment", *(f"${name}" for name in names if name in there)])
    return file


def origins(config: Config) -> list[tuple[str, Any, Origin]]:
    """Every setting with its value and where it came from."""
    file = TomlConfigSettingsSource(Config, _file["path"])() if "path" in _file else {}
    out: list[tuple[str, Any, Origin]] = []
    for section, model in config:
        for key, value in model:
            origin: Origin = "default"
            if key in file.get(section, {}):
                origin = "file"
            if f"PRO__{section}__{key}".upper() in {name.upper() for name in os.environ}:
                origin = "environment"
            out.append((f"{section}.{key}", value, origin))
    return out


def faults_of(error: ValidationError, unknown: Callable[[str], str]) -> str:
    """What is wrong with a document, in one line; `unknown` says it of a key that nobody knows."""
    parts = []
    for e in error.errors():
        key = ".".join(str(x) for x in e["loc"])
        parts.append(
            unknown(key)
            if e["type"] == "extra_forbidden"
            else f"{key}: {e['msg'].removeprefix('Value error, ')}, got {e['input']!r}"
        )
    return "; ".join(parts)


def _nearest(key: str) -> str:
    import difflib

    known = [f"{s}.{k}" for s, f in Config.model_fields.items() for k in getattr(f.annotation, "model_fields", {})]
    near = difflib.get_close_matches(key, known + list(Config.model_fields), 1)
    return f" (did you mean {near[0]}?)" if near else ""
