# The tour has a bet and a quiz, and no exercise in code.
