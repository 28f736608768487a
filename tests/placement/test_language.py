"""Rows and terms that mean nothing are refused when they are made, with their label."""

from __future__ import annotations

import numpy as np
import pytest

from pro.placement.language import Limit, Opened, Steps, Together

TWO = np.arange(2)


def limit(weight, upper):
    upper = np.array(upper)
    return Limit(TWO, np.array(weight), TWO, np.zeros_like(upper), upper, "after", "room")


def test_a_limit_counts_each_vm_in_each_dimension():
    with pytest.raises(ValueError, match=r"Limit 'room': weight \(2, 2\).*do not fit 2 VMs"):
        limit([[1, 1], [1, 1]], [[1], [1]])


def test_nobody_breaks_a_limit_by_leaving():
    with pytest.raises(ValueError, match="Limit 'room': a weight must not be negative"):
        limit([[1], [-1]], [[1], [1]])


def test_scope_items_weigh_nothing_at_least():
    with pytest.raises(ValueError, match="Together 'licence': weights"):
        Together(TWO, TWO, "licence", 1, np.array([4, -1]))
    with pytest.raises(ValueError, match="Together 'licence': weights"):
        Together(TWO, TWO, "licence", 1, np.array([4]))


def test_a_host_costs_nothing_at_least():
    with pytest.raises(ValueError, match="Opened 'power': a cost must not be negative"):
        Opened(TWO, np.array([1, -1]), "power")


def test_a_cost_of_use_has_a_slope_for_each_knot():
    with pytest.raises(ValueError, match="Steps 'heat': knots"):
        Steps(TWO, np.ones((2, 1)), TWO, np.zeros((2, 1)), np.zeros((1, 2, 1)), np.zeros((2, 2, 1)), "heat")
