"""Opens an SSH connection to a host whose key we know, or says precisely why not and what to do."""

from __future__ import annotations

import getpass
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from harness.errors import DeviceUnreachable, UsageError

_STEP_TIMEOUT_S = 10.0  # for each of: TCP connect, banner, key exchange, authentication, opening a channel
_KEEPALIVE_S = 15


@dataclass(frozen=True)
class SshHost:
    """Where a device is reached, and how it and we prove who we are.

    user: None for the name of the user who runs the harness. key_file: None for the keys in ~/.ssh and in ssh-agent.
    """

    host: str
    port: int = 22
    user: str | None = None
    key_file: Path | None = None
    known_hosts: Path = Path("~/.ssh/known_hosts")

    @property
    def known_as(self) -> str:
        """The name in known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    def __str__(self) -> str:
        return f"{self.user or getpass.getuser()}@{self.host}:{self.port}"


class _RefuseUnknown(paramiko.MissingHostKeyPolicy):
    """Never trusts at first sight: whoever measures on the wrong machine measures nothing."""

    def __init__(self, host: SshHost, known_hosts: Path, device: str) -> None:
        self._host, self._known_hosts, self._device = host, known_hosts, device

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> NoReturn:
        kind = key.get_name()
        raise DeviceUnreachable(
            self._device,
            f"the host key of {self._host} is not in {self._known_hosts}; it says {kind} {key.fingerprint}."
            f" If that is your device's, add it: ssh-keyscan -t {_keyscan_type(kind)} -p {self._host.port}"
            f" {self._host.host} >> {shlex.quote(str(self._known_hosts))}",
        )


def open_connection(host: SshHost, device: str) -> paramiko.SSHClient:
    """A connected client, its host key checked. Raises DeviceUnreachable, or UsageError for files that are wrong."""
    known_hosts = _expanded(host.known_hosts, "known_hosts", device)
    client = paramiko.SSHClient()
    _load_known_hosts(client, known_hosts)
    client.set_missing_host_key_policy(_RefuseUnknown(host, known_hosts, device))
    key = _load_key(host.key_file, device) if host.key_file is not None else None
    try:
        client.connect(
            host.host,
            host.port,
            host.user or getpass.getuser(),
            pkey=key,
            look_for_keys=key is None,
            allow_agent=key is None,
            timeout=_STEP_TIMEOUT_S,
            banner_timeout=_STEP_TIMEOUT_S,
            auth_timeout=_STEP_TIMEOUT_S,
            channel_timeout=_STEP_TIMEOUT_S,
        )
    except paramiko.BadHostKeyException as error:
        reason = (
            f"THE HOST KEY OF {host} HAS CHANGED: {known_hosts} says {error.expected_key.fingerprint}, the host"
            f" {error.key.fingerprint}. It may be another machine, or somebody in between. If you know why, forget the"
            f" old key: ssh-keygen -f {shlex.quote(str(known_hosts))} -R {shlex.quote(host.known_as)}"
        )
    except (OSError, EOFError, UnicodeError, paramiko.SSHException) as error:
        # UnicodeError: a host name that no name server could be asked for.
        if _still_talks(client):
            what = f"key {host.key_file}" if host.key_file else "any key in ~/.ssh or ssh-agent"
            reason = f"{host} does not admit us with {what} ({error}); try ssh-copy-id -p {host.port} {host.host}"
        else:
            reason = f"no SSH server answers at {host} ({_words(error)}); is the machine on, and sshd running?"
    else:
        transport = client.get_transport()
        assert transport is not None  # connected
        transport.set_keepalive(_KEEPALIVE_S)
        return client
    client.close()
    raise DeviceUnreachable(device, reason)


def _still_talks(client: paramiko.SSHClient) -> bool:
    """Whether the server got as far as being asked to admit us: before that, a failure ends the conversation."""
    transport = client.get_transport()
    return transport is not None and transport.is_active()


def _expanded(path: Path, key: str, device: str) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:  # ~somebody
        raise UsageError(f"device {device}: {key} {path}: {error}") from None


def _load_key(key_file: Path, device: str) -> paramiko.PKey:
    what = f"device {device}: key_file {key_file}"
    try:
        return paramiko.PKey.from_path(_expanded(key_file, "key_file", device))
    except FileNotFoundError:
        raise UsageError(f"{what} does not exist; make one with ssh-keygen") from None
    except OSError as error:
        raise UsageError(f"{what} cannot be read: {error.strerror}") from None
    except (TypeError, paramiko.PasswordRequiredException):  # TypeError: what cryptography raises
        raise UsageError(f"{what} has a passphrase; add it to ssh-agent and leave key_file out") from None
    except (ValueError, UnsupportedAlgorithm, UnknownKeyType, paramiko.SSHException):
        raise UsageError(
            f"{what} is not a private key that can be used: ed25519, ECDSA or RSA, as ssh-keygen makes"
        ) from None


def _load_known_hosts(client: paramiko.SSHClient, known_hosts: Path) -> None:
    try:
        client.load_host_keys(str(known_hosts))
    except FileNotFoundError:
        pass  # then every host is unknown
    except paramiko.hostkeys.InvalidHostKey as error:
        raise UsageError(f"{known_hosts}: cannot be read as known hosts: {error.line}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{known_hosts}: cannot be read as known hosts: it is not text") from None
    except OSError as error:
        raise UsageError(f"{known_hosts}: {error.strerror}; it must list the hosts that we know") from None


def _keyscan_type(key_type: str) -> str:
    """ssh-keyscan's name: rsa, ed25519 or ecdsa, out of ssh-ed25519, ecdsa-sha2-nistp256 and the like."""
    return key_type.removeprefix("ssh-").split("-")[0]


def _words(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(error, TimeoutError):
        return f"nothing within {_STEP_TIMEOUT_S:g} s"
    return str(error) or type(error).__name__
