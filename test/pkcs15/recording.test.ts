import { createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { type CardPrivateKey, type CardToken, LoginRequiredError, PinError } from "../../src/card/index.ts";
import { digestInfo } from "../../src/crypto/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { type FileCard, insert, RECORDING, recordedCard, withoutLe } from "./file-card.ts";

const PIN = utf8("123456");

async function tokenOf(card: FileCard): Promise<CardToken> {
  const [token] = (await pkcs15.claim(await insert(card), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  return token;
}

async function keyOf(token: CardToken, label: string): Promise<CardPrivateKey> {
  const key = (await token.objects()).find((object) => object.class === "private-key" && object.label === label);
  if (key?.class !== "private-key") throw new Error(`no key ${label}`);
  return key;
}

/** What a recorded use of a key sent. */
const recorded = (name: string): string[] => (RECORDING.exchanges[name] ?? []).map(({ command }) => withoutLe(command));

describe("the recorded card", () => {
  test("is one token with the objects that its directories list", async () => {
    const token = await tokenOf(recordedCard());
    expect(await token.info()).toMatchObject({
      label: "JavaCard isoApplet",
      manufacturer: "unknown",
      serialNumber: "0000",
      pin: { label: "User PIN", minLength: 4, maxLength: 16 },
    });
    const objects = await token.objects();
    expect(objects.map(({ reference }) => reference)).toEqual([
      "private-key.01",
      "private-key.02",
      "private-key.03",
      "public-key.01",
      "public-key.02",
      "public-key.03",
      "certificate.01",
      "certificate.03",
    ]);
    expect(await keyOf(token, "RSA decrypt")).toMatchObject({
      private: true,
      needsLogin: true,
      alwaysAuthenticate: false,
      usage: { sign: false, decrypt: true, derive: false },
      primitives: ["rsa-pkcs1"],
    });
  });

  test("every public key is read, out of its certificate or its file", async () => {
    const token = await tokenOf(recordedCard());
    for (const object of await token.objects()) {
      if (object.class !== "public-key") continue;
      const key = createPublicKey({ key: Buffer.from(await object.publicKey()), format: "der", type: "spki" });
      expect(key.asymmetricKeyType).toBe(object.label.startsWith("EC") ? "ec" : "rsa");
    }
  });

  test("signs with RSA by the commands that were recorded", async () => {
    const card = recordedCard();
    const token = await tokenOf(card);
    const key = await keyOf(token, "RSA cert");
    const digest = RECORDING.exchanges["sign-rsa"]?.at(-1)?.command.slice(48, 112) ?? "";
    card.commands.length = 0;
    await token.login("user", PIN);
    const signature = await token.use(key, "rsa-pkcs1", digestInfo("sha256", Buffer.from(digest, "hex")));
    expect(card.commands.map(withoutLe)).toEqual(recorded("sign-rsa"));
    expect(toHex(signature)).toBe(RECORDING.exchanges["sign-rsa"]?.at(-1)?.answer.slice(0, -4));
  });

  test("a second signature is one exchange: the security environment holds", async () => {
    const card = recordedCard();
    const token = await tokenOf(card);
    const key = await keyOf(token, "RSA cert");
    const input = digestInfo(
      "sha256",
      Buffer.from(RECORDING.exchanges["sign-rsa"]?.at(-1)?.command.slice(48, 112) ?? "", "hex"),
    );
    await token.login("user", PIN);
    const first = await token.use(key, "rsa-pkcs1", input);
    card.commands.length = 0;
    expect(await token.use(key, "rsa-pkcs1", input)).toEqual(first);
    expect(card.commands).toHaveLength(1);
  });

  test("signs on the curve by the commands that were recorded", async () => {
    const card = recordedCard();
    const token = await tokenOf(card);
    const key = await keyOf(token, "EC cert");
    const message = utf8("hello\n");
    card.commands.length = 0;
    await token.login("user", PIN);
    const signature = await token.use(key, "ecdsa-sha1", message);
    expect(card.commands.map(withoutLe)).toEqual(recorded("sign-ec"));
    const spki = createPublicKey({ key: Buffer.from(await key.publicKey()), format: "der", type: "spki" });
    // This version of the applet hashes what it is given, with SHA-1.
    expect(verify("sha1", message, { key: spki, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  });

  test("keys want the login of this program", async () => {
    const token = await tokenOf(recordedCard());
    const key = await keyOf(token, "RSA cert");
    await expect(token.use(key, "rsa-pkcs1", new Uint8Array(20))).rejects.toThrow(LoginRequiredError);
  });

  test.each([
    ["123", "length"],
    ["12345678901234567", "length"],
    ["12a456", "characters"],
  ])("the PIN %s is refused before the card sees it", async (pin, reason) => {
    const card = recordedCard();
    const token = await tokenOf(card);
    card.commands.length = 0;
    const failure = await token.login("user", utf8(pin)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(PinError);
    expect(failure).toMatchObject({ reason });
    expect(card.commands).toEqual([]);
  });

  test("reading all of it takes no more exchanges than the budget", async () => {
    const card = recordedCard();
    const token = await tokenOf(card);
    await token.info();
    await token.pinStatus("user");
    // Two more are what the profile before it asked in vain.
    expect(card.commands.length + 2).toBeLessThanOrEqual(11);
    for (const object of await token.objects()) {
      if (object.class === "certificate") await object.value();
    }
    expect(card.commands.length + 2).toBeLessThanOrEqual(28);
  });
});
