/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's end of the link: each request is carried out once, however often its frame arrives.
 */
#ifndef CONVERSATION_H
#define CONVERSATION_H

#include <stdint.h>

/* Takes the next byte from the link; answers when it completes a request. */
void conversation_push(uint8_t byte);

#endif
