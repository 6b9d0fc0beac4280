/** One piece of work with this project's library, call by call as walk.cpp does it with a PKCS #11 module. */
import { parseCertificate } from "../src/asn1/index.ts";
import { fromHex, toHex, utf8 } from "../src/bytes/index.ts";
import {
  CKA,
  CKC,
  CKF,
  CKM,
  CKO,
  CKU,
  type CryptokiFunctions,
  CryptokiError,
  mechanismOf,
  type Template,
  type ValueOf,
} from "../src/index.ts";

export interface WalkOptions {
  /** Ends a step, with its result as walk.cpp prints it. */
  readonly done: (detail: string) => Promise<void>;
  readonly pin: string;
  /** Of the security officer; only `generate` needs it. */
  readonly soPin?: string;
}

/** What `attributes` reads of an object of a class, in this order. */
const ATTRIBUTES: Readonly<Record<number, readonly CKA[]>> = {
  [CKO.CERTIFICATE]: [CKA.SUBJECT, CKA.VALUE],
  [CKO.PUBLIC_KEY]: [
    CKA.KEY_TYPE,
    CKA.ENCRYPT,
    CKA.VERIFY,
    CKA.MODULUS,
    CKA.PUBLIC_EXPONENT,
    CKA.EC_PARAMS,
    CKA.EC_POINT,
  ],
  [CKO.PRIVATE_KEY]: [CKA.KEY_TYPE, CKA.DECRYPT, CKA.SIGN, CKA.DERIVE, CKA.ALWAYS_AUTHENTICATE, CKA.MODULUS],
};

/** Its `run` takes the words of walk.cpp's command line; see there. Beyond them it can decrypt and write. */
export class Walk {
  readonly #cryptoki: CryptokiFunctions;
  readonly #options: WalkOptions;

  constructor(cryptoki: CryptokiFunctions, options: WalkOptions) {
    this.#cryptoki = cryptoki;
    this.#options = options;
  }

  async run([work, ...args]: readonly string[]): Promise<void> {
    const [id = "", second = "", input = "", times = ""] = args;
    await this.#cryptoki.C_Initialize();
    switch (work) {
      case "list":
        await this.#list();
        break;
      case "objects":
        await this.#objects();
        break;
      case "attributes":
        await this.#attributes();
        break;
      case "read":
        await this.#read(fromHex(id));
        break;
      case "sign":
        await this.#sign(fromHex(id), Number(second), fromHex(input), Number(times));
        break;
      case "generate":
        await this.#generate(fromHex(id), Number(second));
        break;
      case "decrypt":
        await this.#decrypt(fromHex(id), Number(second), fromHex(input), Number(times));
        break;
      case "make":
      case "import":
      case "delete":
        await this.#write(work, fromHex(id), fromHex(second));
        break;
      default:
        throw new Error(`no such work: ${work ?? "none"}`);
    }
    await this.#cryptoki.C_Finalize();
  }

  async #list(): Promise<void> {
    const { label } = await this.#cryptoki.C_GetTokenInfo(await this.#firstSlot());
    await this.#options.done(label);
  }

  async #objects(): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION);
    const seen = [];
    for (const object of await this.#find(session, {})) {
      const objectClass = await this.#attribute(session, object, CKA.CLASS);
      const label = await this.#attribute(session, object, CKA.LABEL);
      const id = await this.#attribute(session, object, CKA.ID);
      if (objectClass === CKO.CERTIFICATE) await this.#attribute(session, object, CKA.CERTIFICATE_TYPE);
      if (objectClass === CKO.PUBLIC_KEY || objectClass === CKO.PRIVATE_KEY) {
        await this.#attribute(session, object, CKA.KEY_TYPE);
      }
      seen.push(`${objectClass ?? ""}:${toHex(id ?? new Uint8Array())}:${label === undefined ? "-" : "+"}`);
    }
    await this.#options.done(seen.join(" "));
  }

  /** An attribute that an object does not have is "-". */
  async #attributes(): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION);
    await this.#login(session, CKU.USER, this.#options.pin);
    const seen = [];
    for (const object of await this.#find(session, {})) {
      const objectClass = await this.#attribute(session, object, CKA.CLASS);
      const fields = [];
      for (const type of [CKA.ID, CKA.LABEL, ...(ATTRIBUTES[objectClass ?? -1] ?? [])]) {
        fields.push(textOf(await this.#attribute(session, object, type)));
      }
      seen.push([objectClass, ...fields].join(":"));
    }
    await this.#options.done(seen.join(" "));
  }

  async #read(id: Uint8Array): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION);
    const value = await this.#attribute(session, await this.#findOne(session, CKO.CERTIFICATE, id), CKA.VALUE);
    await this.#options.done(toHex(value ?? new Uint8Array()));
  }

  async #sign(id: Uint8Array, mechanism: number, data: Uint8Array, times: number): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION);
    await this.#login(session, CKU.USER, this.#options.pin);
    const key = await this.#findOne(session, CKO.PRIVATE_KEY, id);
    const always = (await this.#attribute(session, key, CKA.ALWAYS_AUTHENTICATE)) === true;
    for (let turn = 0; turn < times; turn++) {
      await this.#cryptoki.C_SignInit(session, mechanismOf(mechanism), key);
      if (always) await this.#login(session, CKU.CONTEXT_SPECIFIC, this.#options.pin);
      await this.#options.done(toHex(await this.#cryptoki.C_Sign(session, data)));
    }
  }

  async #generate(id: Uint8Array, bits: number): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await this.#login(session, CKU.SO, this.#options.soPin ?? "");
    await this.#cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.MODULUS_BITS]: bits, [CKA.ID]: id },
      { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.ID]: id },
    );
    await this.#options.done("");
  }

  async #decrypt(id: Uint8Array, mechanism: number, data: Uint8Array, times: number): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION);
    await this.#login(session, CKU.USER, this.#options.pin);
    const key = await this.#findOne(session, CKO.PRIVATE_KEY, id);
    for (let turn = 0; turn < times; turn++) {
      await this.#cryptoki.C_DecryptInit(session, mechanismOf(mechanism), key);
      await this.#options.done(toHex(await this.#cryptoki.C_Decrypt(session, data)));
    }
  }

  /** One change by the user, whose login is a step of its own. @param certificate For an import, DER. */
  async #write(work: "make" | "import" | "delete", id: Uint8Array, certificate: Uint8Array): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await this.#login(session, CKU.USER, this.#options.pin);
    const old = work === "delete" ? await this.#findOne(session, CKO.CERTIFICATE, id) : 0;
    await this.#options.done("ready");
    const common = { [CKA.TOKEN]: true, [CKA.ID]: id, [CKA.LABEL]: "new" } as const;
    if (work === "delete") await this.#cryptoki.C_DestroyObject(session, old);
    if (work === "make") {
      await this.#cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.EC_KEY_PAIR_GEN },
        { ...common, [CKA.EC_PARAMS]: fromHex("06082a8648ce3d030107") },
        { ...common, [CKA.PRIVATE]: true },
      );
    }
    if (work === "import") {
      await this.#cryptoki.C_CreateObject(session, {
        ...common,
        [CKA.CLASS]: CKO.CERTIFICATE,
        [CKA.CERTIFICATE_TYPE]: CKC.X_509,
        [CKA.SUBJECT]: parseCertificate(certificate).subject,
        [CKA.VALUE]: certificate,
      });
    }
    await this.#options.done("done");
  }

  async #firstSlot(): Promise<number> {
    const [slot] = await this.#cryptoki.C_GetSlotList(true);
    if (slot === undefined) throw new Error("C_GetSlotList no token");
    return slot;
  }

  async #openSession(flags: number): Promise<number> {
    return this.#cryptoki.C_OpenSession(await this.#firstSlot(), flags);
  }

  async #login(session: number, user: number, pin: string): Promise<void> {
    await this.#cryptoki.C_Login(session, user, pin);
  }

  async #find(session: number, template: Template): Promise<readonly number[]> {
    await this.#cryptoki.C_FindObjectsInit(session, template);
    const found = await this.#cryptoki.C_FindObjects(session, 256);
    await this.#cryptoki.C_FindObjectsFinal(session);
    return found;
  }

  async #findOne(session: number, objectClass: number, id: Uint8Array): Promise<number> {
    const [found] = await this.#find(session, { [CKA.CLASS]: objectClass, [CKA.ID]: id });
    if (found === undefined) throw new Error("C_FindObjects nothing found");
    return found;
  }

  /** Undefined if the object has none. */
  async #attribute<Type extends CKA>(session: number, object: number, type: Type): Promise<ValueOf<Type> | undefined> {
    try {
      return (await this.#cryptoki.C_GetAttributeValue(session, object, [type]))[type];
    } catch (error) {
      if (error instanceof CryptokiError) return undefined;
      throw error;
    }
  }
}

/** As walk.cpp prints a value: numbers in decimal, everything else in hexadecimal. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return value.length > 0 ? toHex(value) : "-";
  if (typeof value === "string") return value === "" ? "-" : toHex(utf8(value));
  if (typeof value === "boolean") return value ? "01" : "00";
  return typeof value === "number" ? String(value) : "-";
}
