"""What the changes of a model come to, in findings: every rule of a difference once, and what they find in one."""

from weightaudit.pairs.rules.checking import RULES as RULES
from weightaudit.pairs.rules.checking import judge as judge

__all__ = ["RULES", "judge"]
