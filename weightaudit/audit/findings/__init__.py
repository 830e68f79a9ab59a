"""What is wrong with the weights: every rule once, and the findings of one scan."""

from weightaudit.audit.findings.evidence import Evidence as Evidence
from weightaudit.audit.findings.judging import RULES as RULES
from weightaudit.audit.findings.judging import check_ignored as check_ignored
from weightaudit.audit.findings.judging import judge as judge

__all__ = ["RULES", "Evidence", "check_ignored", "judge"]
