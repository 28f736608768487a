"""Fleet + rules -> which hosts may fail.

In: a fleet, its rules, where VMs stand, and how many hosts may fail at once. Out: a report, and `Failover`, the rule that what may
fail today may fail afterwards. Never: has rules of its own about where a VM may stand; it asks those there are.
"""

from pro.placement.failover.report import Report as Report
from pro.placement.failover.rule import Failover as Failover
from pro.placement.failover.survey import survives as survives
