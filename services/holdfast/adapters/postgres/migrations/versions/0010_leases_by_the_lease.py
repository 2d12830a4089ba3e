"""The index of leases holds what has a lease, and no longer offers itself for `state = 'running'`

Where few jobs ran when statistics were taken, the planner thinks that the old one leads to a job as fast as the primary
key does, and reads every running job to settle each of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _index_where(predicate: str) -> None:
    op.drop_index("jobs_leased_ix", table_name="jobs")
    op.create_index("jobs_leased_ix", "jobs", ["lease_until"], unique=False, postgresql_where=sa.text(predicate))


def upgrade() -> None:
    _index_where("lease_until IS NOT NULL")


def downgrade() -> None:
    _index_where("state = 'running'")
