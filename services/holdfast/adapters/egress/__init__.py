"""The way out of the platform: aiohttp behind a guard that checks every address at the moment it is dialled."""

from holdfast.adapters.egress.client import AiohttpEgress

__all__ = ["AiohttpEgress"]
