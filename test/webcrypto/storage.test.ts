import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKF, CKU } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { TokenCrypto } from "../../src/webcrypto/index.ts";
import { PIN, rig, type Rig } from "../cryptoki/rig.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";
import { exception, id, opened } from "./opened.ts";

const MESSAGE = utf8("what the card signs");
const ECDSA = { name: "ECDSA", hash: "SHA-256" };
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";

/** A PIV card's officer at work. */
async function officer(made: Rig): Promise<number> {
  const session = await made.session(CKF.RW_SESSION);
  await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
  return session;
}

describe("certificates", () => {
  test("are listed without a PIN, and read when they are wanted", async () => {
    await using card = await opened(await testCard());
    const { certStorage } = card.crypto;
    const all = await certStorage.list();
    expect(all.map((one) => one.id)).toEqual([id(1), id(2), id(3), id(4)]);
    const one = await certStorage.get({ id: id(1) });
    const pem = await one.pem();
    expect(new X509Certificate(pem).raw).toEqual(Buffer.from(await one.der()));
    expect(await one.category()).toBe("user");
    expect((await certStorage.get({ uri: await one.uri() })).label).toBe(one.label);
    await expect(certStorage.get({ id: id(9) })).rejects.toMatchObject(exception("NotFoundError"));
    await expect(certStorage.get()).rejects.toMatchObject(exception("DataError"));
    expect(card.asked).toEqual([]);
  });

  test("lead to their keys", async () => {
    await using card = await opened(await testCard());
    const { subtle, certStorage } = card.crypto;
    const certificate = await certStorage.get({ id: id(2) });
    const { privateKey, publicKey } = await certStorage.keys(certificate);
    const signature = await subtle.sign(ECDSA, privateKey, MESSAGE);
    expect(await subtle.verify(ECDSA, publicKey, signature, MESSAGE)).toBe(true);
    const spki = Buffer.from(await subtle.exportKey("spki", publicKey));
    expect(new X509Certificate(await certificate.der()).publicKey.export({ format: "der", type: "spki" })).toEqual(
      spki,
    );
  });

  test("are stored, found with their issuers, and removed again", async () => {
    const token = "pkcs11:token=Virtual%20eID%20%28PIN%29";
    await using card = await opened(await testPkcs15Card(), { profiles: [pkcs15], token });
    await using piv = await opened(await testCard());
    const { certStorage } = card.crypto;
    const before = (await certStorage.list()).length;
    const foreign = await (await piv.crypto.certStorage.get({ id: id(1) })).pem();
    const stored = await certStorage.add(foreign, { id: id(0x77), label: "foreign" });
    expect(await (await certStorage.get({ id: id(0x77) })).pem()).toBe(foreign);
    expect(stored.label).toBe("foreign");
    expect(await certStorage.chain(stored)).toHaveLength(1);
    await certStorage.remove(stored);
    expect(await certStorage.list()).toHaveLength(before);
    expect(card.purposes).toEqual(["login"]);
    await expect(certStorage.add("no PEM")).rejects.toMatchObject(exception("DataError"));
    await expect(certStorage.add("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----")).rejects.toMatchObject(
      exception("DataError"),
    );
    await expect(certStorage.add(MESSAGE)).rejects.toMatchObject(exception("DataError"));
  });

  test("are stored by those who may, and take the place of others when told", async () => {
    await using card = await opened(await testCard());
    const { certStorage } = card.crypto;
    const der = await (await certStorage.get({ id: id(1) })).der();
    await expect(certStorage.add(der, { id: id(1) })).rejects.toMatchObject({
      ...exception("OperationError"),
      cause: { code: "OBJECT_EXISTS" },
    });
    await expect(certStorage.add(der, { id: id(1), replace: true })).rejects.toMatchObject({
      ...exception("OperationError"),
      cause: { code: "CKR_USER_NOT_LOGGED_IN" },
    });
  });
});

describe("keys made on the card", () => {
  test.each([
    ["ECDSA", { name: "ECDSA", namedCurve: "P-384" }, ECDSA],
    [
      "RSASSA-PKCS1-v1_5",
      {
        name: "RSASSA-PKCS1-v1_5",
        modulusLength: 2048,
        publicExponent: Uint8Array.of(1, 0, 1),
        hash: "SHA-512",
      },
      "RSASSA-PKCS1-v1_5",
    ],
  ])("%s, by the officer, for the user", async (_name, generating, signing) => {
    await using made = await rig(await testCard());
    const session = await officer(made);
    await using crypto = await TokenCrypto.open({ cryptoki: made.cryptoki, session, pin: () => PIN });
    const algorithm = { ...generating, token: { id: id(1), replace: true } };
    const pair = await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"]);
    expect(pair.privateKey).toMatchObject({ type: "private", extractable: false, usages: ["sign"] });
    await expect(crypto.subtle.sign(signing, pair.privateKey, MESSAGE)).rejects.toMatchObject(
      exception("OperationError", "USER_NOT_LOGGED_IN"),
    );
    await made.cryptoki.C_Logout(session);
    const signature = await crypto.subtle.sign(signing, pair.privateKey, MESSAGE);
    expect(await crypto.subtle.verify(signing, pair.publicKey, signature, MESSAGE)).toBe(true);
  });

  test("or refused", async () => {
    await using card = await opened(await testCard());
    const { subtle, keyStorage } = card.crypto;
    const on = { name: "ECDSA", namedCurve: "P-256", token: true };
    await expect(subtle.generateKey(on, true, ["sign"])).rejects.toMatchObject(exception("NotSupportedError"));
    await expect(subtle.generateKey(on, false, ["decrypt"])).rejects.toMatchObject(exception("SyntaxError"));
    await expect(subtle.generateKey(on, false, ["verify"])).rejects.toMatchObject(exception("SyntaxError"));
    await expect(subtle.generateKey({ ...on, namedCurve: "P-224" }, false, ["sign"])).rejects.toMatchObject(
      exception("NotSupportedError"),
    );
    await expect(
      subtle.generateKey({ name: "AES-GCM", length: 128, ...{ token: true } }, false, ["encrypt"]),
    ).rejects.toMatchObject(exception("NotSupportedError"));
    await expect(keyStorage.generate({ name: "ECDSA", namedCurve: "P-256" }, ["sign"])).rejects.toMatchObject(
      exception("OperationError", "USER_NOT_LOGGED_IN"),
    );
  });
});
