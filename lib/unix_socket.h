/*
 * Unix sockets by path, of any length: sockaddr_un holds 107 octets, and a spool may lie deeper.
 */
#ifndef LIB_UNIX_SOCKET_H
#define LIB_UNIX_SOCKET_H

#include <sys/types.h>

/* Listens at PATH with those permissions, non-blocking.  A socket that a dead process left there is
 * replaced; one that somebody answers at is not.  -1 with *WHY (caller frees). */
int unix_socket_listen(const char *path, mode_t mode, char **why);
/* Connected, blocking; -1 with errno. */
int unix_socket_connect(const char *path);
/* The same for event loops: non-blocking, and -1 with EAGAIN where one would have to wait. */
int unix_socket_connect_now(const char *path);

#endif
