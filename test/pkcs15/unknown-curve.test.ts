import { createHash, createPublicKey, verify } from "node:crypto";
import { expect, test } from "@jest/globals";
import { concat, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKM, type CK_MECHANISM, mechanismOf } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/index.ts";
import { rig, type Rig } from "../cryptoki/rig.ts";
import { REBUILT_KEYS, rebuiltCard } from "./rebuilt-card.ts";

const MESSAGE = utf8("data to be signed");
/** SELECT of the directory of private keys, and of the file in which the curve stands. */
const DIRECTORY = "50154402";
const KEY_FILE = "50153302";
const KEY = REBUILT_KEYS["EC cert"];
const PSO = 0x2a;
const REFUSED = "6700";

interface Signer extends AsyncDisposable {
  readonly made: Rig;
  readonly signatures: () => number;
  sign(mechanism: CK_MECHANISM, data?: Uint8Array): Promise<Uint8Array>;
}

/**
 * A key on P-256. The length of its coordinates, which the standard does not have in an entry, is hidden.
 * @param lengths Of the digests that the card takes.
 * @param truncates Whether it takes longer ones, and signs something else than their beginning.
 */
async function signer(lengths?: readonly number[], truncates = false): Promise<Signer> {
  const card = rebuiltCard({ make: "iso-applet-1" });
  let selected = "";
  let signatures = 0;
  const made = await rig(
    {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: async (command) => {
        if (command[1] === 0xa4) selected = toHex(command);
        if (command[1] === PSO) {
          signatures++;
          if (lengths && !lengths.includes(command[4] ?? 0)) return fromHex(REFUSED);
        }
        const isLong = truncates && command[1] === PSO && (command[4] ?? 0) > 32;
        const given = isLong
          ? concat(command.subarray(0, 4), Uint8Array.of(32), new Uint8Array(32).fill(1), Uint8Array.of(0))
          : command;
        const answer = await card.transmit(given);
        return selected.includes(DIRECTORY) ? fromHex(toHex(answer).replace("02020100", "04020100")) : answer;
      },
    },
    [pkcs15],
  );
  const session = await made.loggedIn();
  const handle = await made.privateKey(session, KEY.number + 1);
  return {
    made,
    signatures: () => signatures,
    async sign(mechanism, data = MESSAGE) {
      await made.cryptoki.C_SignInit(session, mechanism, handle);
      return made.cryptoki.C_Sign(session, data);
    },
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  };
}

const readsKey = ({ commands }: Rig): boolean => commands.some((command) => command.includes(KEY_FILE));

function isRight(hash: string, signature: Uint8Array): boolean {
  return verify(hash, MESSAGE, { key: createPublicKey(KEY.key()), dsaEncoding: "ieee-p1363" }, signature);
}

test.each([
  ["SHA-256, as long as a coordinate", "sha256", CKM.ECDSA_SHA256, false, 1],
  // As long as a coordinate of P-384; the card refuses it.
  ["SHA-384", "sha384", CKM.ECDSA_SHA384, true, 2],
  ["SHA-512, as long as no coordinate", "sha512", CKM.ECDSA_SHA512, true, 1],
  ["SHA-1", "sha1", CKM.ECDSA_SHA1, true, 1],
] as const)(
  "%s is signed, and the curve read only if no signature can show it",
  async (_name, hash, mechanism, reads, tries) => {
    await using one = await signer();
    expect(isRight(hash, await one.sign(mechanismOf(mechanism)))).toBe(true);
    expect(readsKey(one.made)).toBe(reads);
    expect(one.signatures()).toBe(tries);
  },
);

test("a card that truncates a digest itself is given one that fits: its numbers show the curve", async () => {
  await using one = await signer(undefined, true);
  expect(isRight("sha384", await one.sign({ mechanism: CKM.ECDSA_SHA384 }))).toBe(true);
  expect(one.signatures()).toBe(2);
  expect(readsKey(one.made)).toBe(false);
});

test("what one signature has shown is known for the next, of a digest of any length", async () => {
  await using one = await signer([20, 32]);
  await one.sign({ mechanism: CKM.ECDSA_SHA256 });
  expect(isRight("sha512", await one.sign({ mechanism: CKM.ECDSA_SHA512 }))).toBe(true);
  const digest = createHash("sha384").update(MESSAGE).digest();
  expect(isRight("sha384", await one.sign({ mechanism: CKM.ECDSA }, digest))).toBe(true);
  expect(isRight("sha1", await one.sign({ mechanism: CKM.ECDSA_SHA1 }))).toBe(true);
  expect(one.signatures()).toBe(4);
  expect(readsKey(one.made)).toBe(false);
});

test("a card that refuses a digest gets one that fits, after the curve was read", async () => {
  await using one = await signer([32]);
  expect(isRight("sha384", await one.sign({ mechanism: CKM.ECDSA_SHA384 }))).toBe(true);
  expect(one.signatures()).toBe(2);
  expect(readsKey(one.made)).toBe(true);
});

test("a card that refuses every digest is asked twice, and says so", async () => {
  await using one = await signer([]);
  await expect(one.sign({ mechanism: CKM.ECDSA_SHA256 })).rejects.toMatchObject({
    code: "CKR_DEVICE_ERROR",
    message: expect.stringContaining(REFUSED),
  });
  expect(one.signatures()).toBe(2);
});
