"""What of a signal is learnt from: selected channels, descriptors of patterns, several cubes as one feature space."""
