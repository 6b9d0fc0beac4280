import { expect, test } from "@jest/globals";
import { createHash, generateKeyPairSync } from "node:crypto";
import { CKA, CKK, CKM, CKO } from "../../src/index.ts";
import { openTokens, PublicKey, type Token, type TokenError } from "../../src/tokens/index.ts";
import { VirtualPkcs15Card } from "../../src/virtual/index.ts";
import { opened, PIN } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");
const P256 = Uint8Array.from(Buffer.from("06082a8648ce3d030107", "hex"));

/** Runs `work` while the token has key pairs without CKA_ID, one for each label. */
function withNamelessKeys(token: Token, labels: readonly string[], work: () => Promise<void>): Promise<void> {
  return token.withSession(async (session, cryptoki) => {
    for (const label of labels) {
      await cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.EC_KEY_PAIR_GEN },
        { [CKA.LABEL]: label, [CKA.EC_PARAMS]: P256, [CKA.TOKEN]: false, [CKA.VERIFY]: true },
        { [CKA.LABEL]: label, [CKA.TOKEN]: false, [CKA.PRIVATE]: false, [CKA.SIGN]: true },
      );
    }
    await work();
  });
}

test("keys without CKA_ID are told apart by their labels, and never taken for each other", async () => {
  await using rig = await opened();
  const { keys } = rig.token;
  await withNamelessKeys(rig.token, ["one", "two"], async () => {
    const fingerprints = new Set<string>();
    for (const label of ["one", "two"]) {
      const key = await keys.get({ label });
      expect(key).toMatchObject({ id: "", label });
      const publicKey = await key.publicKey();
      fingerprints.add(publicKey.fingerprint());
      expect(await publicKey.verify(DATA, await key.sign(DATA))).toBe(true);
      expect((await keys.get({ publicKey })).label).toBe(label);
      await expect(key.toCryptoKey()).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
    }
    expect(fingerprints.size).toBe(2);
  });
});

test("two keys with one label and no CKA_ID are refused", async () => {
  await using rig = await opened();
  await withNamelessKeys(rig.token, ["one", "one"], async () => {
    const key = await rig.token.keys.get({ label: "one" });
    await expect(key.sign(DATA)).rejects.toMatchObject({
      code: "SEVERAL_OBJECTS",
      message: expect.stringMatching(/no CKA_ID/u),
    });
  });
});

test("the label of another object without CKA_ID finds no key", async () => {
  await using rig = await opened();
  await withNamelessKeys(rig.token, ["one"], () =>
    rig.token.withSession(async (session, cryptoki) => {
      const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
      const point = Buffer.concat([
        Buffer.from("044104", "hex"),
        Buffer.from(stranger.x ?? "", "base64url"),
        Buffer.from(stranger.y ?? "", "base64url"),
      ]);
      await cryptoki.C_CreateObject(session, {
        [CKA.CLASS]: CKO.PUBLIC_KEY,
        [CKA.KEY_TYPE]: CKK.EC,
        [CKA.LABEL]: "stranger",
        [CKA.EC_PARAMS]: P256,
        [CKA.EC_POINT]: Uint8Array.from(point),
        [CKA.TOKEN]: false,
      });
      await rig.token.login();
      await expect(rig.token.keys.get({ label: "stranger" })).rejects.toMatchObject({ code: "NO_OBJECT" });
    }),
  );
});

test("a misspelt option is refused, and nothing else is done in its place", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const ec = await rig.token.keys.get({ reference: "9e" });
  const publicKey = await key.publicKey();
  const wrong = (value: unknown): never => value as never;
  for (const call of [
    () => key.sign(DATA, { padding: wrong("PSS") }),
    () => ec.sign(DATA, { encoding: wrong("DER") }),
    () => key.sign(DATA, { hash: wrong("sha256") }),
    () => key.sign(wrong("text")),
    () => key.signDigest(wrong(undefined)),
    () => key.decrypt(wrong("text")),
    () => key.decrypt(DATA, { padding: wrong("none") }),
    () => key.decrypt(DATA, { hash: wrong("sha256") }),
    () => ec.deriveSecret(wrong(5)),
    () => publicKey.encrypt(DATA, { padding: wrong("OAEP") }),
    () => publicKey.encrypt(wrong("text")),
    () => publicKey.verify(wrong("text"), DATA),
    () => rig.token.keys.get({ use: wrong("signing") }),
    () => rig.token.keys.get({ label: wrong(5) }),
    () => rig.token.keys.get({ id: wrong(1) }),
    () => rig.token.keys.get({ publicKey: wrong("text") }),
    () => rig.token.keys.get(wrong(null)),
    () => rig.token.certificates.get({ subject: wrong(/x/u) }),
    () => rig.token.certificates.get(wrong(null)),
    () => rig.token.data.get(wrong(null)),
  ] as (() => Promise<unknown>)[]) {
    await expect(call()).rejects.toMatchObject({ name: "TokenError", code: "BAD_INPUT" });
  }
  expect(rig.requests).toHaveLength(0);
});

test("after a logout keys are found again, and sign after another login", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  await key.sign(DATA);
  await Promise.all([rig.token.logout(), rig.token.logout()]);
  expect((await rig.token.keys.get({ reference: "9a" })).id).toBe(key.id);
  expect((await key.sign(DATA)).length).toBe(256);
  expect(rig.requests.map(({ purpose }) => purpose)).toEqual(["login", "login"]);
});

test("a key of no use for what a library wants is an error of this layer", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  await expect(key.toCryptoKey({ algorithm: algorithm as never })).rejects.toMatchObject({ name: "TokenError" });
});

test("the two PINs of a PKCS#15 card are two tokens, each with its keys and its PIN", async () => {
  const card = await VirtualPkcs15Card.create({ pin: PIN, signaturePin: "123123" });
  const asked: string[] = [];
  await using cards = await openTokens({
    cards: [card],
    pin: async ({ token }) => {
      const { label } = await token();
      asked.push(label);
      return label.includes("ign") ? "123123" : PIN;
    },
  });
  const error = (await cards.token().catch((reason: unknown) => reason)) as TokenError;
  expect(error).toMatchObject({ code: "SEVERAL_TOKENS", candidates: { length: 2 } });
  let count = 0;
  for (const uri of error.candidates) {
    const token = await cards.token(uri);
    for await (const key of token.keys.find({ use: "sign" })) {
      const publicKey = await key.publicKey();
      const signature = await key.sign(DATA);
      expect(await publicKey.verify(DATA, signature)).toBe(true);
      count++;
    }
  }
  expect(count).toBeGreaterThanOrEqual(2);
  expect(new Set(asked).size).toBe(2);
});

test("a public key is read from DER and PEM alike", () => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const own = new PublicKey(Uint8Array.from(publicKey.export({ format: "der", type: "spki" })));
  expect(own.fingerprint()).toBe(createHash("sha256").update(own.spki).digest("hex"));
  expect(new PublicKey(publicKey.export({ format: "pem", type: "spki" }).toString()).spki).toEqual(own.spki);
});

test("a data object that the card shows to its holder alone is read after the PIN", async () => {
  await using rig = await opened();
  const values: number[] = [];
  for await (const object of rig.token.data.find()) values.push((await object.read()).length);
  expect(values.length).toBeGreaterThan(0);
  expect(rig.requests.length).toBeLessThanOrEqual(1);
});
