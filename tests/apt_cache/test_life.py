"""Two real SSH hosts that get their packages through the cache of a third. Run by molecule's verify step of the scenario `apt_cache`."""

from __future__ import annotations

from typing import Any

LOG = "/var/log/apt-cacher-ng/apt-cacher.log"


def fetched(host: Any) -> list[list[str]]:
    """Lines of the cache's log: time, I (came in) or O (went out), bytes, client, path."""
    return [line.split("|") for line in host.check_output(f"sudo cat {LOG}").splitlines()]


def addresses(host: Any) -> dict[str, str]:
    return {
        name: host.get_host(f"ansible://{name}").check_output("hostname -I").split()[0] for name in ("box01", "box02")
    }


def test_the_cache_runs_and_starts_at_every_boot(host: Any) -> None:
    service = host.service("apt-cacher-ng")
    assert service.is_running and service.is_enabled
    assert host.socket("tcp://0.0.0.0:3142").is_listening


def test_both_hosts_have_their_packages_and_got_them_from_it(host: Any) -> None:
    log = fetched(host)
    for name, address in addresses(host).items():
        assert host.get_host(f"ansible://{name}").package("sox").is_installed
        assert any(line[1] == "O" and address in line[3] and "/sox_" in line[4] for line in log), name


def test_each_package_came_in_once(host: Any) -> None:
    came = [line[4] for line in fetched(host) if line[1] == "I" and line[4].endswith(".deb")]
    assert len(came) == len(set(came)) and any("/sox_" in path for path in came)


def test_nothing_of_it_is_in_the_hosts_own_settings(host: Any) -> None:
    for name in ("box01", "box02"):
        assert host.get_host(f"ansible://{name}").run("grep -r 3142 /etc/apt /etc/environment").rc != 0
