/** A token's objects, described in the fields that pkcs11-tool prints. */
import { X509Certificate } from "node:crypto";
import { toHex } from "../../src/bytes/index.ts";
import { CKA, CKK, CKO, CKR, type Cryptoki, CryptokiError, type ValueOf } from "../../src/cryptoki/index.ts";
import { find } from "./keys.ts";

/** An object as both sides describe it. A field that an object does not have, or that was not printed, is left out. */
export interface Described {
  readonly type: "private" | "public" | "certificate" | "data";
  readonly label: string;
  /** CKA_ID in hexadecimal; empty for data. */
  readonly id: string;
  readonly fields: Readonly<Partial<Record<FieldName, string>>>;
  /** Value of a certificate, DER. */
  readonly value?: Uint8Array;
}

export type FieldName =
  "key" | "size" | "point" | "curve" | "uses" | "access" | "subject" | "serial" | "application" | "flags";

const CLASSES: readonly (readonly [CKO, Described["type"]])[] = [
  [CKO.PRIVATE_KEY, "private"],
  [CKO.PUBLIC_KEY, "public"],
  [CKO.CERTIFICATE, "certificate"],
  [CKO.DATA, "data"],
];

const USES: readonly (readonly [CKA, string])[] = [
  [CKA.ENCRYPT, "encrypt"],
  [CKA.DECRYPT, "decrypt"],
  [CKA.SIGN, "sign"],
  [CKA.VERIFY, "verify"],
  [CKA.WRAP, "wrap"],
  [CKA.UNWRAP, "unwrap"],
  [CKA.DERIVE, "derive"],
];

const ACCESS: readonly (readonly [CKA, string])[] = [
  [CKA.ALWAYS_AUTHENTICATE, "always authenticate"],
  [CKA.SENSITIVE, "sensitive"],
  [CKA.ALWAYS_SENSITIVE, "always sensitive"],
  [CKA.NEVER_EXTRACTABLE, "never extractable"],
  [CKA.LOCAL, "local"],
];

const FLAGS: readonly (readonly [CKA, string])[] = [
  [CKA.MODIFIABLE, "modifiable"],
  [CKA.PRIVATE, "private"],
];

/** Bits of a coordinate by the point's length as CKA_EC_POINT has it, with the head of its OCTET STRING. */
const EC_BITS: ReadonlyMap<number, string> = new Map([
  [67, "256"],
  [99, "384"],
  [136, "521"],
]);

/** Every key, certificate and data object that the session sees. */
export async function describeObjects(cryptoki: Cryptoki, session: number): Promise<Described[]> {
  const described: Described[] = [];
  for (const [objectClass, type] of CLASSES) {
    for (const handle of await find(cryptoki, session, { [CKA.CLASS]: objectClass })) {
      described.push(await new DescribedObject(cryptoki, session, handle).describe(type));
    }
  }
  return described;
}

class DescribedObject {
  readonly #cryptoki: Cryptoki;
  readonly #session: number;
  readonly #handle: number;

  constructor(cryptoki: Cryptoki, session: number, handle: number) {
    this.#cryptoki = cryptoki;
    this.#session = session;
    this.#handle = handle;
  }

  async describe(type: Described["type"]): Promise<Described> {
    const label = (await this.#attribute(CKA.LABEL)) ?? "";
    const id = toHex((await this.#attribute(CKA.ID)) ?? new Uint8Array());
    switch (type) {
      case "certificate": {
        const value = await this.#attribute(CKA.VALUE);
        return { type, label, id, fields: await this.#certificate(value), ...(value && { value }) };
      }
      case "data":
        return { type, label, id, fields: await this.#data() };
      case "private":
      case "public":
        return { type, label, id, fields: await this.#key(type === "public") };
    }
  }

  async #certificate(value?: Uint8Array): Promise<Described["fields"]> {
    const serial = await this.#attribute(CKA.SERIAL_NUMBER);
    return {
      ...(value && { subject: new X509Certificate(value).subject.replaceAll("\n", ", ") }),
      // An INTEGER: tag, length, and perhaps a zero byte before the number.
      ...(serial && { serial: toHex(serial.subarray(2)).replace(/^00/u, "") }),
    };
  }

  async #data(): Promise<Described["fields"]> {
    return { application: (await this.#attribute(CKA.APPLICATION)) ?? "", flags: await this.#those(FLAGS) };
  }

  async #key(isPublic: boolean): Promise<Described["fields"]> {
    const isRsa = (await this.#attribute(CKA.KEY_TYPE)) === CKK.RSA;
    const bits = isPublic && isRsa ? await this.#attribute(CKA.MODULUS_BITS) : undefined;
    const point = isPublic && !isRsa ? await this.#attribute(CKA.EC_POINT) : undefined;
    const curve = isPublic && !isRsa ? await this.#attribute(CKA.EC_PARAMS) : undefined;
    const size = bits === undefined ? point && EC_BITS.get(point.length) : String(bits);
    return {
      key: isRsa ? "RSA" : "EC",
      ...(size !== undefined && { size }),
      ...(point && { point: toHex(point) }),
      ...(curve && { curve: toHex(curve) }),
      uses: await this.#those(USES),
      // Of public keys pkcs11-tool says little: none of it protects anything.
      ...(!isPublic && { access: await this.#those(ACCESS) }),
    };
  }

  /** Names of the attributes that are true, in the order of the alphabet. */
  async #those(named: readonly (readonly [CKA, string])[]): Promise<string> {
    const names: string[] = [];
    for (const [type, name] of named) if ((await this.#attribute(type)) === true) names.push(name);
    return names.sort().join(", ");
  }

  /** Undefined if the object has none. */
  async #attribute<Type extends CKA>(type: Type): Promise<ValueOf<Type> | undefined> {
    try {
      return (await this.#cryptoki.C_GetAttributeValue(this.#session, this.#handle, [type]))[type];
    } catch (error) {
      if (error instanceof CryptokiError && error.rv === CKR.ATTRIBUTE_TYPE_INVALID) return undefined;
      throw error;
    }
  }
}
