"""Fleet + Placement -> Plan.

In: the fleet, where VMs should stand, the platform's law of migration. Out: waves of migrations with durations and blackouts,
every start and end checked against the rules in flight; what cannot be ordered is blocked with its reason. Also scripts in
the platform's own words. Never: decides where a VM should stand, calls a hypervisor.
"""

from pro.planning.facts import changes as changes
from pro.planning.facts import facts_after as facts_after
from pro.planning.facts import facts_from_world as facts_from_world
from pro.planning.facts import facts_now as facts_now
from pro.planning.facts import fingerprint as fingerprint
from pro.planning.io import dumps as dumps
from pro.planning.io import loads as loads
from pro.planning.make import PlanContext as PlanContext
from pro.planning.make import final_host_of as final_host_of
from pro.planning.make import make_plan as make_plan
from pro.planning.plan import Blocked as Blocked
from pro.planning.plan import Migration as Migration
from pro.planning.plan import Plan as Plan
from pro.planning.plan import Wave as Wave
from pro.planning.profiles import Profile as Profile
