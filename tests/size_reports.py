"""Reports to be shown: of every kind of owner, over and under budget, with names that mean harm."""

from __future__ import annotations

from compiler.size.report import (
    COMPILER,
    NOBODY,
    SHARED,
    Advice,
    Against,
    Budget,
    Change,
    LayerSize,
    Limit,
    Owner,
    Part,
    Place,
    Report,
    Share,
    Stray,
)

HOSTILE = (
    "</style></title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "a|b`c``d\\|e*f_g~h",
    "@everyone #12 [link](https://example.org) ![x](https://example.org/x.png)",
    "<!-- \n| --- |\n</details>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\x1b[31m\x00",
    "&lt;b&gt; &amp; https://example.org www.example.org",
    "\udcff broken",
    "'; DROP TABLE layers; --",
    " leading and trailing ",
)


def share(owner: Owner, *parts: Part) -> Share:
    return Share(
        owner,
        owner.name if owner.kind == "service" else "",
        sum(p.uncompressed for p in parts),
        sum(p.compressed for p in parts),
        parts,
    )


def part(name: str, size: int, kind: str = "package", version: str = "", shared: tuple[str, ...] = ()) -> Part:
    return Part(kind, name, version, size, size * 2 // 5, 3, shared)


def report(*shares: Share, budget: Budget | None = None, against: Against | None = None, packed: bool = True) -> Report:
    """A report of these shares, with nothing else to say."""
    total, compressed = sum(s.uncompressed for s in shares), sum(s.compressed for s in shares)
    return Report(
        image="shop:1",
        id="sha256:" + "ab" * 32,
        flavour="production",
        uncompressed=total,
        compressed=compressed if packed else None,
        engine=total,
        budget=budget,
        layers=(LayerSize(0, "ADD base / # buildkit", total, compressed if packed else None, total, base=True),),
        shares=shares,
        nobody=(),
        against=against,
    )


def usual() -> Report:
    """One as it comes: several services, two of them small, a budget, and an earlier image."""
    shares = (
        share(
            Owner("artifact", "api"), part("/usr/local/bin/api", 42_000_000, "artifact"), part("libraries", 3_310_000)
        ),
        share(
            COMPILER, part("python3", 10_100_000, version="3.11.2-r0"), *(part(f"py3-{n}", 1000 * n) for n in range(30))
        ),
        share(
            Owner("base", "alpine:3.24"), part("busybox", 900_000), part("libcrypto3", 5_220_000), part("musl", 660_000)
        ),
        share(Owner("service", "redis"), part("redis", 2_970_000)),
        share(Owner("service", "web"), part("nginx", 1_670_000), part("pcre2", 400_000)),
        share(SHARED, part("sqlite-libs", 1_550_000, shared=("appos-compile", "extra database"))),
        share(Owner("extra", "database"), part("schema", 700, "file")),
        share(NOBODY, part("/opt/left", 5000, "file")),
    )
    changes = (
        Change("share", "artifact api", 40_000_000, 45_310_000),
        Change("package", "nginx", 1, 1_670_000),
        Change("share", "service gone", 9000, 0),
    )
    against = Against("main", 60_000_000, None, changes)
    services = (("redis", Limit(2_000_000, None)), ("web", Limit(5_000_000, 900_000)))
    budget = Budget(100_000_000, 20_000_000, services)
    advice = Advice(
        "caches", 5_480_000, "in 7 files of caches", "delete them", (Place("/var/cache/a (layer 1)", 5_000_000),), 6
    )
    stray = Stray("/opt/left", 5000, 3)
    return report(*shares, budget=budget, against=against)._replace(nobody=(stray,), advice=(advice,))


def hostile() -> Report:
    """One in which every text is somebody else's, and means harm."""
    shares = tuple(
        share(
            Owner("artifact", name),
            *(part(other, 900_000 - index, other, other, (other,)) for index, other in enumerate(HOSTILE)),
        )
        for name in HOSTILE
    )
    return report(*shares)._replace(
        image=HOSTILE[0],
        id=HOSTILE[1],
        layers=tuple(LayerSize(n, text, n, n, n, base=False) for n, text in enumerate(HOSTILE)),
        nobody=tuple(Stray(name, 5, 1) for name in HOSTILE),
        advice=tuple(Advice("x", 7, name, name, (Place(name, 7),), 1) for name in HOSTILE),
        against=Against(HOSTILE[4], 1, 1, tuple(Change("share", name, 3, 0) for name in HOSTILE)),
    )
