"""Samples -> Scenarios.

In: grids of counters up to a cutoff. Out: joint sample paths over the horizon, and how accurate such paths have been. Never:
sees past the cutoff, knows which entity is a host and which a VM, publishes a value outside the counter's physical range.
"""

from pro.forecast.scenarios import Scenarios as Scenarios
