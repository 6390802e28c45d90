"""Who builds which wheel for whom."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.elect import Share, elect, hopeless
from hypothesis import given
from hypothesis import strategies as st

A, B, C = "a" * 32, "b" * 32, "c" * 32


def wheel(
    key: str | None,
    status: str = "build",
    seconds: int = 60,
    against: tuple[str, ...] = (),
    python: str = "/usr/bin/python3",
) -> dict[str, Any]:
    spec = {"name": "p", "version": "1", "key": key, "python": python, "against": {"torch": list(against)}}
    return {"name": "p", "version": "1", "key": key, "status": status, "seconds": seconds, "spec": spec}


def plan(*wheels: dict[str, Any], phases: tuple[str, ...] = ("build",)) -> dict[str, Any]:
    return {"environments": [{"name": "e", "phases": list(phases), "wheels": list(wheels)}]}


def built(shares: dict[str, Share]) -> dict[str, list[str]]:
    return {host: [spec["key"] for spec in share.build] for host, share in shares.items() if share.build}


def later(share: Share) -> dict[str, str]:
    return {entry["key"]: entry["source"] for entry in share.later}


def test_four_hosts_with_one_key_build_it_once() -> None:
    shares = elect({f"thor0{number}": plan(wheel(A)) for number in (3, 1, 4, 2)})
    assert built(shares) == {"thor01": [A]}
    assert [later(shares[f"thor0{number}"]) for number in (2, 3, 4)] == [{A: "thor01"}] * 3


def test_a_host_alone_builds_everything_itself() -> None:
    shares = elect({"thor01": plan(wheel(A), wheel(B))})
    assert sorted(built(shares)["thor01"]) == [A, B]
    assert not shares["thor01"].fetch and not shares["thor01"].later and not shares["thor01"].give


def test_a_host_of_another_variant_builds_its_own() -> None:
    shares = elect({"thor01": plan(wheel(A)), "thor02": plan(wheel(A)), "spark01": plan(wheel(B))})
    assert built(shares) == {"thor01": [A], "spark01": [B]}


def test_builds_spread_over_the_hosts_that_can_do_them() -> None:
    shares = elect({host: plan(wheel(A, seconds=100), wheel(B, seconds=90), wheel(C, seconds=20)) for host in "xy"})
    assert built(shares) == {"x": [A], "y": [B, C]}


def test_a_host_of_the_group_builders_goes_first() -> None:
    shares = elect({host: plan(wheel(A)) for host in ("thor01", "thor02")}, builders=["thor02", "elsewhere"])
    assert built(shares) == {"thor02": [A]}


def test_a_builder_that_does_not_plan_the_key_is_no_builder_of_it() -> None:
    shares = elect({"thor01": plan(wheel(A)), "spark01": plan(wheel(B))}, builders=["spark01"])
    assert built(shares) == {"thor01": [A], "spark01": [B]}


def test_what_the_wheelhouse_has_is_fetched_by_all() -> None:
    shares = elect({host: plan(wheel(A, "fetch")) for host in "xy"}, offered=[A])
    assert not built(shares)
    assert [share.fetch[0]["source"] for share in shares.values()] == ["", ""]


def test_what_the_wheelhouse_got_since_the_plan_is_not_built() -> None:
    assert not built(elect({"x": plan(wheel(A, "build"))}, offered=[A]))


def test_what_the_wheelhouse_lost_since_the_plan_is_built() -> None:
    assert built(elect({"x": plan(wheel(A, "fetch")), "y": plan(wheel(A, "fetch"))})) == {"x": [A]}


def test_a_host_that_holds_the_wheel_gives_it() -> None:
    shares = elect({"x": plan(wheel(A)), "y": plan(wheel(A, "hit"), phases=())})
    assert not built(shares)
    assert shares["x"].fetch[0]["source"] == "y" and shares["y"].give == [A]


def test_a_host_that_needs_no_wheel_now_builds_none() -> None:
    assert not built(elect({"x": plan(wheel(A), phases=("verify",))}))


def test_a_wheel_and_those_compiled_against_it_stay_on_one_host_in_order() -> None:
    family = (wheel(B, against=(A,)), wheel(C, against=(A, B)), wheel(A, seconds=5))
    assert built(elect({host: plan(*family) for host in "xy"})) == {"x": [A, B, C]}


def test_a_builder_also_builds_what_only_others_need_against_its_wheel() -> None:
    shares = elect({"x": plan(wheel(A), wheel(B, against=(A,))), "y": plan(wheel(A), wheel(C, against=(A,)))})
    assert built(shares) == {"x": [A, B, C]}
    assert later(shares["y"]) == {A: "x", C: "x"}


def test_a_builder_uses_its_own_path_to_the_python() -> None:
    there = plan(wheel(A, python="/usr/bin/python3.12"), wheel(B, against=(A,), python="/usr/bin/python3.12"))
    here = plan(wheel(A, python="/opt/python3.12"))
    shares = elect({"x": here, "y": there}, builders=["x"])
    assert {spec["python"] for spec in shares["x"].build} == {"/opt/python3.12"}


def test_a_wheel_whose_key_is_not_known_yet_waits_for_the_next_plan() -> None:
    assert elect({"x": plan(wheel(None))})["x"] == Share()


FLEETS = st.dictionaries(
    st.sampled_from([f"host{number}" for number in range(8)]),
    st.lists(
        st.tuples(st.sampled_from("0123456789abcdef"), st.sampled_from(["hit", "build", "fetch"])),
        unique_by=lambda pair: pair[0],
        max_size=6,
    ),
    min_size=1,
)


def fleet(hosts: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    """Seconds and what a wheel is compiled against belong to the key, the status to the host."""
    return {
        host: plan(
            *(
                wheel(name * 32, status, 10 * int(name, 16), (format(int(name, 16) // 2, "x") * 32,))
                for name, status in wheels
            )
        )
        for host, wheels in hosts.items()
    }


@given(FLEETS, st.sets(st.sampled_from("0123456789abcdef")), st.sets(st.sampled_from(["host1", "host2"])))
def test_every_host_gets_each_wheel_it_misses_exactly_once(
    hosts: dict[str, list[tuple[str, str]]], offered: set[str], builders: set[str]
) -> None:
    keys = {name * 32 for name in offered}
    shares = elect(fleet(hosts), builders, keys)
    trusted = {host for host in hosts if host in builders or not builders}
    everywhere = [spec["key"] for host, share in shares.items() if host in trusted for spec in share.build]
    assert len(everywhere) == len(set(everywhere))
    assert not keys & set(everywhere)
    held = {name * 32 for host in trusted for name, status in hosts[host] if status == "hit"}
    assert not held & set(everywhere)
    for host, wheels in hosts.items():
        missing = sorted(name * 32 for name, status in wheels if status != "hit")
        brought = [entry["key"] for entry in (*shares[host].fetch, *shares[host].later)]
        own = [spec["key"] for spec in shares[host].build if spec["key"] in missing]
        assert sorted(brought + own) == missing
        for entry in (*shares[host].later, *shares[host].fetch):
            assert entry["source"] in ("", *trusted)
        assert host in trusted or own == [spec["key"] for spec in shares[host].build]
        for entry in shares[host].later:
            assert entry["key"] in [spec["key"] for spec in shares[entry["source"]].build]
        for entry in shares[host].fetch:
            assert entry["key"] in keys if entry["source"] == "" else entry["key"] in shares[entry["source"]].give


@given(FLEETS, st.randoms())
def test_the_same_plans_give_the_same_answer_in_any_order(
    hosts: dict[str, list[tuple[str, str]]], shuffler: random.Random
) -> None:
    names = list(hosts)
    shuffler.shuffle(names)
    assert elect(fleet({name: hosts[name] for name in names})) == elect(fleet(hosts))


@given(FLEETS)
def test_no_wheel_is_built_before_what_it_is_compiled_against(hosts: dict[str, list[tuple[str, str]]]) -> None:
    for share in elect(fleet(hosts)).values():
        order = [spec["key"] for spec in share.build]
        for number, spec in enumerate(share.build):
            for key in spec["against"]["torch"]:
                assert key not in order or key == spec["key"] or order.index(key) < number


def test_where_there_are_builders_nobody_else_builds_for_others() -> None:
    shares = elect({host: plan(wheel(A)) for host in ("thor01", "thor02")}, builders=["elsewhere"])
    assert built(shares) == {"thor01": [A], "thor02": [A]}
    assert not shares["thor01"].later and not shares["thor02"].later


def test_where_there_are_builders_a_wheel_that_another_claims_to_have_is_not_taken() -> None:
    shares = elect({"liar": plan(wheel(A, "hit")), "thor01": plan(wheel(A))}, builders=["thor01"])
    assert built(shares) == {"thor01": [A]} and not shares["liar"].give


# --- sources that told a host no


def made_of(
    source: str, key: str | None = A, status: str = "build", variant: str = "python312-cpu-avx2"
) -> dict[str, Any]:
    found = wheel(key, status)
    return {**found, "spec": {**found["spec"], "source": {"digest": source}, "variant": variant}}


@pytest.mark.parametrize(
    ("plans", "unreached", "builders", "refused"),
    [
        ({"x": [made_of("s")], "y": [made_of("s")]}, {"x": ["s"], "y": ["s"]}, [], {"x": ["s"], "y": ["s"]}),
        ({"x": [made_of("s")], "y": [made_of("s")]}, {"x": ["s"]}, [], {}),
        ({"x": [made_of("s")], "y": [made_of("s", status="hit")]}, {"x": ["s"]}, [], {}),
        ({"x": [made_of("s")], "y": [made_of("s", status="hit")]}, {"x": ["s"]}, ["x"], {"x": ["s"]}),
        ({"x": [made_of("s")], "y": [made_of("s", key=B)]}, {"x": ["s"]}, [], {"x": ["s"]}),
        ({"x": [made_of("s", key=None)], "y": [made_of("s", key=B)]}, {"x": ["s"]}, [], {}),
        ({"x": [made_of("s", None)], "y": [made_of("s", B, variant="python312-cpu-armv9")]}, {"x": ["s"]}, [], {"x": ["s"]}),
        ({"x": [made_of("s"), made_of("t", B)], "y": [made_of("s"), made_of("t", B)]}, {"x": ["s", "t"], "y": ["t"]}, [], {"x": ["t"], "y": ["t"]}),
        ({"x": [made_of("s", status="fetch")]}, {"x": ["s"]}, [], {}),
    ],
    ids=["nobody", "one reaches it", "one has it", "one has it and is no builder", "other key", "key unknown", "other machine", "each its own", "in the wheelhouse"],
)  # fmt: skip
def test_a_host_is_refused_where_nobody_has_or_builds_its_wheel(
    plans: dict[str, Any], unreached: dict[str, list[str]], builders: list[str], refused: dict[str, list[str]]
) -> None:
    assert hopeless({host: plan(*wheels) for host, wheels in plans.items()}, unreached, builders) == refused


@pytest.mark.parametrize(("away", "builder"), [({}, "x"), ({"x": ["s"]}, "y"), ({"x": ["s"], "y": ["s"]}, "x")])
def test_who_reaches_the_source_builds(away: dict[str, list[str]], builder: str) -> None:
    assert built(elect({"x": plan(made_of("s")), "y": plan(made_of("s"))}, unreached=away)) == {builder: [A]}
