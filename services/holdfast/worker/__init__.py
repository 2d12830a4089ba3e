"""The Celery half: messages in, tickets to the engine, acknowledgements out."""
