"""Synthetic worlds: correct code only. Faults live in the challenge modules."""
