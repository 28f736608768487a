"""Fleet + Demand -> Hotspots.

In: the fleet, its demand at moments, a threshold. Out: hosts that will run hot, when, how surely, and because of which VMs;
beside it the baselines (SCOM's consecutive samples, hourly average) for comparison. Never: proposes a move.
"""

from pro.heat.hotspot import Cause as Cause
from pro.heat.hotspot import Hotspot as Hotspot
