import { constants, createECDH, type KeyObject, publicEncrypt, verify } from "node:crypto";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import {
  CKA,
  CKD,
  CKF,
  CKK,
  CKM,
  CKO,
  CKR,
  CKS,
  CKU,
  Cryptoki,
  CryptokiError,
  type Template,
} from "../../src/cryptoki/index.ts";
import type { Pcsc } from "../../src/pcsc/index.ts";
import { digest } from "../../src/crypto/index.ts";
import type { Subject, TestedKey } from "./subject.ts";

const MESSAGE = utf8("what the card signs");
const PLAINTEXT = utf8("what the card deciphers");

const MECHANISM = {
  rsa: { sha1: CKM.SHA1_RSA_PKCS, sha256: CKM.SHA256_RSA_PKCS },
  ec: { sha1: CKM.ECDSA_SHA1, sha256: CKM.ECDSA_SHA256 },
} as const;

/** An object as a search shows it: class, label and CKA_ID, and the beginning of its value's hash. */
export type ShownObject = string;

/** An application: calls the C_ functions, all with the same signal. */
export class Caller implements AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly #subject: Subject;
  #stop = new AbortController();
  #session: number | undefined;

  constructor(pcsc: Pcsc, subject: Subject) {
    this.cryptoki = new Cryptoki({ pcsc, profiles: subject.profiles });
    this.#subject = subject;
  }

  /** Of the call under way. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  abort(): void {
    this.#stop.abort();
  }

  /** The next calls are not aborted any more. */
  renewSignal(): void {
    if (this.signal.aborted) this.#stop = new AbortController();
  }

  async slot(): Promise<number> {
    const [slot] = await this.cryptoki.C_GetSlotList(true, { signal: this.signal });
    if (slot === undefined) throw new Error("no token");
    return slot;
  }

  /** Names of all tokens, as lists of tokens have them. */
  async tokens(): Promise<string> {
    const names: string[] = [];
    for (const slot of await this.cryptoki.C_GetSlotList(true, { signal: this.signal })) {
      const { label, serialNumber, model } = await this.cryptoki.C_GetTokenInfo(slot, { signal: this.signal });
      names.push(`${label}|${serialNumber}|${model}`);
    }
    return names.join("\n");
  }

  /** The session opened last, or a new one if that has ended. */
  async session(): Promise<number> {
    if (this.#session !== undefined) {
      try {
        await this.cryptoki.C_GetSessionInfo(this.#session);
        return this.#session;
      } catch (error) {
        if (!(error instanceof CryptokiError)) throw error;
      }
    }
    const slot = await this.slot();
    const flags = CKF.SERIAL_SESSION | CKF.RW_SESSION;
    return (this.#session = await this.cryptoki.C_OpenSession(slot, flags, { signal: this.signal }));
  }

  async login(pin: string): Promise<void> {
    await this.cryptoki.C_Login(await this.session(), CKU.USER, pin, { signal: this.signal });
  }

  /** Logs the user in, who may be logged in already; an officer leaves first. */
  async ensureLogin(pin: string): Promise<void> {
    try {
      await this.login(pin);
    } catch (error) {
      if (!(error instanceof CryptokiError)) throw error;
      if (error.code === "CKR_USER_ALREADY_LOGGED_IN") return;
      if (error.code !== "CKR_USER_ANOTHER_ALREADY_LOGGED_IN") throw error;
      await this.cryptoki.C_Logout(await this.session());
      await this.login(pin);
    }
  }

  async find(template: Template): Promise<number[]> {
    const session = await this.session();
    await this.cryptoki.C_FindObjectsInit(session, template, { signal: this.signal });
    const found: number[] = [];
    try {
      for (;;) {
        // A search that stopped before something it could not read says what that was at the next call.
        const more = await this.cryptoki.C_FindObjects(session, 100, { signal: this.signal });
        if (more.length === 0) return found;
        found.push(...more);
      }
    } finally {
      await this.cryptoki.C_FindObjectsFinal(session).catch(() => undefined);
    }
  }

  /** All objects of the token. */
  async objects(): Promise<readonly ShownObject[]> {
    const session = await this.session();
    const shown: string[] = [];
    for (const handle of await this.find({ [CKA.TOKEN]: true })) {
      const attributes = await this.cryptoki.C_GetAttributeValue(session, handle, [CKA.CLASS, CKA.LABEL], {
        signal: this.signal,
      });
      const { [CKA.CLASS]: type, [CKA.LABEL]: label } = attributes;
      const identified = type === CKO.CERTIFICATE || type === CKO.PUBLIC_KEY || type === CKO.PRIVATE_KEY;
      const id = identified
        ? toHex((await this.cryptoki.C_GetAttributeValue(session, handle, [CKA.ID], { signal: this.signal }))[CKA.ID])
        : "";
      shown.push(`${type} ${label} ${id}`);
    }
    return shown;
  }

  /** The values of all certificates, by hash. */
  async certificates(): Promise<string> {
    const session = await this.session();
    const hashes: string[] = [];
    for (const handle of await this.find({ [CKA.CLASS]: CKO.CERTIFICATE })) {
      const { [CKA.VALUE]: value } = await this.cryptoki.C_GetAttributeValue(session, handle, [CKA.VALUE], {
        signal: this.signal,
      });
      hashes.push(toHex(digest("sha256", value)).slice(0, 16));
    }
    return hashes.join(" ");
  }

  async handle(objectClass: number, id: Uint8Array): Promise<number> {
    const [handle] = await this.find({ [CKA.CLASS]: objectClass, [CKA.ID]: id });
    if (handle !== undefined) return handle;
    // A search that meets a card that has forgotten the PIN finds what is public, and the session tells that the login has ended.
    const { state } = await this.cryptoki.C_GetSessionInfo(await this.session());
    if (state === CKS.RW_PUBLIC_SESSION) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
    throw new Error(`no object of class ${objectClass} with CKA_ID ${toHex(id)}`);
  }

  privateKey({ id }: TestedKey): Promise<number> {
    return this.handle(CKO.PRIVATE_KEY, id);
  }

  async sign(key: TestedKey, handle?: number): Promise<string> {
    const session = await this.session();
    const rsa = key.privateKey.asymmetricKeyType === "rsa";
    const mechanism = { mechanism: MECHANISM[rsa ? "rsa" : "ec"][key.hash] };
    await this.cryptoki.C_SignInit(session, mechanism, handle ?? (await this.privateKey(key)), { signal: this.signal });
    const signature = await this.cryptoki.C_Sign(session, MESSAGE, { signal: this.signal });
    const publicKey = { key: key.publicKey, dsaEncoding: "ieee-p1363" } as const;
    return verify(key.hash, MESSAGE, publicKey, signature) ? "right signature" : "wrong signature";
  }

  async decrypt(key: TestedKey, handle?: number): Promise<string> {
    const session = await this.session();
    const ciphertext = publicEncrypt({ key: key.publicKey, padding: constants.RSA_PKCS1_PADDING }, PLAINTEXT);
    const mechanism = { mechanism: CKM.RSA_PKCS };
    await this.cryptoki.C_DecryptInit(session, mechanism, handle ?? (await this.privateKey(key)), {
      signal: this.signal,
    });
    const plaintext = await this.cryptoki.C_Decrypt(session, ciphertext, { signal: this.signal });
    return Buffer.from(plaintext).equals(PLAINTEXT) ? "right plaintext" : "wrong plaintext";
  }

  async derive(key: TestedKey, handle?: number): Promise<string> {
    const session = await this.session();
    const peer = createECDH("prime256v1");
    const parameter = { kdf: CKD.NULL, pPublicData: new Uint8Array(peer.generateKeys()) };
    const template = {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.SENSITIVE]: false,
      [CKA.EXTRACTABLE]: true,
    };
    const secret = await this.cryptoki.C_DeriveKey(
      session,
      { mechanism: CKM.ECDH1_DERIVE, parameter },
      handle ?? (await this.privateKey(key)),
      template,
      { signal: this.signal },
    );
    const { [CKA.VALUE]: value } = await this.cryptoki.C_GetAttributeValue(session, secret, [CKA.VALUE]);
    return peer.computeSecret(pointOf(key.publicKey)).equals(value) ? "right secret" : "wrong secret";
  }

  /** Uses each of the subject's keys. */
  async useKeys(): Promise<string> {
    const { sign, decrypt, derive } = this.#subject.keys;
    const results: string[] = [];
    for (const key of sign) results.push(await this.sign(key));
    if (decrypt) results.push(await this.decrypt(decrypt));
    if (derive) results.push(await this.derive(derive));
    return results.join(", ");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cryptoki[Symbol.asyncDispose]();
  }
}

function pointOf(publicKey: KeyObject): Uint8Array {
  // The uncompressed point of P-256 ends the SubjectPublicKeyInfo.
  return publicKey.export({ format: "der", type: "spki" }).subarray(-65);
}
