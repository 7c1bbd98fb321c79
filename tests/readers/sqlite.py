"""SQL schemas as SQLite reads them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.readers import tools


def tables(sql: str) -> dict[str, list[str]]:
    """The columns of each table that the schema makes; RejectedError unless library and command line both accept it."""
    tools.output(tools.call([tools.program("sqlite3"), "-batch", "-bail", ":memory:"], text=sql))
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.executescript(sql)
        except sqlite3.Error as error:
            raise tools.RejectedError(str(error)) from error
        query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        names = [row[0] for row in database.execute(query)]
        return {
            name: [row[0] for row in database.execute("SELECT name FROM pragma_table_info(?)", (name,))]
            for name in names
        }
