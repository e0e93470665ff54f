"""Numbers in, records of `result.py` out: scores, comparisons, calibration, abstention, slices, speed, energy."""
