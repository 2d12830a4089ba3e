"""Lanes: jobs that run one after the other"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateSequence, DropSequence

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TURNS = sa.Sequence("jobs_turn_seq")
BEFORE = "'scheduled', 'queued', 'running', 'waiting', 'succeeded', 'cancelled', 'dead'"


def upgrade() -> None:
    op.execute(CreateSequence(TURNS))
    op.add_column("jobs", sa.Column("lane", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("turn", sa.BigInteger(), nullable=True))
    _states(f"'blocked', {BEFORE}")
    op.create_index(
        "jobs_lane_ix", "jobs", ["lane", "turn"], unique=False, postgresql_where=sa.text("state = 'blocked'")
    )
    op.create_index(
        "jobs_under_way_ix",
        "jobs",
        ["lane"],
        unique=True,
        postgresql_where=sa.text("lane IS NOT NULL AND state IN ('scheduled', 'queued', 'running', 'waiting')"),
    )


def downgrade() -> None:
    op.drop_index("jobs_under_way_ix", table_name="jobs")
    op.drop_index("jobs_lane_ix", table_name="jobs")
    _states(BEFORE)
    op.drop_column("jobs", "turn")
    op.drop_column("jobs", "lane")
    op.execute(DropSequence(TURNS))


def _states(names: str) -> None:
    op.drop_constraint(op.f("jobs_state_check"), "jobs")
    op.create_check_constraint(op.f("jobs_state_check"), "jobs", f"state IN ({names})")
