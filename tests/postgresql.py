"""A PostgreSQL server of the tests' own: another port, another data directory, gone at the end."""

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path

import psycopg


def programs():
    """Return the folder of initdb and pg_ctl; say how to get them where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert folders, "the tests need PostgreSQL: apt-get install postgresql"
    return folders[-1]


class Server:
    """A PostgreSQL server; `url` is its default database."""

    def __init__(self, directory):
        self.data, self.programs = directory / "data", programs()
        directory.mkdir()
        # PostgreSQL refuses to run as root; Debian's package brings a user for it.
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.log = directory / "log"
        self._run("initdb", "-D", self.data, "-U", "monitor", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.url = f"postgresql://monitor:s3cret@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self):
        options = f"-p {self.port} -k {self.data} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-o", options, "start")

    def stop(self):
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def new_database(self, name):
        """Make a database, or empty the one of that name, which is quicker by far than a new one; return its URL."""
        url = self.url.replace("/postgres", f"/{name}")
        with psycopg.connect(self.url, autocommit=True) as connection:
            try:
                connection.execute(f"CREATE DATABASE {name}")
                return url
            except psycopg.errors.DuplicateDatabase:
                self.disconnect(name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return url

    def disconnect(self, database):
        """Cut every connection to a database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def ask(self, database, sql):
        """Return the first value that a query gives."""
        with psycopg.connect(self.url.replace("/postgres", f"/{database}")) as connection:
            return connection.execute(sql).fetchone()[0]

    def _run(self, program, *arguments):
        command = [self.programs / program, *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", self.user, "--", *command]
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60)
