"""Specs to measure with: a valid one of any size, the flagship with many mistakes, the flagship in many variants."""

from __future__ import annotations


def large(size: int) -> str:
    """A spec with this many services in one chain, each with a route, a secret, a setting and a file of its own."""
    services = "".join(
        f"  s{i}:\n"
        f"    command: [/usr/local/bin/s{i}, --listen, '${{self.address}}']\n"
        f"    user: user{i % 50}\n"
        f"    port: {2000 + i}\n"
        f"    after: [{f's{i - 1}' if i else ''}]\n"
        f"    ready: {{http: /health}}\n"
        f"    environment: {{TOKEN: '${{secret.t{i}}}', NEXT: '${{service.s{(i + 1) % size}.address}}'}}\n"
        f"    files: {{s.conf: {{content: 'level=${{setting.V{i}}}'}}}}\n"
        for i in range(size)
    )
    routes = "".join(f"  /s{i}/: {{service: s{i}}}\n" for i in range(size))
    secrets = "".join(f"  t{i}: {{}}\n" for i in range(size))
    settings = "".join(f"  V{i}: {{default: info}}\n" for i in range(size))
    return (
        "version: 1\nname: large\nimage: {base: 'alpine:3.22'}\nvolumes: {data: {mount: /data}}\n"
        "ports: {http: {publish: 8080, service: nginx}}\n"
        f"services:\n  nginx: {{preset: nginx, port: 80}}\n{services}"
        f"routes:\n{routes}secrets:\n{secrets}settings:\n{settings}"
    )


def variant(flagship: str, number: int) -> str:
    """The flagship with names, ports, paths and texts that no other number has."""
    changes = (
        ("name: appos\n", f"name: appos-{number}\n"),
        ("9091", str(10_000 + number)),
        ("port: 8080", f"port: {20_000 + number}"),
        ("/appos/data", f"/data/number-{number}"),
        ("default: info", f"default: level-{number}"),
        ("LOG_LEVEL", f"LOG_LEVEL_{number}"),
        ("redis_password", f"redis_password_{number}"),
    )
    for old, new in changes:
        flagship = flagship.replace(old, new)
    return flagship


def mistaken(flagship: str) -> str:
    """The flagship with a mistake in every part: wrong keys, wrong kinds, wrong names, wrong references."""
    changes = (
        ("budget: 100MB", "budgett: 100MB"),
        ("prepare: [npm ci]", "prepare: npm ci"),
        ("precompress: true", "precompress: yes"),
        ("port: 3210", 'port: "3210"'),
        ("after: [backend]", "after: [bakend]"),
        ("ready: {http: /api/health}", "ready: {htpp: /api/health}"),
        ("${secret.redis_password}", "${secret.redis_pasword}"),
        ("spa: true", "sppa: true"),
        ("/api/: {service: backend}", "/api/: {service: back-end}"),
        ("publish: 9091", "publish: 99999"),
        ("schema: schema/appos.sql", "schema: ../appos.sql"),
    )
    for right, wrong in changes:
        flagship = flagship.replace(right, wrong, 1)
    return flagship
