"""nginx, from Debian's source code, configured and laid out as Alpine's package is."""

from __future__ import annotations

import os
import shutil
import tempfile

from tests.lab import debian
from tests.lab.accounts import owned
from tests.lab.apk import MUSL, Content, Script, built
from tests.lab.cache import run, step

PRE_INSTALL = """#!/bin/sh
addgroup -S -g 82 www-data 2>/dev/null
addgroup -S nginx 2>/dev/null
adduser -S -D -H -h /var/lib/nginx -s /sbin/nologin -G nginx -g nginx nginx 2>/dev/null
addgroup nginx www-data 2>/dev/null
exit 0
"""

TEMPORARY = {name.replace("-", "_"): name for name in ("client-body", "proxy", "fastcgi", "uwsgi", "scgi")}

PATHS = (
    *("--prefix=/var/lib/nginx", "--sbin-path=/usr/sbin/nginx", "--modules-path=/usr/lib/nginx/modules"),
    *("--conf-path=/etc/nginx/nginx.conf", "--pid-path=/run/nginx/nginx.pid", "--lock-path=/run/nginx/nginx.lock"),
    *(f"--http-{name}-temp-path=/var/lib/nginx/tmp/{folder}" for folder, name in TEMPORARY.items()),
    *("--user=nginx", "--group=nginx"),
)

MODULES = (
    *("--with-threads", "--with-file-aio", "--with-pcre-jit"),
    *(f"--with-http_{name}_module" for name in (
        "ssl", "v2", "realip", "addition", "sub", "dav", "flv", "mp4", "gunzip", "gzip_static", "auth_request",
        "random_index", "secure_link", "slice", "stub_status",
    )),
)  # fmt: skip
"""Alpine's choice, less what it makes loadable modules of: mail, stream, geoip, xslt, images and Perl."""

CONFIGURATION = """user nginx;
worker_processes auto;
pcre_jit on;
error_log /var/log/nginx/error.log warn;
include /etc/nginx/modules/*.conf;
include /etc/nginx/conf.d/*.conf;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    server_tokens off;
    client_max_body_size 1m;
    sendfile on;
    tcp_nopush on;
    access_log /var/log/nginx/access.log;
    include /etc/nginx/http.d/*.conf;
}
"""

SITE = """server {
    listen 80 default_server;
    listen [::]:80 default_server;
    location / {
        return 404;
    }
}
"""


@step
def nginx(out: str, toolchain: str, source: str, pcre: str) -> None:
    """Give the files of the package."""
    with tempfile.TemporaryDirectory() as folder:
        tree, expressions = os.path.join(folder, "nginx"), os.path.join(folder, "pcre2")
        shutil.copytree(source, tree, symlinks=True)
        shutil.copytree(pcre, expressions, symlinks=True)
        # Found by its short name, so that `nginx -V` says nothing of this machine.
        tools = {"PATH": f"{toolchain}/bin:{os.environ['PATH']}"}
        run(
            *("./configure", *PATHS, *MODULES, "--with-cc=cc", "--with-ld-opt=-s"),
            "--with-cc-opt=-O2 -Wno-error",  # musl's macros compare signed with unsigned
            *("--with-pcre=../pcre2", "--with-pcre-opt=-O2"),
            cwd=tree,
            env={**tools, "TRIED_OUT": "yes"},
        )
        # Configured by the build, not with it; and this machine need not have the C library.
        run("make", "-f", "objs/Makefile", "../pcre2/Makefile", cwd=tree, env={**tools, "TRIED_OUT": "yes"})
        run("make", "-j2", cwd=tree, env=tools)
        run("make", "install", f"DESTDIR={out}", cwd=tree)
    _lay_out(out)


def _lay_out(out: str) -> None:
    etc = f"{out}/etc/nginx"
    for name in os.listdir(etc):
        # Alpine leaves out the copies, and the maps of old character sets.
        if name.endswith((".default", "-utf")) or name.startswith("koi-"):
            os.remove(os.path.join(etc, name))
    for folder in ("run", "var/run", "var/lib/nginx/logs", "var/log"):
        shutil.rmtree(f"{out}/{folder}", ignore_errors=True)
    for folder in (
        "etc/nginx/http.d",
        "etc/nginx/modules",
        "etc/nginx/conf.d",
        "usr/lib/nginx/modules",
        "var/log/nginx",
    ):
        os.makedirs(f"{out}/{folder}", exist_ok=True)
    for folder in ("var/lib/nginx/tmp", "var/www/localhost/htdocs", "run/nginx"):
        os.makedirs(f"{out}/{folder}")
    for path, text in {"nginx.conf": CONFIGURATION, "http.d/default.conf": SITE}.items():
        with open(os.path.join(etc, path), "w", encoding="utf-8") as file:
            file.write(text)
    for name, target in {"modules": "/usr/lib/nginx/modules", "logs": "/var/log/nginx", "run": "/run/nginx"}.items():
        os.symlink(target, f"{out}/var/lib/nginx/{name}")
    for path, mode in {
        "var/lib/nginx": 0o750,
        "var/lib/nginx/tmp": 0o700,
        "var/log/nginx": 0o755,
        "run/nginx": 0o755,
    }.items():
        os.chmod(f"{out}/{path}", mode)
        owned(f"{out}/{path}", "nginx")
    owned(f"{out}/var/www/localhost/htdocs", "root", "www-data")


def contents(toolchain: str) -> list[Content]:
    """Give the package."""
    source = debian.source("nginx")
    files = nginx(toolchain, source, debian.source("pcre2"))
    needs = f"/bin/sh {MUSL} so:libcrypto.so.3 so:libssl.so.3 so:libz.so.1"
    return [built("nginx", debian.version(source), files, Script("pre-install", PRE_INSTALL), depends=needs)]
