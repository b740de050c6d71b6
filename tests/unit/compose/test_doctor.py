"""`tokenway.compose.doctor`: each probe on a machine where all is well, and on one where it is not."""

from __future__ import annotations

import resource
import socket
import threading
from pathlib import Path

import pytest

from tests.servers.server import free_port
from tests.unit.cli.conftest import StubGateway, stub
from tokenway.compose import doctor
from tokenway.compose.diagnosis import Level
from tokenway.compose.doctor import Listener
from tokenway.compose.paths import CREDENTIALS, JOURNALS, Credentials, write_credentials
from tokenway.control.config import load
from tokenway.metering.ledger import Reserved
from tokenway.store.journal import JournalWriter

__all__ = ["stub"]


def listener(port: int) -> Listener:
    """A listener on loopback."""
    return Listener("public", f"http://127.0.0.1:{port}", "/health/live", "--port")


def test_this_interpreter_is_recent_enough() -> None:
    """The tests run on a Python that is supported, and the probe says which."""
    assert doctor.python_probe().level is Level.OK


def test_an_old_interpreter_fails_with_what_to_install() -> None:
    """Python 3.10 is too old."""
    probe = doctor.python_probe((3, 10, 14))
    assert (probe.level, probe.advice) == (Level.FAIL, "install Python 3.11 or newer")


def test_packages_are_listed_with_their_versions() -> None:
    """Every package that the installation asks for is named; an extra is not asked for."""
    probe = doctor.packages_probe()
    assert probe.level is Level.OK
    assert "msgspec " in probe.detail
    assert "xllamacpp" not in probe.detail


def test_a_missing_package_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that was removed is named with what to run."""
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["no-such-package-here>=1", "msgspec>=0.20"])
    probe = doctor.packages_probe()
    assert (probe.level, probe.detail) == (Level.FAIL, "missing: no-such-package-here")


def test_missing_c_parts_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uvloop it works, slower."""
    assert doctor.speed_probe().level is Level.OK
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvloop" else object())
    assert doctor.speed_probe().level is Level.WARN


def test_a_directory_that_will_be_made_is_fine(tmp_path: Path) -> None:
    """Before the first start the nearest directory that exists must be writable."""
    directory, disk = doctor.data_probes(tmp_path / "a" / "b")
    assert directory.level is Level.OK
    assert "first start" in directory.detail
    assert "MiB free" in disk.detail
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_directorys_place_fails(tmp_path: Path) -> None:
    """Data cannot be kept below a file."""
    (tmp_path / "file").write_text("")
    assert next(iter(doctor.data_probes(tmp_path / "file"))).level is Level.FAIL


@pytest.mark.parametrize(
    ("free", "level"), [(2 * doctor.DISK_WARN, Level.OK), (doctor.DISK_WARN - 1, Level.WARN), (1, Level.FAIL)]
)
def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    """Under a gibibyte is a warning, under 100 MiB a failure."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert list(doctor.data_probes(tmp_path))[1].level is level


def test_a_free_port_is_fine() -> None:
    """Nobody listens, and a gateway could."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    probe = doctor.listener_probe(listener(port))
    assert probe.level is Level.OK
    assert "free" in probe.detail


def test_a_running_gateway_is_recognised(stub: StubGateway) -> None:
    """A health path that answers 200 is a gateway."""
    stub.serves("/health/live", {"status": "ok"})
    probe = doctor.listener_probe(listener(stub.server.server_port))
    assert (probe.level, probe.detail) == (Level.OK, "a gateway answers")


def test_another_server_on_the_port_fails(stub: StubGateway) -> None:
    """Something else that speaks HTTP is told apart from a gateway."""
    probe = doctor.listener_probe(listener(stub.server.server_port))
    assert probe.level is Level.FAIL
    assert "--port" in probe.advice


def test_something_that_hangs_up_fails() -> None:
    """A server of another protocol on the port is a failure with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        probe = doctor.listener_probe(listener(server.getsockname()[1]))
        thread.join()
    assert probe.level is Level.FAIL
    assert "no gateway" in probe.detail


def test_a_clock_before_the_installation_is_wrong() -> None:
    """A machine that thinks it is 1970 cannot keep expiry or budgets."""
    assert doctor.clock_probe().level is Level.OK
    assert doctor.clock_probe(0.0).level is Level.FAIL


@pytest.mark.parametrize(
    ("limits", "level", "advice"),
    [
        ((65536, 65536), Level.OK, ""),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), Level.OK, ""),
        ((1024, 65536), Level.WARN, "run `ulimit -n 4200` before `tokenway serve`"),
        ((1024, 1024), Level.WARN, "raise the hard limit (1,024) in the service's LimitNOFILE"),
    ],
)
def test_the_limit_of_open_files_has_room_for_two_thousand_streams(
    limits: tuple[int, int], level: Level, advice: str
) -> None:
    """A stream needs two sockets; what to do depends on whether the user may raise the limit."""
    probe = doctor.files_probe(limits)
    assert (probe.level, probe.advice) == (level, advice)


def journal(data_dir: Path, records: int) -> JournalWriter:
    """A journal with this many records in the data directory."""
    writer = JournalWriter(data_dir / JOURNALS, "edge-1")
    for index in range(records):
        writer.append(Reserved(f"gen-{index}", 1.0, "key", "default", 5))
    return writer


def test_the_journal_counts_what_is_not_in_the_ledger(tmp_path: Path) -> None:
    """Without journals, with all of one unread, and with all of it read."""
    assert doctor.journal_probe(tmp_path).detail.startswith("0 bytes")
    writer = journal(tmp_path, 3)
    path = next((tmp_path / JOURNALS).glob("*.journal"))
    waiting = int(doctor.journal_probe(tmp_path).detail.split()[0])
    assert 0 < waiting < path.stat().st_size
    assert doctor.journal_probe(tmp_path, lambda _: path.stat().st_size).detail.startswith("0 bytes")
    writer.close()


def test_a_long_journal_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one whole file of journal means that nobody reads it."""
    writer = journal(tmp_path, 3)
    monkeypatch.setattr(doctor, "JOURNAL_WARN", 10)
    assert doctor.journal_probe(tmp_path).level is Level.WARN
    writer.close()


def test_a_file_that_is_no_journal_fails(tmp_path: Path) -> None:
    """A journal that cannot be read at all is named."""
    (tmp_path / JOURNALS).mkdir()
    (tmp_path / JOURNALS / "edge-1.journal").mkdir()
    probe = doctor.journal_probe(tmp_path)
    assert probe.level is Level.FAIL
    assert "edge-1.journal" in probe.detail


def test_a_configuration_that_cannot_be_used_fails(tmp_path: Path) -> None:
    """The first finding stands in the diagnosis, and the command that lists all."""
    path = tmp_path / "tokenway.yaml"
    path.write_text("server: {prot: 1}\n")
    probe = doctor.configuration_probe(load(path, {}))
    assert probe.level is Level.FAIL
    assert "tokenway.yaml:1" in probe.detail
    assert doctor.configuration_probe(load(None, {})).level is Level.OK


def test_what_the_local_engine_lacks_is_a_warning() -> None:
    """The engine is optional: the first thing that it lacks is told, and nothing fails."""
    assert doctor.local_probe(()).level is Level.OK
    probe = doctor.local_probe(("No libgomp.", "No weights."))
    assert (probe.level, probe.detail) == (Level.WARN, "No libgomp")


def test_nothing_to_serve_is_a_warning() -> None:
    """Names of variables and providers are shown; without any, the local model must be there."""
    named = doctor.providers_probe(["OPENAI_API_KEY"], ["lab"], local_works=False)
    assert named.detail == "variables set: OPENAI_API_KEY; configured: lab"
    assert doctor.providers_probe([], [], local_works=True).level is Level.OK
    assert doctor.providers_probe([], [], local_works=False).level is Level.WARN


def test_a_note_about_a_variable_is_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that this version cannot use are not passed over; nothing has failed."""
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS": "s3cret.json",
        "GOOGLE_CLOUD_PROJECT": "p",
        "GOOGLE_CLOUD_LOCATION": "global",
    }
    monkeypatch.setattr("tokenway.control.rules.reads_accounts", lambda: False)
    (probe,) = doctor.variable_probes(load(None, environment))
    assert probe.level is Level.OK
    assert probe.detail.startswith("$GOOGLE_APPLICATION_CREDENTIALS is set: Google Vertex AI is not enabled")
    assert "GOOGLE_OAUTH_ACCESS_TOKEN" in probe.detail
    assert "s3cret" not in probe.detail
    assert list(doctor.variable_probes(load(None, {}))) == []


def test_a_diagnosis_changes_nothing_and_shows_no_secret(tmp_path: Path) -> None:
    """All probes run on an empty installation, nothing is made, and no key is in any line."""
    data_dir = tmp_path / "data"
    ports = "server: {port: 0, control_port: 0}\n"
    (tmp_path / "tokenway.yaml").write_text(ports)
    probes = doctor.diagnose(
        tmp_path / "tokenway.yaml", data_dir, {"OPENAI_API_KEY": "sk-very-secret", "HOME": str(tmp_path)}
    )
    names = [probe.name for probe in probes]
    for name in ("python", "packages", "disk", "configuration", "local engine", "providers", "clock", "journal"):
        assert name in names
    assert any("OPENAI_API_KEY" in probe.detail for probe in probes)
    assert not any("sk-very-secret" in str(probe) for probe in probes)
    assert not data_dir.exists()
    assert all(probe.advice for probe in probes if probe.level is not Level.OK)


def test_a_database_of_a_newer_version_fails(tmp_path: Path) -> None:
    """A store that cannot be opened is a failure with the store's own sentence."""
    (tmp_path / "tokenway.db").write_bytes(b"this is no database, and long enough to be sure of it" * 30)
    probes = doctor.diagnose(None, tmp_path, {"TOKENWAY_PORT": "0", "HOME": str(tmp_path)})
    assert [probe.level for probe in probes if probe.name == "database"] == [Level.FAIL]


def test_a_gateway_that_flags_have_put_elsewhere_is_found(tmp_path: Path, stub: StubGateway) -> None:
    """By the address that it wrote when it started; one that has ended since is not spoken of."""
    stub.serves("/health/live", {"status": "ok"})
    address = f"http://127.0.0.1:{stub.server.server_port}"
    write_credentials(tmp_path, Credentials("tw-key", address))
    (probe,) = doctor.started_elsewhere_probe(tmp_path, "http://127.0.0.1:8080")
    assert (probe.level, probe.detail) == (Level.OK, "a gateway answers")
    assert not list(doctor.started_elsewhere_probe(tmp_path, address))
    write_credentials(tmp_path, Credentials("tw-key", f"http://127.0.0.1:{free_port()}"))
    assert not list(doctor.started_elsewhere_probe(tmp_path, "http://127.0.0.1:8080"))
    (tmp_path / CREDENTIALS).write_text("{")
    assert not list(doctor.started_elsewhere_probe(tmp_path, "http://127.0.0.1:8080"))


def test_a_local_engine_that_is_switched_off_lacks_nothing(tmp_path: Path) -> None:
    """What was switched off on purpose is no warning, and is not said to serve."""
    file = tmp_path / "tokenway.yaml"
    file.write_text("providers: {local: {enabled: false}, lab: {base_url: 'http://127.0.0.1:9/v1', enabled: false}}\n")
    probes = {probe.name: probe for probe in doctor.diagnose(file, tmp_path / "data", {})}
    assert (probes["local engine"].level, probes["local engine"].detail) == (
        Level.OK,
        "switched off in the configuration",
    )
    assert probes["providers"].level is Level.WARN
