import { createPublicKey, type KeyObject } from "node:crypto";
import { contextTag, derNull, derOctetString, derOid, derSequence, encodeDer, TAG } from "../../asn1/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { type Authority, type CertificateDeviation, deviatingCertificate } from "../certificates.ts";
import type { Iso7816Deviation } from "../iso7816/deviations.ts";
import type { CardFile } from "../iso7816/model.ts";
import { encodeAccess } from "../iso7816/myeid.ts";
import { UNLOCK_KEY_REFERENCE } from "../iso7816/unlock-key.ts";
import { generateKey, KEY_TYPES } from "../keys.ts";
import * as entry from "./entry.ts";
import { APPLICATION_PATH, bits, FILE, MANAGED, number, pathOf, PIN, text, transparent } from "./entry.ts";
import { issueCertificate, type PlannedKey } from "./plan.ts";

/** A directory file and the files that it lists. */
interface Part {
  /** Tag of its choice in the ODF (ISO/IEC 7816-15 section 8.3, CIOChoice). */
  readonly choice: number;
  readonly id: number;
  /** Bytes of the directory, with room for more entries. */
  readonly size: number;
  readonly entries: readonly Uint8Array[];
  readonly files: readonly CardFile[];
}

/** Letters that make a certificate longer than 4 kB. */
const LONG_CERTIFICATE = 4_400;

/** ODF, the directories that it lists, and all files that they list. */
export async function makeObjects(
  keys: readonly PlannedKey[],
  holder: string,
  deviations: readonly Iso7816Deviation[] = [],
  hasUnlockKey = false,
): Promise<CardFile[]> {
  const unlocking = hasUnlockKey ? entry.unlockKeyEntries(UNLOCK_KEY) : undefined;
  const parts = [
    authentication(!deviations.includes("puk-not-listed"), unlocking?.authentication),
    ...(unlocking ? [{ choice: 3, id: FILE.SKDF, size: 128, entries: [unlocking.secretKey], files: [] }] : []),
    privateKeys(keys),
    publicKeys(keys),
    ...(await certificates(keys, holder, (deviation) => deviations.includes(deviation))),
    data(),
  ];
  const odf = parts.map(({ choice, id }) => encodeDer(contextTag(choice, "constructed"), entry.file(pathOf(id))));
  return [
    transparent(FILE.ODF, entry.directory(odf, 128)),
    ...parts.flatMap(({ id, size, entries, files }) => [transparent(id, entry.directory(entries, size)), ...files]),
  ];
}

/** The card names it by a path, though no file is there: keys of this kind are not files here. */
const UNLOCK_KEY = {
  label: "Unlock key",
  id: PIN.UNLOCK_KEY,
  reference: UNLOCK_KEY_REFERENCE,
  path: APPLICATION_PATH,
};

/** @param unlockKey The entry of the key that unblocks the first PIN, in place of a PUK. */
function authentication(listsPuks: boolean, unlockKey?: Uint8Array): Part {
  const path = APPLICATION_PATH;
  const puk = (label: string, reference: number): Uint8Array =>
    entry.pinEntry({ label, id: reference, reference, minLength: 8, path, isPuk: true });
  const entries = [
    entry.pinEntry({
      label: "PIN",
      id: PIN.AUTHENTICATION,
      reference: PIN.AUTHENTICATION,
      minLength: 4,
      ...(unlockKey ? { pukId: PIN.UNLOCK_KEY } : listsPuks && { pukId: PIN.AUTHENTICATION_PUK }),
      path,
    }),
    entry.pinEntry({
      label: "Signature PIN",
      id: PIN.SIGNATURE,
      reference: PIN.SIGNATURE,
      minLength: 6,
      ...(listsPuks && { pukId: PIN.SIGNATURE_PUK }),
      path,
    }),
    ...(listsPuks && !unlockKey ? [puk("PUK", PIN.AUTHENTICATION_PUK)] : []),
    ...(listsPuks ? [puk("Signature PUK", PIN.SIGNATURE_PUK)] : []),
    ...(unlockKey ? [unlockKey] : []),
  ];
  return { choice: 8, id: FILE.AODF, size: 384, entries, files: [] };
}

function privateKeys(keys: readonly PlannedKey[]): Part {
  const entries = keys.map(({ plan, made }, index) =>
    entry.privateKeyEntry({
      made,
      label: plan.label,
      authId: plan.pin,
      ...(plan.consent && { userConsent: 1 }),
      id: index + 1,
      usage: plan.usage,
      ...typeOf(plan.kind),
      path: pathOf(FILE.FIRST_KEY + index),
    }),
  );
  const files = keys.map(({ plan, privateKey }, index): CardFile => {
    const security = encodeAccess({ use: plan.pin, update: "never", delete: "never", generate: "never" });
    const { consent } = plan;
    return { kind: "key", id: FILE.FIRST_KEY + index, security, ...typeOf(plan.kind), consent, privateKey };
  });
  return { choice: 0, id: FILE.PRKDF, size: 512, entries, files };
}

function publicKeys(keys: readonly PlannedKey[]): Part {
  const entries = keys.map(({ plan }, index) =>
    entry.publicKeyEntry({
      label: plan.label,
      id: index + 1,
      usage: plan.publicUsage,
      ...typeOf(plan.kind),
      path: pathOf(FILE.FIRST_PUBLIC_KEY + index),
    }),
  );
  const files = keys.map(({ privateKey }, index) =>
    transparent(FILE.FIRST_PUBLIC_KEY + index, publicKeyFile(privateKey)),
  );
  return { choice: 1, id: FILE.PUKDF, size: 512, entries, files };
}

/** RSAPublicKey, or SubjectPublicKeyInfo of an EC key, as on real cards. */
function publicKeyFile(privateKey: KeyObject): Uint8Array {
  const key = createPublicKey(privateKey);
  const type = privateKey.asymmetricKeyType === "rsa" ? "pkcs1" : "spki";
  return Uint8Array.from(type === "pkcs1" ? key.export({ format: "der", type }) : key.export({ format: "der", type }));
}

function typeOf(kind: PlannedKey["plan"]["kind"]): { readonly type: "rsa" | "ec"; readonly bits: number } {
  const { type, bits } = KEY_TYPES[kind];
  return { type, bits };
}

/** One certificate for each key, a second one for the first, and the authorities': a trusted and an untrusted one. */
async function certificates(
  keys: readonly PlannedKey[],
  holder: string,
  has: (deviation: CertificateDeviation) => boolean,
): Promise<Part[]> {
  const root: Authority = { privateKey: await generateKey(KEY_TYPES["p-256"]), name: "Virtual eID Root" };
  const issuer: Authority = { privateKey: await generateKey(KEY_TYPES["p-256"]), name: "Virtual eID CA" };
  const own = await Promise.all(
    keys.map(async ({ plan, privateKey }, index) => ({
      id: index + 1,
      label: plan.label,
      authority: false,
      der: await issueCertificate(
        plan.purpose,
        { privateKey, name: holder },
        issuer,
        plan.name === "signature-rsa" ? LONG_CERTIFICATE : 0,
      ),
    })),
  );
  const [first] = keys;
  if (first) {
    const subject = { privateKey: first.privateKey, name: `${holder} at work` };
    const der = await issueCertificate("authentication", subject, issuer);
    own.push({ id: 1, label: `${first.plan.label} at work`, authority: false, der });
  }
  const authority = async (id: number, subject: Authority): Promise<(typeof own)[number]> => ({
    id,
    label: subject.name,
    authority: true,
    der: await issueCertificate("authority", subject, root),
  });
  let next = FILE.FIRST_CERTIFICATE as number;
  const part = (choice: number, id: number, size: number, all: typeof own): Part => {
    const files = all.map(({ der }) => transparent(next++, deviatingCertificate(der, has)));
    const entries = all.map((certificate, index) =>
      entry.certificateEntry({ ...certificate, path: pathOf(files[index]?.id ?? 0) }),
    );
    return { choice, id, size, entries, files };
  };
  return [
    part(4, FILE.CDF, 768, own),
    part(5, FILE.TRUSTED_CDF, 128, [await authority(0x10, root)]),
    part(6, FILE.USEFUL_CDF, 128, [await authority(0x11, issuer)]),
  ];
}

/** A public note, and one behind each PIN. */
function data(): Part {
  const notes = [
    { label: "Public note", text: "This card is for tests; its keys guard nothing.\n" },
    { label: "Private note", text: "Only the PIN opens this.\n", authId: PIN.AUTHENTICATION },
    { label: "Signature note", text: "Only the signature PIN opens this.\n", authId: PIN.SIGNATURE },
  ];
  const entries = notes.map(({ label, authId }, index) =>
    entry.dataEntry({
      label,
      ...(authId !== undefined && { authId }),
      application: "Notes",
      path: pathOf(FILE.FIRST_DATA + index),
    }),
  );
  const files = notes.map(({ text, authId }, index) =>
    transparent(FILE.FIRST_DATA + index, utf8(text), { ...MANAGED, use: authId ?? "always" }),
  );
  return { choice: 7, id: FILE.DODF, size: 256, entries, files };
}

/** Bits of Operations (ISO/IEC 7816-15 section 8.10). */
const OPERATION = { COMPUTE_SIGNATURE: 1, DECIPHER: 5, DERIVE_KEY: 8 } as const;

/** Mechanisms of PKCS #11, the card's operations with them, their object identifier, and their number in MSE:SET. */
const ALGORITHMS = [
  {
    mechanism: 0x0001,
    operations: [OPERATION.COMPUTE_SIGNATURE, OPERATION.DECIPHER],
    reference: 0x02,
    id: "1.2.840.113549.1.1.1",
  },
  {
    mechanism: 0x0003,
    operations: [OPERATION.COMPUTE_SIGNATURE, OPERATION.DECIPHER],
    reference: 0x00,
    id: "1.2.840.113549.1.1.1",
  },
  { mechanism: 0x1041, operations: [OPERATION.COMPUTE_SIGNATURE], reference: 0x04, id: "1.2.840.10045.2.1" },
  { mechanism: 0x1050, operations: [OPERATION.DERIVE_KEY], reference: 0x04, id: "1.3.132.1.12" },
] as const;

/** loginRequired and prnGeneration. */
const FLAGS = [1, 2] as const;

/** EF.TokenInfo (ISO/IEC 7816-15 section 8.10). */
export function tokenInfo(info: {
  readonly serial: Uint8Array;
  readonly manufacturer: string;
  readonly label: string;
  readonly lastUpdate: Date;
}): Uint8Array {
  const algorithms = ALGORITHMS.map(({ mechanism, operations, reference, id }, index) =>
    derSequence(number(index + 1), number(mechanism), derNull(), bits(...operations), derOid(id), number(reference)),
  );
  const time = `${info.lastUpdate.toISOString().slice(0, 19).replaceAll(/\D/gu, "")}Z`;
  return derSequence(
    number(0),
    derOctetString(info.serial),
    text(info.manufacturer),
    encodeDer(contextTag(0, "primitive"), utf8(info.label)),
    bits(...FLAGS),
    encodeDer(contextTag(2, "constructed"), ...algorithms),
    encodeDer(contextTag(5, "constructed"), encodeDer(TAG.GENERALIZED_TIME, utf8(time))),
  );
}
