import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type CallOptions, untilAborted } from "../async/index.ts";
import { concat, DataError, equalBytes } from "../bytes/index.ts";
import { ecdsaToDer } from "../crypto/index.ts";
import type { SigningKey } from "../formats/index.ts";
import { type PublicKey, type SignatureScheme, TokenError } from "../tokens/index.ts";
import { type ListedKey, MAX_MESSAGE, SIGN_FLAG, SSH_AGENT } from "./messages.ts";
import { decodeSignatureBlob, encodeKeyBlob } from "./public-key.ts";
import { string, uint32, WireReader } from "./wire.ts";

const LENGTH = 4;
/** Longest answer in bytes: an agent may have many keys. */
const MAX_ANSWER = 4 * MAX_MESSAGE;

/** A client of an agent of the SSH protocol, by any maker. */
export class SshAgentConnection implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #received = new Uint8Array();

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** @param path Of the agent's socket, as SSH_AUTH_SOCK has it. */
  static async open(path: string): Promise<SshAgentConnection> {
    const socket = connect(path);
    await once(socket, "connect");
    return new SshAgentConnection(socket);
  }

  /** The keys of the agent. @throws {DataError} for an answer that is none. */
  async list(): Promise<readonly ListedKey[]> {
    const reader = new WireReader(await this.#ask(Uint8Array.of(SSH_AGENT.REQUEST_IDENTITIES)), "list of keys");
    if (reader.byte() !== SSH_AGENT.IDENTITIES_ANSWER) return [];
    const keys: ListedKey[] = [];
    for (let left = reader.uint32(); left > 0; left--) keys.push({ blob: reader.string(), comment: reader.text() });
    return keys;
  }

  /**
   * A key of the agent, for whatever takes a key that signs; undefined if the agent does not have it.
   * @throws {DataError} for an answer of the agent that is none.
   */
  async key(publicKey: PublicKey): Promise<SigningKey | undefined> {
    const blob = encodeKeyBlob(publicKey.parsed);
    const keys = await this.list();
    if (!keys.some((one) => equalBytes(one.blob, blob))) return undefined;
    return {
      publicKey: () => Promise.resolve(publicKey),
      sign: (data, options = {}) => this.#sign(publicKey, blob, data, options),
    };
  }

  async #sign(
    key: PublicKey,
    blob: Uint8Array,
    data: Uint8Array,
    { hash, padding = "pkcs1", encoding, signal }: SignatureScheme & CallOptions,
  ): Promise<Uint8Array> {
    const { algorithm } = key;
    const flags = flagsFor(hash, algorithm, padding);
    const message = concat(Uint8Array.of(SSH_AGENT.SIGN_REQUEST), string(blob), string(data), uint32(flags));
    const reader = new WireReader(await untilAborted(this.#ask(message), signal), "signature");
    if (reader.byte() !== SSH_AGENT.SIGN_RESPONSE)
      throw new TokenError("KEY_CANNOT", "the agent refused to sign; its own output says why");
    const { signature } = decodeSignatureBlob(key.parsed, reader.string());
    if (!(await key.verify(data, signature, { ...(hash && algorithm.type !== "ed25519" && { hash }) })))
      throw new DataError("the agent's signature does not verify");
    return algorithm.type === "ec" && encoding === "der" ? ecdsaToDer(signature) : signature;
  }

  async #ask(message: Uint8Array): Promise<Uint8Array> {
    this.#socket.write(concat(uint32(message.length), message));
    for (;;) {
      const received = this.#received;
      const length = received.length < LENGTH ? 0 : new DataView(received.buffer, received.byteOffset).getUint32(0);
      if (length > MAX_ANSWER) throw new DataError(`the agent answered with ${length} bytes`);
      if (length > 0 && received.length >= LENGTH + length) {
        this.#received = received.slice(LENGTH + length);
        return received.subarray(LENGTH, LENGTH + length);
      }
      const next = (await this.#chunks.next()) as IteratorResult<Buffer, undefined>;
      if (next.done === true) throw new DataError("the agent ended the connection");
      this.#received = Uint8Array.from(concat(received, next.value));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    if (!this.#socket.closed) await once(this.#socket, "close");
  }
}

/** @throws {TokenError} NOT_SUPPORTED for a signature that the protocol does not have. */
function flagsFor(hash: SignatureScheme["hash"], algorithm: PublicKey["algorithm"], padding: string): number {
  if (algorithm.type === "rsa" && padding === "pkcs1") {
    if (hash === undefined || hash === "SHA-256") return SIGN_FLAG.RSA_SHA2_256;
    if (hash === "SHA-512") return SIGN_FLAG.RSA_SHA2_512;
  }
  if (algorithm.type === "ed25519") return 0;
  if (algorithm.type === "ec") {
    const own = { "P-256": "SHA-256", "P-384": "SHA-384", "P-521": "SHA-512" }[algorithm.curve];
    if (hash === undefined || hash === own) return 0;
  }
  throw new TokenError("NOT_SUPPORTED", `an agent of ssh does not sign with ${hash ?? "this padding"} and this key`);
}
