import { DataError, toHex } from "../bytes/index.ts";
import { CardError, type CardCertificate, type CardPrivateKey, type CardToken } from "../card/index.ts";
import { CERTIFICATE_CHECKS, type CertificateJudge } from "./certificates.ts";
import type { Check, Examination } from "./examination.ts";
import type { ExchangeLog } from "./exchange-log.ts";
import { KEY_CHECKS, type Login } from "./piv/keys.ts";
import { proveKey } from "./token-keys.ts";

export const TOKEN_CHECKS = {
  SERIAL: {
    name: "token-serial-number",
    level: "note",
    section: "PKCS #11 version 3.1 section 3.2 (CK_TOKEN_INFO)",
    consequence: "A token's serial number has 16 characters in PKCS #11, so the driver shows its end, as OpenSC does.",
    remedy: "Nothing needs to be done. The whole number is in the object TokenSerialNumber.",
  },
  NO_SERIAL: {
    name: "token-serial-number-missing",
    level: "note",
    section: "PKCS #11 version 3.1 section 3.2 (CK_TOKEN_INFO)",
    consequence: "Programs cannot distinguish this card from another of its kind.",
    remedy: "Choose it by its label or reader.",
  },
  ONE_USE: {
    name: "key-hashes-itself",
    level: "note",
    section: "ISO/IEC 7816-8 section 5.4.2",
    consequence:
      "The key signs with SHA-1 only, because the card hashes by itself. Many programs refuse such signatures.",
    remedy: "Use another key, if there is one.",
  },
} as const satisfies Record<string, Check>;

/** Characters of a serial number in CK_TOKEN_INFO. */
const SERIAL_LENGTH = 16;

/**
 * Examines what a token of any profile shows: serial number, certificates, keys.
 * @param log Has recorded every exchange with the card.
 * @param login Verifies its PIN, if it was given.
 */
export async function examineToken(
  token: CardToken,
  examination: Examination,
  judge: CertificateJudge,
  log: ExchangeLog,
  login: Login,
): Promise<void> {
  const { label, serialNumber } = await token.info();
  if (serialNumber === "")
    examination.found(TOKEN_CHECKS.NO_SERIAL, `token ${label}`, "The card has no serial number.");
  else if (serialNumber.length > SERIAL_LENGTH) {
    examination.found(
      TOKEN_CHECKS.SERIAL,
      `token ${label}`,
      `Its serial number has ${serialNumber.length} characters: ${serialNumber}.`,
    );
  }
  for (const object of await token.objects()) {
    if (object.class === "certificate" && (await isThere(object))) await examineCertificate(object, examination, judge);
    if (object.class === "private-key" && (await isThere(object)))
      await proveTokenKey(token, object, examination, log, login);
  }
}

async function isThere(object: CardCertificate | CardPrivateKey): Promise<boolean> {
  try {
    return await object.isPresent({ explicitlyRequested: true });
  } catch (error) {
    // Reading the object reports the reason.
    if (error instanceof CardError) return true;
    throw error;
  }
}

async function examineCertificate(
  object: CardCertificate,
  examination: Examination,
  judge: CertificateJudge,
): Promise<void> {
  const where = `certificate ${object.label || toHex(object.id)}`;
  let der: Uint8Array;
  try {
    der = await object.value();
  } catch (error) {
    if (!(error instanceof CardError || error instanceof DataError)) throw error;
    if (object.private) examination.unchecked(where, "reading it needs the PIN");
    else examination.found(CERTIFICATE_CHECKS.UNREADABLE, where, `The driver cannot read it: ${error.message}.`);
    return;
  }
  const facts = judge.read(where, der);
  if (facts) await judge.judge(where, facts);
}

async function proveTokenKey(
  token: CardToken,
  key: CardPrivateKey,
  examination: Examination,
  log: ExchangeLog,
  login: Login,
): Promise<void> {
  const where = `key ${key.label || toHex(key.id)}`;
  const [only] = key.primitives;
  if (key.primitives.length === 1 && only === "ecdsa-sha1") {
    examination.found(TOKEN_CHECKS.ONE_USE, where, "The only signature that it makes is ECDSA with SHA-1.");
  }
  if (key.needsLogin && !login) {
    examination.unchecked(
      where,
      `using it needs the ${(await token.info()).pin.label}: --login gives the first PIN of a card`,
    );
    return;
  }
  try {
    await proveKey(token, key, where, examination, log, login);
  } catch (error) {
    if (!(error instanceof CardError || error instanceof DataError)) throw error;
    examination.found(KEY_CHECKS.REFUSED, where, `It cannot be used: ${error.message}.`);
  }
}
