"""What jobs do. A handler knows the ports it is given and nothing of queues, attempts or settlement."""
