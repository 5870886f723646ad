"""python3 agent.pyz --runner FILE --profile NAME [--emulator COMMAND]: serves one harness until stdin ends."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from edge_agent.agent import Agent, Identity
from edge_agent.runner import HarnessGone, RunnerUnusable, describe

_EXIT_UNUSABLE = 3


def main() -> int:
    arguments = _parse_arguments()
    # Only frames may reach the harness: whatever else anybody prints goes to stderr.
    to_harness = os.dup(1)
    os.dup2(2, 1)
    from_harness = 0
    emulator = tuple(shlex.split(arguments.emulator))
    command = [*emulator, arguments.runner]
    try:
        description = describe(command)
    except RunnerUnusable as error:
        print(f"edge_agent: {error}", file=sys.stderr)
        return _EXIT_UNUSABLE
    agent = Agent(Identity(arguments.profile, emulator, arguments.build), command, description, from_harness)
    server = agent.server()
    try:
        while data := os.read(from_harness, 65536):
            for answer in server.receive(data):
                _write_all(to_harness, answer)
    except (HarnessGone, BrokenPipeError):
        pass  # the harness hung up; nobody is left to tell
    finally:
        agent.close()
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edge_agent", description=__doc__)
    parser.add_argument("--runner", required=True, help="the runner's executable")
    parser.add_argument("--profile", required=True, help="name of this device's profile")
    parser.add_argument("--build", default="unknown", help="what to answer for the build of agent and runner")
    parser.add_argument("--emulator", default="", help="command that runs the runner, e.g. 'qemu-aarch64-static'")
    return parser.parse_args()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    sys.exit(main())
