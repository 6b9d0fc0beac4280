import type { HostCrypto } from "./host-crypto.ts";
import { nodeHostCrypto } from "./node/index.ts";

/** The runtime has no cryptography that this package knows, and none was installed. */
export class HostCryptoMissingError extends Error {
  override readonly name = "HostCryptoMissingError";
}

let current: HostCrypto | undefined;

/**
 * Installs the cryptography of a runtime other than Node, for the whole process. Call it before anything else of this package; Node, and
 * runtimes with `process.getBuiltinModule`, need no call.
 */
export function useHostCrypto(host: HostCrypto): void {
  current = host;
}

/** @throws {HostCryptoMissingError} outside of Node if none was installed. */
export function hostCrypto(): HostCrypto {
  current ??= nodeHostCrypto();
  if (current) return current;
  throw new HostCryptoMissingError("this runtime has no node:crypto; install another HostCrypto with useHostCrypto()");
}
