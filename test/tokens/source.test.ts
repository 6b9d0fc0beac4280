import { expect, test } from "@jest/globals";
import { openTokens, PublicKey, type TokenChange, type TokenSource } from "../../src/tokens/index.ts";
import { MemoryReaders, profiles } from "../../src/index.ts";
import { makeCard, opened, PIN } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");

test("keys are found by each of their names, and by their certificate", async () => {
  await using rig = await opened();
  const { keys, certificates } = rig.token;
  const key = await keys.get({ reference: "9A" });
  expect(key).toMatchObject({ id: "01", reference: "9a" });
  const certificate = await certificates.get({ reference: "9a" });
  const publicKey = await key.publicKey();
  for (const query of [
    { id: "01" },
    { id: Uint8Array.of(1) },
    { label: key.label },
    { label: certificate.label },
    { fingerprint: publicKey.fingerprint() },
    { certificate },
    { certificate: certificate.toPem() },
    { publicKey: new PublicKey(publicKey.toPem()) },
    { type: "rsa" },
    { use: "decrypt", type: "rsa" },
    await key.uri(),
  ] as const) {
    expect((await keys.get(query)).id).toBe("01");
  }
  expect(rig.requests).toHaveLength(0);
});

test("a query that fits nothing, several keys, or cannot be read is told apart", async () => {
  await using rig = await opened();
  const { keys } = rig.token;
  await expect(keys.get({ label: "no such key" })).rejects.toMatchObject({ code: "NO_OBJECT" });
  await expect(keys.get({ type: "ec" })).rejects.toMatchObject({ code: "SEVERAL_OBJECTS", candidates: { length: 3 } });
  await expect(keys.get({ id: "zz" })).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringMatching(/hexadecimal/u),
  });
  await expect(keys.get({ reference: "nine" })).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringMatching(/9a/u),
  });
  await expect(keys.get("9a")).rejects.toMatchObject({ code: "BAD_INPUT", message: expect.stringMatching(/pkcs11:/u) });
  await expect(keys.get("pkcs11:object=x?pin-value=123456")).rejects.toMatchObject({ code: "BAD_INPUT" });
});

test("certificates tell subject and expiry, and write themselves as PEM", async () => {
  await using rig = await opened();
  const certificate = await rig.token.certificates.get({ reference: "9c" });
  expect(certificate.toPem()).toMatch(/^-----BEGIN CERTIFICATE-----\n/u);
  expect(certificate.notAfter.getTime()).toBeGreaterThan(certificate.notBefore.getTime());
  const later = new Date(certificate.notAfter.getTime() + 1);
  const expiring: string[] = [];
  for await (const one of rig.token.certificates.find({ expiresBefore: later })) expiring.push(one.id);
  expect(expiring).toContain("02");
  await expect(rig.token.certificates.get({ subject: "no such subject" })).rejects.toMatchObject({ code: "NO_OBJECT" });
});

test("public keys come in the forms of other programs", async () => {
  await using rig = await opened();
  const rsa = await (await rig.token.keys.get({ reference: "9a" })).publicKey();
  expect(rsa.algorithm).toEqual({ type: "rsa", bits: 2048 });
  expect(rsa.toJwk()).toMatchObject({ kty: "RSA", e: "AQAB" });
  expect(rsa.toSsh("me")).toMatch(/^ssh-rsa [A-Za-z0-9+/=]+ me$/u);
  const ec = await (await rig.token.keys.get({ reference: "9c" })).publicKey();
  expect(ec.toJwk()).toMatchObject({ kty: "EC", crv: "P-384" });
  expect(ec.toPoint()).toHaveLength(97);
  const x25519 = await (await rig.token.keys.get({ reference: "83" })).publicKey();
  expect(x25519.toJwk()).toMatchObject({ kty: "OKP", crv: "X25519" });
  expect(() => x25519.toSsh()).toThrow(expect.objectContaining({ code: "KEY_CANNOT" }));
  expect(() => rsa.toPoint()).toThrow(expect.objectContaining({ code: "KEY_CANNOT" }));
  expect(() => new PublicKey("text")).toThrow(expect.objectContaining({ code: "BAD_INPUT" }));
  expect(() => new PublicKey(Uint8Array.of(1))).toThrow(expect.objectContaining({ code: "BAD_INPUT" }));
});

test("a card that goes ends its token permanently; the same card put in again is another token", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  await key.sign(DATA);
  const removed = new Promise((resolve) => {
    rig.token.removed.addEventListener("abort", resolve);
  });
  rig.readers.eject("Reader");
  await removed;
  await expect(key.sign(DATA)).rejects.toMatchObject({ code: "TOKEN_GONE" });
  await expect(rig.cards.token()).rejects.toMatchObject({ code: "NO_CARD" });
  const coming = rig.cards.token(undefined, { wait: true });
  await rig.insert();
  const again = await coming;
  expect(again).not.toBe(rig.token);
  expect((await (await again.keys.get({ reference: "9a" })).sign(DATA)).length).toBe(256);
  await expect(key.sign(DATA)).rejects.toMatchObject({ code: "TOKEN_GONE" });
});

async function take(cards: TokenSource, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const change of cards.changes()) {
    seen.push(nameOf(change));
    if (seen.length === count) break;
  }
  return seen;
}

function nameOf(change: TokenChange): string {
  return change.type === "inserted" && change.initial ? "initial" : change.type;
}

test("each of three watchers hears every change, and what was in before", async () => {
  await using rig = await opened();
  const watchers = [1, 2, 3].map(() => take(rig.cards, 3));
  const first = take(rig.cards, 1);
  await first;
  const removed = new Promise((resolve) => {
    rig.token.removed.addEventListener("abort", resolve);
  });
  rig.readers.eject("Reader");
  await removed;
  await rig.insert();
  for (const heard of await Promise.all(watchers)) expect(heard).toEqual(["initial", "removed", "inserted"]);
});

test("several tokens are told by their URIs, and named by URI, reader or label", async () => {
  await using cards = await openTokens({ cards: [await makeCard(), await makeCard()], pin: () => PIN });
  const error = await cards.token().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "SEVERAL_TOKENS", candidates: { length: 2 } });
  const [uri = ""] = (error as { candidates: string[] }).candidates;
  const named = await cards.token(uri);
  expect((await named.info()).uri).toBe(uri);
  expect((await cards.token({ reader: (await named.info()).reader })).slot).toBe(named.slot);
  await expect(cards.token("pkcs11:token=none")).rejects.toMatchObject({ code: "NO_TOKEN", candidates: { length: 2 } });
  await expect(cards.token("PIV")).rejects.toMatchObject({ code: "BAD_INPUT" });
});

test("no reader and no card are errors that say what to do", async () => {
  const readers = new MemoryReaders();
  const pcsc = readers.client();
  await using cards = await openTokens({ pcsc, profiles });
  await expect(cards.token()).rejects.toMatchObject({
    code: "NO_READER",
    message: expect.stringMatching(/plug one in/u),
  });
  readers.plug("Reader");
  await expect(cards.token()).rejects.toMatchObject({ code: "NO_CARD", message: expect.stringMatching(/put one in/u) });
  await pcsc.close();
});

test("without the smart-card service the error names the line that starts it", async () => {
  const { Pcscd } = await import("../../src/index.ts");
  const pcsc = new Pcscd({ socket: "/nonexistent/pcscd.comm" });
  const outcome = openTokens({ pcsc }).then(async (cards) => {
    try {
      return await cards.token();
    } finally {
      await cards.close();
    }
  });
  await expect(outcome).rejects.toMatchObject({
    code: "NO_SERVICE",
    message: expect.stringMatching(/systemctl start pcscd/u),
  });
  await pcsc.close();
});

test("libraries that take a CryptoKey get one of the token", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const crypto = await rig.token.webCrypto();
  const cryptoKey = await key.toCryptoKey();
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, cryptoKey, DATA);
  expect(await (await key.publicKey()).verify(DATA, new Uint8Array(signature))).toBe(true);
});
