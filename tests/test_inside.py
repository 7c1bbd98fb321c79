"""What a container says of its processes is read as it is."""

from __future__ import annotations

from compiler.verify import inside

# As Linux 6.18 writes it of a process that was started by an engine and has no groups yet.
BODY = """\
@process 7
7 (init: (a) b) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 1687552 2 18446744073709551615
Name:\tinit: (a) b
Uid:\t0\t33\t33\t33
Gid:\t0\t44\t44\t44
FDSize:\t64
Groups:\t \nNStgid:\t7
CapEff:\t00000000000000c0
NoNewPrivs:\t1
@command init\x1f-x\x1f
@socket 99
"""


def test_a_process_without_groups_has_none() -> None:
    [process] = inside.parse(BODY).processes
    assert process.groups == ()
    assert (process.uid, process.gid, process.name, process.started) == (33, 44, "init: (a) b", 4711)
    assert (process.capabilities, process.no_new_privileges) == (0xC0, True)
    assert (process.command, process.sockets) == (("init", "-x"), ("99",))


def test_groups_are_numbers() -> None:
    [process] = inside.parse(BODY.replace("Groups:\t ", "Groups:\t1 22 ")).processes
    assert process.groups == (1, 22)
