import { DerReader } from "../../asn1/index.ts";
import { DataError, equalBytes } from "../../bytes/index.ts";
import { digest, type HashName } from "../../crypto/index.ts";
import { CONTAINER, type Container } from "../../piv/index.ts";
import { valueOf } from "../certificates.ts";
import type { Check } from "../examination.ts";
import { SignedObject } from "../signed-data.ts";
import type { PivPatient } from "./patient.ts";

const SIGNED_OBJECT_SECTION = "SP 800-73-4 part 1 section 3.1; FIPS 201-2 section 4.2.1";

export const SIGNATURE_CHECKS = {
  WRONG: {
    name: "signature-wrong",
    level: "defect",
    section: SIGNED_OBJECT_SECTION,
    consequence: "The object was changed after the issuer signed it. Its contents are unreliable.",
    remedy: "Do not trust the card. Ask its issuer for a new one.",
  },
  PURPOSE: {
    name: "signer-purpose",
    level: "defect",
    section: "FIPS 201-2 section 4.2.1",
    consequence: "The signer may not sign objects of PIV cards, so verifiers refuse what it signed.",
    remedy: "Ask the card's issuer for a card that its content signer has signed.",
  },
} as const satisfies Record<string, Check>;

/** id-PIV-content-signing and its counterpart for PIV-I (X.509 profiles of the Federal PKI). */
const CONTENT_SIGNING: readonly string[] = ["2.16.840.1.101.3.6.7", "2.16.840.1.101.3.8.7"];

export interface Signed {
  readonly container: Container;
  readonly signed: SignedObject;
  /** For content outside the signed object. */
  readonly content?: Uint8Array;
  /** Certificates among which the signer's may be, besides those in the object. */
  readonly signers: readonly Uint8Array[];
}

/** Checks the signature of an object, and its signer's certificate. */
export async function judgeSignature(
  patient: PivPatient,
  { container, signed, content, signers }: Signed,
): Promise<void> {
  const { examination, judge, altered } = patient;
  const result = await signed.verify(content, [...signers, ...(judge.authorities?.all ?? [])]);
  switch (result.state) {
    case "no-signer": {
      const hint = judge.authorities ? "nor among those given with --ca" : "and may be given with --ca";
      examination.unchecked(`signature of ${container.name}`, `its signer's certificate is not on the card, ${hint}`);
      return;
    }
    case "unknown":
      examination.unchecked(`signature of ${container.name}`, result.problem);
      return;
    case "invalid":
      altered.add(container);
      examination.found(
        SIGNATURE_CHECKS.WRONG,
        container.name,
        "Its signature does not verify: the content was changed after signing.",
      );
      break;
    case "valid":
  }
  const where = `signer of ${container.name}`;
  const facts = result.signer.length > 0 ? judge.read(where, result.signer) : undefined;
  if (!facts || !(await judge.judge(where, facts))) return;
  if (facts.purposes.length > 0 && !facts.purposes.some((purpose) => CONTENT_SIGNING.includes(purpose))) {
    examination.found(SIGNATURE_CHECKS.PURPOSE, where, "Its certificate does not allow signing the objects of cards.");
  }
}

const SECTION = "SP 800-73-4 part 1 section 3.1.7";

export const SECURITY_OBJECT_CHECKS = {
  MALFORMED: {
    name: "security-object-malformed",
    level: "defect",
    section: SECTION,
    consequence: "It cannot be verified that the card's other objects are those that the issuer wrote.",
    remedy: "Ask the card's issuer to write the security object again.",
  },
  HASH: {
    name: "security-object-hash",
    level: "defect",
    section: SECTION,
    consequence: "The object is not the one that the issuer put on the card, so verifiers refuse the card.",
    remedy: "Do not trust the object. Ask the card's issuer for a new card.",
  },
  MISSING_OBJECT: {
    name: "security-object-names-missing",
    level: "defect",
    section: SECTION,
    consequence: "An object that the issuer put on the card is gone.",
    remedy: "Ask the card's issuer to write it again.",
  },
} as const satisfies Record<string, Check>;

const TAG = { MAPPING: 0xba, SIGNED: 0xbb } as const;
const HASHES: Readonly<Record<string, HashName>> = {
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
};

/** Two bytes of a ContainerID, as the last two arcs of its object identifier (SP 800-73-4 part 1 table 3). */
function containerId({ objectId }: Container): number {
  const [high = 0, low = 0] = objectId.split(".").slice(-2).map(Number);
  return high * 256 + low;
}

const BY_ID: ReadonlyMap<number, Container> = new Map(
  Object.values(CONTAINER).map((container) => [containerId(container), container]),
);

/** Checks the issuer's signed hashes of the card's other objects. @param signers Certificates of the CHUID's signer. */
export async function examineSecurityObject(patient: PivPatient, signers: readonly Uint8Array[]): Promise<void> {
  const { examination, judge, objects } = patient;
  const { name } = CONTAINER.SECURITY_OBJECT;
  const answer = objects.get(CONTAINER.SECURITY_OBJECT);
  if (answer?.problem !== undefined) examination.found(SECURITY_OBJECT_CHECKS.MALFORMED, name, answer.problem);
  // Cards that their holders personalise have none.
  if (!answer?.value) return;
  const mapping = valueOf(answer.value, TAG.MAPPING);
  const encoding = valueOf(answer.value, TAG.SIGNED);
  try {
    if (!mapping || !encoding) throw new DataError("without the mapping (tag BA) or the signed hashes (tag BB)");
    const signed = new SignedObject(judge.libraries, encoding);
    const { content } = signed;
    if (!content) throw new DataError("signed without its content");
    const hashes = readHashes(content);
    await judgeSignature(patient, { container: CONTAINER.SECURITY_OBJECT, signed, signers });
    compareHashes(patient, readMapping(mapping), hashes);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    examination.found(SECURITY_OBJECT_CHECKS.MALFORMED, name, `It is ${error.message}.`);
  }
}

/** Data group number and ContainerID, three bytes for each object. */
function readMapping(bytes: Uint8Array): ReadonlyMap<number, number> {
  if (bytes.length % 3 !== 0) throw new DataError("without whole entries in its mapping (tag BA)");
  const mapping = new Map<number, number>();
  for (let at = 0; at < bytes.length; at += 3) {
    const [group = 0, high = 0, low = 0] = bytes.subarray(at, at + 3);
    mapping.set(group, high * 256 + low);
  }
  return mapping;
}

interface Hashes {
  readonly hash: HashName;
  /** By data group number. */
  readonly values: ReadonlyMap<number, Uint8Array>;
}

/** LDSSecurityObject (ICAO Doc 9303 part 10 section 4.6.2). */
function readHashes(content: Uint8Array): Hashes {
  const reader = new DerReader(content, "security object").enter();
  reader.integer();
  const algorithm = reader.enter().oid();
  const hash = HASHES[algorithm];
  if (!hash) throw new DataError(`made with the hash algorithm ${algorithm}, which PIV does not allow`);
  const values = new Map<number, Uint8Array>();
  const groups = reader.enter();
  while (groups.remaining > 0) {
    const group = groups.enter();
    const [number = 0] = group.integer().slice(-1);
    values.set(number, group.octetString());
  }
  return { hash, values };
}

function compareHashes(
  { examination, objects, altered }: PivPatient,
  mapping: ReadonlyMap<number, number>,
  { hash, values }: Hashes,
): void {
  const { name } = CONTAINER.SECURITY_OBJECT;
  // An altered security object proves nothing about others; its signature is a finding already.
  if (altered.has(CONTAINER.SECURITY_OBJECT)) return;
  for (const [group, expected] of values) {
    const id = mapping.get(group);
    const container = id === undefined ? undefined : BY_ID.get(id);
    if (!container) continue;
    const answer = objects.get(container);
    if (answer?.value) {
      const same = equalBytes(digest(hash, answer.value), expected);
      // An object whose own signature fails was altered: that is one finding, not two.
      if (!same && !altered.has(container)) {
        examination.found(
          SECURITY_OBJECT_CHECKS.HASH,
          container.name,
          "Its hash differs from that in the security object.",
        );
      }
    } else if (answer?.sw === 0x6982)
      examination.unchecked(`hash of ${container.name}`, "reading it needs the PIN: --login");
    else
      examination.found(
        SECURITY_OBJECT_CHECKS.MISSING_OBJECT,
        name,
        `It names ${container.name}, which is not on the card.`,
      );
  }
}
