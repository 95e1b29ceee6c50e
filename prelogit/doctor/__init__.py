"""Looks at everything that a stack on this machine needs, and says the cure of what is wrong."""

from prelogit.doctor.examine import examine
from prelogit.doctor.finding import Finding

__all__ = ["Finding", "examine"]
