// How new the server is, as libnats remembers from its greeting.
#include "CNATSSupport.h"

// Not in nats.h, but in every libnats since 3.0; weak, so that one without it can be linked.
extern bool natsConn_srvVersionAtLeast(natsConnection *connection, int major, int minor, int update)
    __attribute__((weak));

bool lattice_server_is_at_least(natsConnection *connection, int major, int minor, int update) {
    return natsConn_srvVersionAtLeast != NULL && natsConn_srvVersionAtLeast(connection, major, minor, update);
}
