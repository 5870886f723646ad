"""The agent of Linux devices: answers the harness on stdin and stdout, and has a runner process do the inferences.

Needs only the standard library and agent_wire, since it is uploaded as one file to machines that have nothing else.
"""
