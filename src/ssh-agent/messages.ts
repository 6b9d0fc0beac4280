import { concat, DataError } from "../bytes/index.ts";
import { string, uint32, WireReader } from "./wire.ts";

/** Numbers of messages (RFC 9987 section 6.1). */
export const SSH_AGENT = {
  FAILURE: 5,
  SUCCESS: 6,
  REQUEST_IDENTITIES: 11,
  IDENTITIES_ANSWER: 12,
  SIGN_REQUEST: 13,
  SIGN_RESPONSE: 14,
  ADD_IDENTITY: 17,
  REMOVE_IDENTITY: 18,
  REMOVE_ALL_IDENTITIES: 19,
  ADD_SMARTCARD_KEY: 20,
  REMOVE_SMARTCARD_KEY: 21,
  LOCK: 22,
  UNLOCK: 23,
  ADD_ID_CONSTRAINED: 25,
  ADD_SMARTCARD_KEY_CONSTRAINED: 26,
  EXTENSION: 27,
  EXTENSION_FAILURE: 28,
  EXTENSION_RESPONSE: 29,
} as const;

const CONSTRAINT = { LIFETIME: 1, CONFIRM: 2, EXTENSION: 255 } as const;

/** Bits of the flags of a request to sign. */
export const SIGN_FLAG = { RSA_SHA2_256: 2, RSA_SHA2_512: 4 } as const;

/** What a client asks of keys that it adds. */
export interface Constraints {
  /** Seconds. */
  readonly lifetime: number | undefined;
  readonly confirm: boolean;
  /** Constraints by name, with their contents. */
  readonly extensions: ReadonlyMap<string, Uint8Array>;
}

/** A request. Its bytes are views of the message. */
export type AgentRequest =
  | { readonly type: "list" }
  | { readonly type: "sign"; readonly key: Uint8Array; readonly data: Uint8Array; readonly flags: number }
  | { readonly type: "add-card"; readonly name: string; readonly pin: Uint8Array; readonly constraints: Constraints }
  | { readonly type: "remove-card"; readonly name: string }
  | { readonly type: "remove-all" }
  | { readonly type: "lock"; readonly passphrase: Uint8Array }
  | { readonly type: "unlock"; readonly passphrase: Uint8Array }
  | { readonly type: "extension"; readonly name: string; readonly contents: Uint8Array }
  /** A request that this agent does not serve. */
  | { readonly type: "other"; readonly number: number };

/** Reads a message without its length. @throws {DataError} for a malformed one. */
export function decodeRequest(message: Uint8Array): AgentRequest {
  const reader = new WireReader(message, "request");
  const number = reader.byte();
  const request = readBody(number, reader);
  if (request.type !== "other") reader.end();
  return request;
}

function readBody(number: number, reader: WireReader): AgentRequest {
  switch (number) {
    case SSH_AGENT.REQUEST_IDENTITIES:
      return { type: "list" };
    case SSH_AGENT.SIGN_REQUEST:
      return { type: "sign", key: reader.string(), data: reader.string(), flags: reader.uint32() };
    case SSH_AGENT.ADD_SMARTCARD_KEY:
    case SSH_AGENT.ADD_SMARTCARD_KEY_CONSTRAINED: {
      const card = { type: "add-card", name: reader.text(), pin: reader.string() } as const;
      return { ...card, constraints: readConstraints(reader) };
    }
    case SSH_AGENT.REMOVE_SMARTCARD_KEY: {
      const name = reader.text();
      reader.string();
      return { type: "remove-card", name };
    }
    case SSH_AGENT.REMOVE_ALL_IDENTITIES:
      return { type: "remove-all" };
    case SSH_AGENT.LOCK:
      return { type: "lock", passphrase: reader.string() };
    case SSH_AGENT.UNLOCK:
      return { type: "unlock", passphrase: reader.string() };
    case SSH_AGENT.EXTENSION:
      return { type: "extension", name: reader.text(), contents: reader.rest() };
    default:
      return { type: "other", number };
  }
}

function readConstraints(reader: WireReader): Constraints {
  const extensions = new Map<string, Uint8Array>();
  let lifetime: number | undefined;
  let confirm = false;
  while (reader.remaining > 0) {
    const type = reader.byte();
    if (type === CONSTRAINT.LIFETIME) lifetime = reader.uint32();
    else if (type === CONSTRAINT.CONFIRM) confirm = true;
    else if (type === CONSTRAINT.EXTENSION) {
      const name = reader.text();
      if (extensions.has(name)) throw new DataError(`request: the constraint ${name} twice`);
      extensions.set(name, reader.string());
    } else throw new DataError(`request: constraint ${type} is not known`);
  }
  return { lifetime, confirm, extensions };
}

/** A key in the answer to a list. */
export interface ListedKey {
  readonly blob: Uint8Array;
  readonly comment: string;
}

export const FAILURE = Uint8Array.of(SSH_AGENT.FAILURE);
export const SUCCESS = Uint8Array.of(SSH_AGENT.SUCCESS);
export const EXTENSION_FAILURE = Uint8Array.of(SSH_AGENT.EXTENSION_FAILURE);

export function encodeList(keys: readonly ListedKey[]): Uint8Array {
  const entries = keys.flatMap(({ blob, comment }) => [string(blob), string(comment)]);
  return concat(Uint8Array.of(SSH_AGENT.IDENTITIES_ANSWER), uint32(keys.length), ...entries);
}

export const encodeSigned = (signature: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(SSH_AGENT.SIGN_RESPONSE), string(signature));

/** The answer to an extension; names it again (RFC 9987 section 5.8). */
export const encodeExtension = (name: string, ...contents: readonly Uint8Array[]): Uint8Array =>
  concat(Uint8Array.of(SSH_AGENT.EXTENSION_RESPONSE), string(name), ...contents);

/** Longest message in bytes, as in OpenSSH. */
export const MAX_MESSAGE = 256 * 1024;
