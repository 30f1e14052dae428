"""First tables.

expand: the empty database gets every shape that later work stands on.

Revision: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "app",
        sa.Column("appid", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=2000), nullable=False),
        sa.Column("store", JSON, nullable=True),
        sa.Column("store_keys", sa.Text(), nullable=True),
        sa.Column("slice_s", sa.Integer(), nullable=False),
        sa.Column("limits", JSON, nullable=False),
        sa.Column("behaviour", JSON, nullable=False),
        sa.Column("notice_url", sa.String(length=2000), nullable=False),
        sa.Column("notice_secret", sa.Text(), nullable=True),
        sa.Column("created_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("appid", name=op.f("pk_app")),
    )
    op.create_table(
        "customer_key",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_customer_key")),
    )
    op.create_table(
        "leader",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("held_since_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leader")),
    )
    op.create_table(
        "node",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("boot", sa.String(length=32), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("cordoned", sa.Boolean(), nullable=False),
        sa.Column("cordon_cause", sa.String(length=200), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("ingest_url", sa.String(length=500), nullable=False),
        sa.Column("ingest_units", sa.String(length=200), nullable=False),
        sa.Column("ingest_up", sa.Boolean(), nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_node")),
    )
    op.create_table(
        "key_scope",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("appid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["appid"], ["app.appid"], name=op.f("fk_key_scope_appid_app"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["key"], ["customer_key.key"], name=op.f("fk_key_scope_key_customer_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", "appid", name=op.f("pk_key_scope")),
    )
    op.create_table(
        "recording",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("appid", sa.String(length=64), nullable=False),
        sa.Column("cname", sa.String(length=1024), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=512), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("live_key", sa.String(length=64), nullable=True),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("secrets", sa.Text(), nullable=True),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column(
            "wanted",
            sa.Enum(
                "run", "hold", "stop", "cancel", name="wanted", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("wanted_gen", sa.Integer(), nullable=False),
        sa.Column("wanted_cause", sa.String(length=64), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("fault", JSON, nullable=True),
        sa.Column("max_epoch", sa.Integer(), nullable=False),
        sa.Column("writer_epoch", sa.Integer(), nullable=False),
        sa.Column("next_dispatch_ms", BIG, nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("t0_ms", BIG, nullable=True),
        sa.Column("anchor", JSON, nullable=True),
        sa.Column("last_user_90k", BIG, nullable=True),
        sa.Column("sliced", sa.Boolean(), nullable=False),
        sa.Column("uploading", sa.String(length=16), nullable=False),
        sa.Column("notice_sequence", sa.Integer(), nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("ended_ms", BIG, nullable=True),
        sa.Column("keep_until_ms", BIG, nullable=True),
        sa.ForeignKeyConstraint(["appid"], ["app.appid"], name=op.f("fk_recording_appid_app"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_recording")),
        sa.UniqueConstraint("resource_id", name=op.f("uq_recording_resource_id")),
    )
    op.create_index("ix_recording_app_created", "recording", ["appid", "created_ms"])
    op.create_index(op.f("ix_recording_keep_until_ms"), "recording", ["keep_until_ms"])
    op.create_index("ix_recording_status", "recording", ["status"])
    op.create_index("uq_recording_live", "recording", ["live_key"], unique=True)

    op.create_table(
        "resource",
        sa.Column("resource_id", sa.String(length=512), nullable=False),
        sa.Column("appid", sa.String(length=64), nullable=False),
        sa.Column("cname", sa.String(length=1024), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("options", JSON, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("sid", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["appid"], ["app.appid"], name=op.f("fk_resource_appid_app"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_resource")),
        sa.UniqueConstraint("sid", name=op.f("uq_resource_sid")),
    )
    op.create_index(op.f("ix_resource_expires_ms"), "resource", ["expires_ms"])

    op.create_table(
        "room_place",
        sa.Column("appid", sa.String(length=64), nullable=False),
        sa.Column("cname", sa.String(length=1024), nullable=False),
        sa.Column("node", sa.String(length=80), nullable=False),
        sa.Column("used_ms", BIG, nullable=False),
        sa.ForeignKeyConstraint(["appid"], ["app.appid"], name=op.f("fk_room_place_appid_app"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("appid", "cname", name=op.f("pk_room_place")),
    )
    op.create_table(
        "file",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=1200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("track", sa.String(length=128), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("bytes", BIG, nullable=False),
        sa.Column("md5", sa.String(length=32), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("duration_90k", BIG, nullable=False),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.Column("store", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["sid"], ["recording.sid"], name=op.f("fk_file_sid_recording"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sid", "key", name=op.f("pk_file")),
    )
    op.create_table(
        "notice",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.String(length=36), nullable=False),
        sa.Column("appid", sa.String(length=64), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending", "delivered", "given_up", name="state", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("next_ms", BIG, nullable=False),
        sa.ForeignKeyConstraint(["sid"], ["recording.sid"], name=op.f("fk_notice_sid_recording"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sid", "sequence", name=op.f("pk_notice")),
        sa.UniqueConstraint("notice_id", name=op.f("uq_notice_notice_id")),
    )
    op.create_index(op.f("ix_notice_appid"), "notice", ["appid"])
    op.create_index("ix_notice_due", "notice", ["state", "next_ms"])

    op.create_table(
        "tenure",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=True),
        sa.Column("node", sa.String(length=80), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "primary",
                "successor",
                "standby",
                "finaliser",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "reserved",
                "dispatched",
                "warming",
                "live",
                "draining",
                "ended",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("from_90k", BIG, nullable=False),
        sa.Column("until_90k", BIG, nullable=True),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("renewed", sa.Integer(), nullable=False),
        sa.Column("observed_gen", sa.Integer(), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("cut_ack", sa.Boolean(), nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("ended_ms", BIG, nullable=True),
        sa.Column("cause", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["sid"], ["recording.sid"], name=op.f("fk_tenure_sid_recording"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sid", "epoch", name=op.f("pk_tenure")),
        postgresql_with={"fillfactor": 50, "autovacuum_vacuum_scale_factor": 0.02},
    )
    op.create_index("ix_tenure_state_node", "tenure", ["state", "node"])

    op.create_table(
        "track",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("track", sa.String(length=128), nullable=False),
        sa.Column("head_90k", BIG, nullable=False),
        sa.ForeignKeyConstraint(["sid"], ["recording.sid"], name=op.f("fk_track_sid_recording"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sid", "track", name=op.f("pk_track")),
    )
    op.create_table(
        "hole",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("track", sa.String(length=128), nullable=False),
        sa.Column("start_90k", BIG, nullable=False),
        sa.Column("end_90k", BIG, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "owed", "lost", "paused", "filled", name="state", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("owed_epoch", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=200), nullable=False),
        sa.Column("since_ms", BIG, nullable=False),
        sa.CheckConstraint("start_90k < end_90k", name=op.f("ck_hole_range")),
        sa.ForeignKeyConstraint(
            ["sid", "track"], ["track.sid", "track.track"], name=op.f("fk_hole_sid_track"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sid", "track", "start_90k", name=op.f("pk_hole")),
    )
    op.create_index("ix_hole_state", "hole", ["state"])

    op.create_table(
        "notice_attempt",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at_ms", BIG, nullable=False),
        sa.Column("outcome", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["sid", "sequence"],
            ["notice.sid", "notice.sequence"],
            name=op.f("fk_notice_attempt_sid_notice"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sid", "sequence", "attempt", name=op.f("pk_notice_attempt")),
    )
    op.create_table(
        "segment",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("track", sa.String(length=128), nullable=False),
        sa.Column("start_90k", BIG, nullable=False),
        sa.Column("end_90k", BIG, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=1200), nullable=False),
        sa.Column(
            "state",
            sa.Enum("reserved", "stored", name="state", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("bytes", BIG, nullable=False),
        sa.Column("md5", sa.String(length=32), nullable=False),
        sa.Column("store", sa.String(length=16), nullable=False),
        sa.CheckConstraint("start_90k < end_90k", name=op.f("ck_segment_range")),
        sa.ForeignKeyConstraint(
            ["sid", "track"], ["track.sid", "track.track"], name=op.f("fk_segment_sid_track"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sid", "track", "start_90k", name=op.f("pk_segment")),
    )
    op.create_index("uq_segment_key", "segment", ["sid", "key"], unique=True)


def downgrade() -> None:
    for table in (
        "segment",
        "notice_attempt",
        "hole",
        "track",
        "tenure",
        "notice",
        "file",
        "room_place",
        "resource",
        "recording",
        "key_scope",
        "node",
        "leader",
        "customer_key",
        "app",
    ):
        op.drop_table(table)
