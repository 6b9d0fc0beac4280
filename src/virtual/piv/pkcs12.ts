import { createPrivateKey, type KeyObject } from "node:crypto";
import { encodeTlv, readTlvs, type Tlv } from "../../apdu/index.ts";
import { DataError, equalBytes, fromHex } from "../../bytes/index.ts";

const DATA = fromHex("2a864886f70d010701");
const SHROUDED_KEY_BAG = fromHex("2a864886f70d010c0a0102");
const WHAT = "PKCS#12";

/**
 * The first private key of a PKCS#12 file (RFC 7292), as programs write them: in a shrouded bag of a part that is not
 * itself encrypted. The file's authentication code is not looked at.
 * @throws {DataError} if there is no such key, or the password does not open it.
 */
export function readPkcs12Key(bytes: Uint8Array, password: string): KeyObject {
  const [, authenticatedSafe] = sequence(readTlvs(bytes, WHAT)[0]);
  const parts = sequence(only(octets(contentOf(authenticatedSafe))));
  for (const part of parts) {
    const [type] = sequence(part);
    if (!isOid(type, DATA)) continue;
    for (const bag of sequence(only(octets(contentOf(part))))) {
      const [id, value] = sequence(bag);
      if (isOid(id, SHROUDED_KEY_BAG)) return decrypt(only(value?.value), password);
    }
  }
  throw new DataError(`${WHAT}: no private key in it`);
}

/** A shrouded bag holds an EncryptedPrivateKeyInfo, which OpenSSL reads (RFC 7292 section 4.2.2). */
function decrypt(info: Tlv, passphrase: string): KeyObject {
  const key = Buffer.from(encodeTlv(info.tag, info.value));
  try {
    return createPrivateKey({ key, format: "der", type: "pkcs8", passphrase });
  } catch (cause) {
    throw new DataError(`${WHAT}: the password does not open the private key`, { cause });
  }
}

function sequence(tlv: Tlv | undefined): readonly Tlv[] {
  if (tlv?.tag !== 0x30) throw new DataError(`${WHAT}: not a SEQUENCE where one belongs`);
  return readTlvs(tlv.value, WHAT);
}

/** The [0] EXPLICIT content of a ContentInfo. */
function contentOf(info: Tlv | undefined): Tlv {
  const [, content] = sequence(info);
  if (content?.tag !== 0xa0) throw new DataError(`${WHAT}: a part without content`);
  return only(content.value);
}

function octets(tlv: Tlv): Uint8Array {
  if (tlv.tag !== 0x04) throw new DataError(`${WHAT}: not an OCTET STRING where one belongs`);
  return tlv.value;
}

function only(bytes: Uint8Array | undefined): Tlv {
  const [first, ...more] = readTlvs(bytes ?? new Uint8Array(), WHAT);
  if (first === undefined || more.length > 0) throw new DataError(`${WHAT}: not exactly one element where one belongs`);
  return first;
}

function isOid(tlv: Tlv | undefined, content: Uint8Array): boolean {
  return tlv?.tag === 0x06 && equalBytes(tlv.value, content);
}
