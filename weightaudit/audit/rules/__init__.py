"""What is wrong with the weights: every rule once, and the findings of one scan."""

from weightaudit.audit.rules.checking import RULES as RULES
from weightaudit.audit.rules.checking import asked_for as asked_for
from weightaudit.audit.rules.checking import judge as judge
from weightaudit.audit.rules.checking import run_rules as run_rules
from weightaudit.audit.rules.context import Other as Other
from weightaudit.audit.rules.context import RuleContext as RuleContext
from weightaudit.audit.rules.selectors import make_policy as make_policy

__all__ = ["RULES", "Other", "RuleContext", "asked_for", "judge", "make_policy", "run_rules"]
