import type * as cose from "@auth0/cose";
import type { CallOptions } from "../async/index.ts";
import { concat, utf8 } from "../bytes/index.ts";
import type { PublicKey } from "../tokens/index.ts";
import { FormatError, parsing } from "./error.ts";
import { algorithmFor, algorithmsOf, type JwsAlgorithm } from "./jws.ts";
import { loadLibrary } from "./library.ts";
import { type CertificateInput, readCertificate } from "./signing-certificate.ts";
import type { SigningKey } from "./signing-key.ts";

export interface CoseOptions extends CallOptions {
  /** As JOSE names it. Default: RS256 for RSA keys, else the algorithm of the key's curve. */
  readonly alg?: JwsAlgorithm;
  /** A name of the key, in the protected header (RFC 9052 section 3.1). */
  readonly kid?: Uint8Array;
  /** Certificates for those who verify, the key's own first: x5chain in the unprotected header (RFC 9360 section 2). */
  readonly chain?: readonly CertificateInput[];
}

/** Algorithms of COSE by their names in JOSE (RFC 9053 section 2, RFC 8812 section 2). */
const ALGORITHMS: Readonly<Record<JwsAlgorithm, number>> = {
  ES256: -7,
  EdDSA: -8,
  ES384: -35,
  ES512: -36,
  PS256: -37,
  PS384: -38,
  PS512: -39,
  RS256: -257,
  RS384: -258,
  RS512: -259,
};

/** Labels of headers (RFC 9052 section 3.1, RFC 9360 section 2). */
const HEADER = { alg: 1, crit: 2, kid: 4, x5chain: 33 } as const;

const loadCose = (): Promise<typeof cose> => loadLibrary("COSE", ["@auth0/cose"], () => import("@auth0/cose"));

/**
 * Signs a payload as COSE_Sign1 (RFC 9052 section 4.2).
 * @returns CBOR, with tag 18.
 * @throws {TokenError} KEY_CANNOT for a key that has no algorithm of COSE, or not the one that is wanted; what the key throws.
 * @throws {FormatError} LIBRARY_MISSING.
 */
export async function signCose(key: SigningKey, payload: Uint8Array, options: CoseOptions = {}): Promise<Uint8Array> {
  const { signal, kid, chain = [] } = options;
  const { algorithm } = await key.publicKey({ signal });
  const { alg, scheme } = algorithmFor(algorithm, options.alg);
  const { Sign1 } = await loadCose();
  const header = new Map<number, unknown>([[HEADER.alg, ALGORITHMS[alg]]]);
  if (kid) header.set(HEADER.kid, Uint8Array.from(kid));
  const certificates = chain.map((one) => Uint8Array.from(readCertificate(one).der));
  const unprotected = new Map<number, unknown>();
  // One certificate stands alone, several in an array.
  if (certificates.length > 0)
    unprotected.set(HEADER.x5chain, certificates.length === 1 ? certificates[0] : certificates);
  const content = Uint8Array.from(payload);
  const encoded = headerOf(new Sign1(header, unprotected, content, new Uint8Array()));
  const signature = await key.sign(toBeSigned(encoded, content), { ...scheme, signal });
  return Uint8Array.from(new Sign1(encoded, unprotected, content, signature).encode());
}

/** The protected header as it was encoded. */
function headerOf(message: cose.Sign1): Uint8Array {
  const [header] = message.getContentForEncoding();
  if (header instanceof Uint8Array) return header;
  throw new Error("it has no protected header");
}

/** Sig_structure of one signer, without external data (RFC 9052 section 4.4). */
function toBeSigned(header: Uint8Array, payload: Uint8Array): Uint8Array {
  const context = utf8("Signature1");
  const array = Uint8Array.of(0x84);
  return concat(array, head(3, context.length), context, ...[header, new Uint8Array(), payload].flatMap(byteString));
}

const byteString = (bytes: Uint8Array): Uint8Array[] => [head(2, bytes.length), bytes];

/** The head of a CBOR item: its major type, and its length in the shortest form (RFC 8949 section 3). */
function head(major: number, length: number): Uint8Array {
  const type = major << 5;
  if (length < 24) return Uint8Array.of(type | length);
  if (length < 0x100) return Uint8Array.of(type | 24, length);
  if (length < 0x1_0000) return Uint8Array.of(type | 25, length >> 8, length & 0xff);
  const bytes = new Uint8Array(5);
  bytes[0] = type | 26;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}

export interface VerifiedCose {
  readonly payload: Uint8Array;
  /** The name of the key that the signer gave. */
  readonly kid: Uint8Array | undefined;
}

/**
 * Verifies COSE_Sign1, tagged or not. Only algorithms of the key's type are taken.
 * @throws {FormatError} NOT_VALID; MALFORMED; LIBRARY_MISSING.
 */
export async function verifyCose(message: Uint8Array, publicKey: PublicKey): Promise<VerifiedCose> {
  const { Sign1 } = await loadCose();
  const read = parsing("the COSE message", () => {
    const decoded = Sign1.decode(message);
    const { protectedHeaders, payload, signature } = decoded;
    if (!(payload instanceof Uint8Array && signature instanceof Uint8Array)) {
      throw new Error("it has no payload, or no signature");
    }
    return { protectedHeaders, header: headerOf(decoded), payload, signature };
  });
  const header = read.protectedHeaders as ReadonlyMap<number, unknown>;
  if (header.has(HEADER.crit))
    throw new FormatError("NOT_VALID", "the message has critical headers that are not known");
  const named = header.get(HEADER.alg);
  const alg = algorithmsOf(publicKey.algorithm).find((name) => ALGORITHMS[name] === named);
  if (!alg)
    throw new FormatError("NOT_VALID", `the key does not verify the algorithm of the message: ${String(named)}`);
  const { scheme } = algorithmFor(publicKey.algorithm, alg);
  if (!(await publicKey.verify(toBeSigned(read.header, read.payload), Uint8Array.from(read.signature), scheme))) {
    throw new FormatError("NOT_VALID", "the signature is not the key's, or the message was altered");
  }
  const kid = header.get(HEADER.kid);
  return { payload: Uint8Array.from(read.payload), kid: kid instanceof Uint8Array ? Uint8Array.from(kid) : undefined };
}
