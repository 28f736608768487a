"""Fleet + Demand + rules -> Placement.

In: the fleet, its demand at moments, rules and a goal. Out: a placement that is never worse than today, refereed, with what it
costs before and after, and a bound where one was found. Never: orders migrations in time, talks to a hypervisor.
"""
