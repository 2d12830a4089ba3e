"""Since when a job stands where it stands, for the conservation check"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.create_index(
        "jobs_ticketed_ix",
        "jobs",
        ["since"],
        unique=False,
        postgresql_where=sa.text("due_at IS NULL AND state IN ('queued', 'waiting')"),
    )
    op.create_index(
        "dead_letters_open_ix",
        "dead_letters",
        ["reason", "id"],
        unique=False,
        postgresql_where=sa.text("replayed_at IS NULL AND dropped_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("dead_letters_open_ix", table_name="dead_letters")
    op.drop_index("jobs_ticketed_ix", table_name="jobs")
    op.drop_column("jobs", "since")
