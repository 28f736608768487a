"""Migration physics against closed forms and worked examples."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pro.planning.physics import Dirtying, PreCopy, assumed_dirtying, pre_copy, save_and_resume
from pro.planning.profiles import PROFILES

GIB32 = 32 * 1024
LAW = PreCopy()
LINK_1G = PROFILES["hyperv-2012+"].mibps(1000)
LINK_10G = PROFILES["hyperv-2012+"].mibps(10_000)


def steady(mibps: float) -> Dirtying:
    """A VM that writes all of its memory, again and again."""
    return Dirtying(mibps, GIB32)


def test_an_idle_vm_of_32_gib_takes_five_minutes_on_1_gbe_and_half_a_minute_on_10() -> None:
    assert pre_copy(GIB32, LINK_1G, Dirtying(), LAW).seconds == pytest.approx(295, abs=1)
    assert pre_copy(GIB32, LINK_10G, Dirtying(), LAW).seconds == pytest.approx(29.5, abs=0.5)


def test_80_mib_a_second_on_1_gbe_needs_ten_rounds_and_pauses_for_eleven_seconds() -> None:
    slow = pre_copy(GIB32, LINK_1G, steady(80), LAW)
    assert slow.rounds == 10
    assert slow.mib == pytest.approx(114_000, rel=0.01)
    assert slow.seconds == pytest.approx(1025, abs=1)
    assert slow.blackout_s == pytest.approx(11.2, abs=0.1)
    assert not slow.converged
    fast = pre_copy(GIB32, LINK_10G, steady(80), LAW)
    assert (round(fast.seconds), round(fast.blackout_s, 1), fast.converged) == (32, 0.2, True)


@pytest.mark.parametrize(
    ("dirty", "serial_s", "serial_blackout", "parallel_s", "parallel_blackout"),
    [(20, 720, 0.5, 922, 0.7), (40, 922, 0.4, 2050, 22), (55, 1167, 0.7, 6173, 534)],
)
def test_two_vms_on_one_link_are_faster_one_after_the_other(
    dirty: float, serial_s: float, serial_blackout: float, parallel_s: float, parallel_blackout: float
) -> None:
    alone, shared = pre_copy(GIB32, LINK_1G, steady(dirty), LAW), pre_copy(GIB32, LINK_1G / 2, steady(dirty), LAW)
    assert 2 * alone.seconds == pytest.approx(serial_s, rel=0.005)
    assert alone.blackout_s == pytest.approx(serial_blackout, abs=0.06)
    assert shared.seconds == pytest.approx(parallel_s, rel=0.005)
    assert shared.blackout_s == pytest.approx(parallel_blackout, rel=0.02, abs=0.06)


@given(memory=st.integers(65, 2**20), link=st.floats(1, 5000), ratio=st.floats(0.001, 0.95))
def test_without_a_writable_set_the_rounds_are_a_geometric_series(memory: int, link: float, ratio: float) -> None:
    law = PreCopy(threshold_mib=64, max_rounds=10_000, resume_s=0.3)
    got = pre_copy(memory, link, Dirtying(ratio * link, memory), law)
    n = got.rounds
    assert got.converged
    assert memory * ratio**n <= 64 * (1 + 1e-9)
    assert memory * ratio ** (n - 1) > 64 * (1 - 1e-9)
    data = memory * (1 - ratio ** (n + 1)) / (1 - ratio)
    assert got.seconds == pytest.approx(data / link + 0.3)
    assert got.blackout_s == pytest.approx(memory * ratio**n / link + 0.3)


@given(
    memory=st.integers(1, 2**22),
    link=st.floats(0.01, 1e5),
    dirty=st.floats(0, 1e6),
    writable=st.floats(0, 1e7),
    rounds=st.integers(1, 40),
)
def test_it_always_ends_and_stays_within_its_bounds(
    memory: int, link: float, dirty: float, writable: float, rounds: int
) -> None:
    law = PreCopy(max_rounds=rounds)
    got = pre_copy(memory, link, Dirtying(dirty, writable), law)
    assert 1 <= got.rounds <= rounds
    assert math.isfinite(got.seconds)
    assert memory / link <= got.seconds * (1 + 1e-9)
    assert got.seconds <= (rounds + 1) * memory / link + law.resume_s + 1e-6 * got.seconds
    assert law.resume_s <= got.blackout_s <= min(writable, memory) / link + law.resume_s + 1e-9
    assert got.converged == (got.blackout_s - law.resume_s <= law.threshold_mib / link * (1 + 1e-9))


def test_a_vm_that_writes_faster_than_the_link_is_paused_for_its_writable_set() -> None:
    got = pre_copy(8192, 100, Dirtying(500, 2048), LAW)
    assert not got.converged
    assert got.blackout_s == pytest.approx(20.48 + LAW.resume_s)
    assert got.rounds == 2


@given(memory=st.integers(1, 2**20), link=st.floats(1, 1e4), dirty=st.floats(0, 1e3), share=st.floats(1.0, 8.0))
@example(memory=795_848, link=681.0, dirty=667.0, share=2.0)
def test_a_slower_link_never_converges_better(memory: int, link: float, dirty: float, share: float) -> None:
    whole = pre_copy(memory, link, Dirtying(dirty, memory / 2), LAW)
    part = pre_copy(memory, link / share, Dirtying(dirty, memory / 2), LAW)
    assert part.rounds >= whole.rounds or not part.converged
    # Where neither converges, the slower one may give up rounds earlier, and so be over sooner, with a longer blackout.
    if whole.converged or part.rounds >= whole.rounds:
        assert part.seconds >= whole.seconds * (1 - 1e-9)
    else:
        assert part.blackout_s > whole.blackout_s


@pytest.mark.parametrize(("memory", "link"), [(0, 100), (-1, 100), (1, 0), (1, -5), (1, math.inf), (1, math.nan)])
def test_nonsense_is_refused(memory: int, link: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        pre_copy(memory, link, Dirtying(), LAW)
    with pytest.raises(ValueError, match="positive"):
        save_and_resume(memory, link, LAW)


@pytest.mark.parametrize(("mibps", "writable"), [(-1, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_a_dirty_rate_is_a_finite_number(mibps: float, writable: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Dirtying(mibps, writable)


def test_quick_migration_is_an_outage_from_start_to_end() -> None:
    got = save_and_resume(4096, 100, LAW)
    assert got.seconds == got.blackout_s == pytest.approx(81.92 + LAW.resume_s)
    assert got.mib == 8192


def test_what_a_vm_writes_is_assumed_from_its_cpu() -> None:
    unknown, idle, busy = (assumed_dirtying(8192, cpu) for cpu in (None, 0.0, 1.0))
    assert unknown == idle == Dirtying(2.5, 5.0)
    assert busy == Dirtying(50.6, 4096.0)
    assert assumed_dirtying(8192, 7.0) == busy
    assert assumed_dirtying(4, 1.0).writable_mib == 4.0
