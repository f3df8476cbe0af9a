"""The journal's tables, and the way from every earlier version of them.

`user_version` is the schema's version. A migration only ever adds: tables, columns with a
default, or triggers, which work on without being known. So an older p2pupd, back in its slot after
a newer one failed its trial, still reads and writes the file; it must never be locked out of its
own state.
"""

from typing import Final

APPLICATION_ID: Final = 0x70327075
"""`p2pu`, in the file's header: tells a journal from anybody else's database."""

MIGRATIONS: Final = (
    """
    CREATE TABLE deployment (
        id INTEGER PRIMARY KEY,
        phase TEXT NOT NULL,
        ended INTEGER NOT NULL,
        source TEXT NOT NULL,
        manifest TEXT NOT NULL,
        started REAL NOT NULL,
        changed REAL NOT NULL,
        release TEXT,
        attempt INTEGER NOT NULL,
        slot TEXT,
        previous_slot TEXT,
        healthy INTEGER NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        code INTEGER NOT NULL
    );
    CREATE INDEX deployment_ended ON deployment (ended, id);
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    INSERT INTO counter (name, value) VALUES ('deployment', 0);
    CREATE TABLE slot (
        name TEXT PRIMARY KEY,
        component TEXT,
        version TEXT,
        release INTEGER,
        image_sha256 TEXT,
        security_floor INTEGER
    );
    CREATE TABLE bad_release (
        component TEXT NOT NULL,
        release INTEGER NOT NULL,
        reason TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (component, release)
    );
    CREATE TABLE history (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        event TEXT NOT NULL,
        fields TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE outcome (phase TEXT PRIMARY KEY, number INTEGER NOT NULL, last REAL NOT NULL);
    INSERT INTO outcome (phase, number, last)
        SELECT phase, count(*), max(changed) FROM deployment WHERE ended = 1 GROUP BY phase;
    CREATE TRIGGER deployment_began_ended AFTER INSERT ON deployment WHEN NEW.ended = 1
    BEGIN
        INSERT INTO outcome (phase, number, last) VALUES (NEW.phase, 1, NEW.changed)
            ON CONFLICT (phase) DO UPDATE SET number = number + 1, last = excluded.last;
    END;
    CREATE TRIGGER deployment_came_to_an_end AFTER UPDATE ON deployment
        WHEN NEW.ended = 1 AND NEW.phase != OLD.phase
    BEGIN
        INSERT INTO outcome (phase, number, last) VALUES (NEW.phase, 1, NEW.changed)
            ON CONFLICT (phase) DO UPDATE SET number = number + 1, last = excluded.last;
    END;
    """,
    """
    CREATE TABLE fleet_record (
        device TEXT PRIMARY KEY,
        raw BLOB NOT NULL,
        heard REAL NOT NULL,
        first REAL NOT NULL,
        direct INTEGER NOT NULL,
        alive REAL NOT NULL,
        lost REAL NOT NULL
    );
    INSERT INTO counter (name, value) VALUES ('fleet-epoch', 0), ('fleet-sequence', 0);
    """,
    """
    CREATE TABLE site_order (shelf_key TEXT PRIMARY KEY, raw BLOB NOT NULL, heard REAL NOT NULL);
    """,
)
"""Entry N brings a file from version N to N + 1."""
