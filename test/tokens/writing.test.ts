import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { PublicKey, TokenCertificate } from "../../src/tokens/index.ts";
import { KEYS, opened, PIN, PUK, type Opened } from "./opened.ts";

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const DATA = Buffer.from("a letter to be signed");

/** Commands that change the card: GENERATE, PUT DATA, IMPORT, MOVE KEY, RESET, SET PIN. */
const changes = ({ exchanges }: Opened): string[] =>
  exchanges.filter((line) => /^00(?:47|db|fe|f6|fb|24|2c)/u.test(line));

describe("as security officer", () => {
  test("a key is made, the user signs with it after the scope, and it is deleted", async () => {
    await using rig = await opened();
    const { token } = rig;
    let key;
    {
      await using officer = await token.asOfficer(MANAGEMENT_KEY);
      key = await officer.keys.generate({
        reference: "84",
        type: "rsa",
        bits: 2048,
        policy: { pin: "once", touch: "never" },
      });
      expect(key).toMatchObject({ id: "07", reference: "84" });
      // The security officer's keys ask no user.
      expect(rig.requests).toHaveLength(0);
    }
    const signature = await key.sign(DATA);
    expect(await (await key.publicKey()).verify(DATA, signature)).toBe(true);
    expect(await key.policy()).toEqual({ pin: "once", touch: "never", origin: "generated" });
    expect(rig.requests).toHaveLength(1);
    {
      await using officer = await token.asOfficer(MANAGEMENT_KEY);
      await officer.keys.delete(key);
    }
    await expect(token.keys.get({ reference: "84" })).rejects.toMatchObject({ code: "NO_OBJECT" });
  });

  test("a key is overwritten with replace only, and nothing is sent without", async () => {
    await using rig = await opened();
    await using officer = await rig.token.asOfficer(MANAGEMENT_KEY);
    const before = await (await officer.keys.get({ reference: "9d" })).publicKey();
    const wanted = { reference: "9d", type: "ec", curve: "P-256" } as const;
    await expect(officer.keys.generate(wanted)).rejects.toMatchObject({ code: "OBJECT_EXISTS" });
    expect(changes(rig)).toEqual([]);
    const made = await officer.keys.generate({ ...wanted, replace: true });
    expect((await made.publicKey()).fingerprint()).not.toBe(before.fingerprint());
  });

  test.each([
    ["rsa", { bits: 1024 }, "an RSA key has bits"],
    ["ec", { curve: "P-192" }, "an EC key has a curve"],
    ["dsa", {}, "no type of key"],
    ["ed25519", { uses: ["decrypt"] }, "keys of type ed25519 are for sign"],
    ["ed25519", { reference: "9" }, "a reference is the card's own name"],
    ["ed25519", { reference: "99" }, 'no reference "99"'],
    ["ed25519", { reference: "9a", id: "01" }, "not by both"],
    ["ed25519", { id: "xyz" }, "an id is CKA_ID in hexadecimal"],
    ["ed25519", { policy: { touch: "sometimes" } }, 'no touch policy "sometimes"'],
  ])("bad input is refused before the card is changed: %s %j", async (type, rest, message) => {
    await using rig = await opened();
    await using officer = await rig.token.asOfficer(MANAGEMENT_KEY);
    const given = { type, ...rest } as never;
    await expect(officer.keys.generate(given)).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining(message),
    });
    expect(changes(rig)).toEqual([]);
  });

  test("keys are brought as PKCS #8 and as a JSON Web Key", async () => {
    await using rig = await opened();
    const { privateKey: ec } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const { privateKey: rsa } = KEYS["9a"];
    const keys: [string, Awaited<ReturnType<typeof rig.token.keys.get>>][] = [];
    {
      await using officer = await rig.token.asOfficer(MANAGEMENT_KEY);
      const pkcs8 = new Uint8Array(rsa.export({ format: "der", type: "pkcs8" }));
      keys.push(["rsa", await officer.keys.import(pkcs8, { reference: "84" })]);
      const jwk = { ...ec.export({ format: "jwk" }) };
      keys.push(["ec", await officer.keys.import(jwk, { reference: "9e", policy: { pin: "never" }, replace: true })]);
      await expect(officer.keys.import(jwk, { reference: "9e" })).rejects.toMatchObject({ code: "OBJECT_EXISTS" });
      await expect(officer.keys.import({ kty: "EC", crv: "P-256" }, { reference: "86" })).rejects.toMatchObject({
        code: "BAD_INPUT",
        message: "not a private key: JSON Web Key: no d",
      });
    }
    for (const [type, key] of keys) {
      expect((await key.publicKey()).algorithm.type).toBe(type);
      expect(await (await key.publicKey()).verify(DATA, await key.sign(DATA))).toBe(true);
      expect((await key.policy()).origin).toBe("imported");
    }
    expect((await keys[1]?.[1].policy())?.pin).toBe("never");
  });

  test("a certificate goes to its key, replaces another one when told, and is deleted", async () => {
    await using rig = await opened();
    const { token } = rig;
    const old = await token.certificates.get({ reference: "9a" });
    const other = await token.certificates.get({ reference: "9e" });
    const key = await token.keys.get({ reference: "9a" });
    expect((await key.certificate()).subject).toBe(old.subject);
    await using officer = await token.asOfficer(MANAGEMENT_KEY);
    const before = changes(rig).length;
    await expect(officer.certificates.add(old)).rejects.toMatchObject({ code: "OBJECT_EXISTS" });
    await expect(officer.certificates.add(other, { key })).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: "the certificate is of another key",
    });
    await expect(officer.certificates.add("no PEM")).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(officer.certificates.add(old, { id: "01", reference: "9a" })).rejects.toMatchObject({
      code: "BAD_INPUT",
    });
    expect(changes(rig)).toHaveLength(before);
    const added = await officer.certificates.add(old.toPem(), { replace: true });
    expect(added).toMatchObject({ id: "01", subject: old.subject });
    await officer.certificates.delete(added);
    await expect(token.certificates.get({ reference: "9a" })).rejects.toMatchObject({ code: "NO_OBJECT" });
    await expect(key.certificate()).rejects.toMatchObject({ code: "NO_OBJECT" });
    await expect(officer.certificates.delete(added)).rejects.toMatchObject({ code: "NO_OBJECT" });
    // Without a certificate nor a place, the key on the card decides.
    expect(await officer.certificates.add(old)).toMatchObject({ id: "01" });
  });

  test("data objects are written, overwritten and deleted", async () => {
    await using rig = await opened();
    const { token } = rig;
    const objectId = "2.16.840.1.101.3.7.2.96.48";
    await using officer = await token.asOfficer(MANAGEMENT_KEY);
    await expect(officer.data.put(DATA, {})).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(officer.data.put(DATA, { objectId: "one" })).rejects.toMatchObject({ code: "BAD_INPUT" });
    const { label } = await firstFreeObject(token);
    const written = await officer.data.put(DATA, { label });
    expect(Buffer.from(await written.read())).toEqual(DATA);
    await expect(officer.data.put(DATA, { label })).rejects.toMatchObject({ code: "OBJECT_EXISTS" });
    await officer.data.put(Buffer.from("another"), { label, replace: true });
    expect(Buffer.from(await (await token.data.get({ label })).read()).toString()).toBe("another");
    await officer.data.delete({ label });
    await expect(officer.data.delete({ label })).rejects.toMatchObject({ code: "NO_OBJECT" });
    await expect(token.data.get({ label, objectId })).rejects.toMatchObject({ code: "NO_OBJECT" });
  });

  test("attests a key that the card made, and none that was brought there", async () => {
    await using rig = await opened();
    const brought = await rig.token.keys.get({ reference: "9d" });
    await expect(brought.attest()).rejects.toMatchObject({ code: "KEY_CANNOT" });
    await using officer = await rig.token.asOfficer(MANAGEMENT_KEY);
    const made = await officer.keys.generate({ reference: "84", type: "ec", curve: "P-256" });
    const { certificate, chain } = await made.attest();
    const [leaf, signer] = [certificate, ...chain].map((der) => new X509Certificate(der));
    expect(signer && leaf?.verify(signer.publicKey)).toBe(true);
    expect(new TokenCertificate(certificate).publicKey.fingerprint()).toBe((await made.publicKey()).fingerprint());
  });
});

async function firstFreeObject(token: Opened["token"]): Promise<{ label: string }> {
  const present = new Set<string>();
  for await (const { label } of token.data.find()) present.add(label);
  for (const label of ["Security Object", "Cardholder Facial Image", "Key History Object"])
    if (!present.has(label)) return { label };
  throw new Error("all are there");
}

describe("two logins", () => {
  test("the user's work waits for the end of the officer's scope, and then asks again", async () => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference: "9a" });
    await key.sign(DATA);
    const officer = await rig.token.asOfficer(MANAGEMENT_KEY);
    const order: string[] = [];
    const signed = key.sign(DATA).then(() => order.push("signed"));
    // Public work goes on.
    expect((await rig.token.certificates.get({ reference: "9a" })).id).toBe("01");
    order.push("ended");
    await officer[Symbol.asyncDispose]();
    await signed;
    expect(order).toEqual(["ended", "signed"]);
    expect(rig.requests).toHaveLength(2);
  });

  test("after the scope's patience it is OFFICER_ACTIVE, also for a change of the PIN, which is the officer's meanwhile", async () => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference: "9a" });
    await using officer = await rig.token.asOfficer(MANAGEMENT_KEY, { patience: 0 });
    const active = { name: "TokenError", code: "OFFICER_ACTIVE" };
    await expect(key.sign(DATA)).rejects.toMatchObject(active);
    await expect(rig.token.changePin({ old: PIN, new: "112233" })).rejects.toMatchObject(active);
    await expect(rig.token.login()).rejects.toMatchObject(active);
    await officer[Symbol.asyncDispose]();
    expect((await key.sign(DATA)).length).toBe(256);
    await expect(officer.keys.generate({ reference: "84", type: "ed25519" })).rejects.toMatchObject({
      code: "CKR_USER_NOT_LOGGED_IN",
      message: expect.stringContaining("scope has ended"),
    });
  });

  test("the officer waits for the user's work under way, and an abort ends that wait alone", async () => {
    let give: (pin: string) => void = () => undefined;
    const typed = new Promise<string>((resolve) => (give = resolve));
    await using rig = await opened(() => typed);
    const key = await rig.token.keys.get({ reference: "9a" });
    const signed = key.sign(DATA);
    const stop = new AbortController();
    const waiting = rig.token.asOfficer(MANAGEMENT_KEY, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    give(PIN);
    expect((await signed).length).toBe(256);
  });

  test("a wrong management key leaves the token to its user", async () => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference: "9a" });
    await expect(rig.token.asOfficer("ff".repeat(24))).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT" });
    expect((await key.sign(DATA)).length).toBe(256);
  });
});

test("a user who may not write is told so, and no PIN is asked for in vain", async () => {
  await using rig = await opened();
  const { token } = rig;
  const certificate = await token.certificates.get({ reference: "9a" });
  const refusal = { code: "CKR_USER_NOT_LOGGED_IN", message: expect.stringContaining("token.asOfficer()") };
  await expect(token.keys.generate({ reference: "84", type: "ed25519" })).rejects.toMatchObject(refusal);
  await expect(token.certificates.add(certificate, { replace: true })).rejects.toMatchObject(refusal);
  await expect(token.certificates.delete(certificate)).rejects.toMatchObject(refusal);
  await expect(token.keys.delete(await token.keys.get({ reference: "9a" }))).rejects.toMatchObject(refusal);
  expect(rig.requests).toHaveLength(0);
  expect(changes(rig)).toEqual([]);
});

test("the PUK is changed", async () => {
  await using rig = await opened();
  await expect(rig.token.changePuk({ old: "00000000", new: PUK })).rejects.toMatchObject({
    code: "CKR_PIN_INCORRECT",
    triesLeft: 2,
  });
  await rig.token.changePuk({ old: PUK, new: "11223344" });
  await expect(rig.token.unblockPin({ puk: PUK, new: PIN })).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT" });
  await rig.token.unblockPin({ puk: "11223344", new: "654322" });
  await rig.token.login("654322");
});

test("a reset wants the label, ends the token, and gives the new one", async () => {
  await using rig = await opened();
  const { token } = rig;
  const { label } = await token.info();
  await expect(token.reset({ label: "another" })).rejects.toMatchObject({ code: "BAD_INPUT" });
  expect(changes(rig)).toEqual([]);
  const key = await token.keys.get({ reference: "9a" });
  const fresh = await token.reset({ label });
  expect(fresh).not.toBe(token);
  expect(token.removed.aborted).toBe(true);
  await expect(key.sign(DATA)).rejects.toMatchObject({ code: "TOKEN_GONE" });
  await fresh.login("123456");
  await expect(fresh.keys.get({ reference: "9a" })).rejects.toMatchObject({ code: "NO_OBJECT" });
});

test("what a card cannot do leaves its token as it was", async () => {
  await using rig = await opened();
  const init = { officerPin: "12345678", label: "new" };
  await expect(rig.token.initialize({ ...init, label: "" })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(rig.token.initialize({ ...init, userPin: "1" })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(rig.token.initialize(init)).rejects.toMatchObject({ code: "CKR_PIN_LEN_RANGE" });
  expect(rig.token.removed.aborted).toBe(false);
  const key = await rig.token.keys.get({ reference: "9a" });
  expect((await key.sign(DATA)).length).toBe(256);
  await using officer = await rig.token.asOfficer(MANAGEMENT_KEY);
  await expect(officer.setUserPin("112233")).rejects.toMatchObject({ code: "CKR_FUNCTION_NOT_SUPPORTED" });
});

test("the public key of a key that was just made is the one that it signs with", async () => {
  await using rig = await opened();
  let key;
  {
    await using officer = await rig.token.asOfficer(MANAGEMENT_KEY);
    // An old certificate stays in the place, and is of another key.
    key = await officer.keys.generate({ reference: "9e", type: "rsa", bits: 2048, replace: true });
  }
  const publicKey = await key.publicKey();
  expect(new PublicKey(publicKey.toPem()).algorithm).toEqual({ type: "rsa", bits: 2048 });
  expect(await publicKey.verify(DATA, await key.sign(DATA))).toBe(true);
});
