/**
 * A program of a user of the package. `npm run typecheck` checks it against the sources; test/interop/package/types.test.ts against the
 * packed package, with the oldest compiler that is supported, and without the DOM's and Node's declarations. Nothing here runs.
 */
import { type Key, openTokens, rememberPin, type Token } from "cryptoki";
import { type CallOptions, MemoryReaders, type Pcsc } from "cryptoki/pcsc";
import type { SigningStream } from "cryptoki/tokens";
import { VirtualPivCard } from "cryptoki/virtual";
import type { TokenCrypto, TokenCryptoKey } from "cryptoki/webcrypto";

export async function sign(pcsc: Pcsc, data: Uint8Array): Promise<Uint8Array> {
  await using cards = await openTokens({ pcsc, pin: () => "123456" });
  await using token = await cards.token({ model: "PIV" });
  using pin = rememberPin(() => "123456", { milliseconds: 1000 });
  await token.login(pin);
  const key = await token.keys.get({ reference: "9a" });
  return await key.sign(data, { hash: "SHA-256" });
}

export async function watch(token: Token, key: Key, data: AsyncIterable<Uint8Array>): Promise<boolean> {
  const options: CallOptions = { signal: token.removed };
  const stream: SigningStream = key.signStream();
  await key.sign(data, options);
  return token.removed.aborted && stream.readable.locked;
}

export async function virtual(): Promise<readonly string[]> {
  const card = await VirtualPivCard.create({ pin: "123456" });
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  await using connection = await readers.client().connect("Reader");
  return [connection.reader];
}

export async function webCrypto(crypto: TokenCrypto, key: TokenCryptoKey): Promise<ArrayBuffer> {
  return crypto.subtle.sign("Ed25519", key, new Uint8Array(1));
}
