"""How the shipped networks are trained: data, one loop with the loss passed in, low-rank deltas, calibration."""
