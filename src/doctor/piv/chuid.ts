import { concat, DataError, equalBytes, fromUtf8 } from "../../bytes/index.ts";
import { CONTAINER } from "../../piv/index.ts";
import { day } from "../certificates.ts";
import type { Check, Examination } from "../examination.ts";
import { fascnText, isValidUuid, readFascn, sameFascn, uuidText } from "../fascn.ts";
import { SignedObject } from "../signed-data.ts";
import { type Element, type PivPatient, readElements } from "./patient.ts";
import { judgeSignature } from "./security-object.ts";

const SECTION = "SP 800-73-4 part 1 section 3.1.2";

export const CHUID_CHECKS = {
  MISSING: {
    name: "chuid-missing",
    level: "note",
    section: SECTION,
    consequence: "Nothing on the card distinguishes it from others, and door readers do not recognise it.",
    remedy: "Have the issuer write a CHUID; on a card of your own a plan of cryptoki card setup does.",
  },
  MALFORMED: {
    name: "chuid-malformed",
    level: "defect",
    section: SECTION,
    consequence: "Door readers refuse the card, and programs may not be able to distinguish it from others.",
    remedy: "Ask the card's issuer to write the CHUID again.",
  },
  EXPIRED: {
    name: "chuid-expired",
    level: "defect",
    section: SECTION,
    consequence: "The card as a whole has expired, whatever its certificates say.",
    remedy: "Ask for a new card.",
  },
  UNSIGNED: {
    name: "chuid-unsigned",
    level: "note",
    section: SECTION,
    consequence: "The card has PIV's interface, but no issuer vouches for its identity. Door readers may refuse it.",
    remedy: "Nothing needs to be done on a card that its holder personalised.",
  },
  UUID: {
    name: "chuid-uuid",
    level: "note",
    section: "SP 800-73-4 part 1 section 3.4.1",
    consequence: "None for this driver. Programs that check the form of the card's UUID may refuse it.",
    remedy: "Nothing needs to be done.",
  },
} as const satisfies Record<string, Check>;

const TAG = { FASCN: 0x30, GUID: 0x34, EXPIRES: 0x35, SIGNATURE: 0x3e, END: 0xfe } as const;

/** The identifiers with which the other objects of the card are compared. */
export interface Chuid {
  readonly fascn: Uint8Array | undefined;
  /** Undefined if it is all zeros: cards from before SP 800-73-4 may have it so. */
  readonly guid: Uint8Array | undefined;
  readonly expires: Date | undefined;
  /** Certificates of the signer, DER: those in the signature. */
  readonly signers: readonly Uint8Array[];
}

const NOTHING: Chuid = { fascn: undefined, guid: undefined, expires: undefined, signers: [] };

/** Checks the Card Holder Unique Identifier: the card's identity, and its issuer's signature. */
export async function examineChuid(patient: PivPatient): Promise<Chuid> {
  const { examination, objects } = patient;
  const { name } = CONTAINER.CHUID;
  const answer = objects.get(CONTAINER.CHUID);
  if (answer?.problem !== undefined) examination.found(CHUID_CHECKS.MALFORMED, name, answer.problem);
  else if (!answer?.value) examination.found(CHUID_CHECKS.MISSING, name, "The card has none.");
  if (!answer?.value) return NOTHING;
  let elements: readonly Element[];
  try {
    elements = readElements(answer.value, "CHUID");
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    examination.found(CHUID_CHECKS.MALFORMED, name, `It does not parse: ${error.message}.`);
    return NOTHING;
  }
  const signers = await examineSignature(patient, elements);
  return { ...examineFields(patient, elements), signers };
}

function examineFields({ examination, altered }: PivPatient, elements: readonly Element[]): Omit<Chuid, "signers"> {
  const { name } = CONTAINER.CHUID;
  const field = (tag: number): Uint8Array | undefined => elements.find((element) => element.tag === tag)?.value;
  const malformed = (text: string): void => {
    examination.found(CHUID_CHECKS.MALFORMED, name, text);
  };
  const fascn = field(TAG.FASCN);
  const guid = field(TAG.GUID);
  const date = field(TAG.EXPIRES);
  const expires = date && readDate(date);
  // An altered object is wrong as a whole, and that is reported already.
  if (!altered.has(CONTAINER.CHUID)) {
    if (fascn && !readFascn(fascn).wellFormed)
      malformed("Its FASC-N is not 40 characters with parity, separators and sentinels.");
    if (!fascn) malformed("It has no FASC-N (tag 30).");
    if (guid?.length !== 16) malformed("It has no card UUID of 16 bytes (tag 34).");
    else if (isSet(guid) && !isValidUuid(guid)) {
      examination.found(
        CHUID_CHECKS.UUID,
        name,
        `The card UUID ${uuidText(guid)} does not have the form of RFC 4122, version 1, 4 or 5.`,
      );
    }
    if (!expires) malformed("It has no expiration date of the form YYYYMMDD (tag 35).");
    else if (endOf(expires) < examination.at) {
      examination.found(CHUID_CHECKS.EXPIRED, name, `The card expired on ${day(expires)}.`);
    }
  }
  return { fascn: fascn?.length === 25 ? fascn : undefined, guid: guid && isSet(guid) ? guid : undefined, expires };
}

/** The signed bytes: everything but the signature, in the order of the object (SP 800-73-4 part 1 section 3.1.2). */
async function examineSignature(patient: PivPatient, elements: readonly Element[]): Promise<readonly Uint8Array[]> {
  const { examination, judge } = patient;
  const { name } = CONTAINER.CHUID;
  const signature = elements.find(({ tag }) => tag === TAG.SIGNATURE)?.value ?? new Uint8Array();
  if (signature.length === 0) {
    examination.found(CHUID_CHECKS.UNSIGNED, name, "It carries no signature.");
    return [];
  }
  let signed: SignedObject;
  try {
    signed = new SignedObject(judge.libraries, signature);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    examination.found(CHUID_CHECKS.MALFORMED, name, `Its signature is ${error.message}.`);
    return [];
  }
  const content = concat(...elements.filter(({ tag }) => tag !== TAG.SIGNATURE).map(({ encoding }) => encoding));
  await judgeSignature(patient, { container: CONTAINER.CHUID, signed, content, signers: [] });
  return signed.certificates;
}

const isSet = (guid: Uint8Array): boolean => guid.some((byte) => byte !== 0);

/** YYYYMMDD; undefined for any other form, and for a day that does not exist. */
function readDate(bytes: Uint8Array): Date | undefined {
  const [, year, month, dayOfMonth] = /^(\d{4})(\d\d)(\d\d)$/u.exec(textOf(bytes)) ?? [];
  if (year === undefined || month === undefined || dayOfMonth === undefined) return undefined;
  const iso = `${year}-${month}-${dayOfMonth}`;
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) || day(date) !== iso ? undefined : date;
}

/** The end of a day, UTC: on the day itself the card is valid. */
const endOf = (date: Date): Date => new Date(date.getTime() + 86_399_999);

function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return "";
  }
}

export const IDENTITY_CHECKS = {
  FASCN: {
    name: "fascn-differs",
    level: "defect",
    section: "FIPS 201-2 section 4.2; SP 800-73-4 part 1 section 3.1.2",
    consequence: "Two parts of the card belong to two different cards. Verifiers refuse the card.",
    remedy: "Do not trust the object that differs. Ask the card's issuer for a new card.",
  },
  UUID: {
    name: "uuid-differs",
    level: "defect",
    section: "SP 800-73-4 part 1 section 3.4.1",
    consequence: "Two parts of the card belong to two different cards. Verifiers refuse the card.",
    remedy: "Do not trust the object that differs. Ask the card's issuer for a new card.",
  },
} as const satisfies Record<string, Check>;

interface Said {
  readonly where: string;
  readonly value: Uint8Array;
}

/** The identifiers in the parts of a card. All are compared with the first one. */
export class Identities {
  readonly #fascns: Said[] = [];
  readonly #uuids: Said[] = [];

  fascn(where: string, value: Uint8Array | undefined): void {
    if (value) this.#fascns.push({ where, value });
  }

  uuid(where: string, value: Uint8Array | undefined): void {
    if (value) this.#uuids.push({ where, value });
  }

  /** Reports every difference from the first. */
  compare(examination: Examination): void {
    const report = (
      check: Check,
      kind: string,
      said: readonly Said[],
      same: typeof equalBytes,
      text: (value: Uint8Array) => string,
    ): void => {
      const [first, ...others] = said;
      if (!first) return;
      for (const { where, value } of others) {
        if (same(value, first.value)) continue;
        examination.found(
          check,
          where,
          `Its ${kind} ${text(value)} differs from that of ${first.where}: ${text(first.value)}.`,
        );
      }
    };
    report(IDENTITY_CHECKS.FASCN, "FASC-N", this.#fascns, sameFascn, fascnText);
    report(IDENTITY_CHECKS.UUID, "card UUID", this.#uuids, equalBytes, uuidText);
  }
}
