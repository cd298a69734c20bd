"""Registers users with the register router of fastapi-users, set up as its documentation does."""

import json
import sys
import uuid
from pathlib import Path

import asyncpg
import uvloop
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import worker

arguments = worker.argument_parser().parse_args()
sqlite_path = worker.sqlite_path(arguments.database)
if sqlite_path:
    engine = create_async_engine(f"sqlite+aiosqlite:///{sqlite_path}", connect_args={"timeout": 5})
else:
    # The driver reads a socket folder in the place of the host, which SQLAlchemy's URLs do not have.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(arguments.database))
new_session = async_sessionmaker(engine, expire_on_commit=False)
statements = []


@event.listens_for(engine.sync_engine, "connect")
def set_up_connection(connection, _):
    if sqlite_path:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA cache_size = -16384")
        cursor.close()
        if arguments.count_statements:
            connection.run_async(lambda driver: driver.set_trace_callback(statements.append))


def count_statements_on_postgres():
    # Here each event of SQLAlchemy is a statement. On SQLite it is not: the driver begins later, or never.
    listen = event.listen
    listen(engine.sync_engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
    listen(engine.sync_engine, "begin", lambda _: statements.append("BEGIN"))
    listen(engine.sync_engine, "commit", lambda _: statements.append("COMMIT"))
    listen(engine.sync_engine, "rollback", lambda _: statements.append("ROLLBACK"))


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class UserRead(schemas.BaseUser[uuid.UUID]):
    pass


class UserCreate(schemas.BaseUserCreate):
    pass


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = verification_token_secret = "not used"


hasher = Argon2Hasher(time_cost=arguments.passes, memory_cost=arguments.memory_kib, parallelism=1)
password_helper = PasswordHelper(PasswordHash((hasher,)))


async def get_session():
    async with new_session() as session:
        yield session


async def get_user_db(session=Depends(get_session)):
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(user_db=Depends(get_user_db)):
    yield UserManager(user_db, password_helper)


app = FastAPI()
app.include_router(FastAPIUsers[User, uuid.UUID](get_user_manager, []).get_register_router(UserRead, UserCreate))


async def register():
    body = json.dumps({"email": f"{worker.fresh_name()}@example.org", "password": worker.PASSWORD}).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/register",
        "raw_path": b"/register",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    answer = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        answer.append(message)

    await app(scope, receive, send)
    if answer[0]["status"] != 201:
        sys.exit(f"{answer}")


async def main():
    if arguments.prepare:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        return await engine.dispose()
    if arguments.count_statements and not sqlite_path:
        count_statements_on_postgres()
    for _ in range(worker.WARM_UP):
        await register()
    statements.clear()
    measurement = worker.Measurement()
    for _ in range(arguments.count):
        await register()
    measurement.report(arguments.count, statements if arguments.count_statements else None)
    await engine.dispose()


uvloop.run(main())
