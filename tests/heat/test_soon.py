"""Which host is named first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pro.heat.soon import Soon, likeliest

CHANCES = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(lambda p: dict(zip((1, 4, 24), sorted(p), strict=True)))


def of(host: str, chances: dict[int, float], resource: str = "cpu") -> Soon:
    return Soon(host, resource, chances, ())


@given(CHANCES, CHANCES)
def test_who_is_likelier_at_every_distance_comes_first_whatever_the_resource(
    one: dict[int, float], other: dict[int, float]
) -> None:
    if all(one[h] > other[h] + 1e-9 for h in one):
        first = sorted([of("a", other), of("b", one, "disk")], key=likeliest)[0]
        assert first.host == "b"


def test_a_hair_within_four_hours_does_not_outweigh_twice_the_chance_within_a_day() -> None:
    hair, twice = of("a", {1: 0.0002, 4: 0.0057, 24: 0.08}), of("b", {1: 0.0001, 4: 0.0037, 24: 0.16})
    assert sorted([hair, twice], key=likeliest) == [twice, hair]


def test_soon_outweighs_a_little_more_within_a_day() -> None:
    near, far = of("a", {1: 0.4, 4: 0.42, 24: 0.45}), of("b", {1: 0.0, 4: 0.01, 24: 0.54})
    assert sorted([far, near], key=likeliest) == [near, far]
