"""How nonnegative factors are found: alternating least squares by sweeps."""
