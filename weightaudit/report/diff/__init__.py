"""The difference of two models, shown: the same outputs as a scan's, each from the one table of `columns`."""
