"""RabbitMQ: the topology, the message, the publisher, the dead-letter queue's reader."""
