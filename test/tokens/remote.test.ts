import { expect, test } from "@jest/globals";
import { READER } from "../cryptoki/rig.ts";
import { ServerRig } from "../p11kit/rig.ts";
import { openTokens } from "../../src/tokens/index.ts";
import { testCard } from "../virtual/keys.ts";

const DATA = Buffer.from("a letter to be signed");

test("the tokens of a server sign, and a card that was swapped meanwhile is another token", async () => {
  await using rig = await ServerRig.start(await testCard());
  await using cards = await openTokens({ server: rig.address, pin: () => "123456" });
  const token = await cards.token();
  const key = await token.keys.get({ reference: "9c" });
  const publicKey = await key.publicKey();
  const signatures = await Promise.all(Array.from({ length: 12 }, () => key.sign(DATA)));
  for (const signature of signatures) expect(await publicKey.verify(DATA, signature)).toBe(true);

  // No watch runs: what is in the reader is found out by the next call.
  rig.local.readers.eject(READER);
  rig.local.readers.insert(READER, await testCard());
  await expect(key.sign(DATA)).rejects.toMatchObject({ name: "TokenError", code: "TOKEN_GONE" });
  expect(token.removed.aborted).toBe(true);
  const again = await cards.token();
  expect(again).not.toBe(token);
  expect((await (await again.keys.get({ reference: "9c" })).sign(DATA)).length).toBeGreaterThan(0);
});

test("a token whose card was swapped before its first use does not work with the other card", async () => {
  await using rig = await ServerRig.start(await testCard());
  await using cards = await openTokens({ server: rig.address, pin: () => "123456" });
  const token = await cards.token();
  rig.local.readers.eject(READER);
  rig.local.readers.insert(READER, await testCard());
  await expect(token.certificates.get({ reference: "9a" })).rejects.toMatchObject({ code: "TOKEN_GONE" });
});

test("close ends a wait for changes at a server", async () => {
  await using rig = await ServerRig.start(await testCard());
  const cards = await openTokens({ server: rig.address });
  const changes = cards.changes();
  expect(await changes.next()).toMatchObject({ value: { type: "inserted", initial: true } });
  const waiting = changes.next().catch((error: unknown) => error);
  await cards.close();
  await waiting;
  await expect(cards.token()).rejects.toMatchObject({ code: "TOKEN_GONE" });
});

test("a server that is not there is a TokenError", async () => {
  await expect(openTokens({ server: "unix:path=/nonexistent/p11" })).rejects.toMatchObject({ name: "TokenError" });
});

test("a token of a server is written, as user and as security officer, and tells what a key is", async () => {
  await using rig = await ServerRig.start(await testCard({ yubico: true }));
  await using cards = await openTokens({ server: rig.address, pin: () => "123456" });
  const token = await cards.token();
  const { made, attestation } = await (async () => {
    await using officer = await token.asOfficer("010203040506070801020304050607080102030405060708");
    const made = await officer.keys.generate({ reference: "9e", type: "ec", curve: "P-256", replace: true });
    expect(await made.policy()).toEqual({ pin: "never", touch: "never", origin: "generated" });
    const attestation = await made.attest();
    const old = await token.certificates.get({ reference: "9a" });
    await expect(officer.certificates.add(old)).rejects.toMatchObject({ code: "OBJECT_EXISTS" });
    await officer.certificates.add(old, { replace: true });
    await officer.keys.delete(await token.keys.get({ reference: "9a" }));
    return { made, attestation };
  })();
  expect(await (await made.publicKey()).verify(DATA, await made.sign(DATA))).toBe(true);
  const deleted = await token.keys.get({ reference: "9a" }).catch(() => undefined);
  if (deleted) await expect(deleted.sign(DATA)).rejects.toMatchObject({ name: "TokenError" });
  expect([attestation.certificate, ...attestation.chain].every((der) => der[0] === 0x30)).toBe(true);
  // p11-kit's protocol has no place for this driver's functions.
  await expect(token.changePuk({ old: "12345678", new: "87654321" })).rejects.toMatchObject({
    code: "CKR_FUNCTION_NOT_SUPPORTED",
  });
});
