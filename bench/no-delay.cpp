/*
 * Preloaded into pcscd: what the virtual reader's driver writes goes out at once. The driver writes each message in two
 * parts, and the second would wait 40 ms for the card's delayed acknowledgement of the first (RFC 896, RFC 1122 4.2.3.2).
 */
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

extern "C" int accept(int listening, sockaddr *address, socklen_t *length) {
  static auto original = reinterpret_cast<int (*)(int, sockaddr *, socklen_t *)>(dlsym(RTLD_NEXT, "accept"));
  int connected = original(listening, address, length);
  int on = 1;
  /* Fails on the daemon's other sockets, which have no such delay. */
  setsockopt(connected, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return connected;
}
