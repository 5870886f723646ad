"""Bytes over SSH: uploads the Linux agent where it is missing, starts it once, and keeps its stdin and stdout open."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import PurePosixPath

import paramiko

from harness.errors import DeviceLost, DeviceUnreachable
from harness.transports.agent_upload import LinuxAgent, Upload
from harness.transports.ssh_host import SshHost, open_connection

_READ_BYTES = 65536
_WRITE_TIMEOUT_S = 10.0
_EXIT_STATUS_TIMEOUT_S = 1.0
_KEPT_ERROR_LINES = 3
_EXECUTABLE = 0o755


class SshTransport:
    """Opens on construction: DeviceUnreachable when there is no way to the host, or its agent ends before it has said
    a word; DeviceLost when it ends later."""

    def __init__(self, host: SshHost, agent: LinuxAgent, device_name: str) -> None:
        self._host = host
        self._device = device_name
        self._heard = False
        self._error_tail = b""
        upload = agent.upload()
        self._client = open_connection(host, device_name)
        try:
            _ensure_uploaded(self._client, upload)
            self._channel = self._start(upload)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._client.close()
            raise DeviceUnreachable(
                device_name, f"{host}: the agent cannot be put into ~/{upload.folder} and started ({error})"
            ) from None

    def read(self, timeout_s: float) -> bytes:
        self._keep_errors()
        self._channel.settimeout(timeout_s)
        try:
            data = self._channel.recv(_READ_BYTES)
        except TimeoutError:
            return b""
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._gone(str(error)) from None
        if not data:
            raise self._gone(None)
        self._heard = True
        return data

    def write(self, data: bytes) -> None:
        self._channel.settimeout(_WRITE_TIMEOUT_S)
        try:
            self._channel.sendall(data)
        except TimeoutError:
            raise self._gone(f"it takes no bytes within {_WRITE_TIMEOUT_S:g} s") from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._gone(str(error)) from None

    def close(self) -> None:
        """The agent sees the end of its input and ends."""
        self._client.close()

    def _start(self, upload: Upload) -> paramiko.Channel:
        transport = self._client.get_transport()
        assert transport is not None  # connected
        channel = transport.open_session(timeout=_WRITE_TIMEOUT_S)
        channel.exec_command(upload.command)
        return channel

    def _keep_errors(self) -> None:
        """Takes in what the agent said on stderr: left alone it would fill the channel's window and stop the agent."""
        while self._channel.recv_stderr_ready():
            data = self._channel.recv_stderr(_READ_BYTES)
            lines = (self._error_tail + data).splitlines(keepends=True)
            self._error_tail = b"".join(lines[-_KEPT_ERROR_LINES:])

    def _gone(self, error: str | None) -> DeviceLost | DeviceUnreachable:
        if self._channel.status_event.wait(_EXIT_STATUS_TIMEOUT_S):
            error = f"exit status {self._channel.recv_exit_status()}"
        self._keep_errors()
        said = " / ".join(self._error_tail.decode(errors="replace").splitlines())
        reason = "; ".join(part for part in (error, said) if part) or "the connection was closed"
        if self._heard:
            return DeviceLost(self._device, f"the agent on {self._host} ended ({reason}); is the machine still on?")
        return DeviceUnreachable(
            self._device, f"the agent on {self._host} does not start ({reason}); it needs python3 3.11 or later"
        )


def _ensure_uploaded(client: paramiko.SSHClient, upload: Upload) -> None:
    with client.open_sftp() as sftp:
        _make_folders(sftp, upload.folder)
        for name, content in upload.files.items():
            _put_if_missing(sftp, str(upload.folder / name), content)


def _make_folders(sftp: paramiko.SFTPClient, folder: PurePosixPath) -> None:
    for path in [*reversed(folder.parents[:-1]), folder]:
        with contextlib.suppress(OSError):  # it exists; if not, the upload says so
            sftp.mkdir(str(path))


def _put_if_missing(sftp: paramiko.SFTPClient, path: str, content: bytes) -> None:
    """A file appears whole or not at all: another harness may be starting it, or uploading it, just now."""
    with contextlib.suppress(FileNotFoundError):
        if sftp.stat(path).st_size == len(content):
            return
    part = f"{path}.{uuid.uuid4().hex}"
    with sftp.open(part, "wb") as file:
        file.set_pipelined(True)
        file.write(content)
    sftp.chmod(part, _EXECUTABLE)
    sftp.posix_rename(part, path)
