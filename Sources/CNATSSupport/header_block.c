// The header block of a message as it arrived.
#include "CNATSSupport.h"

#include <string.h>

const char *lattice_message_header_block(const natsMsg *message, size_t *length, bool *is_known) {
    static const char preamble[] = "NATS/1.0";
    *length = 0;
    *is_known = nats_GetVersionNumber() >> 16 == 3;
    if (!*is_known) return NULL;
    const char *before = natsMsg_GetReply(message);
    if (before == NULL) before = natsMsg_GetSubject(message);
    const char *data = natsMsg_GetData(message);
    if (before == NULL || data == NULL) return NULL;
    const char *block = before + strlen(before) + 1;
    // Without headers the data begins here; with them the block's own terminating zero comes before the data.
    if (data < block + sizeof preamble + 1) return NULL;
    size_t size = (size_t)(data - block) - 1;
    if (size > 64u * 1024 * 1024 || memcmp(block, preamble, sizeof preamble - 1) != 0 || block[size] != 0) return NULL;
    *length = size;
    return block;
}
