"""Challenge 6, data drift and concept drift: the world moves away from what was learned."""
