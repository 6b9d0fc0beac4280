import { SW } from "../../apdu/index.ts";
import { DataError } from "../../bytes/index.ts";
import { keyTypeOf } from "../../crypto/index.ts";
import { CONTAINER, type InspectedSlot } from "../../piv/index.ts";
import { CERTIFICATE_CHECKS, type CertificateFacts, day, storageProblem, valueOf } from "../certificates.ts";
import type { Check } from "../examination.ts";
import type { Chuid, Identities } from "./chuid.ts";
import type { PivPatient } from "./patient.ts";

const OBJECT_SECTION = "SP 800-73-4 part 1 appendix A, table 10";

export const SLOT_CHECKS = {
  STORAGE: {
    name: "certificate-storage",
    level: "defect",
    section: OBJECT_SECTION,
    consequence: "Programs that keep to the standard cannot read the certificate.",
    remedy: "This driver reads it. For other programs, write the certificate again: cryptoki import.",
  },
  LARGE: {
    name: "certificate-large",
    level: "note",
    section: "SP 800-73-4 part 1 table 7",
    consequence: "Older programs have room for 1856 bytes only, and may truncate it.",
    remedy: "Nothing needs to be done if all programs read it. Otherwise have it written compressed.",
  },
  OUTLIVES_CARD: {
    name: "certificate-outlives-card",
    level: "defect",
    section: "FIPS 201-2 section 4.2.2",
    consequence: "The certificate is valid longer than the card.",
    remedy: "Go by the card's expiration date. Ask the issuer for a certificate that ends with the card.",
  },
  NO_IDENTITY: {
    name: "certificate-names-no-card",
    level: "note",
    section: "FIPS 201-2 section 4.2.2",
    consequence: "Door readers cannot tell which card the certificate belongs to.",
    remedy: "Nothing needs to be done on a card that its holder personalised.",
  },
  KEY_USAGE: {
    name: "certificate-key-usage",
    level: "defect",
    section: "SP 800-73-4 part 1 section 3.1; FIPS 201-2 section 4.2.2",
    consequence: "Programs that check the key usage do not use the key for its purpose.",
    remedy: "Ask the card's issuer for a certificate with the key usage of its slot.",
  },
  WEAK_KEY: {
    name: "key-weak",
    level: "defect",
    section: "SP 800-78-5 section 3.1",
    consequence: "The key can be broken with enough effort, and many programs refuse it.",
    remedy: "Generate a new key of RSA-2048 or P-256 and ask for a certificate for it.",
  },
  OTHER_KEY: {
    name: "key-algorithm",
    level: "note",
    section: "SP 800-78-5 section 3.1",
    consequence: "PIV does not have the key's algorithm. Programs for PIV cards may not use the key.",
    remedy: "Nothing needs to be done if the key works.",
  },
  HISTORY_MISSING: {
    name: "key-history-missing",
    level: "defect",
    section: "SP 800-73-4 part 1 section 3.3.3",
    consequence: "Programs do not find the retired keys, so old messages stay unreadable.",
    remedy: "Name the key by --id to this command. For other programs, write the key history object.",
  },
  HISTORY_COUNT: {
    name: "key-history-count",
    level: "defect",
    section: "SP 800-73-4 part 1 section 3.3.3",
    consequence: "Programs look for certificates that are not there, or miss some that are.",
    remedy: "Write the key history object with the right count.",
  },
  HISTORY: {
    name: "key-history",
    level: "note",
    section: "SP 800-73-4 part 1 section 3.3.3",
    consequence: "Old messages stay readable with the retired keys. Reading the card takes longer.",
    remedy: "Nothing needs to be done.",
  },
  MIXED: {
    name: "keys-mixed",
    level: "note",
    section: "SP 800-78-5 section 3.1",
    consequence: "A program that supports only one kind of key can use a part of the card.",
    remedy: "Nothing needs to be done.",
  },
  NO_CERTIFICATE: {
    name: "key-without-certificate",
    level: "note",
    section: "SP 800-73-4 part 1 section 3.1.3",
    consequence: "Programs that look for certificates do not find the key.",
    remedy: "Ask for a certificate for the key and write it with: cryptoki import.",
  },
  NO_KEY: {
    name: "certificate-without-key",
    level: "defect",
    section: "SP 800-73-4 part 1 section 3.1.3",
    consequence: "Programs offer the certificate, and every use of its key fails.",
    remedy: "Delete the certificate, or import its key.",
  },
} as const satisfies Record<string, Check>;

/** The longest certificate that every card has room for (SP 800-73-4 part 1 table 7). */
const USUAL_LENGTH = 1856;
const TAG = { CERTIFICATE: 0x70, INFO: 0x71, END: 0xfe, ON_CARD: 0xc1, METADATA_KEY: 0x04 } as const;
const GZIP = 0x01;

/** Bits of the key usage extension in the numbering of @peculiar/x509. */
const USAGE = { SIGN: 1, COMMIT: 2, ENCIPHER: 4, AGREE: 16 } as const;

/** A slot with a certificate, and a key as far as the card reports it. */
export interface CertifiedSlot {
  readonly slot: InspectedSlot;
  readonly facts: CertificateFacts;
}

/** Checks the certificates of all 24 slots, and the key history that counts the retired ones. */
export async function examineSlots(
  patient: PivPatient,
  chuid: Chuid,
  identities: Identities,
): Promise<CertifiedSlot[]> {
  const { inspection, examination, judge } = patient;
  const found: CertifiedSlot[] = [];
  const retired: number[] = [];
  for (const slot of inspection.slots) {
    const where = `certificate ${slot.name}`;
    const answer = await inspection.object(slot.certificate);
    if (answer.problem !== undefined) examination.found(CERTIFICATE_CHECKS.UNREADABLE, where, answer.problem);
    if (!answer.value) {
      await examineLoneKey(patient, slot);
      continue;
    }
    if (slot.retired !== undefined) retired.push(slot.retired);
    const facts = await readSlot(patient, where, answer.value);
    if (!facts) continue;
    if (await hasKey(patient, slot, where)) found.push({ slot, facts });
    await judge.judge(where, facts);
    judgeContents(patient, slot, where, facts, chuid);
    if (isIdentified(slot)) {
      identities.fascn(where, facts.fascn);
      identities.uuid(where, facts.uuid);
      if (!facts.fascn && !facts.uuid) {
        examination.found(SLOT_CHECKS.NO_IDENTITY, where, "It carries neither a FASC-N nor a card UUID.");
      }
    }
  }
  judgeHistory(patient, retired);
  judgeMixture(patient, found);
  return found;
}

/** The certificates that must have the card's identifiers: those that authenticate the card. */
const isIdentified = ({ name }: InspectedSlot): boolean => name === "9A" || name === "9E";

/** Checks the stored form and the contents of a certificate. */
async function readSlot(
  { examination, inspection, judge }: PivPatient,
  where: string,
  value: Uint8Array,
): Promise<CertificateFacts | undefined> {
  const stored = valueOf(value, TAG.CERTIFICATE);
  const info = valueOf(value, TAG.INFO);
  const storage = (text: string): void => {
    examination.found(SLOT_CHECKS.STORAGE, where, text);
  };
  if (stored) {
    const gzipped = stored[0] === 0x1f && stored[1] === 0x8b;
    const marked = ((info?.[0] ?? 0) & GZIP) !== 0;
    const odd = storageProblem(stored);
    if (odd !== undefined) storage(odd);
    else if (gzipped && !marked) storage("It is compressed, but its CertInfo (tag 71) does not say so.");
    else if (!gzipped && marked) storage("Its CertInfo (tag 71) says that it is compressed, but it is not.");
    if (!info) storage("It has no CertInfo (tag 71).");
    if (hasLongLength(value)) storage("A length in it takes more bytes than it needs.");
  }
  let der: Uint8Array;
  try {
    der = await inspection.certificate(value);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    examination.found(CERTIFICATE_CHECKS.UNREADABLE, where, `The driver cannot read it: ${error.message}.`);
    return undefined;
  }
  if (stored && stored.length > USUAL_LENGTH) {
    examination.found(SLOT_CHECKS.LARGE, where, `It takes ${stored.length} bytes.`);
  }
  return judge.read(where, der);
}

/** Whether a data object of at most 65,535 bytes writes its length in more bytes than it needs. */
function hasLongLength(value: Uint8Array): boolean {
  const [, first = 0, second = 0, third = 0] = value;
  return first > 0x82 || (first === 0x81 && second < 0x80) || (first === 0x82 && second * 256 + third < 0x100);
}

function judgeContents(
  { examination, altered }: PivPatient,
  slot: InspectedSlot,
  where: string,
  facts: CertificateFacts,
  { expires }: Chuid,
): void {
  const { x509, keyUsage, publicKeyInfo } = facts;
  const end = expires && new Date(expires.getTime() + 86_399_999);
  // A retired key's certificate belongs to an earlier card.
  if (end && slot.retired === undefined && !altered.has(CONTAINER.CHUID) && x509.notAfter > end) {
    examination.found(
      SLOT_CHECKS.OUTLIVES_CARD,
      where,
      `It is valid until ${day(x509.notAfter)}; the card only until ${day(end)}.`,
    );
  }
  const missing = keyUsage === undefined ? undefined : missingUsage(slot, keyUsage);
  if (missing !== undefined) examination.found(SLOT_CHECKS.KEY_USAGE, where, `Its key usage leaves out ${missing}.`);
  const type = typeOf(publicKeyInfo);
  if (type?.type === "rsa" && type.modulusBits < 2048) {
    examination.found(SLOT_CHECKS.WEAK_KEY, where, `Its key is RSA with ${type.modulusBits} bits.`);
  } else if (!facts.explicitCurve && !isOfStandard(type)) {
    examination.found(SLOT_CHECKS.OTHER_KEY, where, `Its key is ${keyName(type, facts.keyAlgorithm)}.`);
  }
}

type MaybeType = ReturnType<typeof keyTypeOf> | undefined;

function typeOf(publicKeyInfo: Uint8Array): MaybeType {
  try {
    return keyTypeOf(publicKeyInfo);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return undefined;
  }
}

function isOfStandard(type: MaybeType): boolean {
  if (type?.type === "rsa") return type.modulusBits === 2048 || type.modulusBits === 3072;
  return type?.type === "ec" && (type.curve === "P-256" || type.curve === "P-384");
}

function keyName(type: MaybeType, algorithm: string): string {
  if (!type) return `of the algorithm ${algorithm}`;
  return type.type === "rsa" ? `RSA with ${type.modulusBits} bits` : type.curve;
}

/** The key usage for a slot (X.509 Certificate and CRL Extensions Profile for PIV). */
function missingUsage({ name }: InspectedSlot, usage: number): string | undefined {
  const lacks = (bit: number): boolean => (usage & bit) === 0;
  if (name === "9A" || name === "9E") return lacks(USAGE.SIGN) ? "digitalSignature" : undefined;
  if (name === "9C") {
    if (lacks(USAGE.SIGN)) return "digitalSignature";
    return lacks(USAGE.COMMIT) ? "nonRepudiation" : undefined;
  }
  return lacks(USAGE.ENCIPHER) && lacks(USAGE.AGREE) ? "keyEncipherment and keyAgreement" : undefined;
}

function judgeHistory({ examination, objects }: PivPatient, retired: readonly number[]): void {
  const { name } = CONTAINER.KEY_HISTORY;
  const history = objects.get(CONTAINER.KEY_HISTORY);
  const said = `${retired.length} retired keys have their certificates on the card`;
  if (!history?.value) {
    if (retired.length > 0) examination.found(SLOT_CHECKS.HISTORY_MISSING, name, `The card has none, and ${said}.`);
    return;
  }
  const [count = 0] = valueOf(history.value, TAG.ON_CARD) ?? [];
  const fits = count === retired.length && retired.every((number) => number <= count);
  if (!fits)
    examination.found(SLOT_CHECKS.HISTORY_COUNT, name, `It counts ${count} certificates of retired keys, and ${said}.`);
  else if (count > 0) examination.found(SLOT_CHECKS.HISTORY, name, `${said}.`);
}

/** Reports RSA keys beside EC keys among the four named keys. */
function judgeMixture({ examination }: PivPatient, found: readonly CertifiedSlot[]): void {
  const families = new Map<string, string[]>();
  for (const { slot, facts } of found) {
    const type = typeOf(facts.publicKeyInfo);
    if (!type || slot.retired !== undefined) continue;
    families.set(type.type, [...(families.get(type.type) ?? []), slot.name]);
  }
  const [rsa, ec] = [families.get("rsa"), families.get("ec")];
  if (rsa && ec) examination.found(SLOT_CHECKS.MIXED, "keys", `${rsa.join(", ")} are RSA, ${ec.join(", ")} are EC.`);
}

/** A key without a certificate, known from its metadata. */
async function examineLoneKey({ inspection, examination }: PivPatient, slot: InspectedSlot): Promise<void> {
  const metadata = await inspection.metadata(slot.reference);
  if (metadata?.sw !== SW.OK) return;
  examination.found(
    SLOT_CHECKS.NO_CERTIFICATE,
    `key ${slot.name}`,
    "The card has a key there, but no certificate for it.",
  );
}

/** @returns Whether the slot has a key, by Yubico's metadata; true if the card has none. */
async function hasKey({ inspection, examination }: PivPatient, slot: InspectedSlot, where: string): Promise<boolean> {
  const metadata = await inspection.metadata(slot.reference);
  if (metadata?.sw !== SW.REFERENCED_DATA_NOT_FOUND) return true;
  examination.found(SLOT_CHECKS.NO_KEY, where, `The card has no key in ${slot.name}.`);
  return false;
}
