"""A sick downstream, measured: what it costs the jobs of a healthy one, and what becomes of its own.

python -m sick                      the whole of it, as `make sick` runs it
tests/chaos/test_sick.py            the short form, which asserts counts and no times

receiver   web servers on loopback addresses of their own: one healthy host, hosts that fall ill and heal
run        one run: webhooks at a steady rate, sickness, healing, drained
holdfast_side Holdfast as one side: posts over HTTP, its ledger, what its breakers did
celery_side naive Celery as the other side: the same webhooks, processes and slots
figures    latencies, ratios, calls after the trip, the ramp: from runs to numbers
targets    what the numbers must be
plot       latency over time, and calls to the sick host with the breaker's states, as SVG
report     the tables, as JSON and in docs/reliability.md
"""
