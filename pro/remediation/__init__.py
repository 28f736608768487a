"""Plan -> Tip -> applied.

In: a plan, gates, a backend. Out: migrations done one wave at a time, each journalled before it is asked for and believed only
after it is seen; tips with their states. Never: computes a placement, builds text for a shell.
"""
