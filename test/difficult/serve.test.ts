import {
  constants,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  verify,
  X509Certificate,
} from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKD, CKF, CKM, CKO, CKS, CKU, Cryptoki, CryptokiError, type Template } from "../../src/cryptoki/index.ts";
import { P11KitModule, P11KitServer } from "../../src/p11kit/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { first, READER } from "../cryptoki/rig.ts";
import { CASES, type Case, stepOf } from "./matrix.ts";
import type { Subject, SubjectKey, Use } from "./subjects.ts";

const MESSAGE = utf8("an important letter");
const WRONG = "271828";
const P_256 = fromHex("06082a8648ce3d030107");

/** What is closed at the end, in order. */
type Ends = readonly (() => Promise<void>)[];

/** A client of a server that has the card in its reader. */
class Client implements AsyncDisposable {
  readonly subject: Subject;
  readonly module: P11KitModule;
  readonly session: number;
  readonly slot: number;
  readonly #outcome: Case["outcome"];
  readonly #ends: Ends;
  readonly #peer = generateKeyPairSync("ec", { namedCurve: "P-256" });

  private constructor(
    subject: Subject,
    outcome: Case["outcome"],
    module: P11KitModule,
    slot: number,
    session: number,
    ends: Ends,
  ) {
    this.subject = subject;
    this.#outcome = outcome;
    this.module = module;
    this.slot = slot;
    this.session = session;
    this.#ends = ends;
  }

  static async connect(subject: Subject, outcome: Case["outcome"]): Promise<Client> {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, subject.card);
    const folder = await mkdtemp(path.join(tmpdir(), "difficult-"));
    const pcsc = readers.client({ patience: 300 });
    const options = { pcsc, profiles: [piv, pkcs15], unlockBy: ["C_SetPIN"], keepPin: true } as const;
    const server = await P11KitServer.listen(path.join(folder, "private", "socket"), {
      application: () => new Cryptoki(options),
    });
    const module = new P11KitModule({ address: server.address ?? "" });
    const ends: Ends = [
      () => module[Symbol.asyncDispose](),
      () => server[Symbol.asyncDispose](),
      () => pcsc.close(),
      () => rm(folder, { recursive: true, force: true }),
    ];
    await module.C_Initialize();
    for (const slot of await module.C_GetSlotList(true)) {
      const { label } = await module.C_GetTokenInfo(slot);
      if (subject.tokenLabel !== undefined && label.trim() !== subject.tokenLabel) continue;
      const session = await module.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
      return new Client(subject, outcome, module, slot, session, ends);
    }
    throw new Error("no token");
  }

  login(pin: string, user: CKU = CKU.USER): Promise<void> {
    return this.module.C_Login(this.session, user, pin);
  }

  async find(template: Template): Promise<number[]> {
    await this.module.C_FindObjectsInit(this.session, template);
    const found = await this.module.C_FindObjects(this.session, 100);
    await this.module.C_FindObjectsFinal(this.session);
    return found;
  }

  /** CKA_IDs of the objects of a class. */
  async list(objectClass: CKO): Promise<string[]> {
    const ids = new Set<string>();
    for (const object of await this.find({ [CKA.CLASS]: objectClass })) {
      ids.add(toHex((await this.module.C_GetAttributeValue(this.session, object, [CKA.ID]))[CKA.ID]));
    }
    return [...ids].sort();
  }

  /** Certificate 01. */
  async certificate(): Promise<X509Certificate> {
    const object = first(await this.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(1) }));
    return new X509Certificate((await this.module.C_GetAttributeValue(this.session, object, [CKA.VALUE]))[CKA.VALUE]);
  }

  /** Reads the public keys, as programs do that list them. */
  async readPublicKeys(): Promise<void> {
    for (const object of await this.find({ [CKA.CLASS]: CKO.PUBLIC_KEY })) {
      await this.module.C_GetAttributeValue(this.session, object, [CKA.PUBLIC_KEY_INFO]);
    }
  }

  /** Uses a key: "done" where the host finds the result right, otherwise the name of the error. */
  async use(key: SubjectKey, use: Use, pin: string): Promise<string> {
    try {
      return await this.#use(key, use, pin);
    } catch (error) {
      if (error instanceof CryptokiError) return error.code;
      throw error;
    }
  }

  async #use({ id, key, hash = "sha256" }: SubjectKey, use: Use, pin: string): Promise<string> {
    const { module, session } = this;
    const [object] = await this.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: fromHex(id) });
    if (object === undefined) return "no key";
    const publicKey = createPublicKey(key);
    const always = await module.C_GetAttributeValue(session, object, [CKA.ALWAYS_AUTHENTICATE]);
    const given = async (): Promise<void> => {
      if (always[CKA.ALWAYS_AUTHENTICATE] || this.#outcome.wantsPinUnsaid) await this.login(pin, CKU.CONTEXT_SPECIFIC);
    };
    const done = (right: boolean): string => (right ? "done" : "wrong result");
    if (use === "sign") {
      const ecdsa = hash === "sha1" ? CKM.ECDSA_SHA1 : CKM.ECDSA_SHA256;
      const mechanism = key.asymmetricKeyType === "rsa" ? CKM.SHA256_RSA_PKCS : ecdsa;
      await module.C_SignInit(session, { mechanism }, object);
      await given();
      const signature = await module.C_Sign(session, MESSAGE);
      return done(verify(hash, MESSAGE, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature));
    }
    if (use === "decrypt") {
      const secret = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, MESSAGE);
      await module.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, object);
      await given();
      return done(toHex(await module.C_Decrypt(session, new Uint8Array(secret))) === toHex(MESSAGE));
    }
    const { x = "", y = "" } = this.#peer.publicKey.export({ format: "jwk" });
    const point = Uint8Array.from([0x04, ...Buffer.from(x, "base64url"), ...Buffer.from(y, "base64url")]);
    const secret = await module.C_DeriveKey(
      session,
      { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: point } },
      object,
      { [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true },
    );
    const { [CKA.VALUE]: value } = await module.C_GetAttributeValue(session, secret, [CKA.VALUE]);
    return done(diffieHellman({ privateKey: this.#peer.privateKey, publicKey }).equals(value));
  }

  /** Every use of every key has its outcome, and none costs the login. */
  async useAll(pin: string): Promise<void> {
    const { fails = [], absent = [], isTouchMissed, wantsPinUnsaid } = this.#outcome;
    for (const key of this.subject.keys) {
      for (const [index, use] of key.uses.entries()) {
        const name = `${use} ${key.id}: `;
        if (isTouchMissed && index === 0 && !absent.includes(key.id)) {
          expect(name + (await this.use(key, use, pin))).toBe(`${name}CKR_FUNCTION_REJECTED`);
        }
        const right = absent.includes(key.id)
          ? "no key"
          : fails.includes(stepOf(key, use))
            ? "CKR_DEVICE_ERROR"
            : wantsPinUnsaid && use === "derive"
              ? "CKR_FUNCTION_REJECTED"
              : "done";
        expect(name + (await this.use(key, use, pin))).toBe(name + right);
        expect(await this.module.C_GetSessionInfo(this.session)).toMatchObject({ state: CKS.RW_USER_FUNCTIONS });
      }
    }
  }

  /** Makes a key pair, and signs with it. */
  async generate(): Promise<string> {
    const { module, session, subject } = this;
    const id = subject.newId === undefined ? {} : { [CKA.ID]: Uint8Array.of(subject.newId) };
    try {
      if (subject.officer !== undefined) {
        await module.C_Logout(session);
        await this.login(subject.officer, CKU.SO);
      }
      const pair = await module.C_GenerateKeyPair(
        session,
        { mechanism: CKM.EC_KEY_PAIR_GEN },
        { [CKA.TOKEN]: true, [CKA.EC_PARAMS]: P_256, ...id },
        { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.SIGN]: true, ...id },
      );
      const values = await module.C_GetAttributeValue(session, pair.publicKey, [CKA.EC_POINT, CKA.ID]);
      expect(values[CKA.EC_POINT]).toHaveLength(67);
      return "done";
    } catch (error) {
      if (error instanceof CryptokiError) return error.code;
      throw error;
    }
  }

  async flags(): Promise<number> {
    return (await this.module.C_GetTokenInfo(this.slot)).flags;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end();
  }
}

const LOW = CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED;

describe.each([...CASES])("a client of the server, with $deviation on $kind", ({ outcome, make }) => {
  test("lists, uses and makes keys, and changes, blocks and unblocks the PIN", async () => {
    const subject = await make();
    await using client = await Client.connect(subject, outcome);
    const { module, session } = client;
    const ids = subject.keys.map(({ id }) => id);
    await client.login(subject.pin);
    expect(await client.list(CKO.PRIVATE_KEY)).toEqual(outcome.listed ?? ids);
    if (outcome.certificates) expect(await client.list(CKO.CERTIFICATE)).toEqual(outcome.certificates);
    const { serialNumber } = await module.C_GetTokenInfo(client.slot);
    if (outcome.serialNumber) expect(serialNumber.trim()).toMatch(outcome.serialNumber);
    await client.readPublicKeys();
    if (outcome.certificates?.includes("01") !== false) {
      expect((await client.certificate()).checkPrivateKey(first(subject.keys).key)).toBe(true);
    }
    await client.useAll(subject.pin);
    expect((await client.flags()) & LOW).toBe(0);

    expect(await client.generate()).toBe(outcome.fails?.includes("generate") ? "CKR_DEVICE_ERROR" : "done");
    if (subject.officer !== undefined) {
      await module.C_Logout(session).catch((error: unknown) => {
        expect(error).toMatchObject({ code: "CKR_USER_NOT_LOGGED_IN" });
      });
      await client.login(subject.pin);
    }

    await module.C_SetPIN(session, subject.pin, subject.newPin);
    await module.C_Logout(session);
    const { blocked = { name: "CKR_PIN_LOCKED", tries: 0 }, tries } = outcome;
    const names = [...Array.from({ length: (tries ?? 3) - 1 }, () => "CKR_PIN_INCORRECT"), blocked.name];
    for (const name of [...names, "CKR_PIN_LOCKED"]) {
      await expect(client.login(WRONG)).rejects.toMatchObject({ code: name });
    }
    await module.C_SetPIN(session, subject.puk, subject.pin);
    await client.login(subject.pin);
    expect((await client.flags()) & LOW).toBe(0);
    expect(await client.list(CKO.PRIVATE_KEY)).toEqual(expect.arrayContaining([...(outcome.listed ?? ids)]));
  });
});
