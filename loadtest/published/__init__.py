"""docs/performance.md, and the figures of the README: written from the results in docs/performance/*.json.

A measurement is published by putting its results there and writing the pages again. `docs/generate.py` does the same,
so no figure on a page can differ from the file that it comes from.

results    the files
peers      the table of the peers, and its picture
load       the tables and pictures of the load test
goals      what must be reached, and what is
pages      which file gets what
"""
