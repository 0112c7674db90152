"""What a turn is, who may run it, and the seams behind which engines and agent frameworks live."""
