import { ByteReader, DataError, equalBytes } from "../../bytes/index.ts";
import { CONTAINER, type Container } from "../../piv/index.ts";
import { day, valueOf } from "../certificates.ts";
import type { Check } from "../examination.ts";
import { SignedObject } from "../signed-data.ts";
import type { Identities } from "./chuid.ts";
import type { PivPatient } from "./patient.ts";
import { judgeSignature } from "./security-object.ts";

const SECTION = "SP 800-76-2 section 9";

export const BIOMETRIC_CHECKS = {
  MALFORMED: {
    name: "biometric-malformed",
    level: "defect",
    section: SECTION,
    consequence: "The biometric record cannot be compared with the holder.",
    remedy: "Ask the card's issuer to write the record again.",
  },
  EXPIRED: {
    name: "biometric-expired",
    level: "defect",
    section: SECTION,
    consequence: "The biometric record must not be used any more.",
    remedy: "Ask the card's issuer for a new card.",
  },
  FASCN_DIFFERS: {
    name: "biometric-fascn-within",
    level: "defect",
    section: "SP 800-76-2 section 9; FIPS 201-2 section 4.2.3.2",
    consequence: "The record and its signature name two different cards, so verifiers refuse it.",
    remedy: "Ask the card's issuer for a new card.",
  },
} as const satisfies Record<string, Check>;

/** Attributes of a signature over a biometric record (FIPS 201-2 section 4.2.3.2). */
const ATTRIBUTE = { FASCN: "2.16.840.1.101.3.6.6", UUID: "1.3.6.1.1.16.4" } as const;

const RECORDS: readonly Container[] = [CONTAINER.FINGERPRINTS, CONTAINER.FACIAL_IMAGE, CONTAINER.IRIS_IMAGES];
const RECORD_TAG = 0xbc;
const HEADER_LENGTH = 88;

/** The fields of a CBEFF header that are compared (SP 800-76-2 table 14). */
interface Header {
  readonly recordLength: number;
  readonly signatureLength: number;
  readonly notBefore: Date | undefined;
  readonly notAfter: Date | undefined;
  readonly fascn: Uint8Array;
}

/** Checks fingerprints, facial and iris images: header, signature, and the card that they belong to. */
export async function examineBiometrics(
  patient: PivPatient,
  identities: Identities,
  signers: readonly Uint8Array[],
): Promise<void> {
  for (const container of RECORDS) await examineRecord(patient, container, identities, signers);
}

async function examineRecord(
  patient: PivPatient,
  container: Container,
  identities: Identities,
  signers: readonly Uint8Array[],
): Promise<void> {
  const { examination, judge, objects, altered } = patient;
  const answer = objects.get(container);
  if (answer?.sw === 0x6982) examination.unchecked(container.name, "reading it needs the PIN: --login");
  if (answer?.problem !== undefined) examination.found(BIOMETRIC_CHECKS.MALFORMED, container.name, answer.problem);
  if (!answer?.value) return;
  try {
    const record = valueOf(answer.value, RECORD_TAG);
    if (!record) throw new DataError("without a biometric record (tag BC)");
    const header = readHeader(record);
    const end = HEADER_LENGTH + header.recordLength;
    if (end + header.signatureLength !== record.length) throw new DataError("of another length than its header says");
    const signed = new SignedObject(judge.libraries, record.subarray(end));
    await judgeSignature(patient, { container, signed, content: record.subarray(0, end), signers });
    if (altered.has(container)) return;
    judgeDates(patient, container, header);
    const signedFascn = signed.attribute(ATTRIBUTE.FASCN);
    if (signedFascn && !equalBytes(signedFascn, header.fascn)) {
      examination.found(
        BIOMETRIC_CHECKS.FASCN_DIFFERS,
        container.name,
        "The FASC-N of its header differs from that of its signature.",
      );
    }
    identities.fascn(container.name, header.fascn);
    identities.uuid(container.name, signed.attribute(ATTRIBUTE.UUID));
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    examination.found(BIOMETRIC_CHECKS.MALFORMED, container.name, `It is ${error.message}.`);
  }
}

function judgeDates({ examination }: PivPatient, { name }: Container, { notBefore, notAfter }: Header): void {
  const { at } = examination;
  if (notAfter && notAfter < at) {
    examination.found(BIOMETRIC_CHECKS.EXPIRED, name, `Its record was valid until ${day(notAfter)}.`);
  }
  if (notBefore && notBefore > at) {
    examination.found(BIOMETRIC_CHECKS.EXPIRED, name, `Its record is valid only from ${day(notBefore)}.`);
  }
}

/** SP 800-76-2 table 14: 88 bytes, numbers with the most significant byte first. */
function readHeader(record: Uint8Array): Header {
  const reader = new ByteReader(record.subarray(0, HEADER_LENGTH), "CBEFF header");
  if (reader.remaining < HEADER_LENGTH) throw new DataError("too short for a CBEFF header");
  const number = (length: number): number => reader.take(length).reduce((sum, byte) => sum * 256 + byte, 0);
  // Patron header version and what is signed or encrypted.
  reader.take(2);
  const recordLength = number(4);
  const signatureLength = number(2);
  // Format owner and type, creation date.
  reader.take(4 + 8);
  const notBefore = readTime(reader.take(8));
  const notAfter = readTime(reader.take(8));
  // Biometric type, data type, quality, creator.
  reader.take(3 + 1 + 1 + 18);
  return { recordLength, signatureLength, notBefore, notAfter, fascn: reader.take(25) };
}

/** Parses century, year, month, day, hour, minute, second as numbers, then "Z"; undefined for an invalid time. */
function readTime(bytes: Uint8Array): Date | undefined {
  const [century = 0, year = 0, month = 0, dayOfMonth = 0, hour = 0, minute = 0, second = 0] = bytes;
  const time = new Date(Date.UTC(century * 100 + year, month - 1, dayOfMonth, hour, minute, second));
  return century === 0 || Number.isNaN(time.getTime()) ? undefined : time;
}
