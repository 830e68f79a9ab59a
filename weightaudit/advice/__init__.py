"""What a scan is good for next: ranks for LoRA, layers for selective fine-tuning, ranks that compress.

Pure functions of a `ScanResult`. What the scan does not have is said with the option that would have it.
"""

from weightaudit.advice.compression import Compression, compressibility
from weightaudit.advice.lora import RankPattern, rank_pattern
from weightaudit.advice.training import Unfrozen, unfrozen_parameters

__all__ = ["Compression", "RankPattern", "Unfrozen", "compressibility", "rank_pattern", "unfrozen_parameters"]
