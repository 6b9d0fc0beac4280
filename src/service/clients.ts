import { createHash, timingSafeEqual, X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";
import { fromHex } from "../bytes/index.ts";
import { matchesToken, parseUri, type Pkcs11Uri } from "../cryptoki/index.ts";
import type { TokenInfo } from "../tokens/index.ts";
import { type ClientConfiguration, type Role, ROLES } from "./configuration.ts";
import { ServiceError } from "./problem.ts";

interface Permission {
  readonly role: Role;
  readonly token: Pkcs11Uri | undefined;
  readonly keys: ReadonlySet<string> | undefined;
}

/** A client of the service, and what it may do. */
export class Client {
  readonly name: string;
  readonly #mayCarryPins: boolean;
  readonly #permissions: readonly Permission[];

  /** @throws {DataError} for a malformed URI in a grant. */
  constructor({ name, grants, pinsInRequests }: ClientConfiguration) {
    this.name = name;
    this.#permissions = grants.map(({ role, token, keys }) => ({
      role,
      token: token === undefined ? undefined : parseUri(token),
      keys: keys && new Set(keys),
    }));
    this.#mayCarryPins = pinsInRequests ?? false;
  }

  /**
   * Whether the client has a role.
   * @param token Undefined: with any token.
   * @param fingerprint Of a key. Undefined: the token as a whole, for which a grant of single keys does not count.
   */
  may(role: Role, token?: TokenInfo, fingerprint?: string): boolean {
    return this.#permissions.some(
      (permission) =>
        (permission.role === role || role === "view") &&
        (token === undefined || permission.token === undefined || isToken(permission.token, token)) &&
        (permission.keys === undefined ||
          (fingerprint === undefined ? role === "view" : permission.keys.has(fingerprint))),
    );
  }

  /** The roles that it has with any token. */
  get roles(): readonly Role[] {
    return ROLES.filter((role) => this.may(role));
  }

  /** Whether its requests may carry PINs. */
  get mayCarryPins(): boolean {
    return this.#mayCarryPins;
  }

  /** Whether it has a role with every token and key. */
  mayEverywhere(role: Role): boolean {
    return this.#permissions.some(
      (one) => (one.role === role || role === "view") && one.token === undefined && one.keys === undefined,
    );
  }

  /** @throws {ServiceError} FORBIDDEN where the role is not granted for every token and key. */
  requireEverywhere(role: Role): void {
    if (this.mayEverywhere(role)) return;
    throw new ServiceError("FORBIDDEN", `the client ${this.name} has not the role "${role}" with every token`);
  }

  /** @throws {ServiceError} FORBIDDEN. */
  require(role: Role, token?: TokenInfo, fingerprint?: string): void {
    if (this.may(role, token, fingerprint)) return;
    const what = fingerprint === undefined ? "this token" : "this key";
    throw new ServiceError("FORBIDDEN", `the client ${this.name} has not the role "${role}" with ${what}`);
  }

  /** @throws {ServiceError} FORBIDDEN for a request with a PIN. */
  requirePins(): void {
    if (this.#mayCarryPins) return;
    throw new ServiceError("FORBIDDEN", `the client ${this.name} may not send a PIN: its pinsInRequests is not set`);
  }
}

/** Whether a URI names a token. */
export const isToken = (uri: Pkcs11Uri, info: TokenInfo): boolean =>
  matchesToken(uri, { ...info, slotID: info.slot, slotDescription: info.reader, slotManufacturerID: "" });

/** The clients of the service, told apart by bearer token, TLS certificate or the socket that they may open. */
export class Clients {
  readonly #byBearer: readonly { readonly digest: Uint8Array; readonly client: Client }[];
  readonly #byCertificate = new Map<string, Client>();
  readonly #ofSocket: Client | undefined;

  constructor(configurations: readonly ClientConfiguration[]) {
    const byBearer = [];
    let ofSocket: Client | undefined;
    for (const configuration of configurations) {
      const client = new Client(configuration);
      const { bearerSha256, certificateSha256, socket } = configuration;
      if (bearerSha256 !== undefined) byBearer.push({ digest: fromHex(bearerSha256), client });
      if (certificateSha256 !== undefined) this.#byCertificate.set(certificateSha256, client);
      if (socket) ofSocket ??= client;
    }
    this.#byBearer = byBearer;
    this.#ofSocket = ofSocket;
  }

  /** The client of a request, if there is one. */
  find(request: FastifyRequest): Client | undefined {
    const { authorization } = request.headers;
    // A wrong bearer token is refused, also where the certificate or the socket would do.
    return authorization === undefined
      ? (this.#certified(request.raw.socket) ?? this.#local(request))
      : this.#bearer(authorization);
  }

  /** @throws {ServiceError} UNKNOWN_CLIENT. */
  of(request: FastifyRequest): Client {
    const found = this.find(request);
    if (found) return found;
    throw new ServiceError(
      "UNKNOWN_CLIENT",
      "no client has these credentials; send a bearer token, or show the certificate that the configuration names",
    );
  }

  #bearer(authorization: string): Client | undefined {
    const [, token] = /^Bearer ([\w.~+/-]{16,512}=*)$/iu.exec(authorization) ?? [];
    if (token === undefined) return undefined;
    const digest = createHash("sha256").update(token).digest();
    let found: Client | undefined;
    for (const one of this.#byBearer) if (timingSafeEqual(one.digest, digest)) found = one.client;
    return found;
  }

  #certified(socket: FastifyRequest["raw"]["socket"]): Client | undefined {
    if (this.#byCertificate.size === 0 || !("authorized" in socket) || !(socket as TLSSocket).authorized)
      return undefined;
    const { raw } = (socket as TLSSocket).getPeerCertificate();
    return this.#byCertificate.get(createHash("sha256").update(new X509Certificate(raw).raw).digest("hex"));
  }

  /** Node tells no credentials of the other end of a Unix socket: all who may open its file are this client. */
  #local(request: FastifyRequest): Client | undefined {
    return request.raw.socket.remoteAddress === undefined ? this.#ofSocket : undefined;
  }
}
