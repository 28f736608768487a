"""Inventory + Scenarios -> Fleet, Demand.

In: hosts, VMs and rules as tables; forecasts of entities. Out: the columnar `Fleet` and its `Demand` at moments, in integers.
The only place where names become indices and percentages become MHz. Never: decides where a VM should stand.
"""

from pro.fleet.fleet import Demand as Demand
from pro.fleet.fleet import Fleet as Fleet
from pro.fleet.fleet import Groups as Groups
from pro.fleet.fleet import RuleSpec as RuleSpec
from pro.fleet.fleet import frozen as frozen
from pro.fleet.fleet import host_use as host_use
