"""make install: what lies where, and that it works from there."""
import re
import subprocess

import pytest

from genkan import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("install")
    install(directory)
    return directory


def install(directory):
    subprocess.run(["make", "-C", ROOT, "install", f"DESTDIR={directory}", "PREFIX=/usr"], check=True, capture_output=True)


def test_the_example_is_right(installed, tmp_path):
    folder = installed / "etc/genkan"
    conf = tmp_path / "smtpd.conf"
    conf.write_text((folder / "smtpd.conf").read_text().replace("/etc/genkan", str(folder)))
    done = subprocess.run([installed / "usr/sbin/smtpd", "-n", "-f", conf], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["sendmail", "mailq", "newaliases"])
def test_other_names(installed, name):
    assert (installed / "usr/sbin" / name).resolve() == installed / "usr/sbin/smtpctl"


@pytest.mark.parametrize("page", ["man5/smtpd.conf.5", "man8/smtpd.8", "man8/smtpctl.8", "man8/sendmail.8"])
def test_manual(installed, page):
    assert (installed / "usr/share/man" / page).read_text() == (ROOT / "man" / page.split("/")[1]).read_text()


def test_unit(installed):
    unit = (installed / "usr/lib/systemd/system/genkan.service").read_text()
    programs = re.findall(r"^ExecStart(?:Pre)?=(\S+)", unit, re.M)
    assert programs == ["/usr/sbin/smtpd"] * 2
    assert all((installed / p[1:]).exists() for p in programs)
    assert "@" not in unit


def test_a_configuration_is_kept(installed):
    conf = installed / "etc/genkan/smtpd.conf"
    conf.write_text(conf.read_text() + "# mine\n")
    install(installed)
    assert conf.read_text().endswith("# mine\n")
