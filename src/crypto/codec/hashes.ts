/** Each hash: the length of its result in bytes, and its object identifier (RFC 8017 appendix B.1; SHA-3: RFC 9688 section 2). */
const HASHES = {
  md5: { length: 16, oid: "1.2.840.113549.2.5" },
  sha1: { length: 20, oid: "1.3.14.3.2.26" },
  sha224: { length: 28, oid: "2.16.840.1.101.3.4.2.4" },
  sha256: { length: 32, oid: "2.16.840.1.101.3.4.2.1" },
  sha384: { length: 48, oid: "2.16.840.1.101.3.4.2.2" },
  sha512: { length: 64, oid: "2.16.840.1.101.3.4.2.3" },
  "sha512-224": { length: 28, oid: "2.16.840.1.101.3.4.2.5" },
  "sha512-256": { length: 32, oid: "2.16.840.1.101.3.4.2.6" },
  "sha3-224": { length: 28, oid: "2.16.840.1.101.3.4.2.7" },
  "sha3-256": { length: 32, oid: "2.16.840.1.101.3.4.2.8" },
  "sha3-384": { length: 48, oid: "2.16.840.1.101.3.4.2.9" },
  "sha3-512": { length: 64, oid: "2.16.840.1.101.3.4.2.10" },
} as const;

export type HashName = keyof typeof HASHES;

const BY_OID: ReadonlyMap<string, HashName> = new Map(
  (Object.keys(HASHES) as HashName[]).map((name) => [HASHES[name].oid, name]),
);

/** Length of the hash's result in bytes. */
export function hashLength(hash: HashName): number {
  return HASHES[hash].length;
}

/** The hash's object identifier, with dots. */
export function hashOid(hash: HashName): string {
  return HASHES[hash].oid;
}

/** The hash that an object identifier names; undefined for any other. */
export function hashOfOid(oid: string): HashName | undefined {
  return BY_OID.get(oid);
}
