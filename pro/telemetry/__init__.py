"""Counters -> Samples -> Parquet.

In: files as SCOM, PerfMon and friends write them. Out: `Samples` in a date-partitioned Parquet store, and `Grid`s cut from
it up to a given instant. What cannot be read goes to quarantine with file, line and reason. Never: knows which entity is
a host and which a VM, guesses a missing value, reads past `until`.
"""

from pro.telemetry.grid import Grid as Grid
from pro.telemetry.samples import Reader as Reader
from pro.telemetry.samples import ReadReport as ReadReport
from pro.telemetry.samples import Rejected as Rejected
from pro.telemetry.samples import samples_schema as samples_schema
from pro.telemetry.store import Store as Store
