import { DataError, equalBytes } from "../bytes/index.ts";
import {
  decodeKeyBlob,
  type HostCertificate,
  isSameKey,
  type SshPublicKey,
  verifySignatureBlob,
} from "./public-key.ts";
import { WireReader } from "./wire.ts";

/** OpenSSH's PROTOCOL.agent, sections 1 and 2. */
export const SESSION_BIND = "session-bind@openssh.com";
export const RESTRICT_DESTINATION = "restrict-destination-v00@openssh.com";

interface Hop {
  /** Pattern of user names; empty for any. */
  readonly user: string;
  readonly host: string;
  readonly keys: readonly { readonly key: SshPublicKey; readonly isAuthority: boolean }[];
}

/** From which host to which other a key may be used; `from` without host and keys is this machine. */
export interface Destination {
  readonly from: Hop;
  readonly to: Hop;
}

/** A connection of ssh that the agent's client has proved. */
export interface BoundSession {
  readonly hostKey: SshPublicKey;
  readonly id: Uint8Array;
  /** Whether the agent is forwarded over it; else it serves a login. */
  readonly isForwarded: boolean;
}

/** Most destinations of a key, host keys of a destination, and hops of a connection. */
const MAX_DESTINATIONS = 1024;
const MAX_HOST_KEYS = 1024;
const MAX_SESSIONS = 16;
const MAX_SESSION_ID = 128;

/** Reads the contents of {@link RESTRICT_DESTINATION}. @throws {DataError} for malformed ones, and for none. */
export async function decodeDestinations(contents: Uint8Array): Promise<readonly Destination[]> {
  const reader = new WireReader(contents, "destinations");
  const found: Destination[] = [];
  while (reader.remaining > 0) {
    if (found.length === MAX_DESTINATIONS) throw new DataError(`destinations: more than ${MAX_DESTINATIONS}`);
    const one = new WireReader(reader.string(), "destination");
    const [from, to] = [one.string(), one.string()];
    requireNothing(one.string());
    one.end();
    found.push(checked({ from: await decodeHop(from), to: await decodeHop(to) }));
  }
  if (found.length === 0) throw new DataError("destinations: none");
  return found;
}

function checked(destination: Destination): Destination {
  const { from, to } = destination;
  if ((from.host === "") !== (from.keys.length === 0) || from.user !== "")
    throw new DataError("destination: a start without host and keys, or with a user");
  if (to.host === "" || to.keys.length === 0) throw new DataError("destination: an end without host or keys");
  return destination;
}

async function decodeHop(bytes: Uint8Array): Promise<Hop> {
  const reader = new WireReader(bytes, "destination");
  const [user, host] = [reader.text(), reader.text()];
  requireNothing(reader.string());
  const keys: { key: SshPublicKey; isAuthority: boolean }[] = [];
  while (reader.remaining > 0) {
    if (keys.length === MAX_HOST_KEYS) throw new DataError(`destination: more than ${MAX_HOST_KEYS} keys`);
    const key = await decodeKeyBlob(reader.string());
    keys.push({ key, isAuthority: reader.boolean() });
  }
  return { user, host, keys };
}

function requireNothing(reserved: Uint8Array): void {
  if (reserved.length > 0) throw new DataError("destination: content in a reserved field");
}

/** The sessions of ssh that one client of the agent has proved, in the order of the hops. */
export class SessionBindings {
  readonly #sessions: BoundSession[] = [];
  #wasTried = false;

  /** Whether the client comes, or has tried to come, through a connection of ssh. */
  get isRemote(): boolean {
    return this.#wasTried;
  }

  /**
   * Takes the contents of {@link SESSION_BIND}: the host's key has signed the session's identifier.
   * @throws {DataError} for a signature that is not the host's; after a session for a login; for one that contradicts an earlier one.
   */
  async bind(contents: Uint8Array): Promise<void> {
    this.#wasTried = true;
    const reader = new WireReader(contents, "session-bind");
    const hostKey = await decodeKeyBlob(Uint8Array.from(reader.string()));
    const id = Uint8Array.from(reader.string());
    const signature = reader.string();
    const isForwarded = reader.boolean();
    reader.end();
    if (id.length > MAX_SESSION_ID) throw new DataError(`session-bind: an identifier of ${id.length} bytes`);
    if (!(await verifySignatureBlob(hostKey.key, id, signature)))
      throw new DataError("session-bind: the signature is not the host key's");
    for (const known of this.#sessions) {
      if (!known.isForwarded) throw new DataError("session-bind: the connection is bound to a login already");
      if (!equalBytes(known.id, id)) continue;
      if (!isSameKey(known.hostKey, hostKey)) throw new DataError("session-bind: the session is another host's");
      return;
    }
    if (this.#sessions.length === MAX_SESSIONS) throw new DataError(`session-bind: more than ${MAX_SESSIONS} sessions`);
    this.#sessions.push({ hostKey, id, isForwarded });
  }

  /** Whether a key with these destinations is shown to the client. */
  shows(destinations: readonly Destination[]): boolean {
    return destinations.length === 0 || this.#permits(destinations, undefined);
  }

  /**
   * Why a key with these destinations must not sign `data`; undefined if it may.
   * @param key The blob of the key.
   */
  async refusal(destinations: readonly Destination[], key: Uint8Array, data: Uint8Array): Promise<string | undefined> {
    if (destinations.length === 0) return undefined;
    const last = this.#sessions.at(-1);
    if (!last) return "the key is for certain hosts, and the client has not said to which one it is connected";
    const request = await readLogin(data, key);
    if (!request) return "the key is for certain hosts, and what is to be signed is no login";
    if (!this.#permits(destinations, request.user)) return "the key is not for this way, host and user";
    if (!equalBytes(request.session, last.id)) return "the login is of another session than the client's last";
    if (this.#sessions.length > 1 && !request.hostKey)
      return "the login through another host does not name its host key";
    if (request.hostKey && !isSameKey(request.hostKey, last.hostKey)) return "the login names another host key";
    return undefined;
  }

  /** @param user Undefined for a list. */
  #permits(destinations: readonly Destination[], user: string | undefined): boolean {
    const sessions = this.#sessions;
    const last = sessions.at(-1);
    // A client on this machine sees its keys; after a binding that failed it counts as remote.
    if (!last) return !this.#wasTried;
    let from: SshPublicKey | undefined;
    for (const session of sessions) {
      const isLast = session === last;
      if (isLast && session.isForwarded && user !== undefined) return false;
      if (!isLast && !session.isForwarded) return false;
      if (!leads(destinations, from, session.hostKey, isLast ? user : undefined)) return false;
      from = session.hostKey;
    }
    // A host to which the key may log in, but beyond which it may not, does not see it.
    return !last.isForwarded || user !== undefined || leads(destinations, last.hostKey, undefined, undefined);
  }
}

/** @param from Undefined for this machine. @param to Undefined for any. */
function leads(
  destinations: readonly Destination[],
  from: SshPublicKey | undefined,
  to: SshPublicKey | undefined,
  user: string | undefined,
): boolean {
  return destinations.some((destination) => {
    const starts = from ? isHop(destination.from, from) : destination.from.keys.length === 0;
    if (!starts || (to && !isHop(destination.to, to))) return false;
    return user === undefined || destination.to.user === "" || matchesPattern(user, destination.to.user);
  });
}

function isHop(hop: Hop, key: SshPublicKey): boolean {
  return hop.keys.some(({ key: known, isAuthority }) => {
    if (!key.certificate) return !isAuthority && isSameKey(known, key);
    return isAuthority && equalBytes(known.blob, key.certificate.authority) && isFor(key.certificate, hop.host);
  });
}

function isFor({ principals, validAfter, validBefore }: HostCertificate, host: string): boolean {
  const now = BigInt(Math.floor(Date.now() / 1000));
  if (now < validAfter || now >= validBefore) return false;
  return principals.some((principal) => matchesPattern(host.toLowerCase(), principal.toLowerCase()));
}

/** With the wildcards * and ? (ssh_config(5), PATTERNS). */
function matchesPattern(text: string, pattern: string): boolean {
  let [at, star, mark] = [0, -1, 0];
  let index = 0;
  while (index < text.length) {
    if (pattern[at] === "*") [star, mark] = [at++, index];
    else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === text[index]))
      [at, index] = [at + 1, index + 1];
    else if (star >= 0) [at, index] = [star + 1, ++mark];
    else return false;
  }
  return /^\**$/u.test(pattern.slice(at));
}

interface Login {
  readonly session: Uint8Array;
  readonly user: string;
  readonly hostKey: SshPublicKey | undefined;
}

const USERAUTH_REQUEST = 50;
const METHODS = { plain: "publickey", withHost: "publickey-hostbound-v00@openssh.com" } as const;

/** What a client signs to log in with a key (RFC 4252 section 7); undefined for anything else. */
async function readLogin(data: Uint8Array, key: Uint8Array): Promise<Login | undefined> {
  try {
    const reader = new WireReader(data, "login");
    const session = reader.string();
    if (reader.byte() !== USERAUTH_REQUEST) return undefined;
    const user = reader.text();
    if (reader.text() !== "ssh-connection") return undefined;
    const method = reader.text();
    if (method !== METHODS.plain && method !== METHODS.withHost) return undefined;
    if (!reader.boolean()) return undefined;
    // The algorithm of the signature; the key's own type says the rest.
    reader.text();
    if (!equalBytes(reader.string(), key)) return undefined;
    const hostKey = method === METHODS.withHost ? await decodeKeyBlob(reader.string()) : undefined;
    reader.end();
    return { session, user, hostKey };
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}
