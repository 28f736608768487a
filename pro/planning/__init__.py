"""Fleet + Placement -> Plan.

In: the fleet, where VMs should stand, the platform's law of migration. Out: waves of migrations with durations and blackouts,
every start and end checked against the rules in flight; what cannot be ordered is blocked with its reason. Also scripts in
the platform's own words. Never: decides where a VM should stand, calls a hypervisor.
"""
