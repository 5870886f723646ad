"""Bytes over a serial port: a board's (/dev/ttyUSB0) or one that an emulator serves (socket://127.0.0.1:PORT)."""

from __future__ import annotations

import serial

from harness.errors import DeviceLost, DeviceUnreachable

_BAUD = 115_200  # of the firmware
_WRITE_TIMEOUT_S = 5.0
_READ_BYTES = 4096


class SerialTransport:
    """Opens on construction: DeviceUnreachable when nobody listens. DeviceLost when the port goes away later."""

    def __init__(self, port_url: str, device_name: str, baud: int = _BAUD) -> None:
        self._device = device_name
        self._url = port_url
        try:
            self._port = serial.serial_for_url(
                port_url, baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S, exclusive=True
            )
        except (serial.SerialException, ValueError) as error:
            raise DeviceUnreachable(
                device_name, f"cannot open port {port_url}; is the board plugged in and the port right? ({error})"
            ) from None

    def read(self, timeout_s: float) -> bytes:
        try:
            self._port.timeout = timeout_s
            first = self._port.read(1)
            if not first:
                return b""
            self._port.timeout = 0  # the rest that is there already, without waiting to fill the buffer
            return bytes(first + self._port.read(_READ_BYTES))
        except serial.SerialException as error:
            raise self._lost(error) from None

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except serial.SerialException as error:  # includes the time-out of a port that takes no more
            raise self._lost(error) from None

    def close(self) -> None:
        self._port.close()

    def _lost(self, error: serial.SerialException) -> DeviceLost:
        return DeviceLost(self._device, f"port {self._url} went away ({error}); check power and cable")
