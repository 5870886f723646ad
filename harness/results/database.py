"""The database behind a journal: opens it, checks that it is one of ours, and tells in one place what goes wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, inspect, make_url, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from harness.errors import UsageError
from harness.results.tables import SCHEMA_VERSION, Base, FactRow

_SCHEMA = "schema"  # the fact that tells the version of the tables


class Database:
    """SQLite in a file, or any database that SQLAlchemy knows by its URL. Every method raises UsageError naming it.

    read_only: of a file (SQLite) only; it is neither made nor altered.
    """

    def __init__(self, url: str, *, read_only: bool) -> None:
        try:
            parsed = make_url(url)
            self._engine = _reading_engine(url, parsed.database) if read_only else _engine(url)
        except (SQLAlchemyError, ImportError) as error:  # ImportError: of the database's driver
            raise UsageError(f"journal {url}: no database can be reached by this URL: {error}") from None
        file = parsed.database if parsed.get_backend_name() == "sqlite" else None
        self.name: str = file or parsed.render_as_string(hide_password=True)
        try:
            self._create_or_check(read_only)
        except UsageError:
            self.close()
            raise

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """For reading. What a damaged, foreign or unreachable database makes anybody raise becomes UsageError."""
        try:
            with Session(self._engine) as session:
                yield session
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise UsageError(f"{self.name}: is not a journal that can be used: {_in_one_line(cause)}") from error
        except (LookupError, TypeError, ValueError) as error:
            # Of JSON that is none, of keys that are missing and of values that are not what they should be.
            raise UsageError(
                f"{self.name}: the journal is damaged: {type(error).__name__}: {_in_one_line(error)}"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As session(); what was written is there whole or, after any error or kill, not at all."""
        with self.session() as session, session.begin():
            yield session

    def _create_or_check(self, read_only: bool) -> None:
        with self.session() as session:
            tables = set(inspect(self._engine).get_table_names())
            facts = session.scalars(select(FactRow.key)).all() if FactRow.__tablename__ in tables else []
            if not facts and tables <= set(Base.metadata.tables) and not read_only:
                self._create()  # new, or its creation was cut short
            elif not facts:
                problem = "is not the journal of a study" if tables else "is empty, not the journal of a study"
                raise UsageError(f"{self.name}: {problem}")
            else:
                row = session.get(FactRow, _SCHEMA)
                self._check_version(1 if row is None else row.value["version"])

    def _create(self) -> None:
        Base.metadata.create_all(self._engine)
        with self.transaction() as session:
            session.add(FactRow(key=_SCHEMA, value={"version": SCHEMA_VERSION}))

    def _check_version(self, found: object) -> None:
        if found != SCHEMA_VERSION:
            raise UsageError(
                f"{self.name}: is a journal of version {found}, this program reads version {SCHEMA_VERSION}; use the"
                " program that wrote it, or begin the study anew under another name"
            )


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_for_writers)
    return engine


def _reading_engine(url: str, file: str | None) -> Engine:
    if file is None:
        raise ArgumentError("only a file can be opened for reading alone")
    address = f"{Path(file).as_uri()}?mode=ro"
    engine = create_engine(url, creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False))
    event.listen(engine, "connect", _be_patient)
    return engine


def _prepare_for_writers(connection: Any, record: object) -> None:
    # WAL lets the trainers write while the driver reads.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")
    _be_patient(connection, record)


def _be_patient(connection: Any, _record: object) -> None:
    # Waits for the end of another process's transaction.
    connection.execute("PRAGMA busy_timeout=30000")


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
