"""An index that finds the attempts of the last seconds"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "attempts_finished_ix",
        "attempts",
        ["finished_at"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 16, "autosummarize": True},
    )


def downgrade() -> None:
    op.drop_index("attempts_finished_ix", "attempts")
