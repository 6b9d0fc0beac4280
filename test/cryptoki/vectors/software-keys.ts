import { concat, fromHex } from "../../../src/bytes/index.ts";
import { CKA, CKD, CKK, CKM, CKO, type CK_MECHANISM, type Template } from "../../../src/cryptoki/index.ts";
import { testCard } from "../../virtual/keys.ts";
import { rig, type Rig } from "../rig.ts";

/** Published values are set in groups. */
export const hex = (...groups: readonly string[]): Uint8Array => fromHex(groups.join("").replaceAll(/\s/gu, ""));

const READABLE = { [CKA.PRIVATE]: false, [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true } as const;

/** What a vector says of an RSA private key; the primes may be left out. */
export interface RsaNumbers {
  readonly modulus: Uint8Array;
  readonly publicExponent: Uint8Array;
  readonly privateExponent: Uint8Array;
}

/** Keys of a session, and what the C_ functions do with them. */
export class SoftwareKeys implements AsyncDisposable {
  readonly #rig: Rig;
  readonly #session: number;

  private constructor(made: Rig, session: number) {
    this.#rig = made;
    this.#session = session;
  }

  static async open(): Promise<SoftwareKeys> {
    const made = await rig(await testCard());
    return new SoftwareKeys(made, await made.session());
  }

  create(template: Template): Promise<number> {
    return this.#rig.cryptoki.C_CreateObject(this.#session, template);
  }

  secret(keyType: number, value: Uint8Array): Promise<number> {
    return this.create({
      ...READABLE,
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: keyType,
      [CKA.VALUE]: value,
      [CKA.ENCRYPT]: true,
      [CKA.DECRYPT]: true,
      [CKA.SIGN]: true,
      [CKA.VERIFY]: true,
      [CKA.DERIVE]: true,
      [CKA.WRAP]: true,
      [CKA.UNWRAP]: true,
    });
  }

  rsaPublic({ modulus, publicExponent }: Omit<RsaNumbers, "privateExponent">): Promise<number> {
    return this.create({
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.KEY_TYPE]: CKK.RSA,
      [CKA.MODULUS]: modulus,
      [CKA.PUBLIC_EXPONENT]: publicExponent,
      [CKA.ENCRYPT]: true,
      [CKA.VERIFY]: true,
      [CKA.VERIFY_RECOVER]: true,
    });
  }

  rsaPrivate({ modulus, publicExponent, privateExponent }: RsaNumbers): Promise<number> {
    return this.create({
      ...READABLE,
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.KEY_TYPE]: CKK.RSA,
      [CKA.MODULUS]: modulus,
      [CKA.PUBLIC_EXPONENT]: publicExponent,
      [CKA.PRIVATE_EXPONENT]: privateExponent,
      [CKA.DECRYPT]: true,
      [CKA.SIGN]: true,
    });
  }

  /** @param keyType CKK.EC, CKK.EC_EDWARDS or CKK.EC_MONTGOMERY. @param point As it is, without its OCTET STRING. */
  ecPublic(keyType: number, parameters: Uint8Array, point: Uint8Array): Promise<number> {
    const header = point.length < 0x80 ? hex("04") : hex("0481");
    return this.create({
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.KEY_TYPE]: keyType,
      [CKA.EC_PARAMS]: parameters,
      [CKA.EC_POINT]: concat(header, Uint8Array.of(point.length), point),
      [CKA.VERIFY]: true,
    });
  }

  ecPrivate(keyType: number, parameters: Uint8Array, value: Uint8Array): Promise<number> {
    return this.create({
      ...READABLE,
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.KEY_TYPE]: keyType,
      [CKA.EC_PARAMS]: parameters,
      [CKA.VALUE]: value,
      [CKA.SIGN]: true,
      [CKA.DERIVE]: true,
    });
  }

  async encrypt(mechanism: CK_MECHANISM, key: number, data: Uint8Array): Promise<Uint8Array> {
    await this.#rig.cryptoki.C_EncryptInit(this.#session, mechanism, key);
    return this.#rig.cryptoki.C_Encrypt(this.#session, data);
  }

  async decrypt(mechanism: CK_MECHANISM, key: number, data: Uint8Array): Promise<Uint8Array> {
    await this.#rig.cryptoki.C_DecryptInit(this.#session, mechanism, key);
    return this.#rig.cryptoki.C_Decrypt(this.#session, data);
  }

  /** In parts of `size` bytes. */
  async encryptParts(mechanism: CK_MECHANISM, key: number, data: Uint8Array, size: number): Promise<Uint8Array> {
    const { cryptoki } = this.#rig;
    await cryptoki.C_EncryptInit(this.#session, mechanism, key);
    const out: Uint8Array[] = [];
    for (const part of cut(data, size)) out.push(await cryptoki.C_EncryptUpdate(this.#session, part));
    return concat(...out, await cryptoki.C_EncryptFinal(this.#session));
  }

  /** In parts of `size` bytes. */
  async decryptParts(mechanism: CK_MECHANISM, key: number, data: Uint8Array, size: number): Promise<Uint8Array> {
    const { cryptoki } = this.#rig;
    await cryptoki.C_DecryptInit(this.#session, mechanism, key);
    const out: Uint8Array[] = [];
    for (const part of cut(data, size)) out.push(await cryptoki.C_DecryptUpdate(this.#session, part));
    return concat(...out, await cryptoki.C_DecryptFinal(this.#session));
  }

  async sign(mechanism: CK_MECHANISM, key: number, data: Uint8Array): Promise<Uint8Array> {
    await this.#rig.cryptoki.C_SignInit(this.#session, mechanism, key);
    return this.#rig.cryptoki.C_Sign(this.#session, data);
  }

  async signParts(mechanism: CK_MECHANISM, key: number, data: Uint8Array, size: number): Promise<Uint8Array> {
    const { cryptoki } = this.#rig;
    await cryptoki.C_SignInit(this.#session, mechanism, key);
    for (const part of cut(data, size)) await cryptoki.C_SignUpdate(this.#session, part);
    return cryptoki.C_SignFinal(this.#session);
  }

  async verify(mechanism: CK_MECHANISM, key: number, data: Uint8Array, signature: Uint8Array): Promise<void> {
    await this.#rig.cryptoki.C_VerifyInit(this.#session, mechanism, key);
    await this.#rig.cryptoki.C_Verify(this.#session, data, signature);
  }

  wrap(mechanism: CK_MECHANISM, wrappingKey: number, key: number): Promise<Uint8Array> {
    return this.#rig.cryptoki.C_WrapKey(this.#session, mechanism, wrappingKey, key);
  }

  /** The value of a generic secret that is unwrapped. */
  async unwrap(mechanism: CK_MECHANISM, key: number, wrapped: Uint8Array, length?: number): Promise<Uint8Array> {
    const template = GENERIC_SECRET(length);
    return this.#value(await this.#rig.cryptoki.C_UnwrapKey(this.#session, mechanism, key, wrapped, template));
  }

  /** The value of a generic secret that is derived. */
  async derive(mechanism: CK_MECHANISM, key: number, length?: number): Promise<Uint8Array> {
    return this.#value(await this.#rig.cryptoki.C_DeriveKey(this.#session, mechanism, key, GENERIC_SECRET(length)));
  }

  /** The value of a generic secret that is generated. */
  async generate(mechanism: CK_MECHANISM, length?: number): Promise<Uint8Array> {
    return this.#value(await this.#rig.cryptoki.C_GenerateKey(this.#session, mechanism, GENERIC_SECRET(length)));
  }

  async #value(key: number): Promise<Uint8Array> {
    const { [CKA.VALUE]: value } = await this.#rig.cryptoki.C_GetAttributeValue(this.#session, key, [CKA.VALUE]);
    return value;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#rig[Symbol.asyncDispose]();
  }
}

const GENERIC_SECRET = (length: number | undefined): Template => ({
  ...READABLE,
  [CKA.CLASS]: CKO.SECRET_KEY,
  [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
  ...(length === undefined ? {} : { [CKA.VALUE_LEN]: length }),
});

/** CKM_ECDH1_DERIVE without a key derivation function: the shared secret itself. */
export const agreeing = (point: Uint8Array): CK_MECHANISM => ({
  mechanism: CKM.ECDH1_DERIVE,
  parameter: { kdf: CKD.NULL, pPublicData: point },
});

function cut(data: Uint8Array, size: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let start = 0; start < data.length; start += size) parts.push(data.subarray(start, start + size));
  return parts;
}

/** `bytes` with one bit turned: of the first, a middle and the last byte. */
export function changed(bytes: Uint8Array): Uint8Array[] {
  const places = new Set([0, bytes.length >> 1, bytes.length - 1].filter((place) => place >= 0 && bytes.length > 0));
  return [...places].map((place) => bytes.map((byte, index) => (index === place ? byte ^ 0x01 : byte)));
}
