import type { CallOptions } from "../async/index.ts";
import { DataError, equalBytes, wipe } from "../bytes/index.ts";
import type { PublicKey } from "../crypto/index.ts";
import { type SignatureScheme, TokenError } from "../tokens/index.ts";
import type { CardKey, CardKeys } from "./card-keys.ts";
import { decodeDestinations, RESTRICT_DESTINATION, SESSION_BIND, SessionBindings } from "./destinations.ts";
import {
  type AgentRequest,
  type Constraints,
  decodeRequest,
  encodeExtension,
  encodeList,
  encodeSigned,
  EXTENSION_FAILURE,
  FAILURE,
  SIGN_FLAG,
  SUCCESS,
} from "./messages.ts";
import { copyPassphrase, PassphraseLock } from "./passphrase-lock.ts";
import { encodeSignatureBlob, fingerprintOf, type RsaSignature } from "./public-key.ts";
import { string } from "./wire.ts";

/** The key whose use the user is asked to allow. */
export interface Confirmation {
  readonly comment: string;
  readonly fingerprint: string;
  readonly signal: AbortSignal | undefined;
}

export interface SshAgentOptions {
  readonly keys: CardKeys;
  /** Whether every use of a key is asked for. */
  readonly confirm?: boolean;
  /** Asks the user; without it, keys that want it do not sign. */
  readonly askConfirmation?: (confirmation: Confirmation) => Promise<boolean>;
  /** Whether RSA keys sign with SHA-1 for clients that want nothing better. */
  readonly allowSha1?: boolean;
  /** Receives why a request was refused: the protocol has no place for it. */
  readonly onRefusal?: (reason: string) => void;
}

/** The agent's own word for a request that it does not serve. */
class Refusal extends Error {}

/** An agent of the SSH protocol (RFC 9987) over the keys of cards, with OpenSSH's extensions of PROTOCOL.agent. */
export class SshAgent {
  readonly options: SshAgentOptions;
  readonly lock = new PassphraseLock();

  constructor(options: SshAgentOptions) {
    this.options = options;
  }

  /** Begins to serve a client. */
  connect(): AgentClient {
    return new AgentClient(this);
  }
}

/** One client of the agent, with the connections of ssh that it has proved. */
export class AgentClient {
  readonly #agent: SshAgent;
  readonly #bindings = new SessionBindings();

  constructor(agent: SshAgent) {
    this.#agent = agent;
  }

  /**
   * Answers a message without its length. Messages of one client are answered one after the other.
   * @throws the signal's reason, and nothing else.
   */
  async answer(message: Uint8Array, { signal }: CallOptions = {}): Promise<Uint8Array> {
    let request: AgentRequest | undefined;
    try {
      request = decodeRequest(message);
      return await this.#serve(request, signal);
    } catch (error) {
      signal?.throwIfAborted();
      this.#agent.options.onRefusal?.(reasonOf(error));
      return request?.type === "extension" ? EXTENSION_FAILURE : FAILURE;
    }
  }

  async #serve(request: AgentRequest, signal?: AbortSignal): Promise<Uint8Array> {
    const { lock, options } = this.#agent;
    if (request.type === "extension") return this.#extension(request.name, request.contents);
    if (request.type === "unlock") return this.#unlock(request.passphrase, signal);
    if (lock.isLocked) {
      if (request.type === "list") return encodeList([]);
      throw new Refusal("the agent is locked (ssh-add -X unlocks it)");
    }
    switch (request.type) {
      case "list": {
        const keys = await options.keys.list({ signal });
        return encodeList(keys.filter(({ restriction }) => this.#bindings.shows(restriction.destinations)));
      }
      case "sign":
        return this.#sign(request, signal);
      case "lock": {
        const passphrase = copyPassphrase(request.passphrase);
        const isLocked = await lock.lock(passphrase, signal).finally(() => {
          wipe(passphrase);
        });
        return isLocked ? SUCCESS : FAILURE;
      }
      case "add-card":
        return this.#addCard(request, signal);
      case "remove-card":
        return this.#removeCards(request.name, signal);
      case "remove-all":
        this.#requireLocal();
        await options.keys.logout();
        return SUCCESS;
      case "other":
        throw new Refusal(
          `request ${request.number} is not served: this agent has the keys of cards, and takes no others`,
        );
    }
  }

  async #unlock(view: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const passphrase = copyPassphrase(view);
    try {
      if (await this.#agent.lock.unlock(passphrase, signal)) return SUCCESS;
      throw new Refusal("wrong passphrase, or the agent is not locked");
    } finally {
      wipe(passphrase);
    }
  }

  async #extension(name: string, contents: Uint8Array): Promise<Uint8Array> {
    switch (name) {
      case "query":
        return encodeExtension("query", string("query"), string(SESSION_BIND));
      case SESSION_BIND:
        await this.#bindings.bind(contents);
        return SUCCESS;
      default:
        throw new Refusal(`the extension ${name} is not known`);
    }
  }

  async #sign({ key: blob, data, flags }: AgentRequest & { type: "sign" }, signal?: AbortSignal): Promise<Uint8Array> {
    const { options } = this.#agent;
    const key = (await options.keys.list({ signal })).find((one) => equalBytes(one.blob, blob));
    if (!key) throw new Refusal(`no card has the key ${fingerprintOf(blob)}`);
    const { destinations } = key.restriction;
    const refusal = await this.#bindings.refusal(destinations, blob, data);
    if (refusal !== undefined) throw new Refusal(`${key.comment}: ${refusal}`);
    const rsa = rsaSignature(flags);
    if (key.publicKey.type === "rsa" && rsa === "ssh-rsa" && !options.allowSha1) {
      throw new Refusal(`${key.comment}: the client wants RSA with SHA-1, which --allow-sha1 allows`);
    }
    await this.#requireConfirmation(key, signal);
    const signature = await key.sign(data, { ...schemeOf(key.publicKey, rsa), signal });
    return encodeSigned(encodeSignatureBlob(key.publicKey, signature, rsa));
  }

  async #requireConfirmation(key: CardKey, signal?: AbortSignal): Promise<void> {
    const { confirm = false, askConfirmation } = this.#agent.options;
    if (!confirm && !key.restriction.confirm) return;
    const { comment, blob } = key;
    const isAllowed = await askConfirmation?.({ comment, fingerprint: fingerprintOf(blob), signal });
    if (isAllowed !== true) throw new Refusal(`${comment}: the user did not allow its use`);
  }

  async #addCard(
    { name, pin, constraints }: AgentRequest & { type: "add-card" },
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    this.#requireLocal();
    const { keys } = this.#agent.options;
    const restriction = { confirm: constraints.confirm, destinations: await destinationsOf(constraints) };
    const tokens = await keys.tokens(name, { signal });
    const [token, ...others] = tokens;
    if (!token) throw new Refusal(`no card fits ${name}`);
    if (pin.length > 0 && others.length > 0) {
      throw new Refusal(`${tokens.length} cards fit ${name}; name one by its URI, or give an empty PIN`);
    }
    for (const one of tokens) await keys.restrict(one, restriction);
    // The layer wipes it.
    if (pin.length > 0) await token.login(copyPassphrase(pin), { signal });
    for (const one of tokens) keys.reload(one);
    return SUCCESS;
  }

  async #removeCards(name: string, signal?: AbortSignal): Promise<Uint8Array> {
    this.#requireLocal();
    const { keys } = this.#agent.options;
    const tokens = await keys.tokens(name, { signal });
    if (tokens.length === 0) throw new Refusal(`no card fits ${name}`);
    for (const token of tokens) await keys.restrict(token, undefined);
    return SUCCESS;
  }

  /** Logins and restrictions are for programs of this machine. */
  #requireLocal(): void {
    if (this.#bindings.isRemote)
      throw new Refusal("a client on another machine does not log in, log out or restrict keys");
  }
}

/** SHA-512 comes after SHA-256 in OpenSSH's agent, too. */
function rsaSignature(flags: number): RsaSignature {
  if ((flags & SIGN_FLAG.RSA_SHA2_256) !== 0) return "rsa-sha2-256";
  return (flags & SIGN_FLAG.RSA_SHA2_512) !== 0 ? "rsa-sha2-512" : "ssh-rsa";
}

function schemeOf(key: PublicKey, rsa: RsaSignature): SignatureScheme {
  if (key.type !== "rsa") return {};
  return { hash: ({ "ssh-rsa": "SHA-1", "rsa-sha2-256": "SHA-256", "rsa-sha2-512": "SHA-512" } as const)[rsa] };
}

async function destinationsOf({ lifetime, extensions }: Constraints): Promise<CardRestrictions> {
  if (lifetime !== undefined) throw new Refusal("keys of cards have no lifetime; end the login with ssh-add -D");
  for (const [name, contents] of extensions) {
    if (name !== RESTRICT_DESTINATION) throw new DataError(`the constraint ${name} is not known`);
    return decodeDestinations(Uint8Array.from(contents));
  }
  return [];
}

type CardRestrictions = CardKey["restriction"]["destinations"];

/** Why a request failed, for a log. */
function reasonOf(error: unknown): string {
  if (error instanceof TokenError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
