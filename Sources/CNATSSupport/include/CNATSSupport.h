// What NATSMessaging needs C for: a child process that dies with this one, a message's headers as they arrived, its
// end, the version of a server, and the socket of a connection.
#ifndef LATTICE_CNATS_SUPPORT_H
#define LATTICE_CNATS_SUPPORT_H

#include <nats/nats.h>
#include <stdbool.h>
#include <stdint.h>

/// A child process, its keeper thread, and what became of it.
typedef struct lattice_child lattice_child;

/// Starts `arguments[0]` (looked up in PATH, then in the system's sbin directories) with standard output and error
/// appended to `log_path` (NULL: discarded). The child gets SIGTERM when this process ends for whatever reason.
///
/// PR_SET_PDEATHSIG fires when the *thread* that forked ends, so a thread that waits for the child forks it.
///
/// Returns 0, or the errno of what failed; ENOENT means that there is no such program.
int lattice_child_start(const char *const *arguments, const char *log_path, lattice_child **child);

/// The process id; valid for signals only while the child runs, so use `lattice_child_signal`.
int lattice_child_process_id(const lattice_child *child);

/// Whether the child has not ended yet.
bool lattice_child_is_running(lattice_child *child);

/// The status as `waitpid` gives it; 0 while the child runs.
int lattice_child_exit_status(lattice_child *child);

/// Sends a signal unless the child has ended; never hits another process that got the same id.
void lattice_child_signal(lattice_child *child, int signal_number);

/// Lets go of the child without ending it.
void lattice_child_release(lattice_child *child);

/// The header block of a received message as it arrived, from "NATS/1.0" to the empty line; NULL without headers.
///
/// libnats shows headers through a hash table only, which forgets their order, reads the next line as the value of an
/// empty header, and takes line breaks into names. The block lies between the subject (or the reply subject) and the
/// data in all versions 3.2 to 3.12; `*is_known` is false for a libnats of another major version. Call it before any
/// natsMsgHeader function: those write into the block.
const char *lattice_message_header_block(const natsMsg *message, size_t *length, bool *is_known);

/// Destroys a message that nobody else uses, at once and on this thread.
///
/// natsMsg_Destroy hands it to a thread of libnats that frees one message after the other, which is two switches of
/// threads and a fight for a lock for each message. Where a message does not begin as it does in libnats 3.0 to 3.13,
/// this is natsMsg_Destroy. NULL is not allowed.
void lattice_message_free(natsMsg *message);

/// Whether the server of this connection says that it is of this version or newer; false where libnats does not tell.
bool lattice_server_is_at_least(natsConnection *connection, int major, int minor, int update);

/// The socket of a connection, found by its local address among the descriptors of this process; -1 where it is not found.
///
/// libnats does not hand it out. The connection may have closed it by the time it is used, and the number may be another's:
/// use it only for `lattice_socket_cork`, which does no harm to another.
int lattice_connection_socket(natsConnection *connection);

/// Holds back what is written to a TCP socket until it is full packets or until it is called again with false. The kernel
/// lets go of it by itself after 200 ms. Does nothing to what is not a TCP socket.
void lattice_socket_cork(int descriptor, bool is_corked);

#endif
