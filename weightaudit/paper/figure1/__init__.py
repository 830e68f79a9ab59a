"""Figure 1 and Appendix C.1: norms and stable ranks of pretrained transformers."""
