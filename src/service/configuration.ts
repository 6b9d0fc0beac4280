import { readFile } from "node:fs/promises";
import { type Static, Type } from "typebox";
import { Errors } from "typebox/value";
import { DataError } from "../bytes/index.ts";

const strict = { additionalProperties: false };
const hexDigest = Type.String({ pattern: "^[0-9a-f]{64}$" });

export const ROLES = ["view", "use", "issue", "manage", "admin"] as const;
/** What a client may do. Each role includes `view`; none of the others includes another. */
export const Role = Type.Enum([...ROLES]);
export type Role = Static<typeof Role>;

const Grant = Type.Object(
  {
    role: Role,
    /** A PKCS #11 URI; default: every token. */
    token: Type.Optional(Type.String({ pattern: "^pkcs11:" })),
    /** Fingerprints of keys; default: every key of these tokens. */
    keys: Type.Optional(Type.Array(hexDigest, { minItems: 1 })),
  },
  strict,
);

const Client = Type.Object(
  {
    name: Type.String({ pattern: "^[\\w.@-]{1,64}$" }),
    /** SHA-256 of its bearer token, hexadecimal. */
    bearerSha256: Type.Optional(hexDigest),
    /** SHA-256 of its TLS certificate, DER, hexadecimal. */
    certificateSha256: Type.Optional(hexDigest),
    /** All who may open the service's Unix socket are this client, where the request has no bearer token. */
    socket: Type.Optional(Type.Literal(true)),
    grants: Type.Array(Grant),
    /** Whether its requests may carry a PIN, a PUK or an officer's PIN; default: no. */
    pinsInRequests: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type ClientConfiguration = Static<typeof Client>;

/** Where a PIN is read each time it is wanted. */
const Secret = Type.Union([
  Type.Object({ file: Type.String({ minLength: 1 }) }, strict),
  Type.Object({ environment: Type.String({ pattern: "^[A-Za-z_]\\w*$" }) }, strict),
]);
export type SecretPlace = Static<typeof Secret>;

const TokenSecrets = Type.Object(
  {
    /** A PKCS #11 URI. */
    token: Type.String({ pattern: "^pkcs11:" }),
    pin: Type.Optional(Secret),
    /** The security officer's PIN; the management key of a PIV card, hexadecimal. */
    officerPin: Type.Optional(Secret),
  },
  strict,
);
export type TokenSecrets = Static<typeof TokenSecrets>;

const Limits = Type.Object(
  {
    /** Bytes of a request's body; default: 16 MiB. */
    body: Type.Optional(Type.Integer({ minimum: 1024, maximum: 2 ** 30 })),
    /** Operations that may wait for one key; default: 64. */
    waiting: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
    /** Seconds that a request may take where it does not say so itself; default: 30. */
    seconds: Type.Optional(Type.Number({ minimum: 1, maximum: 600 })),
    /** Requests at work for one client; default: 256. */
    requests: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
  },
  strict,
);

const Tls = Type.Object(
  {
    /** Files, PEM. */
    certificate: Type.String({ minLength: 1 }),
    key: Type.String({ minLength: 1 }),
    /** The authorities of clients' certificates. With it, clients may show one; clients with a bearer token need none. */
    clientAuthorities: Type.Optional(Type.String({ minLength: 1 })),
  },
  strict,
);

const Listen = Type.Union([
  Type.Object({ socket: Type.String({ minLength: 1 }) }, strict),
  Type.Object(
    { host: Type.String({ minLength: 1 }), port: Type.Integer({ minimum: 0, maximum: 65_535 }), tls: Tls },
    strict,
  ),
]);
export type ListenConfiguration = Static<typeof Listen>;

/** The file that `cryptoki serve --http` reads. */
export const ServiceConfiguration = Type.Object(
  {
    listen: Type.Optional(Listen),
    clients: Type.Optional(Type.Array(Client)),
    tokens: Type.Optional(Type.Array(TokenSecrets)),
    /** The file of the audit trail. */
    audit: Type.Optional(Type.String({ minLength: 1 })),
    limits: Type.Optional(Limits),
    /** Whether the service offers its web page; default: no. */
    page: Type.Optional(Type.Boolean()),
    /** Days before its end in which the event certificate.expiring tells of a certificate; default: 30. */
    expiringDays: Type.Optional(Type.Integer({ minimum: 0, maximum: 3650 })),
  },
  strict,
);
export type ServiceConfiguration = Static<typeof ServiceConfiguration>;

/**
 * Checks a configuration.
 * @throws {DataError} naming the field that is wrong; none of its values, which may be secret.
 */
export function checkConfiguration(value: unknown): ServiceConfiguration {
  const [first] = Errors(ServiceConfiguration, value);
  if (first) {
    const { keyword, instancePath, message } = first;
    const problem = keyword === "boolean" ? "there is no such field" : message;
    throw new DataError(`configuration: ${instancePath || "the whole"}: ${problem}`);
  }
  const checked = value as ServiceConfiguration;
  const names = new Set<string>();
  for (const { name, bearerSha256, certificateSha256, socket } of checked.clients ?? []) {
    if (names.has(name)) throw new DataError(`configuration: two clients have the name ${name}`);
    names.add(name);
    if (bearerSha256 === undefined && certificateSha256 === undefined && socket === undefined) {
      throw new DataError(
        `configuration: nothing tells the client ${name} from others; give it bearerSha256, certificateSha256 or socket`,
      );
    }
  }
  return checked;
}

/** Reads and checks the file of a configuration. @throws {DataError} with the file's name. */
export async function readConfiguration(file: string): Promise<ServiceConfiguration> {
  const text = await readFile(file, "utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${file} is no JSON`, { cause });
  }
  try {
    return checkConfiguration(value);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${file}: ${cause.message}`, { cause });
  }
}
