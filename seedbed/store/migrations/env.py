"""Run by Alembic, inside the transaction that `store.migrate` opened."""

from alembic import context

from seedbed.store.migrate import VERSION_TABLE
from seedbed.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata,
                  version_table=VERSION_TABLE, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
