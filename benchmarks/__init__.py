"""How near Refold comes to the limits of the machine, and how it compares: `python -m benchmarks`."""
