"""`make peers`: the same work on Holdfast and on what people use instead, in turns, several rounds.

program      parse, visit every side in every round, report
visit        one visit: post, settle, deliver, and see that the counts add up
sides        one way to drive all of them
roster       the peers: how their programs are run, and what they do not guarantee
environment  the peers' own virtual environment
stacks/      the peers themselves
"""
