// Holds back what a connection sends, so that many small messages leave in few packets.
#include "CNATSSupport.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Whether the local end of a socket is this address and port.
static bool is_bound_to(int descriptor, const char *ip, int port) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char text[INET6_ADDRSTRLEN];
    if (getsockname(descriptor, (struct sockaddr *)&address, &length) != 0) return false;
    if (address.ss_family == AF_INET) {
        struct sockaddr_in *four = (struct sockaddr_in *)&address;
        return ntohs(four->sin_port) == port && inet_ntop(AF_INET, &four->sin_addr, text, sizeof text) != NULL &&
               strcmp(text, ip) == 0;
    }
    if (address.ss_family == AF_INET6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
        return ntohs(six->sin6_port) == port && inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text) != NULL &&
               strcmp(text, ip) == 0;
    }
    return false;
}

int lattice_connection_socket(natsConnection *connection) {
    char *ip = NULL;
    int port = 0, found = -1;
    if (natsConnection_GetLocalIPAndPort(connection, &ip, &port) != NATS_OK) return -1;
    DIR *directory = opendir("/proc/self/fd");
    if (directory != NULL) {
        for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
            char *end = NULL;
            long descriptor = strtol(entry->d_name, &end, 10);
            if (end == entry->d_name || *end != '\0' || !is_bound_to((int)descriptor, ip, port)) continue;
            // Two sockets of one address: which of them it is cannot be told.
            if (found >= 0) {
                found = -1;
                break;
            }
            found = (int)descriptor;
        }
        closedir(directory);
    }
    free(ip);
    return found;
}

void lattice_socket_cork(int descriptor, bool is_corked) {
    int value = is_corked ? 1 : 0;
    setsockopt(descriptor, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}
