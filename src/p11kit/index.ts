/** p11-kit's remote protocol: PKCS#11 over a stream, to programs in other languages, processes and machines. */
export {
  formatSocketAddress,
  P11KitError,
  parseServerAddress,
  requireNoNetwork,
  type ServerAddress,
} from "./address.ts";
export { P11KitModule, type P11KitOptions } from "./client/module.ts";
export { type ConnectionOptions, LoadBudget, serveConnection } from "./server/connection.ts";
export { defaultSocketFolder, inheritedSocket } from "../sockets/index.ts";
export { type ListenerOptions, P11KitServer } from "./server/listener.ts";
export { onlyTokens } from "./server/token-filter.ts";
export { FrameBudget } from "./wire/frame.ts";
