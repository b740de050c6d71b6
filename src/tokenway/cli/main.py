"""The command line: which command lives where, and how each failure leaves the process.

Exit status: 0 done, 1 failed, 2 bad usage, 130 stopped by Ctrl-C. A command is imported only when it
is the one that runs, so `tokenway serve` does not pay for what `tokenway chat` needs.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter

from tokenway import __version__
from tokenway.cli.begin import INTERRUPTED
from tokenway.cli.errors import CommandError
from tokenway.model.errors import TokenwayError

DONE: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2

_HELP = """One endpoint and one key for every language model.

For example:
  tokenway serve
  tokenway ask local "Say hello"
"""
_KEYS_HELP = """Keys of callers: create, list, show, update, rotate, revoke, archive.

For example:
  tokenway keys create laptop --budget 5.00
"""
_PROJECTS_HELP = """Projects, whom use is counted for: create, list, show, update, archive.

For example:
  tokenway projects create Resale --markup 12.5%
"""
_USERS_HELP = """People and service accounts, and what they may do in which project.

For example:
  tokenway users create ann@example.org
"""
_LIMITS_HELP = """What keys, projects, users and models may spend: set, list, delete.

For example:
  tokenway limits set key laptop usd 5.00 --term month
"""
_CONTROL_TOKENS_HELP = """Tokens of the control API: create, list, revoke.

For example:
  tokenway control-tokens create terraform --user admin
"""
_AUDIT_HELP = """Who changed what: list.

For example:
  tokenway audit list --since 7d
"""
_CREDITS_HELP = """What projects may spend that pay beforehand: show, add, grant, refund, adjust, codes, redeem.

For example:
  tokenway credits add default 50.00 --reference "payment 1234"
"""
_INVOICES_HELP = """What projects are charged for a period: create, list, show.

For example:
  tokenway invoices create default --since 2026-01-01 --until 2026-02-01
"""
_LEDGER_HELP = """The books: verify, export, reconcile.

For example:
  tokenway ledger verify
"""
_LOCAL_HELP = """The small model that runs on this machine: install, status.

For example:
  tokenway local install
"""

_RUNS_HELP = """The runs of agents, each with its tree: list (also without a word), show.

For example:
  tokenway runs --since 30d
  tokenway runs show nightly-7
"""

_PLAN_HELP = """What serving takes: size (also without a word), predict, claim.

For example:
  tokenway plan llama-3-70b --tokens-per-day 5e9 --doubling 180
  tokenway plan predict --csv points.csv --out predictions.csv
  tokenway plan claim blackwell-30x
"""

_GRADE_HELP = """What few bits cost in accuracy, and whether two endpoints are the same: weights, compare, formats.

For example:
  tokenway grade weights --format nvfp4
"""

_IMPORT_HELP = """Configurations of other gateways: litellm.

For example:
  tokenway import litellm config.yaml --output tokenway.yaml
"""

_NODES_HELP = """The machines that share the database: when each was heard of, and which will not come back.

For example:
  tokenway nodes list
  tokenway nodes retire 3f2a9c01
"""

_COMMANDS: Final = {
    "serve": "tokenway.cli.serve:serve",
    "check": "tokenway.cli.check:check",
    "ask": "tokenway.cli.ask:ask",
    "chat": "tokenway.cli.chat:chat",
    "models": "tokenway.cli.catalogue:models",
    "endpoints": "tokenway.cli.catalogue:endpoints",
    "usage": "tokenway.cli.usage:usage",
    "tokens": "tokenway.cli.tokens:tokens",
    "forecast": "tokenway.cli.forecast:forecast",
    "doctor": "tokenway.cli.doctor:doctor",
    "migrate": "tokenway.cli.migrate:migrate",
}
_GROUPS: Final = {
    "keys": (
        _KEYS_HELP,
        {
            "create": "tokenway.cli.keys:create",
            "list": "tokenway.cli.keys:list_keys",
            "show": "tokenway.cli.keys:show",
            "update": "tokenway.cli.keys:update",
            "rotate": "tokenway.cli.keys:rotate",
            "revoke": "tokenway.cli.keys:revoke",
            "archive": "tokenway.cli.keys:archive",
        },
    ),
    "runs": (_RUNS_HELP, {"list": "tokenway.cli.runs:list_runs", "show": "tokenway.cli.runs:show"}),
    "projects": (
        _PROJECTS_HELP,
        {
            "create": "tokenway.cli.projects:create",
            "list": "tokenway.cli.projects:list_projects",
            "show": "tokenway.cli.projects:show",
            "update": "tokenway.cli.projects:update",
            "archive": "tokenway.cli.projects:archive",
        },
    ),
    "users": (
        _USERS_HELP,
        {
            "create": "tokenway.cli.users:create",
            "list": "tokenway.cli.users:list_users",
            "show": "tokenway.cli.users:show",
            "update": "tokenway.cli.users:update",
            "archive": "tokenway.cli.users:archive",
            "password": "tokenway.cli.users:password",
            "add-to": "tokenway.cli.users:add_to",
            "remove-from": "tokenway.cli.users:remove_from",
        },
    ),
    "limits": (
        _LIMITS_HELP,
        {
            "set": "tokenway.cli.limits:set_limit",
            "list": "tokenway.cli.limits:list_limits",
            "delete": "tokenway.cli.limits:delete",
        },
    ),
    "control-tokens": (
        _CONTROL_TOKENS_HELP,
        {
            "create": "tokenway.cli.control_tokens:create",
            "list": "tokenway.cli.control_tokens:list_tokens",
            "revoke": "tokenway.cli.control_tokens:revoke",
        },
    ),
    "audit": (_AUDIT_HELP, {"list": "tokenway.cli.audit:list_audit"}),
    "credits": (
        _CREDITS_HELP,
        {
            name: f"tokenway.cli.credits:{name}"
            for name in ("show", "add", "grant", "refund", "adjust", "codes", "redeem")
        },
    ),
    "nodes": (_NODES_HELP, {"list": "tokenway.cli.nodes:list_nodes", "retire": "tokenway.cli.nodes:retire"}),
    "invoices": (
        _INVOICES_HELP,
        {
            "create": "tokenway.cli.invoices:create",
            "list": "tokenway.cli.invoices:list_invoices",
            "show": "tokenway.cli.invoices:show",
            "void": "tokenway.cli.invoices:void",
        },
    ),
    "ledger": (
        _LEDGER_HELP,
        {name: f"tokenway.cli.ledger:{name}" for name in ("verify", "export", "reconcile", "withheld", "settle")},
    ),
    "plan": (
        _PLAN_HELP,
        {
            "size": "tokenway.cli.plan:plan",
            "predict": "tokenway.cli.plan_predict:predict",
            "claim": "tokenway.cli.plan_claim:claim",
        },
    ),
    "grade": (
        _GRADE_HELP,
        {name: f"tokenway.cli.grade:{name}" for name in ("weights", "compare", "formats")},
    ),
    "import": (_IMPORT_HELP, {"litellm": "tokenway.cli.importing:litellm"}),
    "local": (
        _LOCAL_HELP,
        {"install": "tokenway.cli.local:install", "status": "tokenway.cli.local:status"},
    ),
}
_USUAL: Final = {"runs": "list", "plan": "size"}
"""What a group does that is not told what to do."""


def build_app() -> App:
    """The parser with every command; nothing of a command is imported yet."""
    app = App(
        name="tokenway",
        help=_HELP,
        version=f"tokenway {__version__}",
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_env_var=False),
        result_action="return_value",
    )
    for name, path in _COMMANDS.items():
        app.command(path, name=name)
    for name, (text, commands) in _GROUPS.items():
        group = App(name=name, help=text)
        for command, path in commands.items():
            group.command(path, name=command)
        app.command(group)
    return app


def load_all(app: App) -> None:
    """Imports every command, so that a list of them can say what each does."""
    for name in app:
        if not name.startswith("-"):
            load_all(app[name])


def command_paths() -> list[tuple[str, ...]]:
    """Every command as its words, groups before their commands, in the order of the help."""
    paths: list[tuple[str, ...]] = [(name,) for name in _COMMANDS]
    for name, (_, commands) in _GROUPS.items():
        paths.append((name,))
        paths.extend((name, command) for command in commands)
    return paths


def run(arguments: list[str]) -> int:
    """Runs one command line; returns the exit status."""
    app = build_app()
    arguments = _completed(arguments)
    if not arguments or arguments[-1] in _GROUPS or not {"--help", "-h"}.isdisjoint(arguments):
        load_all(app)
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _bad_usage(error)
    except CommandError as error:
        return _fail(str(error), error.exit_status)
    except TokenwayError as error:
        return _fail(f"{error}; {error.hint}" if error.hint else str(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; a second failure while Python flushes at exit is silenced
        # as the standard library's manual advises.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return result if isinstance(result, int) else DONE


def _completed(arguments: list[str]) -> list[str]:
    """The words with what a group does that is not told what to do."""
    group, *rest = arguments or [""]
    if group not in _USUAL or (rest and rest[0] in {"--help", "-h", *_GROUPS[group][1]}):
        return arguments
    return [group, _USUAL[group], *rest]


def _bad_usage(error: CycloptsError) -> int:
    words = " ".join(("tokenway", *(error.command_chain or ())))
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        reason = f"{error.argument.name} is missing."
    else:
        reason = " ".join(str(error).split())
    return _fail(f"{reason} Try `{words} --help`.", BAD_USAGE)


def _fail(sentence: str, status: int) -> int:
    print(f"tokenway: {sentence}", file=sys.stderr)
    return status
