"""`make bench-image`: CPU of one picture, by our engine and by sharp, on the same file in one interleaved run."""
