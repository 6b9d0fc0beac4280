import { concat, utf8, wipe } from "../bytes/index.ts";
import {
  generateCurve25519Key,
  hkdfExpand,
  hkdfExtract,
  type HostPrivateKey,
  openGcm,
  sealGcm,
} from "../crypto/index.ts";
import { FarmError } from "./error.ts";

const POINT = 32;
const TAG = 16;
/** A key encrypts one message, so that the nonce may be constant. */
const NONCE = new Uint8Array(12);

/**
 * Encrypts a result to the key that its request brought: X25519, HKDF-SHA256 over both public values, AES-256-GCM with the request's
 * identifier as additional data.
 * @param point The client's public value, 32 bytes.
 * @returns The own public value, the ciphertext and its tag: 48 bytes more than the result.
 */
export async function seal(result: Uint8Array, point: Uint8Array, id: string): Promise<Uint8Array> {
  const own = await generateCurve25519Key("X25519");
  try {
    const ephemeral = pointOf(own);
    const key = sealingKey(await own.compute("ecdh", point), ephemeral, point);
    const stream = sealGcm({ key, nonce: NONCE, additional: utf8(id), tagLength: TAG });
    const body = stream.update(result);
    const sealed = concat(ephemeral, body, stream.final());
    wipe(key);
    return sealed;
  } finally {
    own.wipe();
  }
}

/** A client's key for results that are secret. It lives in memory, for one client. */
export class SealKey {
  readonly #key: HostPrivateKey;
  /** Its public value, 32 bytes. */
  readonly point: Uint8Array;

  private constructor(key: HostPrivateKey) {
    this.#key = key;
    this.point = pointOf(key);
  }

  static async create(): Promise<SealKey> {
    return new SealKey(await generateCurve25519Key("X25519"));
  }

  /**
   * Decrypts what {@link seal} encrypted for the request `id`.
   * @throws {FarmError} BAD_INPUT; {AuthenticationError} if it was made for another request or key.
   */
  async open(sealed: Uint8Array, id: string): Promise<Uint8Array> {
    if (sealed.length < POINT + TAG) throw new FarmError("BAD_INPUT", `an encrypted result of ${sealed.length} bytes`);
    const ephemeral = sealed.subarray(0, POINT);
    const key = sealingKey(await this.#key.compute("ecdh", ephemeral), ephemeral, this.point);
    const stream = openGcm({ key, nonce: NONCE, additional: utf8(id), tagLength: TAG });
    try {
      const body = stream.update(sealed.subarray(POINT, -TAG));
      return concat(body, stream.final(sealed.subarray(-TAG)));
    } finally {
      wipe(key);
    }
  }

  wipe(): void {
    this.#key.wipe();
  }
}

function pointOf({ publicKey }: HostPrivateKey): Uint8Array {
  if (publicKey.type !== "montgomery") throw new FarmError("BAD_INPUT", "not an X25519 key");
  return publicKey.point;
}

/** Wipes the secret. */
function sealingKey(secret: Uint8Array, ephemeral: Uint8Array, point: Uint8Array): Uint8Array {
  const extracted = hkdfExtract("sha256", concat(ephemeral, point), secret);
  wipe(secret);
  const key = hkdfExpand("sha256", extracted, utf8("cryptoki farm v1 result"), 32);
  wipe(extracted);
  return key;
}
