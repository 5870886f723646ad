/* SPDX-License-Identifier: Apache-2.0
 *
 * What each request of agents/wire/agent_wire/protocol.toml does on the device.
 */
#ifndef AGENT_H
#define AGENT_H

#include "answer.h"
#include "frame.h"

void agent_start(void);

/* Carries the request out and writes what there is to say into a fresh answer. */
void agent_carry_out(const frame *request, answer *a);

#endif
