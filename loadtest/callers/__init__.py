"""Callers that share the machine with what they measure, and take as little of it as Python allows.

exchange    a kept connection: one request at a time, and its answer
in_turn     callers that send their next request when they have their answer: a closed loop
batches     the same, a thousand jobs at a time
open_loop   so many requests a second, whatever becomes of the answers

What they take, they take from the faster side most. A request costs them some 60 µs of CPU, and k6 a millisecond.
"""
