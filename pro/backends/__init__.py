"""Plan step -> the real world.

In: ids of a VM, its source and its destination. Out: a ticket to ask about, and what stands where now. Never: knows plans,
rules or names; retries on its own.
"""
