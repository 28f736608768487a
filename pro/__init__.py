"""PRO: says which hosts will run hot, and moves the fewest virtual machines that fix it, safely."""

__version__ = "0.1.0"
