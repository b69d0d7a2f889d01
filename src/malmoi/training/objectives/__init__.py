"""What training minimises, one file each; `objective.py` says what the loop asks of any of them."""
