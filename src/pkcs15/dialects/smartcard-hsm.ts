import type { CommandApdu } from "../../apdu/index.ts";
import { DataError, fromHex, startsWith } from "../../bytes/index.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import { NOTHING_TOLD } from "../files/commands.ts";
import type { FileAccess } from "../files/files.ts";
import { childOf, type FilePath, pathName } from "../files/paths.ts";
import { ecdsaAnswer, type KeyRequest, type KeyUse, refuse, sharedX, wholeBlock } from "../keys/key-use.ts";
import { MAKES } from "../recognition/makes.ts";
import { Flags } from "../syntax/fields.ts";
import { type PrivateKeyEntry, type PublicKeyEntry, USAGE } from "../syntax/key.ts";
import type { CertificateEntry, DataEntry, ObjectHead } from "../syntax/object.ts";
import { selectApplet } from "./smartcard-hsm-commands.ts";
import { SMARTCARD_HSM_LIFE } from "./smartcard-hsm-life.ts";
import { USER_PIN_ID } from "./smartcard-hsm-pins.ts";

/**
 * The whole answer: requested with extended length, as CardContact's programs do (256 bytes if only short answers are
 * possible).
 */
const ALL = 65_536;
const SHORT = 256;

/** ENUMERATE OBJECTS: the identifiers of all files and keys, two bytes each (OpenSC, sc_hsm_list_files). */
export function enumerateObjects(): CommandApdu {
  return { cla: 0x80, ins: 0x58, p1: 0x00, p2: 0x00, ne: ALL, conceal: "nothing" };
}

/**
 * READ BINARY of the file with an identifier, without a SELECT (ISO/IEC 7816-4 section 11.3.3, odd instruction;
 * CardContact's sc-hsm-embedded, token-sc-hsm.c, readEF). The offset is a data object.
 * @param length Up to 256; a larger one requests all.
 */
function readFile(id: Uint8Array, offset: number, length: number): CommandApdu {
  const [p1 = 0, p2 = 0] = id;
  const ne = length > SHORT ? ALL : length;
  return { cla: 0x00, ins: 0xb1, p1, p2, data: Uint8Array.of(0x54, 0x02, offset >> 8, offset & 0xff), ne };
}

/** The card's operations with a key (OpenSC, card-sc-hsm.h, ALGO_...). */
const ALGORITHM = { RSA_RAW: 0x20, RSA_DECRYPT: 0x21, ECDSA: 0x70, ECDH: 0x80 } as const;

/** The first bytes of a block that is padded for a signature (RFC 8017 section 9.2). A ciphertext almost never begins with them. */
const SIGNATURE_PADDING = fromHex("0001ffffffffffffffff");

/**
 * SIGN (OpenSC, sc_hsm_compute_signature). With raw RSA a key deciphers as it signs, so the answer is open only to what is clearly to be
 * signed.
 * @param ne Bytes of the answer at most.
 */
function sign(key: number, algorithm: number, input: Uint8Array, ne: number): CommandApdu {
  const isSignature = algorithm !== ALGORITHM.RSA_RAW || startsWith(input, SIGNATURE_PADDING);
  const conceal = isSignature ? "nothing" : "answer";
  return { cla: 0x80, ins: 0x68, p1: key, p2: algorithm, data: input, ne, conceal };
}

/** DECIPHER, of a cryptogram or the other party's point (OpenSC, sc_hsm_decipher). */
function decipher(key: number, algorithm: number, input: Uint8Array, ne: number): CommandApdu {
  return { cla: 0x80, ins: 0x62, p1: key, p2: algorithm, data: input, ne, conceal: "answer" };
}

/** Most bytes of a short answer: more are requested only if more can come. */
const SHORT_ANSWER = 256;

/** SmartCard-HSM of CardContact, also in the Nitrokey HSM: each use of a key is one command, which names key and algorithm. */
export const SMARTCARD_HSM: Dialect = {
  name: "SmartCard-HSM",
  source: "OpenSC, card-sc-hsm.c (sc_hsm_set_security_env, sc_hsm_compute_signature, sc_hsm_decipher, sc_hsm_init)",
  recognises: MAKES.smartCardHsm,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw"] : ["ecdsa", "ecdh"]),
  mechanisms: mechanisms({ "rsa-raw": [1024, 4096], ecdsa: [256, 521], ecdh: [256, 521] }),
  logout: selectApplet,
  life: SMARTCARD_HSM_LIFE,
  use(request: KeyRequest): KeyUse {
    const { key, primitive, operation, input } = request;
    const { reference } = key;
    const ne = Math.max(SHORT_ANSWER, key.bytes);
    if (reference === undefined) return refuse(request);
    if (primitive === "rsa-raw" && operation === "decipher") {
      return once(decipher(reference, ALGORITHM.RSA_DECRYPT, input, ne), wholeBlock(request));
    }
    if (primitive === "rsa-raw") return once(sign(reference, ALGORITHM.RSA_RAW, input, ne), wholeBlock(request));
    if (primitive === "ecdsa") return once(sign(reference, ALGORITHM.ECDSA, input, ne), ecdsaAnswer(request));
    if (primitive === "ecdh") return once(decipher(reference, ALGORITHM.ECDH, input, ne), sharedX(request));
    return refuse(request);
  },
};

function once(command: KeyUse["commands"][number], read: KeyUse["read"]): KeyUse {
  return { environment: undefined, commands: [command], read };
}

/** First bytes of identifiers; the second is the number of the key or object (OpenSC, card-sc-hsm.h). */
export const FILE_PREFIX = {
  KEY_ENTRY: 0xc4,
  CERTIFICATE_ENTRY: 0xc8,
  DATA_ENTRY: 0xc9,
  KEY: 0xcc,
  GUARDED_DATA: 0xcd,
  OWN_CERTIFICATE: 0xce,
} as const;

/** The applet's only DF, which has no path. */
export const APPLET: FilePath = { from: "application", path: new Uint8Array() };
/** Certificates of the device and of its issuer; every card has them. */
export const DEVICE_CERTIFICATE = childOf(APPLET, Uint8Array.of(0x2f, 0x02));
export const TOKEN_INFO = childOf(APPLET, Uint8Array.of(0x2f, 0x03));

export function fileId(prefix: number, number: number): Uint8Array {
  return Uint8Array.of(prefix, number);
}

/**
 * Reading names the file. An extended command returns all of it (CardContact's sc-hsm-embedded, token-sc-hsm.c,
 * readEF).
 */
export const SMARTCARD_HSM_ACCESS: FileAccess = {
  open(_turn, place) {
    if (place.path.length < 2) throw new DataError(`${pathName(place)} is not a file`);
    return Promise.resolve(NOTHING_TOLD);
  },
  read: (place, offset, length) => readFile(place.path.subarray(-2), offset, length),
  isAll: (data) => data.length > 256,
};

/** This driver does not change these objects, whatever the card's entries say, but deletes them. */
const asIs = (head: ObjectHead): ObjectHead => ({ ...head, modifiable: false, deletable: true });

/**
 * A key according to its entry, except for what the card determines: its number, and the PIN that all keys need
 * (OpenSC, pkcs15-sc-hsm.c).
 */
export function privateKeyEntry(number: number, entry: PrivateKeyEntry): PrivateKeyEntry {
  return {
    ...entry,
    head: { ...asIs(entry.head), private: true, authId: USER_PIN_ID },
    key: { ...entry.key, keyReference: number },
    value: undefined,
  };
}

/** The private half's operations, and their counterparts. */
const COUNTERPARTS = [
  [USAGE.SIGN, USAGE.VERIFY],
  [USAGE.SIGN_RECOVER, USAGE.VERIFY_RECOVER],
  [USAGE.NON_REPUDIATION, USAGE.NON_REPUDIATION],
  [USAGE.DECIPHER, USAGE.ENCIPHER],
  [USAGE.UNWRAP, USAGE.WRAP],
  [USAGE.DERIVE, USAGE.DERIVE],
] as const;

/** The public half, from the key's certificate or the request for one. */
export function publicKeyEntry(number: number, { head, key, ...rest }: PrivateKeyEntry): PublicKeyEntry {
  const usage = COUNTERPARTS.flatMap(([mine, other]) => (key.usage.has(mine) ? [other] : []));
  return {
    ...rest,
    class: "public-key",
    head: publicHead(head),
    key: { ...key, usage: Flags.of(...usage), access: new Flags(), keyReference: undefined },
    value: { kind: "file", file: { path: fileId(FILE_PREFIX.OWN_CERTIFICATE, number) } },
  };
}

/** The certificate of a key, which has the key's name. */
export function ownCertificateEntry(number: number, { head, key }: PrivateKeyEntry): CertificateEntry {
  return {
    class: "certificate",
    head: { ...publicHead(head), deletable: true },
    id: key.id,
    authority: false,
    type: "x509",
    value: { kind: "file", file: { path: fileId(FILE_PREFIX.OWN_CERTIFICATE, number) } },
  };
}

function publicHead({ label }: ObjectHead): ObjectHead {
  return { label, private: false, modifiable: false, authId: undefined, userConsent: undefined, accessRules: [] };
}

export function certificateEntry(entry: CertificateEntry): CertificateEntry {
  return { ...entry, head: asIs(entry.head) };
}

/** The data's location determines who may read them (OpenSC, pkcs15init/pkcs15-sc-hsm.c, sc_hsm_emu_store_binary). */
export function dataEntry(entry: DataEntry): DataEntry {
  const guarded = entry.value.kind === "file" && entry.value.file.path.at(-2) === FILE_PREFIX.GUARDED_DATA;
  return { ...entry, head: { ...asIs(entry.head), ...(guarded && { private: true, authId: USER_PIN_ID }) } };
}
