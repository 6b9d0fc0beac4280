import {
  constants,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  verify,
} from "node:crypto";
import { equalBytes, toHex } from "../../../src/bytes/index.ts";
import {
  CKA,
  CKD,
  CKF,
  CKF_SESSION,
  CKG_MGF,
  CKK,
  CKM,
  type CK_MECHANISM,
  CKO,
  CKR,
  CKS,
  CKU,
  Cryptoki,
  CryptokiError,
  Pcscd,
  profiles,
} from "../../../src/index.ts";

/** An operation ended well, with a result that is not the card's. */
export class WrongResult extends Error {
  override readonly name = "WrongResult";
}

export type KeyUse = "sign" | "decrypt" | "agree";

/** A key of the card, as the test knows it. */
export interface KnownKey {
  /** CKA_ID, hexadecimal. */
  readonly id: string;
  readonly uses: readonly KeyUse[];
  readonly publicKey: KeyObject;
  /** Every use wants the PIN anew. */
  readonly consent?: boolean;
}

/** A token of the card, what guards it, and what is on it. */
export interface KnownToken {
  /** Its place in C_GetSlotList. */
  readonly index: number;
  readonly pin: string;
  readonly keys: readonly KnownKey[];
  /** A data object that only the PIN opens, by its label. */
  readonly privateData?: { readonly label: string; readonly value: Uint8Array };
}

/** Called between two calls of an operation. */
export type Between = () => Promise<void>;

const PSS = {
  mechanism: CKM.SHA256_RSA_PKCS_PSS,
  parameter: { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256, sLen: 32 },
};
const OAEP = { mechanism: CKM.RSA_PKCS_OAEP, parameter: { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256 } };
const SECRET = {
  [CKA.CLASS]: CKO.SECRET_KEY,
  [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
  [CKA.SENSITIVE]: false,
  [CKA.EXTRACTABLE]: true,
};

/** An application with a session and a login at one token. */
export class Client {
  /** Given to every call of an operation. */
  signal: AbortSignal | undefined;
  readonly #cryptoki: Cryptoki;
  readonly #slot: number;
  readonly #token: KnownToken;
  #session = 0;
  #handles = new Map<string, number>();

  constructor(cryptoki: Cryptoki, slot: number, token: KnownToken) {
    this.#cryptoki = cryptoki;
    this.#slot = slot;
    this.#token = token;
  }

  /**
   * Opens a session if there is none, logs in anew, and finds the keys.
   * @returns Whether the application still counted as logged in.
   */
  async enter(): Promise<boolean> {
    const info = await this.#cryptoki.C_GetSessionInfo(this.#session).catch(() => undefined);
    // A call that failed may have left its operation active.
    if (info) await this.#cryptoki.C_SessionCancel(this.#session, CKF.SIGN | CKF.DECRYPT | CKF.FIND_OBJECTS);
    else this.#session = await this.#cryptoki.C_OpenSession(this.#slot, CKF_SESSION.SERIAL_SESSION);
    const wasLoggedIn = info?.state === CKS.RO_USER_FUNCTIONS;
    if (wasLoggedIn) await this.#cryptoki.C_Logout(this.#session);
    await this.#cryptoki.C_Login(this.#session, CKU.USER, this.#token.pin);
    await this.#findKeys();
    return wasLoggedIn;
  }

  /** Ends the operation whose C_Login failed: it waits for another one (PKCS#11 3.1 section 5.6.8). */
  async cancelOperations(): Promise<void> {
    await this.#cryptoki.C_SessionCancel(this.#session, CKF.SIGN | CKF.DECRYPT);
  }

  async #findKeys(): Promise<void> {
    this.#handles = new Map();
    for (const { id } of this.#token.keys) {
      this.#handles.set(id, await this.#find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Buffer.from(id, "hex") }));
    }
  }

  async #find(template: Parameters<Cryptoki["C_FindObjectsInit"]>[1]): Promise<number> {
    await this.#cryptoki.C_FindObjectsInit(this.#session, template, { signal: this.signal });
    const [found] = await this.#cryptoki
      .C_FindObjects(this.#session, 1, { signal: this.signal })
      // Also after an abort: the search is open until its program ends it.
      .finally(() => this.#cryptoki.C_FindObjectsFinal(this.#session));
    if (found !== undefined) return found;
    // A search without a login finds no private object (PKCS#11 3.1 section 5.7.7): so it tells the loss of a login.
    const { state } = await this.#cryptoki.C_GetSessionInfo(this.#session);
    if (state === CKS.RO_PUBLIC_SESSION) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
    throw new WrongResult("a private object is not found, though the user is logged in");
  }

  async #consent({ consent = false }: KnownKey): Promise<void> {
    if (consent)
      await this.#cryptoki.C_Login(this.#session, CKU.CONTEXT_SPECIFIC, this.#token.pin, { signal: this.signal });
  }

  async sign(key: KnownKey, pss: boolean, between: Between): Promise<void> {
    const message = randomBytes(50);
    const rsa = key.publicKey.asymmetricKeyType === "rsa";
    const mechanism: CK_MECHANISM = rsa
      ? pss
        ? PSS
        : { mechanism: CKM.SHA256_RSA_PKCS }
      : { mechanism: CKM.ECDSA_SHA256 };
    await this.#cryptoki.C_SignInit(this.#session, mechanism, this.#handles.get(key.id) ?? 0, { signal: this.signal });
    await between();
    await this.#consent(key);
    const signature = await this.#cryptoki.C_Sign(this.#session, message, { signal: this.signal });
    const padding = rsa && pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {};
    const right = verify("sha256", message, { key: key.publicKey, dsaEncoding: "ieee-p1363", ...padding }, signature);
    if (!right) throw new WrongResult("a signature of another key");
  }

  async decrypt(key: KnownKey, oaep: boolean, between: Between): Promise<void> {
    const message = new Uint8Array(randomBytes(32));
    const ciphertext = publicEncrypt(
      oaep ? { key: key.publicKey, oaepHash: "sha256" } : { key: key.publicKey, padding: constants.RSA_PKCS1_PADDING },
      message,
    );
    const mechanism: CK_MECHANISM = oaep ? OAEP : { mechanism: CKM.RSA_PKCS };
    await this.#cryptoki.C_DecryptInit(this.#session, mechanism, this.#handles.get(key.id) ?? 0, {
      signal: this.signal,
    });
    await between();
    await this.#consent(key);
    if (!equalBytes(await this.#cryptoki.C_Decrypt(this.#session, ciphertext, { signal: this.signal }), message))
      throw new WrongResult("another plaintext");
  }

  async agree(key: KnownKey, between: Between): Promise<void> {
    const peer = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const point = peer.publicKey.export({ format: "der", type: "spki" }).subarray(-65);
    const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: point } };
    const handle = this.#handles.get(key.id) ?? 0;
    const secret = await this.#cryptoki.C_DeriveKey(this.#session, mechanism, handle, SECRET, { signal: this.signal });
    await between();
    const { [CKA.VALUE]: value } = await this.#cryptoki.C_GetAttributeValue(this.#session, secret, [CKA.VALUE], {
      signal: this.signal,
    });
    await this.#cryptoki.C_DestroyObject(this.#session, secret);
    const expected = diffieHellman({ privateKey: peer.privateKey, publicKey: key.publicKey });
    if (!equalBytes(value, expected)) throw new WrongResult("another secret");
  }

  async readPrivateData(between: Between): Promise<void> {
    const { privateData } = this.#token;
    if (!privateData) return;
    const handle = await this.#find({ [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: privateData.label });
    await between();
    const { [CKA.VALUE]: value } = await this.#cryptoki.C_GetAttributeValue(this.#session, handle, [CKA.VALUE], {
      signal: this.signal,
    });
    if (!equalBytes(value, privateData.value)) throw new WrongResult(`${privateData.label}: ${toHex(value)}`);
  }

  async loginAgain(between: Between): Promise<void> {
    await this.#cryptoki.C_Logout(this.#session);
    await between();
    await this.#cryptoki.C_Login(this.#session, CKU.USER, this.#token.pin, { signal: this.signal });
    await between();
    await this.#findKeys();
  }
}

/** What is read from a card without its PIN. */
export interface PublicContents {
  /** Certificates of all tokens, hexadecimal, sorted. */
  readonly certificates: readonly string[];
  /** UpdateCount of each token, hexadecimal. */
  readonly updateCounts: readonly string[];
}

/** Reads the card as a program that has just started does: nothing is known of it yet. */
export async function readAsNewProgram(between: Between): Promise<PublicContents> {
  await using pcsc = new Pcscd({ patience: 600_000 });
  const cryptoki = new Cryptoki({ pcsc, profiles });
  await cryptoki.C_Initialize();
  try {
    const certificates: string[] = [];
    const updateCounts: string[] = [];
    await between();
    for (const slot of await cryptoki.C_GetSlotList(true)) {
      const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
      const values = async (template: Parameters<Cryptoki["C_FindObjectsInit"]>[1]): Promise<string[]> => {
        await cryptoki.C_FindObjectsInit(session, template);
        const found = await cryptoki.C_FindObjects(session, 100);
        await cryptoki.C_FindObjectsFinal(session);
        const read = [];
        for (const handle of found) {
          await between();
          read.push(toHex((await cryptoki.C_GetAttributeValue(session, handle, [CKA.VALUE]))[CKA.VALUE]));
        }
        return read;
      };
      certificates.push(...(await values({ [CKA.CLASS]: CKO.CERTIFICATE })));
      updateCounts.push(...(await values({ [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "UpdateCount" })));
    }
    return { certificates: certificates.sort(), updateCounts };
  } finally {
    await cryptoki.C_Finalize();
  }
}
