"""Plan -> Tip -> applied.

In: a plan, gates, a backend. Out: migrations done one wave at a time, each journalled before it is asked for and believed only
after it is seen; tips with their states. Never: computes a placement, builds text for a shell.
"""

from pro.remediation.driver import Limits as Limits
from pro.remediation.executor import abandon as abandon
from pro.remediation.executor import apply as apply
from pro.remediation.executor import request_stop as request_stop
from pro.remediation.executor import resume as resume
from pro.remediation.executor import status as status
from pro.remediation.gates import Gate as Gate
from pro.remediation.gates import Permit as Permit
from pro.remediation.records import Event as Event
from pro.remediation.result import ApplyResult as ApplyResult
from pro.remediation.result import RunStatus as RunStatus
