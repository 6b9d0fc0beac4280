import { Flags } from "../syntax/fields.ts";
import type { CertificateEntry } from "../syntax/certificate.ts";
import type { DataEntry } from "../syntax/data.ts";
import { type PrivateKeyEntry, type PublicKeyEntry, USAGE } from "../syntax/key.ts";
import type { ObjectHead } from "../syntax/object.ts";
import { FILE_PREFIX, fileId } from "./files.ts";
import { USER_PIN_ID } from "./pins.ts";

/** Nothing here is changed yet, whatever the card's entries say. */
const asIs = (head: ObjectHead): ObjectHead => ({ ...head, modifiable: false });

/** A key as its entry says, but for what the card decides: its number, and the PIN that all keys want (OpenSC, pkcs15-sc-hsm.c). */
export function privateKeyEntry(number: number, entry: PrivateKeyEntry): PrivateKeyEntry {
  return {
    ...entry,
    head: { ...asIs(entry.head), private: true, authId: USER_PIN_ID },
    key: { ...entry.key, keyReference: number },
    value: undefined,
  };
}

/** What the private half does, and its counterpart. */
const COUNTERPARTS = [
  [USAGE.SIGN, USAGE.VERIFY],
  [USAGE.SIGN_RECOVER, USAGE.VERIFY_RECOVER],
  [USAGE.NON_REPUDIATION, USAGE.NON_REPUDIATION],
  [USAGE.DECIPHER, USAGE.ENCIPHER],
  [USAGE.UNWRAP, USAGE.WRAP],
  [USAGE.DERIVE, USAGE.DERIVE],
] as const;

/** The public half, which stands in the file of the key's certificate: there, or in the request for one. */
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
    head: publicHead(head),
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

/** Where the data is says who may read it (OpenSC, pkcs15init/pkcs15-sc-hsm.c, sc_hsm_emu_store_binary). */
export function dataEntry(entry: DataEntry): DataEntry {
  const guarded = entry.value.kind === "file" && entry.value.file.path.at(-2) === FILE_PREFIX.GUARDED_DATA;
  return { ...entry, head: { ...asIs(entry.head), ...(guarded && { private: true, authId: USER_PIN_ID }) } };
}
