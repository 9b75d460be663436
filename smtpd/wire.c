/* One connection's octets, by recv(2) and send(2) or through OpenSSL (wire.h). */
#include <sys/socket.h>

#include <errno.h>

#include <openssl/err.h>

#include "smtpd/wire.h"

ssize_t
wire_read(int fd, SSL *tls, void *data, size_t size)
{
	ssize_t n;

	if (tls != NULL) {
		n = tls_read(tls, data, size);
		ERR_clear_error();
		return n;
	}
	n = recv(fd, data, size, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? TLS_WANT_READ : TLS_FAILED;
	return n;
}

ssize_t
wire_write(int fd, SSL *tls, const void *data, size_t len)
{
	ssize_t n;

	if (tls != NULL) {
		n = tls_write(tls, data, len);
		ERR_clear_error();
		return n;
	}
	do
		n = send(fd, data, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? TLS_WANT_WRITE : TLS_FAILED;
	return n;
}

int
wire_end(int fd, SSL *tls)
{
	if (tls != NULL)
		tls_goodbye(tls);
	return shutdown(fd, SHUT_WR);
}
