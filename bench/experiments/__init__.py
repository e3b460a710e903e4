"""The experiments, one module each: which points are measured, and in which order."""
