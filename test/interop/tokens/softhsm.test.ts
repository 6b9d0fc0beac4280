import { generateKeyPairSync, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { openTokens, type Token, type TokenSource } from "../../../src/tokens/index.ts";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { SoftHsm } from "../p11kit/softhsm.ts";

const PIN = "123456";
const OFFICER_PIN = "87654321";
const DATA = Buffer.from("a letter");

/** A module of PKCS #11 2.40, whose user writes, and which keeps several objects with one CKA_ID. */
describe("a token of SoftHSM, behind p11-kit", () => {
  let hsm: SoftHsm;
  let cards: TokenSource;
  let token: Token;
  let asked = 0;

  beforeAll(async () => {
    hsm = await SoftHsm.start("written", PIN);
    cards = await openTokens({
      server: hsm.address,
      pin: () => {
        asked++;
        return PIN;
      },
    });
    token = await cards.token({ label: "written" });
  }, 60_000);
  afterAll(async () => {
    await cards.close();
    await hsm[Symbol.asyncDispose]();
  });

  test("keys are made and brought, overwritten when told, and deleted", async () => {
    const made = await token.keys.generate({ type: "ec", curve: "P-256", id: "45", label: "made" });
    expect(await (await made.publicKey()).verify(DATA, await made.sign(DATA))).toBe(true);
    expect(asked).toBe(1);
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pkcs8 = new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" }));
    await expect(token.keys.import(pkcs8, { id: "45" })).rejects.toMatchObject({ code: "OBJECT_EXISTS" });
    const brought = await token.keys.import(pkcs8, { id: "45", label: "brought", replace: true });
    const found = await token.keys.get({ id: "45" });
    expect(found.label).toBe("brought");
    expect(Buffer.from((await found.publicKey()).spki)).toEqual(publicKey.export({ format: "der", type: "spki" }));
    expect(await (await found.publicKey()).verify(DATA, await brought.sign(DATA))).toBe(true);
    expect(await found.policy()).toEqual({ pin: "once", touch: "unknown", origin: "unknown" });
    await expect(found.attest()).rejects.toMatchObject({ code: "KEY_CANNOT" });
    await token.keys.delete(found);
    await expect(token.keys.get({ id: "45" })).rejects.toMatchObject({ code: "NO_OBJECT" });
    await expect(token.keys.generate({ type: "ed25519", reference: "9a" })).rejects.toMatchObject({
      code: "BAD_INPUT",
    });
    await expect(token.keys.generate({ type: "ed25519", policy: { touch: "always" } })).rejects.toMatchObject({
      code: "NOT_SUPPORTED",
    });
  });

  test("certificates and data are written, and secret keys stored", async () => {
    await using virtual = await openTokens({ cards: [await VirtualPivCard.create()], pin: () => PIN });
    const certificate = await (await virtual.token()).certificates.get({ reference: "9e" });
    const added = await token.certificates.add(certificate, { id: "46", label: "mine" });
    expect((await token.certificates.get({ label: "mine" })).toPem()).toBe(certificate.toPem());
    await token.certificates.delete(added);
    await token.data.put(DATA, { label: "letter", application: "test", private: true });
    await token.data.put(Buffer.from("another"), { label: "letter", application: "test", replace: true });
    expect(Buffer.from(await (await token.data.get({ label: "letter" })).read()).toString()).toBe("another");
    await token.data.delete({ label: "letter" });
    const value = randomBytes(32);
    const wanted = { type: "aes", label: "archive", store: true, extractable: true } as const;
    await (await token.secretKeys.import(value, wanted))[Symbol.asyncDispose]();
    await using found = await token.secretKeys.get({ label: "archive" });
    expect(Buffer.from(await found.export())).toEqual(value);
    expect((await token.random(16)).length).toBe(16);
    expect((await token.mechanisms()).size).toBeGreaterThan(10);
  });

  test("the officer sets the user's PIN, and the token is made new", async () => {
    {
      await using officer = await token.asOfficer(OFFICER_PIN);
      await officer.setUserPin("654321");
    }
    await token.login("654321");
    await expect(token.initialize({ officerPin: "00000000", label: "other" })).rejects.toMatchObject({
      code: "CKR_PIN_INCORRECT",
    });
    expect(token.removed.aborted).toBe(false);
    const fresh = await token.initialize({ officerPin: OFFICER_PIN, label: "other", userPin: PIN });
    expect(await fresh.info()).toMatchObject({ label: "other" });
    await expect(token.keys.get()).rejects.toMatchObject({ code: "TOKEN_GONE" });
    await fresh.login(PIN);
    await expect(fresh.keys.get()).rejects.toMatchObject({ code: "NO_OBJECT" });
  });
});
