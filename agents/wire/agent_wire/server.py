"""The agent's side of a conversation: each request is carried out once, however often its frame arrives.

An agent gives handlers by message name; a handler takes the request's fields and returns the response's, or raises
Refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from agent_wire.framing import RESPONSE_BIT, Frame, FrameDecoder, encode_frame
from agent_wire.messages import (
    Fields,
    MalformedMessage,
    Refused,
    decode_request,
    encode_refusal,
    encode_response,
)
from agent_wire.protocol import PROTOCOL

Handler = Callable[[Fields], Fields]

_HALF = 0x8000  # of the sequence numbers


class AgentServer:
    """Feed it what arrives; send what it yields.

    handlers: one for every message. The version in hello, both ways, is the server's own affair: its handler is
    asked only when the versions agree, and leaves `version` out of what it returns.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        if missing := PROTOCOL.messages.keys() - handlers.keys():
            raise ValueError(f"no handler for {', '.join(sorted(missing))}")
        self._handlers = handlers
        self._decoder = FrameDecoder()
        self._last_request: Frame | None = None
        self._last_answer = b""

    def receive(self, data: bytes) -> Iterator[bytes]:
        """The encoded answers to the requests that are complete with data, in order."""
        for request in self._decoder.feed(data):
            if not request.kind & RESPONSE_BIT:  # an echo of our own answer is nothing to answer
                yield self._answer_once(request)

    def _answer_once(self, request: Frame) -> bytes:
        last = self._last_request
        if request == last:
            return self._last_answer
        if last is not None and (request.sequence - last.sequence) % 0x10000 >= _HALF:
            return _encode(request, encode_refusal(Refused("bad_state", "a sequence from the past")))
        answer = _encode(request, self._carry_out(request))
        self._last_request, self._last_answer = request, answer
        return answer

    def _carry_out(self, request: Frame) -> bytes:
        try:
            name, fields = decode_request(request.kind, request.payload)
            own = {}
            if name == "hello":
                _check_version(fields["version"])
                own = {"version": PROTOCOL.version}
            return encode_response(name, own | self._handlers[name](fields))
        except MalformedMessage as error:
            return encode_refusal(Refused("bad_message", str(error)))
        except Refused as refusal:
            return encode_refusal(refusal)


def _check_version(version: int) -> None:
    if version != PROTOCOL.version:
        raise Refused("bad_version", f"agent speaks version {PROTOCOL.version}", code=PROTOCOL.version)


def _encode(request: Frame, payload: bytes) -> bytes:
    return encode_frame(Frame(request.sequence, request.kind | RESPONSE_BIT, payload))
