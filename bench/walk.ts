/**
 * Does one piece of work with this project's library, and nothing besides: what walk.cpp does with a PKCS#11 module, call
 * by call. See there for the command line and the lines printed.
 */
import { createInterface } from "node:readline";
import { fromHex, toHex } from "../src/bytes/index.ts";
import {
  CKA,
  CKF,
  CKM,
  CKO,
  CKU,
  Cryptoki,
  CryptokiError,
  Pcscd,
  profiles,
  type Template,
  type ValueOf,
} from "../src/index.ts";

const lines = createInterface(process.stdin)[Symbol.asyncIterator]();

/** Ends a step: says so, and waits to be told to go on. */
async function done(detail: string): Promise<void> {
  process.stdout.write(`done ${detail}\n`);
  await lines.next();
}

class Walk {
  readonly #cryptoki: Cryptoki;

  constructor(cryptoki: Cryptoki) {
    this.#cryptoki = cryptoki;
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
      case "read":
        await this.#read(fromHex(id));
        break;
      case "sign":
        await this.#sign(fromHex(id), Number(second), fromHex(input), Number(times));
        break;
      case "generate":
        await this.#generate(fromHex(id), Number(second));
        break;
      default:
        throw new Error(`no such work: ${work ?? "none"}`);
    }
    await this.#cryptoki.C_Finalize();
  }

  async #list(): Promise<void> {
    const { label } = await this.#cryptoki.C_GetTokenInfo(await this.#firstSlot());
    await done(label);
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
    await done(seen.join(" "));
  }

  async #read(id: Uint8Array): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION);
    const value = await this.#attribute(session, await this.#findOne(session, CKO.CERTIFICATE, id), CKA.VALUE);
    await done(toHex(value ?? new Uint8Array()));
  }

  async #sign(id: Uint8Array, mechanism: number, data: Uint8Array, times: number): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION);
    await this.#login(session, CKU.USER, "BENCH_PIN");
    const key = await this.#findOne(session, CKO.PRIVATE_KEY, id);
    const always = (await this.#attribute(session, key, CKA.ALWAYS_AUTHENTICATE)) === true;
    for (let turn = 0; turn < times; turn++) {
      await this.#cryptoki.C_SignInit(session, { mechanism }, key);
      if (always) await this.#login(session, CKU.CONTEXT_SPECIFIC, "BENCH_PIN");
      await done(toHex(await this.#cryptoki.C_Sign(session, data)));
    }
  }

  async #generate(id: Uint8Array, bits: number): Promise<void> {
    const session = await this.#openSession(CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await this.#login(session, CKU.SO, "BENCH_SO_PIN");
    await this.#cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.MODULUS_BITS]: bits, [CKA.ID]: id },
      { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.ID]: id },
    );
    await done("");
  }

  async #firstSlot(): Promise<number> {
    const [slot] = await this.#cryptoki.C_GetSlotList(true);
    if (slot === undefined) throw new Error("C_GetSlotList no token");
    return slot;
  }

  async #openSession(flags: number): Promise<number> {
    return this.#cryptoki.C_OpenSession(await this.#firstSlot(), flags);
  }

  async #login(session: number, user: number, variable: string): Promise<void> {
    await this.#cryptoki.C_Login(session, user, process.env[variable] ?? "");
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

const pcsc = new Pcscd();
try {
  await new Walk(new Cryptoki({ pcsc, profiles })).run(process.argv.slice(2));
} catch (error) {
  process.stdout.write(`refused ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  process.stdin.destroy();
  await pcsc.close();
}
