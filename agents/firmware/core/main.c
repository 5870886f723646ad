/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"
#include "conversation.h"
#include "port.h"

int main(void) {
    port_start();
    agent_start();
    for (;;) {
        uint8_t byte;
        if (port_receive(&byte)) {
            conversation_push(byte);
        } else {
            port_sleep();
        }
    }
}
