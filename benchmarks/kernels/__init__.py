"""What one inference costs on Cortex-M: instructions, modelled cycles, code, artifact, arena and stack.

Each network runs bare-metal in QEMU, whose TCG plugin (plugin/block_counter.c) counts what is executed from the entry
of dcc_model_run to its return. cases: the networks and recipes; program: the ELF of one; counting: its run; cortex_m4:
the price of what ran; baselines: what others need; rows: all of it together; __main__: the command.
"""
