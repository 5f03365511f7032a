"""Tests to paste into your own project, one module per challenge: they need pandas alone."""
