"""The peers, as programs of their own environment: nothing here may import Holdfast.

work             what their jobs do, and how it is counted
web              the same FastAPI application for all of them
celery_stack     Celery, over Redis or RabbitMQ
dramatiq_stack   Dramatiq over RabbitMQ
taskiq_stack     taskiq over RabbitMQ by aio-pika
fill             hand over many jobs at once, without HTTP
"""
