import { contextTag, derNull, derOid, DerReader, derSequence, derUnsigned, encodeDer, TAG } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import { type HashName, hashOfOid, hashOid } from "./hashes.ts";
import type { PssParameters } from "./rsa-padding.ts";

/** How a key for RSASSA-PSS may be used (RFC 4055 section 1.2). */
export interface PssParameterLimits {
  readonly hash: HashName;
  /** Of the mask generation function, MGF1. */
  readonly mgfHash: HashName;
  /** The shortest salt, in bytes. */
  readonly minSaltLength: number;
}

/** The limits in the parameters of an RSASSA-PSS key; "none" if it has no parameters. */
export type PssLimits = PssParameterLimits | "none";

const MGF1 = "1.2.840.113549.1.1.8";
const WHAT = "RSASSA-PSS parameters";
const DEFAULT: PssParameterLimits = { hash: "sha1", mgfHash: "sha1", minSaltLength: 20 };
const [HASH, MGF, SALT, TRAILER] = [0, 1, 2, 3].map((number) => contextTag(number, "constructed")) as [
  number,
  number,
  number,
  number,
];

/**
 * Parses RSASSA-PSS-params of a public key (RFC 4055 section 3.1). Absent fields have defaults: SHA-1, MGF1 with SHA-1,
 * 20 bytes.
 * @param parameters DER; undefined if the key has none, and so no limits.
 * @throws {DataError} for an unknown hash, another mask generation function, or another trailer than BC.
 */
export function readPssLimits(parameters: Uint8Array | undefined): PssLimits {
  if (!parameters || parameters[0] === TAG.NULL) return "none";
  const outer = new DerReader(parameters, WHAT);
  const fields = outer.enter();
  outer.end();
  const hash = optional(fields, HASH, readHash) ?? DEFAULT.hash;
  const mgfHash = optional(fields, MGF, readMgf) ?? DEFAULT.mgfHash;
  const minSaltLength = optional(fields, SALT, readSmall) ?? DEFAULT.minSaltLength;
  if ((optional(fields, TRAILER, readSmall) ?? 1) !== 1) throw new DataError(`${WHAT}: a trailer that is not BC`);
  fields.end();
  return { hash, mgfHash, minSaltLength };
}

function optional<T>(fields: DerReader, tag: number, read: (reader: DerReader) => T): T | undefined {
  if (fields.peek() !== tag) return undefined;
  const field = fields.enter(tag);
  const value = read(field);
  field.end();
  return value;
}

function readHash(reader: DerReader): HashName {
  const algorithm = reader.enter();
  const oid = algorithm.oid();
  const hash = hashOfOid(oid);
  if (!hash || hash === "md5") throw new DataError(`${WHAT}: unknown hash ${oid}`);
  if (algorithm.remaining > 0) algorithm.null();
  return hash;
}

function readMgf(reader: DerReader): HashName {
  const algorithm = reader.enter();
  const oid = algorithm.oid();
  if (oid !== MGF1) throw new DataError(`${WHAT}: mask generation function ${oid} is not MGF1`);
  return readHash(algorithm);
}

function readSmall(reader: DerReader): number {
  const number = reader.unsigned();
  if (number.length > 2) throw new DataError(`${WHAT}: a number of ${number.length} bytes`);
  return number.reduce((value, byte) => value * 256 + byte, 0);
}

/** Encodes these limits as parameters of a public key, DER, without defaults; empty if there are none. */
export function encodePssLimits(limits: PssLimits): Uint8Array {
  if (limits === "none") return new Uint8Array();
  const { hash, mgfHash, minSaltLength } = limits;
  const salt = Uint8Array.of(minSaltLength >> 8, minSaltLength & 0xff);
  return derSequence(
    ...(hash === DEFAULT.hash ? [] : [encodeDer(HASH, encodeHash(hash))]),
    ...(mgfHash === DEFAULT.mgfHash ? [] : [encodeDer(MGF, derSequence(derOid(MGF1), encodeHash(mgfHash)))]),
    ...(minSaltLength === DEFAULT.minSaltLength ? [] : [encodeDer(SALT, derUnsigned(salt))]),
  );
}

function encodeHash(hash: HashName): Uint8Array {
  if (hash === "md5") throw new DataError(`${WHAT}: they cannot name ${hash}`);
  return derSequence(derOid(hashOid(hash)), derNull());
}

/** Why `parameters` are not allowed for a key with these limits, for an error message; undefined if they are. */
export function pssObjection(limits: PssLimits, { hash, mgfHash, saltLength }: PssParameters): string | undefined {
  if (limits === "none") return undefined;
  if (hash !== limits.hash) return `the key works only with hash ${limits.hash}`;
  if (mgfHash !== limits.mgfHash) return `the key works only with MGF1 and ${limits.mgfHash}`;
  return saltLength < limits.minSaltLength
    ? `the key works only with salts of at least ${limits.minSaltLength} bytes`
    : undefined;
}
