"""The ground floor: units, errors, tables with units, and the clock.

In: nothing. Out: small things every room uses. Never: reads a file of the user's, knows a host or a VM.
"""

from pro.core.clock import Clock as Clock
from pro.core.clock import ManualClock as ManualClock
from pro.core.clock import SystemClock as SystemClock
from pro.core.errors import BackendError as BackendError
from pro.core.errors import FleetError as FleetError
from pro.core.errors import InputError as InputError
from pro.core.errors import ProError as ProError
from pro.core.errors import RefereeError as RefereeError
from pro.core.errors import RefusedError as RefusedError
