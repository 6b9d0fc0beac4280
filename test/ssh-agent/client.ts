import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { concat, toHex } from "../../src/bytes/index.ts";
import { ecdsaFromDer, parsePublicKey } from "../../src/crypto/index.ts";
import type { AgentClient } from "../../src/ssh-agent/agent.ts";
import { encodeKeyBlob, encodeSignatureBlob } from "../../src/ssh-agent/public-key.ts";
import { string, uint32, WireReader } from "../../src/ssh-agent/wire.ts";

/** Messages as OpenSSH's client writes them, apart from the agent's own codec. */
export const request = {
  list: Uint8Array.of(11),
  sign: (key: Uint8Array, data: Uint8Array, flags = 0): Uint8Array =>
    concat(Uint8Array.of(13), string(key), string(data), uint32(flags)),
  addCard: (name: string, pin: string, ...constraints: readonly Uint8Array[]): Uint8Array =>
    concat(Uint8Array.of(constraints.length > 0 ? 26 : 20), string(name), string(pin), ...constraints),
  removeCard: (name: string): Uint8Array => concat(Uint8Array.of(21), string(name), string("")),
  removeAll: Uint8Array.of(19),
  lock: (passphrase: string): Uint8Array => concat(Uint8Array.of(22), string(passphrase)),
  unlock: (passphrase: string): Uint8Array => concat(Uint8Array.of(23), string(passphrase)),
  extension: (name: string, ...contents: readonly Uint8Array[]): Uint8Array =>
    concat(Uint8Array.of(27), string(name), ...contents),
} as const;

export const constraint = {
  confirm: Uint8Array.of(2),
  lifetime: (seconds: number): Uint8Array => concat(Uint8Array.of(1), uint32(seconds)),
  extension: (name: string, contents: Uint8Array): Uint8Array =>
    concat(Uint8Array.of(255), string(name), string(contents)),
} as const;

export const FAILURE = "05";
export const SUCCESS = "06";
export const EXTENSION_FAILURE = "1c";

/** What the agent answers, in hexadecimal. */
export async function answer(client: AgentClient, message: Uint8Array): Promise<string> {
  return toHex(await client.answer(message));
}

export interface Listed {
  readonly blob: Uint8Array;
  readonly comment: string;
  readonly type: string;
}

export async function list(client: AgentClient): Promise<Listed[]> {
  return readList(await client.answer(request.list));
}

export function readList(message: Uint8Array): Listed[] {
  const reader = new WireReader(message, "list");
  if (reader.byte() !== 12) throw new Error("no list");
  const keys = Array.from({ length: reader.uint32() }, () => {
    const [blob, comment] = [reader.string(), reader.text()];
    return { blob, comment, type: new WireReader(blob, "key").text() };
  });
  reader.end();
  return keys;
}

/** The algorithm and the bytes of a signature. */
export async function signed(
  client: AgentClient,
  message: Uint8Array,
): Promise<{ algorithm: string; blob: Uint8Array }> {
  const reader = new WireReader(await client.answer(message), "signature");
  if (reader.byte() !== 14) throw new Error("no signature");
  const blob = reader.string();
  reader.end();
  return { algorithm: new WireReader(blob, "signature").text(), blob };
}

/** A host, as its key. */
export class Host {
  readonly #key: KeyObject;
  readonly blob: Uint8Array;

  constructor(type: "ed25519" | "p-256" = "ed25519") {
    const pair =
      type === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = pair.privateKey;
    this.blob = encodeKeyBlob(parsePublicKey(pair.publicKey.export({ format: "der", type: "spki" })));
    this.#spki = pair.publicKey.export({ format: "der", type: "spki" });
  }

  readonly #spki: Uint8Array;

  sign(data: Uint8Array): Uint8Array {
    const key = parsePublicKey(this.#spki);
    const made = sign(key.type === "ec" ? "sha256" : null, data, this.#key);
    return encodeSignatureBlob(key, key.type === "ec" ? ecdsaFromDer(made, key.curve) : made, "rsa-sha2-256");
  }

  bind(session: Uint8Array, isForwarded: boolean, signature = this.sign(session), blob = this.blob): Uint8Array {
    return request.extension(
      "session-bind@openssh.com",
      string(blob),
      string(session),
      string(signature),
      Uint8Array.of(isForwarded ? 1 : 0),
    );
  }

  /** A host certificate of this key, by an authority. */
  certificate(authority: Host, principals: readonly string[], until = 0xffff_ffff, kind = 2): Uint8Array {
    const names = concat(...principals.map((name) => string(name)));
    const time = (seconds: number): Uint8Array => concat(uint32(0), uint32(seconds));
    const point = new WireReader(this.blob, "key");
    point.string();
    const body = concat(
      string("ssh-ed25519-cert-v01@openssh.com"),
      string(new Uint8Array(32)),
      point.rest(),
      time(1),
      uint32(kind),
      string("host"),
      string(names),
      time(0),
      time(until),
      string(""),
      string(""),
      string(""),
      string(authority.blob),
    );
    return concat(body, string(authority.sign(body)));
  }
}

interface HopOptions {
  readonly user?: string;
  readonly host?: string;
  readonly keys?: readonly Uint8Array[];
  readonly authorities?: readonly Uint8Array[];
}

function hop({ user = "", host = "", keys = [], authorities = [] }: HopOptions): Uint8Array {
  const known = [...keys.map((key) => [key, 0] as const), ...authorities.map((key) => [key, 1] as const)];
  return concat(
    string(user),
    string(host),
    string(""),
    ...known.flatMap(([key, isAuthority]) => [string(key), Uint8Array.of(isAuthority)]),
  );
}

/** From which host to which other; from this machine without `from`. */
export interface Destination {
  readonly from?: HopOptions;
  readonly to: HopOptions;
}

/** The constraint of `ssh-add -h`. */
export function restrictTo(...destinations: readonly Destination[]): Uint8Array {
  const contents = destinations.map(({ from = {}, to }) =>
    string(concat(string(hop(from)), string(hop(to)), string(""))),
  );
  return constraint.extension("restrict-destination-v00@openssh.com", concat(...contents));
}

/** What ssh signs to log in. */
export function login(
  session: Uint8Array,
  user: string,
  key: Uint8Array,
  hostKey?: Uint8Array,
  service = "ssh-connection",
): Uint8Array {
  return concat(
    string(session),
    Uint8Array.of(50),
    string(user),
    string(service),
    string(hostKey ? "publickey-hostbound-v00@openssh.com" : "publickey"),
    Uint8Array.of(1),
    string(new WireReader(key, "key").text()),
    string(key),
    ...(hostKey ? [string(hostKey)] : []),
  );
}
