"""Results on a local disk or in S3, by obstore."""

from holdfast.adapters.artifacts.store import ObstoreArtifacts

__all__ = ["ObstoreArtifacts"]
