"""How far a clustering can be trusted: repeats, agreement of labellings, consensus, comparison of runs."""
