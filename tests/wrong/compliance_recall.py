# Quick questions only: no exercise in code.
