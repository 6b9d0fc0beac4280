import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { type CardObject, type CardToken, LoginRequiredError, UnsupportedError } from "../../src/card/index.ts";
import { CKA, CKC, CKO, CKU } from "../../src/cryptoki/index.ts";
import { rig as facade } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { bench, claim } from "./rig.ts";

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";

async function named(token: CardToken, reference: string): Promise<CardObject> {
  const found = (await token.objects()).find((object) => object.reference === reference);
  if (!found) throw new Error(`no object ${reference}`);
  return found;
}

async function certificateOf(token: CardToken, reference: string): Promise<Uint8Array> {
  const object = await named(token, `${reference}.certificate`);
  if (object.class !== "certificate") throw new Error("no certificate");
  return object.value();
}

const CERTIFICATE = { class: "certificate", label: "mine", private: false } as const;

describe("a certificate", () => {
  test("is written to the key that its CKA_ID names, when the management key was given", async () => {
    const { token } = await claim(bench(await testCard()));
    const value = await certificateOf(token, "9A");
    const object = { ...CERTIFICATE, id: Uint8Array.of(5), value };
    await expect(token.createObject?.(object)).rejects.toBeInstanceOf(LoginRequiredError);
    await token.login("so", utf8(MANAGEMENT_KEY));
    const written = await token.createObject?.(object);
    expect(written).toMatchObject({ reference: "82.certificate", label: expect.stringContaining("Retired") });
    expect(await written?.isPresent({ explicitlyRequested: true })).toBe(true);
    expect(await certificateOf(token, "82")).toEqual(value);
  });

  test("is there for the next program too, as other programs write it", async () => {
    const card = await testCard();
    const { token } = await claim(bench(card));
    const value = await certificateOf(token, "9A");
    await token.login("so", utf8(MANAGEMENT_KEY));
    await token.setAttributes?.(await named(token, "9E.certificate"), { value });
    const { token: other } = await claim(bench(card));
    expect(await certificateOf(other, "9E")).toEqual(value);
  });

  test("is taken off the card; its key stays to be seen", async () => {
    const { token } = await claim(bench(await testCard()));
    await token.login("so", utf8(MANAGEMENT_KEY));
    const certificate = await named(token, "9A.certificate");
    await token.destroyObject?.(certificate);
    expect(await certificate.isPresent({ explicitlyRequested: true })).toBe(false);
    expect(await (await named(token, "9A.private-key")).isPresent({ explicitlyRequested: false })).toBe(true);
  });

  test.each([
    ["of no key", { ...CERTIFICATE, id: Uint8Array.of(99) }],
    ["that says for which key it is by nothing", { ...CERTIFICATE, id: new Uint8Array() }],
    ["that only its holder may see", { ...CERTIFICATE, id: Uint8Array.of(1), private: true }],
  ])("%s has no place", async (_what, object) => {
    const { token } = await claim(bench(await testCard()));
    await expect(token.createObject?.({ ...object, value: new Uint8Array(1) })).rejects.toBeInstanceOf(
      UnsupportedError,
    );
  });

  test("longer than the card has room for is refused by the card, and what is there stays", async () => {
    const { token } = await claim(bench(await testCard()));
    const value = await certificateOf(token, "9A");
    await token.login("so", utf8(MANAGEMENT_KEY));
    const object = { ...CERTIFICATE, id: Uint8Array.of(1), value: new Uint8Array(40_000) };
    await expect(token.createObject?.(object)).rejects.toMatchObject({ name: "StatusError", sw: 0x6a84 });
    expect(await certificateOf(token, "9A")).toEqual(value);
  });
});

describe("a data object", () => {
  const DATA = { class: "data", application: "PIV", value: utf8("text") } as const;

  test("is named by its object identifier, or by its label", async () => {
    const { token } = await claim(bench(await testCard()));
    await token.login("so", utf8(MANAGEMENT_KEY));
    const printed = { ...DATA, label: "", objectId: "2.16.840.1.101.3.7.2.48.1", private: true };
    expect(await token.createObject?.(printed)).toMatchObject({ label: "Printed Information" });
    const written = await token.createObject?.({ ...DATA, label: "Security Object", private: false });
    expect(written?.class === "data" && (await written.value())).toEqual(utf8("text"));
  });

  test("that says how the card is used stays as it is, and one that PIV has not has no place", async () => {
    const { token } = await claim(bench(await testCard()));
    await token.login("so", utf8(MANAGEMENT_KEY));
    for (const [label, hidden] of [
      ["Discovery Object", false],
      ["Shopping list", false],
      ["Printed Information", false],
    ] as const) {
      await expect(token.createObject?.({ ...DATA, label, private: hidden })).rejects.toBeInstanceOf(UnsupportedError);
    }
    const [printed, key] = [await named(token, "Printed Information"), await named(token, "9A.private-key")];
    await expect(token.setAttributes?.(printed, { label: "x" })).rejects.toBeInstanceOf(UnsupportedError);
    await expect(token.setAttributes?.(printed, {})).rejects.toBeInstanceOf(UnsupportedError);
    await expect(token.destroyObject?.(key)).rejects.toBeInstanceOf(UnsupportedError);
  });
});

test("through the functions: a certificate is created, read and destroyed by the security officer", async () => {
  await using made = await facade(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  const from = await made.object(session, CKO.CERTIFICATE, 1);
  const copied = await cryptoki.C_GetAttributeValue(session, from, [CKA.VALUE, CKA.SUBJECT]);
  const template = {
    [CKA.CLASS]: CKO.CERTIFICATE,
    [CKA.CERTIFICATE_TYPE]: CKC.X_509,
    [CKA.TOKEN]: true,
    [CKA.ID]: Uint8Array.of(7),
    ...copied,
  };
  await expect(cryptoki.C_CreateObject(session, template)).rejects.toMatchObject({ code: "CKR_USER_NOT_LOGGED_IN" });
  await cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
  const written = await cryptoki.C_CreateObject(session, template);
  expect(await made.object(session, CKO.CERTIFICATE, 7)).toBe(written);
  await cryptoki.C_DestroyObject(session, written);
  expect(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(7) })).toEqual([]);
});
