import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { isRight, walkArguments, type Work } from "../../bench/work.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const SIGN: Work = { name: "sign", key: "9c", times: 2 };

describe("work", () => {
  test("a signature is right if it verifies, whatever was counted", () => {
    const [, id, mechanism, input, times] = walkArguments(SIGN);
    expect([id, mechanism, times]).toEqual(["02", "0x1041", "2"]);
    const data = "data to be signed";
    expect(input).toBe(createHash("sha256").update(data).digest("hex"));
    const signature = sign("sha256", Buffer.from(data), { key: privateKey, dsaEncoding: "ieee-p1363" });
    const step = { detail: signature.toString("hex"), exchanges: [] };
    expect(isRight(SIGN, step, () => publicKey)).toBe(true);
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    expect(isRight(SIGN, step, () => other)).toBe(false);
  });

  test("a list of objects is right if all four certificates are in it", () => {
    const all = "3:01:+ 1:01:+ 1:02:+ 1:03:+ 1:04:+ ";
    expect(isRight({ name: "objects" }, { detail: all, exchanges: [] }, () => publicKey)).toBe(true);
    expect(isRight({ name: "objects" }, { detail: all.replace("1:03:+ ", ""), exchanges: [] }, () => publicKey)).toBe(
      false,
    );
  });

  test("a key pair was made if the card says so", () => {
    const work: Work = { name: "generate", key: "9a" };
    const exchange = { header: "0047009a", sent: 11, received: 258, status: "610e" };
    expect(isRight(work, { detail: "", exchanges: [exchange] }, () => publicKey)).toBe(true);
    expect(isRight(work, { detail: "", exchanges: [{ ...exchange, status: "6982" }] }, () => publicKey)).toBe(false);
  });
});
