import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU } from "../../src/cryptoki/index.ts";
import { SCARD_DISPOSITION } from "../../src/pcsc/index.ts";
import { TokenCrypto } from "../../src/webcrypto/index.ts";
import { PIN, READER, rig } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { exception, id, opened } from "./opened.ts";

const MESSAGE = utf8("what the card signs");
const PKCS1 = "RSASSA-PKCS1-v1_5";
const ECDSA = { name: "ECDSA", hash: "SHA-256" };
const isVerify = (command: string): boolean => /^..20/u.test(command) && command.length > 10;

describe("the PIN", () => {
  test("is asked for once, when something wants it", async () => {
    await using card = await opened(await testCard());
    const { subtle, keyStorage, certStorage } = card.crypto;
    const [certificate] = await certStorage.list();
    await certificate?.der();
    await keyStorage.list("public");
    await keyStorage.publicKey({ id: id(1), algorithm: { name: "RSA-PSS", hash: "SHA-512" } });
    expect(card.asked).toEqual([]);
    const key = await keyStorage.privateKey({ id: id(1) });
    const signing = Array.from({ length: 20 }, () => subtle.sign(PKCS1, key, MESSAGE));
    expect(new Set((await Promise.all(signing)).map((one) => Buffer.from(one).toString("hex"))).size).toBe(1);
    await keyStorage.list();
    expect(card.purposes).toEqual(["login"]);
    expect(card.rig.commands.filter(isVerify)).toHaveLength(1);
  });

  test("is not asked for by a key that wants none", async () => {
    await using card = await opened(await testCard());
    const key = await card.crypto.keyStorage.privateKey({ id: id(4) });
    await card.crypto.subtle.sign(ECDSA, key, MESSAGE);
    expect(card.asked).toEqual([]);
  });

  test("is asked for at each use of a key that wants it so, however many are waiting", async () => {
    await using card = await opened(await testCard());
    const key = await card.crypto.keyStorage.privateKey({ id: id(2) });
    await Promise.all(Array.from({ length: 5 }, () => card.crypto.subtle.sign(ECDSA, key, MESSAGE)));
    expect(card.purposes).toEqual(["login", "use", "use", "use", "use", "use"]);
  });

  test("is never tried again when it was wrong, until the program says so", async () => {
    await using card = await opened(await testCard(), { answer: "654321" });
    const { keyStorage } = card.crypto;
    const refused = exception("OperationError", "PIN_INCORRECT");
    const finding = Array.from({ length: 5 }, () => keyStorage.privateKey({ id: id(1) }));
    const outcomes = await Promise.allSettled(finding);
    expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
    expect(outcomes[0]).toMatchObject({ reason: refused });
    await expect(keyStorage.privateKey({ id: id(1) })).rejects.toMatchObject(refused);
    await expect(keyStorage.list()).rejects.toMatchObject(refused);
    expect(card.purposes).toEqual(["login"]);
    await expect(card.crypto.login()).rejects.toMatchObject(refused);
    expect(card.purposes).toEqual(["login", "login"]);
    expect(card.rig.commands.filter(isVerify)).toHaveLength(2);
  });

  test("wrong for one use stops the others, and leaves no operation behind", async () => {
    const answers = [PIN, "654321"];
    await using made = await rig(await testCard());
    await using crypto = await TokenCrypto.open({ cryptoki: made.cryptoki, pin: () => answers.shift() ?? PIN });
    const key = await crypto.keyStorage.privateKey({ id: id(2) });
    const signing = Array.from({ length: 3 }, () => crypto.subtle.sign(ECDSA, key, MESSAGE));
    for (const outcome of await Promise.allSettled(signing)) {
      expect(outcome).toMatchObject({ reason: exception("OperationError", "PIN_INCORRECT") });
    }
    expect(made.commands.filter(isVerify)).toHaveLength(2);
    await crypto.login();
    expect((await crypto.subtle.sign(ECDSA, key, MESSAGE)).byteLength).toBe(64);
  });

  test("can be declined, which fails what wanted it and nothing later", async () => {
    let declined = true;
    await using made = await rig(await testCard());
    await using crypto = await TokenCrypto.open({
      cryptoki: made.cryptoki,
      pin: () => (declined ? Promise.reject(new Error("not now")) : PIN),
    });
    await expect(crypto.keyStorage.privateKey({ id: id(1) })).rejects.toThrow("not now");
    declined = false;
    const key = await crypto.keyStorage.privateKey({ id: id(1) });
    await expect(crypto.subtle.sign(PKCS1, key, MESSAGE)).resolves.toBeInstanceOf(ArrayBuffer);
  });

  test("without a way to ask, what is open already is used", async () => {
    await using made = await rig(await testCard());
    await using crypto = await TokenCrypto.open({ cryptoki: made.cryptoki });
    await expect(crypto.keyStorage.privateKey({ id: id(1) })).rejects.toMatchObject(exception("NotFoundError"));
    const session = await made.session(0);
    await made.cryptoki.C_Login(session, CKU.USER, PIN);
    const key = await crypto.keyStorage.privateKey({ id: id(1) });
    await crypto.subtle.sign(PKCS1, key, MESSAGE);
    await crypto.logout();
    await expect(crypto.subtle.sign(PKCS1, key, MESSAGE)).rejects.toMatchObject(exception("OperationError"));
  });
});

describe("what happens to the card", () => {
  test("a login that another program's reset ended is made again", async () => {
    await using card = await opened(await testCard());
    const key = await card.crypto.keyStorage.privateKey({ id: id(1) });
    await card.crypto.subtle.sign(PKCS1, key, MESSAGE);
    await card.crypto.logout();
    await card.crypto.subtle.sign(PKCS1, key, MESSAGE);
    expect(card.purposes).toEqual(["login", "login"]);
    const other = await card.rig.pcsc.connect(READER);
    await other.disconnect(SCARD_DISPOSITION.RESET_CARD);
    const signing = Array.from({ length: 3 }, () => card.crypto.subtle.sign(PKCS1, key, MESSAGE));
    await Promise.all(signing);
    expect(card.purposes).toEqual(["login", "login", "login"]);
  });

  test("pulled in the middle of a signature, it is an OperationError, and stays one", async () => {
    await using card = await opened(await testCard());
    const { subtle, keyStorage } = card.crypto;
    const key = await keyStorage.privateKey({ id: id(1) });
    card.rig.before = (command) => {
      if (command[1] === 0x87) card.rig.readers.eject(READER);
    };
    await expect(subtle.sign(PKCS1, key, MESSAGE)).rejects.toMatchObject(exception("OperationError", "DEVICE_REMOVED"));
    card.rig.before = undefined;
    card.rig.insert(await testCard());
    await expect(subtle.sign(PKCS1, key, MESSAGE)).rejects.toMatchObject({ name: "OperationError" });
    expect(card.purposes).toEqual(["login"]);
    await using again = await TokenCrypto.open({ cryptoki: card.rig.cryptoki, pin: () => PIN });
    const anew = await again.keyStorage.privateKey({ id: id(1) });
    await expect(subtle.sign(PKCS1, anew, MESSAGE)).resolves.toBeInstanceOf(ArrayBuffer);
  });

  test("a signature costs the exchanges that C_Sign costs", async () => {
    await using card = await opened(await testCard());
    const key = await card.crypto.keyStorage.privateKey({ id: id(1) });
    const first = card.rig.commands.length;
    await card.crypto.subtle.sign(PKCS1, key, MESSAGE);
    const all = card.rig.commands.length;

    await using plain = await rig(await testCard());
    const session = await plain.session();
    await plain.cryptoki.C_Login(session, CKU.USER, PIN);
    const handle = await plain.privateKey(session, 1);
    await plain.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, handle);
    const last = await plain.count(() => plain.cryptoki.C_Sign(session, MESSAGE));
    expect(all - first).toBe(last);
    expect(all).toBeLessThanOrEqual(plain.commands.length);
  });

  test("listing certificates reads no more than finding them does", async () => {
    await using card = await opened(await testCard());
    const listing = card.rig.commands.length;
    const found = await card.crypto.certStorage.list();
    const listed = card.rig.commands.length - listing;
    await using plain = await rig(await testCard());
    const session = await plain.session();
    const handles = plain.find(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    expect(found).toHaveLength((await handles).length);
    expect(listing + listed).toBeLessThanOrEqual(plain.commands.length);
    expect(await card.rig.count(() => card.crypto.certStorage.list())).toBe(0);
  });

  test("a session that was opened elsewhere stays open", async () => {
    await using made = await rig(await testCard());
    const session = await made.cryptoki.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    const crypto = await TokenCrypto.open({ cryptoki: made.cryptoki, session, pin: () => PIN });
    await crypto.subtle.sign(PKCS1, await crypto.keyStorage.privateKey({ id: id(1) }), MESSAGE);
    await crypto[Symbol.asyncDispose]();
    await expect(made.cryptoki.C_GetSessionInfo(session)).resolves.toMatchObject({ slotID: await made.slot() });
  });
});
