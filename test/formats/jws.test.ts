import { expect, test } from "@jest/globals";
import { createPublicKey } from "node:crypto";
import { compactVerify, generalVerify, jwtVerify } from "jose";
import { type JwsAlgorithm, signGeneralJws, signJws, signJwt, verifyJws, verifyJwt } from "../../src/formats/index.ts";
import { KEYS, opened } from "../tokens/opened.ts";

const PAYLOAD = Buffer.from("a letter");
const publicKey = (reference: keyof typeof KEYS): ReturnType<typeof createPublicKey> =>
  createPublicKey(KEYS[reference].privateKey);

test.each<[keyof typeof KEYS, JwsAlgorithm | undefined, string]>([
  ["9a", undefined, "RS256"],
  ["9a", "RS512", "RS512"],
  ["9a", "PS256", "PS256"],
  ["9c", undefined, "ES384"],
  ["9e", "ES256", "ES256"],
  ["82", undefined, "EdDSA"],
])("jose verifies a compact JWS of key %s with %s", async (reference, alg, expected) => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference });
  const jws = await signJws(key, PAYLOAD, { ...(alg && { alg }), header: { kid: "card" } });
  const { payload, protectedHeader } = await compactVerify(jws, publicKey(reference));
  expect(Buffer.from(payload)).toEqual(PAYLOAD);
  expect(protectedHeader).toEqual({ alg: expected, kid: "card" });
  const [header = "", , signature = ""] = jws.split(".");
  await expect(compactVerify(`${header}.YW5vdGhlcg.${signature}`, publicKey(reference))).rejects.toMatchObject({
    code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
  });
});

test("jose verifies a token and its claims", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9c" });
  const token = await signJwt(key, { iss: "me", sub: "a letter", exp: 4_000_000_000 });
  const { payload, protectedHeader } = await jwtVerify(token, publicKey("9c"), { issuer: "me" });
  expect(payload.sub).toBe("a letter");
  expect(protectedHeader).toEqual({ alg: "ES384", typ: "JWT" });
});

test("jose verifies each signature of the general form", async () => {
  await using rig = await opened();
  const keys = [await rig.token.keys.get({ reference: "9a" }), await rig.token.keys.get({ reference: "9e" })];
  const jws = await signGeneralJws(
    PAYLOAD,
    keys.map((key) => ({ key })),
  );
  const general = { payload: jws.payload, signatures: [...jws.signatures] };
  for (const reference of ["9a", "9e"] as const) {
    expect(Buffer.from((await generalVerify(general, publicKey(reference))).payload)).toEqual(PAYLOAD);
  }
  await expect(signGeneralJws(PAYLOAD, [])).rejects.toMatchObject({ code: "BAD_INPUT" });
});

test("what JOSE does not have is refused before the PIN is asked for", async () => {
  await using rig = await opened();
  const rsa = await rig.token.keys.get({ reference: "9a" });
  await expect(signJws(rsa, PAYLOAD, { alg: "ES256" })).rejects.toMatchObject({
    code: "KEY_CANNOT",
    message: "a key of type rsa does not sign with ES256",
  });
  await expect(signJws(rsa, PAYLOAD, { alg: "none" as never })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(signJws(rsa, PAYLOAD, { header: { alg: "none" } })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(signJws(rsa, PAYLOAD, { header: { b64: false } })).rejects.toMatchObject({ code: "BAD_INPUT" });
  const x25519 = await rig.token.keys.get({ reference: "83" });
  await expect(signJws(x25519, PAYLOAD)).rejects.toMatchObject({ code: "KEY_CANNOT" });
  expect(rig.requests).toHaveLength(0);
});

test("this package verifies the forms with jose, and takes no algorithm of another type of key", async () => {
  await using rig = await opened();
  for (const reference of ["9a", "9c", "82"] as const) {
    const key = await rig.token.keys.get({ reference });
    const own = await key.publicKey();
    const jws = await signJws(key, PAYLOAD);
    expect(Buffer.from((await verifyJws(jws, own)).payload)).toEqual(PAYLOAD);
    const general = await signGeneralJws(PAYLOAD, [{ key }]);
    expect(Buffer.from((await verifyJws(general, own)).payload)).toEqual(PAYLOAD);
    const other = await (await rig.token.keys.get({ reference: "9e" })).publicKey();
    await expect(verifyJws(jws, other)).rejects.toMatchObject({
      code: "NOT_VALID",
      message: 'the JWS does not verify: "alg" (Algorithm) Header Parameter value not allowed',
    });
  }
  const key = await rig.token.keys.get({ reference: "9e" });
  const own = await key.publicKey();
  const jwt = await signJwt(key, { iss: "me", exp: 4_000_000_000 });
  expect(await verifyJwt(jwt, own, { issuer: "me" })).toMatchObject({ iss: "me" });
  await expect(verifyJwt(jwt, own, { issuer: "you" })).rejects.toMatchObject({ code: "NOT_VALID" });
  await expect(verifyJwt(await signJwt(key, { exp: 1 }), own)).rejects.toMatchObject({
    message: 'the token does not verify: "exp" claim timestamp check failed',
  });
});
