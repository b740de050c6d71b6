"""`tokenway serve` as a process: what it says when it runs, and one sentence for each way in which it cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from tokenway.compose.lock import data_directory_held
from tokenway.compose.spawn import begun
from tokenway.compose.supervise import run
from tokenway.store.sqlite import open_sqlite

CONFIG: Final = "providers: {local: {enabled: false}, lab: {base_url: 'http://127.0.0.1:9/v1'}}\n"


class Place:
    """A directory with a configuration, and `tokenway serve` in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.write(CONFIG)

    def write(self, text: str) -> None:
        """Replaces the configuration."""
        (self.directory / "tokenway.yaml").write_text(text)

    def start(self, *flags: str) -> subprocess.Popen[str]:
        """Starts it on ports that the system chooses, unless the flags say otherwise."""
        environment = {name: text for name, text in os.environ.items() if "_API_KEY" not in name}
        environment |= {"HOME": str(self.directory), "TOKENWAY_DATA_DIR": str(self.data)}
        ports = [word for name in ("--port", "--control-port") if name not in flags for word in (name, "0")]
        command = [sys.executable, "-m", "tokenway", "serve", *ports, *flags]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=self.directory
        )

    def fails(self, *flags: str, status: int = 1) -> list[str]:
        """What it writes to standard error when it cannot run; nothing to standard output, and this status."""
        with self.start(*flags) as process:
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (status, "")
        assert "Traceback" not in err
        return err.splitlines()

    @contextmanager
    def runs(self, *flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
        """A gateway that is ready, and what it said by the words before each figure; it ends well on SIGTERM."""
        with self.start(*flags) as process:
            assert process.stdout is not None
            said: dict[str, str] = {}
            for line in process.stdout:
                words, _, figure = line.rstrip().rpartition("  ")
                said[words.strip()] = figure.strip()
                if line.lstrip().startswith("-d"):
                    break
            assert said, process.communicate()
            yield process, said
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A usable configuration in a fresh directory."""
    return Place(tmp_path)


def test_the_first_start_shows_a_key_once_and_keeps_it_for_its_owner(place: Place) -> None:
    """The second start does not show it, and the file then has the new address."""
    with place.runs() as (_, said):
        credentials = json.loads((place.data / "credentials.json").read_text())
        assert said["Your key, shown once"] == credentials["api_key"]
        assert said["Tokenway listens at"] == f"{credentials['base_url']}/v1"
        assert said["Sign in as"] == f"{credentials['admin']}, password {credentials['password']}"
        assert said["Control API's token"] == credentials["token"]
        assert (place.data / "credentials.json").stat().st_mode & 0o777 == 0o600
    with place.runs() as (_, said):
        again = json.loads((place.data / "credentials.json").read_text())
        assert "Your key, shown once" not in said
        assert said["Tokenway listens at"] == f"{again['base_url']}/v1"
        assert {**again, "base_url": ""} == {**credentials, "base_url": ""}


def test_every_mistake_in_the_configuration_is_told(place: Place) -> None:
    """Each with its line, then one sentence; nothing was made."""
    place.write("serer: {}\nserver: {workers: none}\n")
    first, second, last = place.fails()
    assert first.startswith("tokenway: tokenway.yaml:1: error: serer:")
    assert second.startswith("tokenway: tokenway.yaml:2: error: server.workers:")
    assert last == "tokenway: the configuration cannot be used, so nothing was started"
    assert not place.data.exists()


@pytest.mark.parametrize("flags", [("--port", "99999"), ("--workers", "0"), ("--port", "7", "--control-port", "7")])
def test_a_flag_with_a_value_that_cannot_be_is_bad_usage(place: Place, flags: tuple[str, ...]) -> None:
    """As where the parser knows it; the sentence names the flag."""
    first, last = place.fails(*flags, status=2)
    assert first.startswith(f"tokenway: {flags[-2]}: error: server.")
    assert last == "tokenway: the configuration cannot be used, so nothing was started"


def test_a_configuration_that_is_not_there_is_an_error(place: Place) -> None:
    """A name that was given is not passed over in silence."""
    first, _ = place.fails("--config", "nowhere.yaml")
    assert first == "tokenway: nowhere.yaml: error: cannot be read: No such file or directory"


def test_what_is_doubtful_is_told_and_does_not_stop_it(place: Place) -> None:
    """Warnings appear at the start as they do in `tokenway check`."""
    place.write(CONFIG + "aliases: {a: local}\n")
    with place.start() as process:
        assert process.stdout is not None
        while not process.stdout.readline().lstrip().startswith("-d"):
            assert process.poll() is None
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "warning: aliases.a: 'local' is served by 'local', which is switched off" in err
    assert process.returncode == 0


def test_a_port_that_is_taken_says_which_flag_chooses_another(place: Place) -> None:
    """After the moment that a predecessor may need to go."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (line,) = place.fails("--control-port", str(port))
    why = "(Address already in use); choose another port with --control-port"
    assert line == f"tokenway: cannot listen on 127.0.0.1:{port} {why}"


def test_a_data_directory_that_cannot_be_made_is_named(place: Place) -> None:
    """A file stands in its place."""
    place.data.write_text("")
    assert place.fails() == [
        f"tokenway: the data directory {place.data} cannot be written (File exists); choose another with --data-dir"
    ]


def test_a_second_gateway_on_the_same_data_says_who_has_it(place: Place) -> None:
    """Before it touches a port or the database."""
    with data_directory_held(place.data):
        (line,) = place.fails()
    assert line == (
        f"tokenway: another gateway (process {os.getpid()}) uses the data directory {place.data}; "
        "stop it, or give this one its own with --data-dir"
    )
    assert not (place.data / "tokenway.db").exists()


def test_a_newer_database_is_left_alone(place: Place) -> None:
    """It says what to do."""
    open_sqlite(place.data / "tokenway.db").close()
    with sqlite3.connect(place.data / "tokenway.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    (line,) = place.fails()
    assert "has the schema 9999, which is newer than this version of Tokenway knows" in line


def test_a_database_that_is_none_is_an_error(place: Place) -> None:
    """As when the setting names the wrong file."""
    (place.directory / "notes.txt").write_text("not a database, " * 100)
    place.write(f"{CONFIG}store: sqlite:///{place.directory}/notes.txt\n")
    (line,) = place.fails()
    assert line.startswith(f"tokenway: cannot open the database {place.directory}/notes.txt: ")


def test_a_database_in_a_place_that_cannot_be_made_is_an_error(place: Place) -> None:
    """A directory below a file."""
    (place.directory / "file").write_text("")
    place.write(f"{CONFIG}store: sqlite:///{place.directory}/file/data/tokenway.db\n")
    (line,) = place.fails()
    assert line == f"tokenway: cannot open the database {place.directory}/file/data/tokenway.db: Not a directory"


def test_a_worker_that_cannot_write_its_journal_ends_the_start(place: Place) -> None:
    """Its own sentence comes first; the gateway does not wait for ever."""
    place.data.mkdir()
    (place.data / "journal").write_text("")
    lines = place.fails()
    assert lines[0].startswith("tokenway: edge-1 cannot run: ")
    assert lines[-1] == "tokenway: worker 1 ended with status 1 3 times before it served; its reason stands above"
    # The key that was made meanwhile is not lost.
    assert json.loads((place.data / "credentials.json").read_text())["api_key"].startswith("tw-")


def test_it_can_be_stopped_while_it_starts(place: Place) -> None:
    """SIGTERM then ends it well, without a word about what did not come to be."""
    with place.start() as process:
        while not (place.data / "tokenway.db").exists():
            assert process.poll() is None
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_it_goes_on_when_nobody_reads_what_it_says(place: Place) -> None:
    """As behind `| head -1`; SIGTERM still ends it well."""
    with place.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        while not (place.data / "credentials.json").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert "was read again" in process.stderr.readline()
        process.terminate()
        process.wait(timeout=60)
    assert process.returncode == 0


def test_a_database_that_fails_later_leaves_the_workers_alone(place: Place) -> None:
    """A control process that cannot open it any more says so, once, and is not the end of the gateway."""
    with place.start() as process:
        assert process.stdout is not None
        while not process.stdout.readline().lstrip().startswith("-d"):
            assert process.poll() is None
        with sqlite3.connect(place.data / "tokenway.db") as database:
            (version,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
            database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.close()
        for child in psutil.Process(process.pid).children():
            if "tokenway.compose.control" in child.cmdline():
                child.kill()
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        assert "the control process ended with status -9 after" in lines[0]
        assert "newer than this version of Tokenway knows" in lines[1]
        assert "it is tried again, and the workers go on meanwhile" in lines[1]
        with sqlite3.connect(place.data / "tokenway.db") as database:
            database.execute("UPDATE alembic_version SET version_num = ?", (version,))
        database.close()
        process.send_signal(signal.SIGHUP)
        assert "was read again" in process.stderr.readline()
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_it_holds_no_more_than_it_needs() -> None:
    """What it imports stays in memory as long as the gateway runs."""
    program = "import sys, tokenway.compose.supervise; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    heavy = {
        "asyncio",
        "ssl",
        "cyclopts",
        "yaml",
        "uvloop",
        "sqlalchemy",
        "tokenway.model.settings",
        "tokenway.control",
    }
    assert not heavy & set(told.split())


def test_a_control_process_that_dies_before_it_has_answered_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It could not say anything, and nothing was made."""
    with begun() as both:
        both[0].process.kill()
        assert run(both, config=None, overrides={}, data_dir=tmp_path / "data") == 1
    why = "tokenway: the control process ended with status -9 before it was ready\n"
    assert capsys.readouterr().err == why
    assert not (tmp_path / "data").exists()
