"""How principal components are found: solvers, and what they need to see of a scan."""
