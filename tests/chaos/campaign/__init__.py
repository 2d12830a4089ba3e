"""The chaos campaign: thousands of jobs through a platform that is being broken all the while, then an audit.

python -m campaign                  the whole of it, as `make chaos` runs it
tests/chaos/test_campaign.py        the short form

orders     what is submitted, and what must become of each           (seeded)
faults     what is broken, and when                                  (seeded)
world      a sandbox of its own, and the processes under a supervisor
submitter  posts the orders, re-posts their keys, cancels some
observer   a process outside that counts what really arrived
audit      the promises, checked against ledger, observer, broker and files
jitter     how the waits of a burst of failures are spread
naive      the same orders, faults and observer for Celery as tutorials set it up
report     the tables, as JSON and in docs/reliability.md
"""
