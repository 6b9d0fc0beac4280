import type * as pkijs from "pkijs";
import { concatSecret, copySecret, equalBytes, fromHex, secretBytes, utf8, wipe } from "../bytes/index.ts";
import type { OfficerKeyAlgorithm } from "../card/index.ts";
import { randomBytes } from "../crypto/index.ts";
import { PlanError } from "./fields.ts";

/** The secrets of a card. */
const SECRET_NAMES = ["pin", "puk", "management-key", "so-pin"] as const;
export type SecretName = (typeof SECRET_NAMES)[number];

/** The values that the factory sets on new YubiKeys. */
export const FACTORY: Readonly<Record<"pin" | "puk" | "management-key", Uint8Array>> = {
  pin: /* @__PURE__ */ utf8("123456"),
  puk: /* @__PURE__ */ utf8("12345678"),
  "management-key": /* @__PURE__ */ utf8("010203040506070801020304050607080102030405060708"),
};

/** Secrets by name, as typed: PINs in ASCII, keys in hexadecimal digits. Disposing of it wipes them. */
export class CardSecrets implements Disposable {
  readonly #values = new Map<SecretName, Uint8Array>();

  get(name: SecretName): Uint8Array | undefined {
    return this.#values.get(name);
  }

  /** Keeps a copy. */
  set(name: SecretName, value: Uint8Array): void {
    const before = this.#values.get(name);
    if (before) wipe(before);
    this.#values.set(name, copySecret(value));
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  /** One secret a line: its name, a space, the value. The caller wipes it. */
  encode(): Uint8Array {
    return concatSecret(
      ...Array.from(this.#values, ([name, value]) => [utf8(`${name} `), value, Uint8Array.of(LINE_FEED)]).flat(),
    );
  }

  /** Parses what {@link encode} made; other lines are passed over. */
  static parse(bytes: Uint8Array): CardSecrets {
    const secrets = new CardSecrets();
    for (let start = 0; start < bytes.length;) {
      const end = bytes.indexOf(LINE_FEED, start);
      const line = bytes.subarray(start, end === -1 ? bytes.length : end);
      for (const name of SECRET_NAMES) {
        const head = utf8(`${name} `);
        if (equalBytes(line.subarray(0, head.length), head)) secrets.set(name, line.subarray(head.length));
      }
      start = end === -1 ? bytes.length : end + 1;
    }
    return secrets;
  }

  [Symbol.dispose](): void {
    wipe(...this.#values.values());
    this.#values.clear();
  }
}

const LINE_FEED = 0x0a;
/** Multiples of ten below 256: a byte above them would make the first digits more likely. */
const FAIR = 250;

/** Random digits, not ones that everybody guesses. The caller wipes them. */
export function randomDigits(length: number): Uint8Array {
  const digits = secretBytes(length);
  do {
    for (let index = 0; index < length;) {
      const [byte = FAIR] = randomBytes(1);
      if (byte < FAIR) digits[index++] = 0x30 + (byte % 10);
    }
  } while (isWeak(digits));
  return digits;
}

export const KEY_BYTES: Readonly<Record<OfficerKeyAlgorithm, number>> = {
  "3des": 24,
  "aes-128": 16,
  "aes-192": 24,
  "aes-256": 32,
};

/** A random key in hexadecimal digits. The caller wipes it. */
export function randomKey(algorithm: OfficerKeyAlgorithm): Uint8Array {
  const key = randomBytes(KEY_BYTES[algorithm]);
  const digits = secretBytes(2 * key.length);
  for (const [index, byte] of key.entries()) {
    digits[2 * index] = hexDigit(byte >> 4);
    digits[2 * index + 1] = hexDigit(byte & 0x0f);
  }
  wipe(key);
  return digits;
}

const hexDigit = (value: number): number => (value < 10 ? 0x30 : 0x57) + value;

/** Whether everybody guesses it: the factory's, one character repeated, or a row of neighbours such as 23456789. */
export function isWeak(secret: Uint8Array): boolean {
  if (Object.values(FACTORY).some((known) => equalBytes(secret, known) || isBytesOf(secret, known))) return true;
  const steps = new Set<number>();
  for (let index = 1; index < secret.length; index++) steps.add((secret[index] ?? 0) - (secret[index - 1] ?? 0));
  const [only] = steps;
  return steps.size === 1 && only !== undefined && Math.abs(only) <= 1;
}

/** Whether it is the key that these digits write. */
function isBytesOf(secret: Uint8Array, digits: Uint8Array): boolean {
  return (
    digits.length === 2 * secret.length &&
    digits.length > 16 &&
    equalBytes(secret, fromHex(String.fromCharCode(...digits)))
  );
}

/**
 * Seals secrets for the owner of a certificate: CMS EnvelopedData (RFC 5652 section 6) with AES-256-CBC; the key is encrypted with
 * RSA-OAEP, or agreed on with ECDH. `openssl cms -decrypt` opens it.
 * @param certificate X.509, DER.
 * @throws {PlanError} for a certificate whose key cannot be used so.
 */
export async function seal(secrets: Uint8Array, certificate: Uint8Array): Promise<Uint8Array> {
  const library: typeof pkijs = await import("pkijs");
  const enveloped = new library.EnvelopedData({ originatorInfo: new library.OriginatorInfo() });
  const plain = copySecret(secrets);
  try {
    const parsed = library.Certificate.fromBER(copySecret(certificate));
    const added = enveloped.addRecipientByCertificate(parsed, { oaepHashAlgorithm: "SHA-256" });
    if (!added) throw new PlanError("secrets.sealTo: nothing can be sealed for the certificate's kind of key");
    await enveloped.encrypt({ name: "AES-CBC", length: 256 } as Parameters<typeof enveloped.encrypt>[0], plain.buffer);
  } catch (cause) {
    if (cause instanceof PlanError) throw cause;
    throw new PlanError("secrets.sealTo: nothing can be sealed for this certificate; take one with an RSA or EC key", {
      cause,
    });
  } finally {
    wipe(plain);
  }
  const info = new library.ContentInfo({
    contentType: library.ContentInfo.ENVELOPED_DATA,
    content: enveloped.toSchema(),
  });
  return new Uint8Array(info.toSchema().toBER());
}
