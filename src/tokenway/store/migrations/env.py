"""What Alembic runs before the revisions: they go through the connection that the store hands over."""

from alembic import context

from tokenway.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
