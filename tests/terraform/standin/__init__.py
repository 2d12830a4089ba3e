"""The AWS stand-in: moto on loopback, with what Holdfast's Terraform needs beyond moto.

It proves that every resource is accepted by the provider and an API of the right shape, that a second plan is empty,
and that everything can be destroyed. It does not prove what only AWS knows: quotas, permissions, reachability, time.
"""
