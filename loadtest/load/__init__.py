"""`make loadtest`: what Holdfast does under load, and what it costs.

program    parse, take the measures, keep what each found
measures   one function for each measure: what is started, what is offered, what is counted
growth     the same work on a ledger of a million jobs
world      a platform in a sandbox of its own, watched while something is offered
watch      a look at CPU, memory and backlog every half a second
usage      CPU and memory of processes
answers    what callers saw, by second and by load
scripts/   the k6 scripts
"""
