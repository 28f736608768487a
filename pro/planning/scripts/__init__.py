"""Plans in the platform's own words. The words never change; what changes is one block of data that cannot be anything else.

In: a plan. Out: the text of a script. Never: builds a line of script from a name, runs anything.
"""

from pro.planning.scripts.powershell import DIALECTS as DIALECTS
from pro.planning.scripts.powershell import script as script
