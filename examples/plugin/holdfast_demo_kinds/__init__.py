"""Four kinds of jobs in a package of their own: mail, payments, reports and data pipelines."""
