/*
 * vpcd writes a message's length and its bytes apart, and Nagle's algorithm holds the bytes back until the card's side
 * has acknowledged the length, which it does after 40 ms. Loaded before pcscd, this makes each exchange take the time
 * that it takes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int accept(int listener, struct sockaddr *address, socklen_t *length)
{
	const int on = 1;
	const int peer = accept4(listener, address, length, 0);
	const int error = errno;

	/* Fails on pcscd's own Unix sockets, which have no such option. */
	if (peer >= 0)
		(void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	errno = error;
	return peer;
}
