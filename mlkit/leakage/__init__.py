"""Challenge 2, data leakage: training knows what nobody knew at the moment of the decision."""
