"""The benchmark's networks and training steps, written by hand in each framework's own idiom."""
