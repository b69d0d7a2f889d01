"""Why this probability: every step of one prediction, for every rung."""
