"""A real OpenSSH server on loopback, so that this machine looks to the harness like any that is reached over SSH.

The server has its own host key, client key, known_hosts and home folder, all inside a state folder; nothing in the
user's ~/.ssh is read or written. It listens on 127.0.0.1 only and admits only its own client key, for the user who
started it.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from harness.emulators.tied_process import start_tied, stop_tied
from harness.errors import UsageError

_START_TIMEOUT_S = 10.0
_START_ATTEMPTS = 3
_PRIVILEGE_SEPARATION_FOLDER = Path("/run/sshd")
# Where distributions keep sshd and sftp-server.
_SYSTEM_FOLDERS = "/usr/sbin:/usr/lib/openssh:/usr/libexec/openssh:/usr/lib/ssh"


class LoopbackSshd:
    """Context manager: the server runs inside it. A client needs user, host, port, key_file and known_hosts."""

    host = "127.0.0.1"

    def __init__(self, state: Path) -> None:
        """state: a folder of the server's own; it is created when missing and its keys are kept between runs."""
        self._state = state.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self.user = getpass.getuser()
        self.port = 0
        self.key_file = self._state / "client_key"
        self.known_hosts = self._state / "known_hosts"
        self.home = self._state / "home"
        self.log = self._state / "sshd.log"

    def __enter__(self) -> LoopbackSshd:
        sshd, sftp_server, ssh_keygen = _find("sshd"), _find("sftp-server"), _find("ssh-keygen")
        self._prepare_state(ssh_keygen)
        for _ in range(_START_ATTEMPTS):
            self.port = _free_port()
            self._write_configuration(sftp_server)
            self._process = start_tied([sshd, "-D", "-e", "-f", str(self._state / "sshd_config")], self.log)
            if self._wait_until_listening():
                return self
            self.close()
        last_line = self.log.read_text(errors="replace").strip().rpartition("\n")[2]
        raise UsageError(f"{sshd} does not start: {last_line} (its log is {self.log})")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening; connections that are open end when their client closes them."""
        if self._process is not None:
            stop_tied(self._process)
            self._process = None

    def _prepare_state(self, ssh_keygen: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._state.chmod(0o700)
        self.log.write_bytes(b"")
        for key in (self._state / "host_key", self.key_file):
            if not key.exists():
                arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "dccdka", "-f", str(key)]
                subprocess.run([ssh_keygen, *arguments], check=True)
        if os.geteuid() == 0:  # Debian's service does this at boot; in a container nobody has
            _PRIVILEGE_SEPARATION_FOLDER.mkdir(mode=0o755, exist_ok=True)

    def _write_configuration(self, sftp_server: str) -> None:
        host_key = (self._state / "host_key.pub").read_text()
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {host_key}")
        options = {
            "ListenAddress": f"{self.host}:{self.port}",
            "HostKey": _quoted(self._state / "host_key"),
            "PidFile": "none",
            "AuthorizedKeysFile": _quoted(self._state / "client_key.pub"),
            "AuthenticationMethods": "publickey",
            "AllowUsers": self.user,
            "PermitRootLogin": "prohibit-password",
            # StrictModes would refuse keys below a folder that others may write, as /tmp is; ours is private.
            "StrictModes": "no",
            "UsePAM": "yes" if _account_is_locked(self.user) else "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "AllowTcpForwarding": "no",
            "X11Forwarding": "no",
            # An empty home spares the login the user's shell start-up files (200 ms) and keeps uploads inside.
            "SetEnv": _quoted(f"HOME={self.home}"),
            "Subsystem": f"sftp cd && exec {sftp_server}",  # run by the login shell
        }
        lines = [f"{key} {value}\n" for key, value in options.items()]
        (self._state / "sshd_config").write_text("".join(lines))

    def _wait_until_listening(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False


def _find(program: str) -> str:
    """Absolute path, as sshd insists on for itself."""
    found = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":" + _SYSTEM_FOLDERS)
    if found is None:
        raise UsageError(f"{program} is missing, which devices on loopback need: apt install openssh-server")
    return str(Path(found).absolute())


def _quoted(value: Path | str) -> str:
    return f'"{value}"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _account_is_locked(user: str) -> bool:
    """Whether the password is locked by "!": sshd without PAM then refuses even a key. Only root's sshd sees it."""
    if os.geteuid() != 0:
        return False
    accounts = Path("/etc/shadow").read_text().splitlines()
    return any(account.startswith(f"{user}:!") for account in accounts)
