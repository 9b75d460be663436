"""Fixtures: a name server for all tests of a file, and directories that the unprivileged server can reach."""
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "crash"))

import watched
from dnsserver import DnsServer
from genkan import own


@pytest.fixture
def place(request):
    """A directory of this test's own, short enough for unix sockets, open to the user that the server runs as."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="genkan-"))
    path.chmod(0o755)
    own(path)
    yield path
    if not getattr(request.node, "failed", False):
        shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True


@pytest.fixture(autouse=True)
def nothing_found():
    """The first to begin and so the last to end: after the server of a test has."""
    yield
    reports = watched.found()
    assert not reports, reports


def pytest_sessionfinish(session):
    """What servers of a whole file had to say when they ended."""
    reports = watched.found()
    if reports:
        print(f"\nfound when all was over:\n{reports}")
        session.exitstatus = 1


@pytest.fixture(scope="module")
def dns(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dns")
    with DnsServer(directory) as server:
        yield server
