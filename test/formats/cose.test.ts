import { expect, test } from "@jest/globals";
import { createPublicKey } from "node:crypto";
import { createRequire } from "node:module";
import { Sign1 } from "@auth0/cose";
import { type JwsAlgorithm, signCose, verifyCose } from "../../src/formats/index.ts";
import { KEYS, opened } from "../tokens/opened.ts";

/** Another library than the one that makes the messages. It has no types, and no EdDSA. */
const second = createRequire(import.meta.url)("cose-js") as {
  readonly sign: { verify(message: Buffer, verifier: { readonly key: unknown }): Promise<Buffer> };
};

const PAYLOAD = Buffer.from("a letter");
const publicKey = (reference: keyof typeof KEYS): ReturnType<typeof createPublicKey> =>
  createPublicKey(KEYS[reference].privateKey);

/** The key as cose-js takes it: the coordinates of an EC key, PEM of an RSA key. */
function keyForSecond(reference: keyof typeof KEYS): unknown {
  const key = publicKey(reference);
  if (key.asymmetricKeyType === "rsa") return key.export({ format: "pem", type: "spki" });
  const { x = "", y = "" } = key.export({ format: "jwk" });
  return { x: Buffer.from(x, "base64url"), y: Buffer.from(y, "base64url") };
}

test.each<[keyof typeof KEYS, JwsAlgorithm | undefined]>([
  ["9a", undefined],
  ["9a", "RS512"],
  ["9a", "PS256"],
  ["9c", undefined],
  ["9e", undefined],
  ["82", undefined],
])("two libraries verify a COSE_Sign1 of key %s with %s", async (reference, alg) => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference });
  const certificate = await key.certificate();
  const kid = Buffer.from("card");
  const signed = await signCose(key, PAYLOAD, { ...(alg && { alg }), kid, chain: [certificate] });
  await Sign1.decode(signed).verify(publicKey(reference));
  if (["9a", "9e"].includes(reference) && alg !== "PS256") {
    const payload = await second.sign.verify(Buffer.from(signed), { key: keyForSecond(reference) });
    expect(Buffer.from(payload)).toEqual(PAYLOAD);
  }
  const own = await key.publicKey();
  const verified = await verifyCose(signed, own);
  expect(Buffer.from(verified.payload)).toEqual(PAYLOAD);
  expect(Buffer.from(verified.kid ?? []).toString()).toBe("card");
  const altered = Buffer.from(signed);
  altered[altered.indexOf("letter")] = 0x4c;
  await expect(verifyCose(altered, own)).rejects.toMatchObject({
    code: "NOT_VALID",
    message: "the signature is not the key's, or the message was altered",
  });
});

test("payloads of every length of a CBOR head, and what is refused", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const own = await key.publicKey();
  for (const length of [0, 23, 24, 255, 256, 65_535, 65_536]) {
    const signed = await signCose(key, new Uint8Array(length));
    await Sign1.decode(signed).verify(publicKey("9e"));
    expect((await verifyCose(signed, own)).payload).toHaveLength(length);
  }
  const rsa = await (await rig.token.keys.get({ reference: "9a" })).publicKey();
  await expect(verifyCose(await signCose(key, PAYLOAD), rsa)).rejects.toMatchObject({
    code: "NOT_VALID",
    message: "the key does not verify the algorithm of the message: -7",
  });
  await expect(verifyCose(Buffer.from("no message"), own)).rejects.toMatchObject({ code: "MALFORMED" });
  await expect(signCose(key, PAYLOAD, { alg: "RS256" })).rejects.toMatchObject({ code: "KEY_CANNOT" });
});
