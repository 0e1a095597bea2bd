"""Networks that squeeze pixels through a few numbers: what they are, how they are trained, what is kept of it."""
