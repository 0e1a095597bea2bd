"""How few pixels that share what no component carries are found among the outliers."""
