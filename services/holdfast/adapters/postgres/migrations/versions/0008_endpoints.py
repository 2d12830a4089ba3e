"""Webhook endpoints, and the jobs that wait for one"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PARKED = sa.text("parked_by IS NOT NULL AND state = 'waiting'")
FAILING = sa.text("state = 'failing'")


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("secrets", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("event_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('enabled', 'disabled', 'failing', 'gone', 'deleted')", name=op.f("endpoints_state_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("endpoints_pkey")),
    )
    op.create_index("endpoints_tenant_id_ix", "endpoints", ["tenant", "id"], unique=False)
    op.create_index("endpoints_probe_at_ix", "endpoints", ["probe_at"], unique=False, postgresql_where=FAILING)
    op.add_column("jobs", sa.Column("parked_by", sa.UUID(), nullable=True))
    op.create_index("jobs_parked_ix", "jobs", ["parked_by", "id"], unique=False, postgresql_where=PARKED)


def downgrade() -> None:
    op.drop_index("jobs_parked_ix", table_name="jobs")
    op.drop_column("jobs", "parked_by")
    op.drop_index("endpoints_probe_at_ix", table_name="endpoints")
    op.drop_index("endpoints_tenant_id_ix", table_name="endpoints")
    op.drop_table("endpoints")
