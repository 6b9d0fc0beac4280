import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, fromHex, toHex, utf8 } from "../../../src/bytes/index.ts";
import {
  decryptDkekShare,
  encryptDkekShare,
  joinPassword,
  newDkekShare,
  newSharedPassword,
  splitPassword,
} from "../../../src/pkcs15/index.ts";
import { decryptShare, encryptShare } from "../../../src/pkcs15/dkek/share-file.ts";
import { bytesToKey } from "../../../src/pkcs15/dkek/password-key.ts";

/** A share file by sc-hsm-tool of OpenSC 0.23, with a password that it split into three, two of which suffice. */
const FILE =
  "53616c7465645f5f1917f792ef927e64b81ac28dcd0c2af40345f12e8359c748e555baf7d0c68db75efb604bfc08df28699f84f2e648d1ce839bc47b41cc3298";
const OTHER_SHARE = fromHex("1888fcb2a07ca43179ec8d7a5f32ad7f5ecaeb34c948559ce32dfb3391ff26a3");
const PRIME = "cf:a2:1a:1b:e1:bb:d8:ef";
const SHARES = [
  { prime: PRIME, id: 1, value: "b1:0a:5f:f7:ad:97:04:e3" },
  { prime: PRIME, id: 2, value: "2d:5c:39:22:79:79:bc:f9" },
  { prime: PRIME, id: 3, value: "79:50:2c:69:27:18:4d:fe" },
] as const;
/** What the tool said of the card that got both. */
const CHECK_VALUE = "2168d3d27fcda45c";

const ROUNDS = 1000;

describe("the key of a password", () => {
  test.each([1, 2, 5, 300])("is OpenSSL's after %i rounds", async (rounds) => {
    const [password, salt] = [
      utf8("a password that is longer than one block of sixty-four bytes is"),
      fromHex("0102030405060708"),
    ];
    let before: Uint8Array = new Uint8Array();
    const wanted: Uint8Array[] = [];
    for (let part = 0; part < 3; part++) {
      let hash: Uint8Array = concat(before, password, salt);
      for (let round = 0; round < rounds; round++) hash = createHash("md5").update(hash).digest();
      wanted.push(hash);
      before = hash;
    }
    expect(toHex(await bytesToKey(password, salt, rounds, 48))).toBe(toHex(concat(...wanted)));
  });

  test("can be waited for no longer", async () => {
    await expect(
      bytesToKey(utf8("p"), utf8("salt"), 10_000_000, 48, AbortSignal.abort(new Error("enough"))),
    ).rejects.toThrow("enough");
  });
});

describe("shares of sc-hsm-tool", () => {
  // The only test with all ten million rounds. The other share was OTHER_SHARE.
  test("give the key that it says the card has", async () => {
    const [one, , three] = SHARES;
    const share = await decryptDkekShare(fromHex(FILE), joinPassword([three, one]));
    const key = share.map((octet, at) => octet ^ (OTHER_SHARE[at] ?? 0));
    expect(createHash("sha256").update(key).digest("hex").slice(0, 16)).toBe(CHECK_VALUE);
  });

  test("have the same password, whichever two are presented", () => {
    const [one, two, three] = SHARES;
    const password = toHex(joinPassword([one, two]));
    expect(toHex(joinPassword([two, three]))).toBe(password);
    expect(toHex(joinPassword([three, two, one]))).toBe(password);
  });
});

describe("a share of ours", () => {
  test("is opened with its password, and with no other", async () => {
    const share = newDkekShare();
    const file = await encryptShare(share, utf8("a good password"), ROUNDS);
    expect(await decryptShare(file, utf8("a good password"), ROUNDS)).toEqual(share);
    await expect(decryptShare(file, utf8("a bad password"), ROUNDS)).rejects.toThrow("the password is wrong");
  });

  test.each([
    ["another file", fromHex("00".repeat(64)), /no DKEK share/u],
    ["half a file", fromHex(FILE).subarray(0, 48), /no DKEK share/u],
  ])("is not %s", async (_, file, message) => {
    await expect(decryptDkekShare(file, utf8("password1"))).rejects.toThrow(message);
  });

  test("has 32 bytes, and a password", async () => {
    await expect(encryptDkekShare(new Uint8Array(31), utf8("p"))).rejects.toThrow("32 bytes, not 31");
    await expect(encryptDkekShare(new Uint8Array(32), new Uint8Array())).rejects.toThrow("not empty");
  });
});

describe("a password that is split", () => {
  test.each([
    [2, 3],
    [3, 5],
    [5, 5],
  ])("into shares, of which %i of %i suffice", async (threshold, total) => {
    const password = newSharedPassword();
    const shares = await splitPassword(password, threshold, total);
    expect(shares).toHaveLength(total);
    expect(toHex(joinPassword(shares.slice(-threshold)))).toBe(toHex(password));
    if (threshold > 2) expect(toHex(joinPassword(shares.slice(0, threshold - 1)))).not.toBe(toHex(password));
  });

  test("into an impossible number of shares is refused", async () => {
    const password = newSharedPassword();
    await expect(splitPassword(password, 1, 3)).rejects.toThrow("at least 2");
    await expect(splitPassword(password, 4, 3)).rejects.toThrow("can never be presented");
    await expect(splitPassword(password, 2, 256)).rejects.toThrow("at most 255");
  });

  test("is not joined from one share, a repeated one, another's, or no number", () => {
    const [one, two] = SHARES;
    expect(() => joinPassword([one])).toThrow("at least 2 are needed");
    expect(() => joinPassword([one, one])).toThrow("one is there twice");
    expect(() => joinPassword([one, { ...two, prime: "cf" }])).toThrow("of another password");
    expect(() => joinPassword([one, { ...two, value: "xyz" }])).toThrow("share 2 is no hexadecimal number");
    expect(() => joinPassword([one, { ...two, id: 0 }])).toThrow("number 0");
  });
});
