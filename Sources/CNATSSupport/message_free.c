// Frees a message where it is given back, instead of on libnats' own thread.
#include "CNATSSupport.h"

#include <stddef.h>

// How a message begins in libnats 3.0 to 3.13 (src/msg.h, src/gc.h). A collector without a function to call leaves the
// message to the caller of natsMsg_Destroy, which frees it at once (natsGC_collect).
struct message_start {
    void *next_collected;
    void (*free_function)(void *object);
    const char *subject;
    const char *reply;
};

void lattice_message_free(natsMsg *message) {
    struct message_start *start = (struct message_start *)message;
    if (nats_GetVersionNumber() >> 16 == 3 && start->next_collected == NULL && start->free_function != NULL &&
        start->subject != NULL && start->subject == natsMsg_GetSubject(message) &&
        start->reply == natsMsg_GetReply(message))
        start->free_function = NULL;
    natsMsg_Destroy(message);
}
