/** Sockets of the file system for this user alone, and sockets that systemd passes. Unix only. */
export { inheritedSocket } from "./inherited-socket.ts";
export { defaultSocketFolder, listenPrivately, MAX_SOCKET_PATH, SocketError } from "./private-socket.ts";
