import type { JwsAlgorithm } from "../formats/index.ts";
import { type Static, type TSchema, Type } from "typebox";

const strict = { additionalProperties: false };

const Base64Url = Type.String({ pattern: "^[A-Za-z0-9_-]*$", description: "base64url, without padding" });
const Fingerprint = Type.String({
  pattern: "^[0-9a-f]{64}$",
  description: "SHA-256 of the key's SubjectPublicKeyInfo, hexadecimal",
});
const TokenName = Type.String({
  pattern: "^[0-9a-f]{32}$",
  description: "The first 32 hexadecimal digits of SHA-256 over the token's PKCS #11 URI",
});
const Pin = Type.String({ minLength: 1, maxLength: 255, description: "A PIN, UTF-8" });
const Pem = Type.String({ maxLength: 65_536, description: "PEM" });
const DateTime = Type.String({ format: "date-time" });

export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: "A code of the service, or the name of a PKCS #11 return value" }),
    instance: Type.String({ description: "The identifier of the request" }),
    triesLeft: Type.Optional(Type.Integer()),
    candidates: Type.Optional(Type.Array(Type.String())),
    retryAfter: Type.Optional(Type.Integer({ description: "Seconds" })),
  },
  { title: "Problem", description: "What went wrong (RFC 9457)" },
);

export const TokenParameters = Type.Object({ token: TokenName });
export const KeyParameters = Type.Object({ key: Fingerprint });
export const TokenKeyParameters = Type.Object({ token: TokenName, key: Fingerprint });
export const PageQuery = Type.Object(
  {
    limit: Type.Optional(Type.String({ pattern: "^[1-9]\\d{0,2}$", description: "At most so many; default: 100" })),
    cursor: Type.Optional(Type.String({ maxLength: 512, description: "From the Link header of the page before" })),
  },
  strict,
);

export const TokenSchema = Type.Object(
  {
    token: TokenName,
    label: Type.String(),
    manufacturer: Type.String(),
    model: Type.String(),
    serial: Type.String(),
    reader: Type.String(),
    uri: Type.String(),
  },
  { title: "Token" },
);

export const ClientSchema = Type.Object(
  {
    name: Type.String(),
    roles: Type.Array(Type.String(), { description: "Those that the client has with any token" }),
    pinsInRequests: Type.Boolean(),
    trace: Type.Boolean({ description: "Whether it may follow the trace" }),
    practiceCard: Type.Boolean({ description: "Whether it may send commands to the practice card" }),
  },
  { title: "Client", description: "The client of the request, and what it may do" },
);

export const PinSchema = Type.Object(
  {
    status: Type.Enum(["usable", "low", "final-try", "locked", "not-set", "must-change"]),
    entry: Type.Enum(["host", "reader"]),
    minLength: Type.Integer(),
    maxLength: Type.Integer(),
  },
  { title: "PinState", description: "How the user's PIN stands; lengths in bytes" },
);

export const KeySchema = Type.Object(
  {
    key: Fingerprint,
    token: TokenName,
    id: Type.String({ description: "CKA_ID, hexadecimal" }),
    label: Type.String(),
    reference: Type.Optional(Type.String({ description: "The card's own name for the key" })),
    algorithm: Type.Object({
      type: Type.Enum(["rsa", "ec", "ed25519", "x25519"]),
      bits: Type.Optional(Type.Integer()),
      curve: Type.Optional(Type.String()),
    }),
    uri: Type.String(),
    jwk: Type.Record(Type.String(), Type.String(), { description: "The public key (RFC 7517)" }),
  },
  { title: "Key" },
);

export const CertificateSchema = Type.Object(
  {
    token: TokenName,
    id: Type.String(),
    label: Type.String(),
    subject: Type.String(),
    issuer: Type.String(),
    serialNumber: Type.String(),
    notBefore: DateTime,
    notAfter: DateTime,
    key: Type.Optional(Fingerprint),
    pem: Pem,
  },
  { title: "Certificate" },
);

export const DataObjectSchema = Type.Object(
  {
    label: Type.String(),
    application: Type.String(),
    objectId: Type.Optional(Type.String()),
    value: Type.Optional(Base64Url),
  },
  { title: "DataObject" },
);

const SIGNATURE_ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA"],
] as const satisfies readonly JwsAlgorithm[];
const Algorithm = Type.Enum([...SIGNATURE_ALGORITHMS], { description: "As JOSE names it (RFC 7518, RFC 8037)" });

export const SignBody = Type.Object(
  {
    alg: Algorithm,
    digest: Type.Optional(Base64Url),
    data: Type.Optional(Base64Url),
  },
  { ...strict, title: "SignRequest", oneOf: [{ required: ["digest"] }, { required: ["data"] }] },
);
export const SignQuery = Type.Object({ alg: Type.Optional(Algorithm) }, strict);
export const SignatureSchema = Type.Object(
  {
    signature: Base64Url,
    alg: Algorithm,
    key: Fingerprint,
    token: TokenName,
    certificate: Type.Optional(Pem),
    request: Type.String(),
  },
  { title: "Signature", description: "ECDSA signatures are r || s" },
);

export const VerifyBody = Type.Object(
  { alg: Algorithm, data: Base64Url, signature: Base64Url },
  { ...strict, title: "VerifyRequest" },
);
export const VerifiedSchema = Type.Object({ valid: Type.Boolean() }, { title: "Verified" });

const OaepHash = Type.Enum(["SHA-1", "SHA-256", "SHA-384", "SHA-512"]);
export const DecryptBody = Type.Object(
  {
    data: Base64Url,
    padding: Type.Optional(Type.Enum(["oaep", "pkcs1"], { description: "Default: oaep" })),
    hash: Type.Optional(OaepHash),
    label: Type.Optional(Base64Url),
  },
  { ...strict, title: "DecryptRequest" },
);
export const DecryptedSchema = Type.Object({ data: Base64Url }, { title: "Decrypted" });

export const UnwrapBody = Type.Object(
  {
    wrapped: Base64Url,
    type: Type.Enum(["aes", "generic"]),
    padding: Type.Optional(Type.Enum(["oaep", "pkcs1"], { description: "Default: oaep" })),
    hash: Type.Optional(OaepHash),
  },
  { ...strict, title: "UnwrapRequest" },
);
export const UnwrappedSchema = Type.Object({ secret: Base64Url }, { title: "Unwrapped" });

export const DeriveBody = Type.Object(
  { publicKey: Type.String({ maxLength: 4096, description: "The other party's public key: PEM" }) },
  { ...strict, title: "DeriveRequest" },
);
export const DerivedSchema = Type.Object(
  { secret: Base64Url },
  { title: "Derived", description: "The shared secret: the x or u coordinate" },
);

/** Where a new key goes, and what it is for. */
const NewKeyPlace = {
  reference: Type.Optional(Type.String({ maxLength: 8 })),
  id: Type.Optional(Type.String({ pattern: "^([0-9a-fA-F]{2}){1,64}$" })),
  label: Type.Optional(Type.String({ maxLength: 255 })),
  uses: Type.Optional(Type.Array(Type.Enum(["sign", "decrypt", "derive", "unwrap"]), { minItems: 1 })),
  policy: Type.Optional(
    Type.Object(
      {
        pin: Type.Optional(Type.Enum(["never", "once", "always"])),
        touch: Type.Optional(Type.Enum(["never", "always", "cached"])),
      },
      strict,
    ),
  ),
  replace: Type.Optional(
    Type.Boolean({ description: "Whether a key in the same place goes; wants the role `manage` too" }),
  ),
};

export const NewKeyBody = Type.Object(
  {
    type: Type.Enum(["rsa", "ec", "ed25519", "x25519"]),
    bits: Type.Optional(Type.Enum([2048, 3072, 4096])),
    curve: Type.Optional(Type.Enum(["P-256", "P-384", "P-521"])),
    ...NewKeyPlace,
  },
  { ...strict, title: "NewKey" },
);
export const ImportBody = Type.Object(
  {
    jwk: Type.Record(Type.String(), Type.Unknown(), { description: "The private key as a JSON Web Key (RFC 7517)" }),
    ...NewKeyPlace,
  },
  { ...strict, title: "KeyImport" },
);

export const RequestBody = Type.Object(
  {
    subject: Type.String({ minLength: 1, maxLength: 1024, description: "A name as RFC 4514 writes it: CN=Ada" }),
    dns: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 100 })),
    email: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 100 })),
  },
  { ...strict, title: "RequestForCertificate" },
);
export const RequestSchema = Type.Object({ request: Pem }, { title: "CertificationRequest" });

export const CertificateBody = Type.Object(
  { certificate: Pem, replace: Type.Optional(Type.Boolean()) },
  { ...strict, title: "NewCertificate" },
);

export const DataBody = Type.Object(
  {
    label: Type.Optional(Type.String({ maxLength: 255 })),
    application: Type.Optional(Type.String({ maxLength: 255 })),
    objectId: Type.Optional(Type.String({ pattern: "^\\d+(\\.\\d+)+$" })),
    value: Base64Url,
    private: Type.Optional(Type.Boolean()),
    replace: Type.Optional(Type.Boolean()),
  },
  { ...strict, title: "NewDataObject" },
);

/** Names one data object: what is left out may be anything. */
export const DataQuery = Type.Object(
  {
    label: Type.Optional(Type.String({ maxLength: 255 })),
    application: Type.Optional(Type.String({ maxLength: 255 })),
    objectId: Type.Optional(Type.String({ pattern: "^\\d+(\\.\\d+)+$" })),
  },
  { ...strict, minProperties: 1 },
);

export const LoginBody = Type.Object({ pin: Type.Optional(Pin) }, { ...strict, title: "Login" });
export const ChangePinBody = Type.Object({ old: Pin, new: Pin }, { ...strict, title: "PinChange" });
export const UnblockBody = Type.Object({ puk: Pin, new: Pin }, { ...strict, title: "PinUnblock" });
export const InitializeBody = Type.Object(
  {
    label: Type.String({ minLength: 1, maxLength: 32 }),
    officerPin: Type.Optional(Pin),
    userPin: Type.Optional(Pin),
  },
  { ...strict, title: "Initialisation", description: "PINs that are left out come from the configuration" },
);
export const ResetBody = Type.Object(
  { label: Type.String({ maxLength: 32, description: "The token's label, repeated" }) },
  { ...strict, title: "Reset" },
);
export const RandomBody = Type.Object(
  { length: Type.Integer({ minimum: 1, maximum: 4096, description: "Bytes" }) },
  { ...strict, title: "RandomRequest" },
);
export const RandomSchema = Type.Object({ random: Base64Url }, { title: "Random" });

export const AttestationSchema = Type.Object(
  { certificate: Pem, chain: Type.Array(Pem) },
  { title: "Attestation", description: "It is not verified here" },
);

export const BatchBody = Type.Object(
  {
    operations: Type.Array(
      Type.Object({ key: Fingerprint, ...SignBody.properties }, { ...strict, title: "BatchItem" }),
      {
        minItems: 1,
        maxItems: 100,
      },
    ),
  },
  { ...strict, title: "Batch" },
);
export const BatchSchema = Type.Object(
  {
    results: Type.Array(Type.Union([SignatureSchema, ProblemSchema]), {
      description: "One for each operation, in their order",
    }),
  },
  { title: "BatchResult" },
);

const Hex = Type.String({ pattern: "^([0-9a-fA-F]{2})*$", maxLength: 131_100, description: "Hexadecimal" });
const HexByte = Type.String({ pattern: "^[0-9a-fA-F]{2}$", description: "One byte, hexadecimal" });
const StatusWordSchema = Type.Object(
  {
    code: Type.String({ description: "SW1 and SW2, hexadecimal" }),
    kind: Type.Enum(["success", "warning", "execution error", "checking error", "proprietary", "invalid"]),
    name: Type.String(),
    advice: Type.Optional(Type.String()),
  },
  { title: "StatusWord" },
);
const Explanation = {
  name: Type.String({ description: 'As the standard calls the command; "INS 5A" for an unknown one' }),
  standard: Type.String({ description: "Standard and section; empty for an unknown command" }),
  details: Type.Array(Type.String(), { description: "Parameters and data, without secrets" }),
};

export const NamedCommandSchema = Type.Object(
  { name: Type.String(), cla: HexByte, ins: HexByte, standard: Type.String() },
  { title: "NamedCommand" },
);
export const ExplainBody = Type.Object(
  { command: Hex, answer: Type.Optional(Hex) },
  { ...strict, title: "ExplainRequest" },
);
export const ExplainedSchema = Type.Object(
  {
    ...Explanation,
    answer: Type.Optional(Type.Object({ status: Type.Optional(StatusWordSchema), details: Type.Array(Type.String()) })),
  },
  { title: "Explained" },
);
export const BuildBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 64, description: 'A name of the list, such as "GET DATA"' }),
    cla: Type.Optional(HexByte),
    p1: Type.Optional(HexByte),
    p2: Type.Optional(HexByte),
    data: Type.Optional(Hex),
    le: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_536, description: "Bytes of the answer" })),
    extended: Type.Optional(Type.Boolean({ description: "Lengths in the extended form" })),
  },
  { ...strict, title: "BuildRequest" },
);
export const BuiltSchema = Type.Object({ command: Hex, ...Explanation }, { title: "Built" });
export const SendBody = Type.Object(
  {
    commands: Type.Array(Hex, { minItems: 1, maxItems: 32 }),
    reset: Type.Optional(Type.Boolean({ description: "Reset the card first" })),
  },
  { ...strict, title: "SendRequest" },
);
export const SentSchema = Type.Object(
  {
    answers: Type.Array(
      Type.Object({
        command: Type.String({ description: "Hexadecimal, with ** in place of a secret" }),
        name: Type.String(),
        data: Hex,
        status: Type.Optional(StatusWordSchema),
        details: Type.Array(Type.String()),
      }),
    ),
  },
  { title: "Sent" },
);

export const listOf = <T extends TSchema>(
  item: T,
): ReturnType<typeof Type.Object<{ items: ReturnType<typeof Type.Array<T>> }>> =>
  Type.Object({ items: Type.Array(item) });

export type Signed = Static<typeof SignatureSchema>;
export type SignInput = Static<typeof SignBody>;
