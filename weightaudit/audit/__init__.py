"""The rooms joined: scan one model, or go through its matrices."""

from weightaudit.audit.progress import Progress as Progress
from weightaudit.audit.scanning import matrices as matrices
from weightaudit.audit.scanning import scan as scan

__all__ = ["Progress", "matrices", "scan"]
