"""What moto 5.2 lacks or forgets and Holdfast's Terraform needs, one module for each part of AWS.

Each function says in its first line what is missing. A gap that moto has closed is found by
`test_every_answer_is_one_that_moto_lacks`, and is to be deleted.
"""

from standin.gaps import cache, database, ecs, files, network, tags

__all__ = ["cache", "database", "ecs", "files", "network", "tags"]
