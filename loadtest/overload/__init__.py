"""`make overload`: offer an api three times what it sustains, and see what becomes of it.

program    parse, run the phases, report
phases     what is measured, one function each
h2load     the generator: an open loop, so that a slow answer does not slow the load down
report     the tables, in docs/reliability.md between two markers
"""
