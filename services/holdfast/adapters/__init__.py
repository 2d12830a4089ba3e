"""The outside, one package per technology; none knows another. Each keeps the promises of a port."""
