"""A shop of one table, to be verified with its container."""

from __future__ import annotations

import json
import os
from typing import Any

import psycopg2


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer how many orders there are; POST makes one."""
    try:
        with psycopg2.connect(os.environ["DATABASE"], connect_timeout=2) as connection, connection.cursor() as cursor:
            if environ["REQUEST_METHOD"] == "POST":
                cursor.execute("INSERT INTO orders DEFAULT VALUES")
            cursor.execute("SELECT count(*) FROM orders")
            (count,) = cursor.fetchone() or (0,)
    except psycopg2.OperationalError:
        start_response("503 Service Unavailable", [("Content-Type", "application/json")])
        return [b'{"error":"the database does not answer"}\n']
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"orders": count, "path": environ["PATH_INFO"]}).encode() + b"\n"]
