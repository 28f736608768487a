"""How long a migration takes and how long the VM stands still: pre-copy for live, save and resume for quick."""

from __future__ import annotations

from dataclasses import dataclass

IDLE_DIRTY_MIBPS = 2.5
IDLE_WRITABLE_MIB = 5.0
"""BtrPlace's idle VM: 5 MB of hot pages rewritten every 2 s, nothing else (mVM: hotDirtySize, hotDirtyDuration, coldDirtyRate)."""

BUSY_DIRTY_MIBPS = 50.6
"""BtrPlace's busy VM: 56 MB of hot pages in 2 s plus 22.6 MB/s of cold ones. Assumed of a VM that uses all of its CPU."""

BUSY_WRITABLE_SHARE = 0.5
"""Share of its memory that a VM at full CPU is assumed to write again and again. An assumption: no counter shows it."""


@dataclass(frozen=True)
class Dirtying:
    """How a VM writes its memory: `mibps` MiB/s (>= 0), but never more than `writable_mib` MiB different pages (>= 0)."""

    mibps: float = IDLE_DIRTY_MIBPS
    writable_mib: float = IDLE_WRITABLE_MIB

    def __post_init__(self) -> None:
        if not (0 <= self.mibps < float("inf") and 0 <= self.writable_mib < float("inf")):
            raise ValueError(f"dirty rate and writable set must be finite and not negative, got {self}")


@dataclass(frozen=True)
class PreCopy:
    """When the rounds end: at `threshold_mib` left to send, after `max_rounds` rounds; `resume_s` to wake the VM up."""

    threshold_mib: float = 64.0
    max_rounds: int = 10
    resume_s: float = 0.2


@dataclass(frozen=True)
class Transfer:
    """What one migration costs: `seconds` in all, `blackout_s` of them with the VM paused, `mib` on the wire.

    `rounds` before the VM is paused. `converged`: the last round fell under the threshold; otherwise the round limit or a VM
    that writes as fast as the link carries forced the pause, and the blackout is what it is.
    """

    seconds: float
    blackout_s: float
    mib: int
    rounds: int
    converged: bool


def assumed_dirtying(memory_mib: int, cpu_fraction: float | None) -> Dirtying:
    """What a VM is taken to write when nobody measured it: in proportion to the share 0..1 of its CPU cap that it uses.

    None (no data) is an idle VM. Linear between BtrPlace's idle and busy VMs; measured migrations should replace it.
    """
    if cpu_fraction is None:
        return Dirtying()
    share = min(max(cpu_fraction, 0.0), 1.0)
    return Dirtying(
        mibps=IDLE_DIRTY_MIBPS + share * (BUSY_DIRTY_MIBPS - IDLE_DIRTY_MIBPS),
        writable_mib=min(max(IDLE_WRITABLE_MIB, share * BUSY_WRITABLE_SHARE * memory_mib), float(memory_mib)),
    )


def pre_copy(memory_mib: int, mibps: float, dirtying: Dirtying, law: PreCopy) -> Transfer:
    """Live migration of `memory_mib` over a link of `mibps` MiB/s.

    V0 = M; round i takes V_i / B; V_{i+1} = min(D * t_i, W). The VM is paused, and V_{i+1} sent, when V_{i+1} is at or under the
    threshold, when the rounds are used up, or when a round no longer shrinks what is left (D >= B, or W cannot be caught up
    with). Blackout = V_{i+1} / B + resume. Clark et al., NSDI 2005; without W it is M * (D/B)^n.

    Raises ValueError for memory or a link that is not positive.
    """
    if memory_mib <= 0 or not 0 < mibps < float("inf"):
        raise ValueError(f"memory and link must be positive, got {memory_mib} MiB over {mibps} MiB/s")
    left = float(memory_mib)
    sent = 0.0
    rounds = 0
    while True:
        sent += left
        rounds += 1
        dirty = min(dirtying.mibps * left / mibps, dirtying.writable_mib, float(memory_mib))
        if dirty <= law.threshold_mib or rounds >= law.max_rounds or dirty >= left:
            break
        left = dirty
    sent += dirty
    return Transfer(
        seconds=sent / mibps + law.resume_s,
        blackout_s=dirty / mibps + law.resume_s,
        mib=round(sent),
        rounds=rounds,
        converged=dirty <= law.threshold_mib,
    )


def save_and_resume(memory_mib: int, mibps: float, law: PreCopy) -> Transfer:
    """Quick migration: memory written to shared storage at `mibps` and read back; the VM stands still all the while."""
    if memory_mib <= 0 or not 0 < mibps < float("inf"):
        raise ValueError(f"memory and storage must be positive, got {memory_mib} MiB at {mibps} MiB/s")
    seconds = 2 * memory_mib / mibps + law.resume_s
    return Transfer(seconds, seconds, 2 * memory_mib, 0, True)
