import { createPublicKey, verify } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { saveCard } from "../../src/virtual/index.ts";
import { REBUILT_KEYS, REBUILT_PIN, rebuiltCard } from "../pkcs15/rebuilt-card.ts";
import { CardFolder } from "./card.ts";
import { cryptoki, json } from "./program.ts";

/** IsoApplet 0.6 hashes with SHA-1 itself before it signs with an EC key: CKM_ECDSA_SHA1 is all that such a key does. */
let folder: CardFolder;
let file: string;
beforeEach(async () => {
  folder = new CardFolder();
  await saveCard(rebuiltCard(), folder.card);
  file = folder.file("message.txt", "message");
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const sign = (...args: readonly string[]): ReturnType<typeof cryptoki> =>
  cryptoki(["--virtual", folder.card, "sign", ...args, file], { env: { CRYPTOKI_PIN: REBUILT_PIN } });

test("a key with one mechanism signs with it where none is named", async () => {
  const document = json(await sign("--id", "03", "--json")) as { mechanism: string; signature: string };
  expect(document.mechanism).toBe("CKM_ECDSA_SHA1");
  const key = createPublicKey(REBUILT_KEYS["EC cert"].key());
  expect(verify("sha1", Buffer.from("message"), key, Buffer.from(document.signature, "base64"))).toBe(true);
});

test("another mechanism is refused with the name of the one, before the PIN is asked for", async () => {
  for (const args of [
    ["--mechanism", "ECDSA_SHA256"],
    ["--hash", "sha256"],
  ]) {
    const { code, stderr } = await cryptoki(["--virtual", folder.card, "sign", "--id", "03", ...args, file]);
    expect(stderr).toMatch(/does not sign with ECDSA_SHA256; with this key it supports ECDSA_SHA1/u);
    expect(code).toBe(2);
  }
});

test("an RSA key of the same card signs as ever", async () => {
  expect(json(await sign("--id", "01", "--json"))).toMatchObject({ mechanism: "CKM_SHA256_RSA_PKCS" });
});
