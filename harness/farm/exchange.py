"""Stop and wait: one request on its way at a time, sent again until its own answer comes or its deadline passes."""

from __future__ import annotations

import random
import time

from agent_wire.framing import DELIMITER, RESPONSE_BIT, Frame, FrameDecoder, encode_frame
from agent_wire.messages import Fields, decode_response, encode_request
from harness.transports.base import Transport

_SEQUENCES = 0x10000
_FIRST_WAIT_S = 0.15  # a frame of 1 kB takes 90 ms at 115,200 baud; the wait doubles with each retransmission
_FIRST_WAIT_FOR_HELLO_S = 0.02  # its frames are short, and a board that is still booting hears none of them
_LONGEST_WAIT_S = 2.0


class Exchange:
    """Requests and answers over a transport, matched by sequence and kind."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._decoder = FrameDecoder()
        # Starts anywhere, so that answers to a harness that used the device before are not taken for ours.
        self._sequence = random.randrange(_SEQUENCES)

    def move_on(self) -> None:
        """To sequences that the agent takes for new, when ours lie behind those of the harness before us."""
        self._sequence += _SEQUENCES // 2

    def ask(self, message: str, deadline_s: float, **values: object) -> Fields | None:
        """The fields of the answer, or None when none came in time.

        Raises Refused, MalformedMessage for an answer that is not laid out as protocol.toml says, and what the
        transport raises.
        """
        self._sequence = (self._sequence + 1) % _SEQUENCES
        kind, payload = encode_request(message, values)
        # The delimiter in front ends whatever noise the line has left in the agent's decoder.
        request = DELIMITER + encode_frame(Frame(self._sequence, kind, payload))
        give_up_at = time.monotonic() + deadline_s
        wait_s = _FIRST_WAIT_FOR_HELLO_S if message == "hello" else _FIRST_WAIT_S
        while (left_s := give_up_at - time.monotonic()) > 0:
            self._transport.write(request)
            answer = self._await(kind | RESPONSE_BIT, min(wait_s, left_s))
            if answer is not None:
                return decode_response(message, answer)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        return None

    def _await(self, kind: int, wait_s: float) -> bytes | None:
        """Payload of the frame with this kind and our sequence; all else is late or damaged, and ignored."""
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            data = self._transport.read(left_s)
            if not data:
                return None
            for frame in self._decoder.feed(data):
                if (frame.sequence, frame.kind) == (self._sequence, kind):
                    return frame.payload
        return None
