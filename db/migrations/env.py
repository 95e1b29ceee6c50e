"""Runs the migrations on the connection that ``db.schema.migrate`` hands over."""

from __future__ import annotations

from alembic import context

from db.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
# The caller's transaction holds the lock, so everything happens inside it.
context.run_migrations()
