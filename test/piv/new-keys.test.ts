import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { type CardToken, LoginRequiredError, UnsupportedError } from "../../src/card/index.ts";
import { CKA, CKA_YUBICO, CKK, CKM, CKO, CKU } from "../../src/cryptoki/index.ts";
import { rig as facade } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { bench, claim, privateKey } from "./rig.ts";

const PIN = utf8("123456");
const MANAGEMENT_KEY = utf8("010203040506070801020304050607080102030405060708");
const EMPTY = { "9a": null, "9c": null, "9d": null, "9e": null } as const;
const yubikey = (): ReturnType<typeof testCard> => testCard({ yubico: true, keys: EMPTY });
const P256 = { type: "ec", curve: "P-256" } as const;
const policies = (pin?: number, touch?: number): ReadonlyMap<number, number> =>
  new Map([
    ...(pin === undefined ? [] : [[CKA_YUBICO.PIN_POLICY, pin] as const]),
    ...(touch === undefined ? [] : [[CKA_YUBICO.TOUCH_POLICY, touch] as const]),
  ]);

async function officer(token: CardToken): Promise<void> {
  await token.login("so", MANAGEMENT_KEY);
}

const newKey = (id: number, key: KeyObject, pin?: number): Parameters<NonNullable<CardToken["createObject"]>>[0] => ({
  class: "private-key",
  label: "",
  private: true,
  id: Uint8Array.of(id),
  usage: { sign: true, decrypt: false, derive: false },
  alwaysAuthenticate: false,
  privateKey: new Uint8Array(key.export({ format: "der", type: "pkcs8" })),
  ...(pin !== undefined && { vendorAttributes: policies(pin) }),
});

describe("policies of a key that the card makes", () => {
  test("go to the card as AA and AB, and a card without policies gets neither tag", async () => {
    const rig = bench(await yubikey());
    const { token } = await claim(rig);
    await officer(token);
    await token.generateKeyPair?.({ type: P256, id: Uint8Array.of(1), vendorAttributes: policies(3, 2) });
    await token.generateKeyPair?.({ type: P256, id: Uint8Array.of(2) });
    const sent = rig.commands.filter((command) => command.startsWith("0047"));
    expect(sent[0]).toContain("ac09800111aa0103ab0102");
    expect(sent[1]).toContain("ac03800111");
  });

  test("count at once: a key of 9A that wants the PIN each time says so, and is used so", async () => {
    const { token } = await claim(bench(await yubikey()));
    await officer(token);
    await token.generateKeyPair?.({ type: P256, id: Uint8Array.of(1), vendorAttributes: policies(3) });
    const key = await privateKey(token, 1);
    expect(key.alwaysAuthenticate).toBe(true);
    await token.login("user", PIN);
    const input = new Uint8Array(32).fill(7);
    // The first comes immediately after VERIFY.
    await token.use(key, "ecdsa", input);
    await expect(token.use(key, "ecdsa", input)).rejects.toBeInstanceOf(LoginRequiredError);
    await using use = await token.authenticate?.(key, PIN);
    expect(await use?.use("ecdsa", input)).toHaveLength(64);
  });

  test("are the place's own again with the next key, whose template says nothing", async () => {
    const { token } = await claim(bench(await yubikey()));
    await officer(token);
    await token.generateKeyPair?.({ type: P256, id: Uint8Array.of(1), vendorAttributes: policies(3) });
    await token.generateKeyPair?.({ type: P256, id: Uint8Array.of(1) });
    expect((await privateKey(token, 1)).alwaysAuthenticate).toBe(false);
  });

  test("a number that is no policy, and any policy on a card without Yubico's commands, are refused unsent", async () => {
    for (const [yubico, given, words] of [
      [true, policies(6), /6 is no PIN policy/u],
      [true, policies(1, 4), /4 is no touch policy/u],
      [false, policies(1), /only cards with Yubico's commands/u],
    ] as const) {
      const rig = bench(await testCard({ yubico, keys: EMPTY }));
      const { token } = await claim(rig);
      await officer(token);
      const refused = token.generateKeyPair?.({ type: P256, id: Uint8Array.of(1), vendorAttributes: given });
      await expect(refused).rejects.toThrow(words);
      await expect(refused).rejects.toBeInstanceOf(UnsupportedError);
      expect(rig.commands.some((command) => command.startsWith("0047"))).toBe(false);
    }
  });
});

describe("a private key that is brought to a YubiKey", () => {
  test.each([
    ["RSA-2048", () => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey],
    ["P-256", () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey],
    ["P-384", () => generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
    ["Ed25519", () => generateKeyPairSync("ed25519").privateKey],
  ] as const)("%s: computes what the key computes, and is not said to be made there", async (_, make) => {
    const { token } = await claim(bench(await yubikey()));
    await officer(token);
    const key = make();
    const object = await token.createObject?.(newKey(1, key));
    if (object?.class !== "private-key") throw new Error("no private key");
    const spki = createPublicKey(key).export({ format: "der", type: "spki" });
    expect(toHex(await object.publicKey())).toBe(toHex(new Uint8Array(spki)));
    expect(await (typeof object.local === "function" ? object.local() : object.local)).toBe(false);
    await token.login("user", PIN);
    if (key.asymmetricKeyType !== "ed25519") return;
    const signature = await token.use(object, "eddsa", utf8("a letter"));
    expect(verify(null, utf8("a letter"), createPublicKey(key), signature)).toBe(true);
  });

  test("has the PIN policy that was wanted; the trace conceals the command", async () => {
    const rig = bench(await yubikey());
    const { token } = await claim(rig);
    await officer(token);
    const object = await token.createObject?.(newKey(1, generateKeyPairSync("ed25519").privateKey, 3));
    expect(object).toMatchObject({ alwaysAuthenticate: true });
    expect(rig.commands.find((command) => command.startsWith("00fee0"))).toContain("aa0103");
  });

  test("is refused with another exponent, in a place that is none, without the management key, and by other cards", async () => {
    const odd = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 }).privateKey;
    const good = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const { token } = await claim(bench(await yubikey()));
    await expect(token.createObject?.(newKey(1, good))).rejects.toBeInstanceOf(LoginRequiredError);
    await officer(token);
    await expect(token.createObject?.(newKey(1, odd))).rejects.toThrow(/public exponent 65537/u);
    await expect(token.createObject?.(newKey(99, good))).rejects.toThrow(/CKA_ID 01 to 18/u);
    const { token: standard } = await claim(bench(await testCard({ keys: EMPTY })));
    await officer(standard);
    await expect(standard.createObject?.(newKey(1, good))).rejects.toThrow(
      /private keys to PIV cards with Yubico's commands only/u,
    );
  });
});

describe("in PKCS #11 terms", () => {
  const pair = (more: readonly (readonly [number, number])[]): readonly (readonly [number, never])[] =>
    [[CKA.TOKEN, true], [CKA.ID, Uint8Array.of(1)], ...more] as unknown as readonly (readonly [number, never])[];

  test("C_GenerateKeyPair takes the vendor's attributes in the private key's template, and shows them", async () => {
    await using rig = await facade(await yubikey());
    const { cryptoki } = rig;
    const session = await rig.session();
    await cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    const { privateKey: handle } = await cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.EC_PARAMS]: Uint8Array.of(6, 8, 42, 134, 72, 206, 61, 3, 1, 7) },
      pair([
        [CKA_YUBICO.PIN_POLICY, 1],
        [CKA_YUBICO.TOUCH_POLICY, 3],
      ]),
    );
    expect(
      await cryptoki.C_GetAttributeValue(session, handle, [CKA_YUBICO.PIN_POLICY, CKA_YUBICO.TOUCH_POLICY]),
    ).toEqual({ [CKA_YUBICO.PIN_POLICY]: 1, [CKA_YUBICO.TOUCH_POLICY]: 3 });
  });

  test("a key of the session, a public key and a certificate have no such attribute", async () => {
    await using rig = await facade(await yubikey());
    const { cryptoki } = rig;
    const session = await rig.session();
    const params = Uint8Array.of(6, 8, 42, 134, 72, 206, 61, 3, 1, 7);
    const policy = [[CKA_YUBICO.PIN_POLICY, 1]] as never;
    await expect(
      cryptoki.C_GenerateKeyPair(session, { mechanism: CKM.EC_KEY_PAIR_GEN }, { [CKA.EC_PARAMS]: params }, policy),
    ).rejects.toMatchObject({ code: "CKR_ATTRIBUTE_TYPE_INVALID" });
    const secret = [
      [CKA.CLASS, CKO.SECRET_KEY],
      [CKA.KEY_TYPE, CKK.AES],
      [CKA.VALUE, new Uint8Array(16)],
      [CKA_YUBICO.PIN_POLICY, 1],
    ] as never;
    await expect(cryptoki.C_CreateObject(session, secret)).rejects.toMatchObject({
      code: "CKR_ATTRIBUTE_TYPE_INVALID",
    });
  });
});
