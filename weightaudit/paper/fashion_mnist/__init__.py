"""Appendix C.2: Figure 3 on real images."""
