import { createCipheriv } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKF, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { piv } from "../../src/piv/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { loadCard, saveCard, type VirtualPkcs15Card } from "../../src/virtual/index.ts";
import { first, refusal, type Rig, rig } from "../cryptoki/rig.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";

const KEY = fromHex("0123456789abcdeffedcba98765432100011223344556677");
const PIN = "123456";
const NEW = "246802";
const MINUTE = 60_000;

const card = (): Promise<VirtualPkcs15Card> => testPkcs15Card({ unlockKey: KEY });

/** The issuer's part, by OpenSSL. */
function response(challenge: Uint8Array): Uint8Array {
  const cipher = createCipheriv("des-ede3-ecb", KEY, null).setAutoPadding(false);
  return cipher.update(challenge);
}

async function session(made: Rig): Promise<{ readonly slot: number; readonly session: number }> {
  const slot = first(await made.cryptoki.C_GetSlotList(true));
  return { slot, session: await made.cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION) };
}

/** Spends all tries of the PIN. */
async function block({ cryptoki }: Rig, session: number): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await cryptoki.C_Login(session, CKU.USER, "000000").catch(() => undefined);
  await expect(cryptoki.C_Login(session, CKU.USER, PIN)).rejects.toMatchObject(refusal("PIN_LOCKED"));
}

describe("a PIN that a key of the issuer unblocks", () => {
  test("is set anew after the right response, with all its tries", async () => {
    await using made = await rig(await card(), [pkcs15]);
    const { cryptoki } = made;
    const { slot, session: handle } = await session(made);
    await block(made, handle);
    await cryptoki.C_UnlockBegin(slot, MINUTE);
    const challenge = await cryptoki.C_UnlockGetChallenge(handle);
    expect(challenge).toHaveLength(8);
    const before = made.commands.length;
    await cryptoki.C_UnlockWithResponse(handle, response(challenge), NEW);
    // Nothing comes between: the card would forget the challenge.
    expect(made.commands.slice(before).map((command) => command.slice(0, 8))).toEqual(["00820011", "002c0201"]);
    expect((await cryptoki.C_GetTokenInfo(slot)).flags & (CKF.USER_PIN_LOCKED | CKF.USER_PIN_COUNT_LOW)).toBe(0);
    await cryptoki.C_Login(handle, CKU.USER, NEW);
  });

  test("stays after a wrong response, which costs a try of the key; the third blocks it", async () => {
    await using made = await rig(await card(), [pkcs15]);
    const { cryptoki } = made;
    const { slot, session: handle } = await session(made);
    const unlock = async (answer: (challenge: Uint8Array) => Uint8Array): Promise<void> => {
      await cryptoki.C_UnlockBegin(slot, MINUTE);
      const challenge = await cryptoki.C_UnlockGetChallenge(handle);
      await cryptoki.C_UnlockWithResponse(handle, answer(challenge), NEW);
    };
    const wrong = (): Uint8Array => new Uint8Array(8);
    for (const [code, triesLeft] of [
      ["PIN_INCORRECT", 2],
      ["PIN_INCORRECT", 1],
      ["PIN_LOCKED", 0],
    ] as const) {
      await expect(unlock(wrong)).rejects.toMatchObject({ ...refusal(code), cause: { triesLeft } });
    }
    await expect(unlock(response)).rejects.toMatchObject(refusal("PIN_LOCKED"));
    await cryptoki.C_Login(handle, CKU.USER, PIN);
  });

  test("wants an answer to the present challenge, and a PIN that the card takes", async () => {
    await using made = await rig(await card(), [pkcs15]);
    const { cryptoki } = made;
    const { slot, session: handle } = await session(made);
    await cryptoki.C_UnlockBegin(slot, MINUTE);
    const old = await cryptoki.C_UnlockGetChallenge(handle);
    await cryptoki.C_UnlockGetChallenge(handle);
    await expect(cryptoki.C_UnlockWithResponse(handle, response(old), NEW)).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    await cryptoki.C_UnlockBegin(slot, MINUTE);
    const challenge = await cryptoki.C_UnlockGetChallenge(handle);
    const before = made.commands.length;
    await expect(cryptoki.C_UnlockWithResponse(handle, response(challenge), "1")).rejects.toMatchObject(
      refusal("PIN_LEN_RANGE"),
    );
    await expect(cryptoki.C_UnlockWithResponse(handle, response(challenge), NEW)).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
    expect(made.commands.slice(before)).toEqual([]);
  });

  test("keeps another application of this process waiting between challenge and response", async () => {
    await using made = await rig(await card(), [pkcs15]);
    const { cryptoki } = made;
    const { slot, session: handle } = await session(made);
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_UnlockBegin(slot, MINUTE);
    const challenge = await cryptoki.C_UnlockGetChallenge(handle);
    const login = other.C_Login(theirs, CKU.USER, NEW);
    await cryptoki.C_UnlockWithResponse(handle, response(challenge), NEW);
    await login;
  });

  test("has no PUK, and its response and the new PIN are in no trace", async () => {
    await using made = await rig(await card(), [pkcs15]);
    const lines: string[] = [];
    await made.cryptoki.C_SetTraceCallback((line) => lines.push(line));
    const { slot, session: handle } = await session(made);
    await expect(made.cryptoki.C_UnlockPIN(handle, "12345678", NEW)).rejects.toMatchObject(
      refusal("FUNCTION_NOT_SUPPORTED"),
    );
    await made.cryptoki.C_UnlockBegin(slot, MINUTE);
    const answer = response(await made.cryptoki.C_UnlockGetChallenge(handle));
    await made.cryptoki.C_UnlockWithResponse(handle, answer, NEW);
    const trace = lines.join("\n").toLowerCase();
    for (const secret of [toHex(answer), toHex(utf8(NEW)), NEW]) expect(trace).not.toContain(secret);
  });

  test("is that of a card that was kept in a file, which counts the key's tries", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "unlock-key-"));
    try {
      const file = path.join(folder, "card.json");
      await saveCard(await card(), file);
      await using made = await rig(await loadCard(file), [pkcs15]);
      const { slot, session: handle } = await session(made);
      await made.cryptoki.C_UnlockBegin(slot, MINUTE);
      await made.cryptoki.C_UnlockGetChallenge(handle);
      const wrong = made.cryptoki.C_UnlockWithResponse(handle, new Uint8Array(8), NEW);
      await expect(wrong).rejects.toMatchObject(refusal("PIN_INCORRECT"));
      expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({
        unlockKey: { value: toHex(KEY), tries: 2, pin: 1 },
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test("the signature PIN of that card has its PUK, and no challenge", async () => {
  await using made = await rig(await card(), [pkcs15]);
  const { cryptoki } = made;
  const [, slot = 0] = await cryptoki.C_GetSlotList(true);
  await expect(cryptoki.C_UnlockBegin(slot, MINUTE)).rejects.toMatchObject(refusal("FUNCTION_NOT_SUPPORTED"));
  const handle = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
  await cryptoki.C_UnlockPIN(handle, "87654321", "135790");
  await cryptoki.C_Login(handle, CKU.USER, "135790");
});

test.each([
  ["a card with a PUK", testPkcs15Card],
  ["a PIV card", testCard],
])("%s unblocks by no challenge", async (_, make) => {
  await using made = await rig(await make(), [piv, pkcs15]);
  await expect(made.cryptoki.C_UnlockBegin(await made.slot(), MINUTE)).rejects.toMatchObject(
    refusal("FUNCTION_NOT_SUPPORTED"),
  );
});
