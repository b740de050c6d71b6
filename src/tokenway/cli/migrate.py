"""`tokenway migrate`: the database's tables as this version needs them."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter

from tokenway.cli.options import AsJson, ConfigFile, DataDir
from tokenway.cli.output import print_json
from tokenway.compose.commands import data_directory, store_schema


def migrate(
    *,
    check: Annotated[bool, Parameter(help="Only say whether it is needed; exit status 1 when it is.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> int:
    """Bring the database's tables to what this version needs.

    Forward only: back up first. A database file is brought up to date by
    `tokenway serve` as well; one on a server only by this, because other
    machines may use it.

    For example:
      tokenway migrate --check
      tokenway migrate
    """
    schema = store_schema(data_directory(data_dir, os.environ), config, os.environ, change=not check)
    if as_json:
        print_json(
            {
                "database": schema.database,
                "from": schema.had,
                "to": schema.has,
                "needed": schema.needs,
                "current": schema.is_current,
            }
        )
    else:
        print(_sentence(schema.database, schema.had, schema.has, schema.needs))
    return 0 if schema.is_current else 1


def _sentence(database: str, had: str | None, has: str | None, needs: str) -> str:
    if has != needs:
        state = "has no tables yet" if has is None else f"has the schema {has}"
        return f"The database {database} {state}, and this version needs {needs}: run `tokenway migrate`."
    if had == has:
        return f"The database {database} has the schema {has}, as this version needs it."
    before = "had no tables" if had is None else f"had the schema {had}"
    return f"The database {database} {before} and has the schema {has} now."
