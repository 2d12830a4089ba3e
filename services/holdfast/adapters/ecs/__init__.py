"""What a task asks of the ECS agent beside it."""
