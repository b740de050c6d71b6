"""`tokenway serve`: runs the gateway."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tokenway.cli.options import ConfigFile, DataDir


def serve(
    *,
    config: ConfigFile = None,
    host: Annotated[
        str | None, Parameter(help="Address of both listeners [otherwise TOKENWAY_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, Parameter(help="Public listener; 0 picks one [otherwise TOKENWAY_PORT, 8080].")] = None,
    control_port: Annotated[
        int | None, Parameter(help="Control listener; 0 picks one [otherwise TOKENWAY_CONTROL_PORT, 8081].")
    ] = None,
    workers: Annotated[int | None, Parameter(help="Edge workers [otherwise TOKENWAY_WORKERS, 1].")] = None,
    data_dir: DataDir = None,
) -> int:
    """Run the gateway until SIGTERM or Ctrl-C.

    Without a configuration the local model serves, and every provider whose
    usual variable is set. The first start prints a key once. A changed file or
    SIGHUP reloads; SIGTERM lets open streams finish.

    For example:
      tokenway serve
      tokenway serve --config tokenway.yaml --port 9000 --workers 2
    """
    from tokenway.compose.serve import serve as run  # noqa: PLC0415 - the help needs no server

    given = {"host": host, "port": port, "control_port": control_port, "workers": workers}
    overrides = {f"server.{name}": str(value) for name, value in given.items() if value is not None}
    return run(config=config, overrides=overrides, data_dir=data_dir)
