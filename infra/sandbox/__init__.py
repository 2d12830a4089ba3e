"""The sandbox: RabbitMQ, Redis, PostgreSQL and Prometheus in one private folder, without Docker.

Invariant: everything lives below one home folder and listens on 127.0.0.1 only; the host's packages,
mounts and other processes are never touched. Reading order: `cli` -> `sandbox` -> `services` ->
`rootfs` -> `jail` -> `daemon`.
"""
