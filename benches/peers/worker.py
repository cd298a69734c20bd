"""What the Python peers share: the command line, the clocks, and the line of JSON."""

import argparse
import json
import resource
import sys
import time
import uuid

PASSWORD = "correct horse battery staple"
WARM_UP = 5
TRANSACTION_STATEMENTS = {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"}


def argument_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True, metavar="URL", help="sqlite:///PATH or postgres://...")
    parser.add_argument("--prepare", action="store_true", help="create the tables, and no more")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--memory-kib", type=int, default=19456)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--count-statements", action="store_true")
    return parser


def sqlite_path(url):
    """The path of a SQLite URL; nothing for another database."""
    return url.removeprefix("sqlite://") if url.startswith("sqlite://") else None


def fresh_name():
    return f"person{uuid.uuid4().hex}"


class Measurement:
    """Waits for the start signal and starts the clocks."""

    def __init__(self):
        print("ready", flush=True)
        if not sys.stdin.readline():
            sys.exit("no start signal")
        self.cpu = cpu_seconds()
        self.started = time.perf_counter()

    def report(self, created, statements=None):
        figures = {
            "elapsed_s": time.perf_counter() - self.started,
            "cpu_s": cpu_seconds() - self.cpu,
            "created": created,
            "statements": None,
            "transaction_statements": None,
            "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
        if statements is not None:
            of_transactions = sum(is_of_transactions(statement) for statement in statements)
            figures["statements"] = len(statements) - of_transactions
            figures["transaction_statements"] = of_transactions
        print(json.dumps(figures), flush=True)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def is_of_transactions(statement):
    return statement.split(maxsplit=1)[0].rstrip(";").upper() in TRANSACTION_STATEMENTS
