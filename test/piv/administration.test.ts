import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { type CardToken, LoginRequiredError, PinError } from "../../src/card/index.ts";
import { CKA, CKO, CKU } from "../../src/cryptoki/index.ts";
import { rig as facade } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { bench, claim, privateKey } from "./rig.ts";

const PIN = utf8("123456");
const PUK = utf8("12345678");
const WELL_KNOWN = "010203040506070801020304050607080102030405060708";
const OFFICER = utf8(WELL_KNOWN);
const yubikey = (): ReturnType<typeof testCard> =>
  testCard({ yubico: true, keys: { "9a": { privateKey: { type: "p-256" } }, "9c": null, "9d": null, "9e": null } });

async function officer(token: CardToken, key = OFFICER): Promise<void> {
  await token.login("so", key);
}

describe("the management key", () => {
  test.each([
    ["AES-128", "00112233445566778899aabbccddeeff", 0x08],
    ["3DES, as the one before", "00112233445566778899aabbccddeeff0123456789abcdef", 0x03],
    ["AES-256", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 0x0c],
  ])("is changed to one of %s", async (_, key, algorithm) => {
    const card = await yubikey();
    const rig = bench(card);
    const { token } = await claim(rig);
    await token.changePin?.("so", OFFICER, utf8(key));
    const sent = rig.commands.find((command) => command.startsWith("00ffffff"));
    expect(sent?.slice(10, 14)).toBe(`${algorithm.toString(16).padStart(2, "0")}9b`);
    const { token: next } = await claim(bench(card));
    await expect(officer(next)).rejects.toBeInstanceOf(PinError);
    await officer(next, utf8(key));
    // 24 bytes after AES are AES too.
    if (algorithm === 0x0c) {
      await next.changePin?.("so", utf8(key), OFFICER);
      await officer((await claim(bench(card))).token);
    }
  });

  test("stays with a wrong old one, a new one of another length, and on a card without the command", async () => {
    const rig = bench(await yubikey());
    const { token } = await claim(rig);
    await expect(token.changePin?.("so", utf8("00".repeat(24)), OFFICER)).rejects.toThrow(/management key is wrong/u);
    await expect(token.changePin?.("so", OFFICER, utf8("0102"))).rejects.toThrow(/32, 48 or 64 hexadecimal digits/u);
    expect(rig.commands.some((command) => command.startsWith("00ff"))).toBe(false);
    const { token: standard } = await claim(bench(await testCard()));
    await expect(standard.changePin?.("so", OFFICER, utf8("11".repeat(24)))).rejects.toThrow(/PIV has no command/u);
  });

  test("is changed by C_SetPIN of the officer", async () => {
    await using rig = await facade(await yubikey());
    const session = await rig.session();
    await rig.cryptoki.C_Login(session, CKU.SO, WELL_KNOWN);
    const key = "00112233445566778899aabbccddeeff";
    await rig.cryptoki.C_SetPIN(session, WELL_KNOWN, key);
    await rig.cryptoki.C_Logout(session);
    await expect(rig.cryptoki.C_Login(session, CKU.SO, WELL_KNOWN)).rejects.toMatchObject({
      code: "CKR_PIN_INCORRECT",
    });
    await rig.cryptoki.C_Login(session, CKU.SO, key);
  });
});

describe("tries", () => {
  test("are set with both logins, and PIN and PUK are the factory's then", async () => {
    const card = await yubikey();
    const { token } = await claim(bench(card));
    await officer(token);
    await expect(token.setPinTries?.({ pin: 5, puk: 6 })).rejects.toBeInstanceOf(LoginRequiredError);
    await token.changePin?.("user", PIN, utf8("654321"));
    await token.login("user", utf8("654321"));
    await token.setPinTries?.({ pin: 5, puk: 6 });
    const { token: next } = await claim(bench(card));
    await next.login("user", PIN);
    expect(await next.pinStatus("user", true)).toMatchObject({ maxTries: 5 });
    expect(await next.deviceInfo?.()).toMatchObject({ hasDefaultPin: true, pukTriesLeft: 6 });
  });

  test("are refused out of range", async () => {
    const { token } = await claim(bench(await yubikey()));
    await officer(token);
    await token.login("user", PIN);
    await expect(token.setPinTries?.({ pin: 16, puk: 3 })).rejects.toThrow(/does not take 16 and 3 tries/u);
  });
});

describe("erase", () => {
  test("blocks PIN and PUK, and leaves a card as the factory made it", async () => {
    const card = await yubikey();
    const rig = bench(card);
    const { token } = await claim(rig);
    await token.changePin?.("so", OFFICER, utf8("00112233445566778899aabbccddeeff"));
    await token.erase?.();
    const { token: next } = await claim(bench(card));
    expect(await (await privateKey(next, 1)).isPresent({ explicitlyRequested: true })).toBe(false);
    await officer(next);
    await next.login("user", PIN);
    await next.changePin?.("puk", PUK, utf8("87654321"));
    expect(await next.deviceInfo?.()).toMatchObject({
      firmware: "5.7.1",
      hasDefaultPuk: false,
      hasDefaultOfficerKey: true,
    });
  });

  test("spends no try of a card that cannot be reset", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await expect(token.erase?.()).rejects.toThrow(/only cards with Yubico's commands/u);
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 3 });
  });
});

describe("keys", () => {
  test("are attested by the device's own key, if they were made there", async () => {
    const { token } = await claim(bench(await yubikey()));
    const key = await privateKey(token, 1);
    const { certificate, chain = [] } = (await token.attestKey?.(key)) ?? {};
    const leaf = new X509Certificate(certificate ?? "");
    const signer = new X509Certificate(chain[0] ?? "");
    expect(leaf.verify(signer.publicKey)).toBe(true);
    expect(toHex(new Uint8Array(leaf.publicKey.export({ format: "der", type: "spki" })))).toBe(
      toHex(await key.publicKey()),
    );
    await expect(token.attestKey?.(await privateKey(token, 2))).rejects.toThrow(/does not attest key 9C/u);
    const { token: standard } = await claim(bench(await testCard()));
    await expect(standard.attestKey?.(await privateKey(standard, 1))).rejects.toThrow(/does not attest keys/u);
  });

  test("move, and are deleted", async () => {
    const { token } = await claim(bench(await yubikey()));
    const key = await privateKey(token, 1);
    const spki = await key.publicKey();
    await expect(token.moveKey?.(key, Uint8Array.of(5))).rejects.toBeInstanceOf(LoginRequiredError);
    await officer(token);
    await token.moveKey?.(key, Uint8Array.of(5));
    const moved = await privateKey(token, 5);
    expect(await moved.isPresent({ explicitlyRequested: true })).toBe(true);
    expect(await key.isPresent({ explicitlyRequested: true })).toBe(false);
    expect(await moved.publicKey()).toEqual(spki);
    await expect(token.moveKey?.(key, Uint8Array.of(2))).rejects.toThrow(/no key in 9A/u);
    await expect(token.moveKey?.(moved, Uint8Array.of(5))).rejects.toThrow(/in 82 already/u);
    await token.destroyObject?.(moved);
    expect(await moved.isPresent({ explicitlyRequested: true })).toBe(false);
  });

  test("are destroyed by C_DestroyObject on a YubiKey, and stay on another card", async () => {
    for (const [card, outcome] of [
      [await yubikey(), undefined],
      [await testCard(), "CKR_ACTION_PROHIBITED"],
    ] as const) {
      await using rig = await facade(card);
      const session = await rig.session();
      await rig.cryptoki.C_Login(session, CKU.USER, "123456");
      const template = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: fromHex("01") };
      await rig.cryptoki.C_FindObjectsInit(session, template);
      const [handle = 0] = await rig.cryptoki.C_FindObjects(session, 1);
      await rig.cryptoki.C_FindObjectsFinal(session);
      const { [CKA.DESTROYABLE]: destroyable } = await rig.cryptoki.C_GetAttributeValue(session, handle, [
        CKA.DESTROYABLE,
      ]);
      expect(destroyable).toBe(outcome === undefined);
      await expect(rig.cryptoki.C_DestroyObject(session, handle)).rejects.toMatchObject({
        code: outcome ?? "CKR_USER_NOT_LOGGED_IN",
      });
    }
  });
});
