/** p11-kit's remote protocol: PKCS#11 over a stream, to programs in other languages, processes and machines. */
export { formatSocketAddress, parseServerAddress, requireNoNetwork, type ServerAddress } from "./address.ts";
export { P11KitModule, type P11KitOptions } from "./client/module.ts";
export { P11KitError } from "./error.ts";
export { type ConnectionOptions, serveConnection } from "./server/connection.ts";
export { inheritedSocket, type ListenerOptions, P11KitServer } from "./server/listener.ts";
export { defaultSocketFolder } from "./server/socket-folder.ts";
export { onlyTokens } from "./server/token-filter.ts";
