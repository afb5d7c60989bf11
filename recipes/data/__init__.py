"""Data sets as NumPy arrays: training and test parts, from TFDS or from inside a package."""
