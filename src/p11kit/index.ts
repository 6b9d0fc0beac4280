/** p11-kit's remote protocol: PKCS#11 over a stream, to programs in other languages, processes and machines. */
export { type ConnectionOptions, serveConnection } from "./server/connection.ts";
