import { describe, expect, test } from "@jest/globals";
import { CKO } from "../../src/cryptoki/constants/index.ts";
import { matchesObject, matchesToken, objectUri, tokenUri } from "../../src/cryptoki/uri-match.ts";
import { formatUri, parseUri } from "../../src/cryptoki/uri.ts";
import { growth } from "./growth.ts";

const TOKEN = {
  slotID: 3,
  slotDescription: "Reader One 00 00",
  slotManufacturerID: "Reader Works",
  label: "PIV 0a1b2c3d",
  manufacturerID: "",
  model: "PIV",
  serialNumber: "00112233445566",
};
const OBJECT = { class: CKO.PRIVATE_KEY, label: "Key Management key", id: Uint8Array.of(3) };

describe("a token", () => {
  test.each([
    "pkcs11:",
    "pkcs11:token=PIV%200a1b2c3d",
    "pkcs11:model=PIV;serial=00112233445566",
    "pkcs11:slot-id=3;slot-description=Reader%20One%2000%2000",
    "pkcs11:object=anything;type=cert",
    "pkcs11:token=PIV%200a1b2c3d?unknown=query",
  ])("is described by %s", (uri) => {
    expect(matchesToken(parseUri(uri), TOKEN)).toBe(true);
  });

  test.each([
    "pkcs11:token=PIV",
    "pkcs11:token=piv%200a1b2c3d",
    "pkcs11:model=PIV;serial=",
    "pkcs11:slot-id=0",
    "pkcs11:manufacturer=Another",
    "pkcs11:x-colour=red",
  ])("is not described by %s", (uri) => {
    expect(matchesToken(parseUri(uri), TOKEN)).toBe(false);
  });

  test("is found by the URI made of it, also when its fields are padded", () => {
    const uri = parseUri(formatUri(tokenUri(TOKEN)));
    expect(matchesToken(uri, TOKEN)).toBe(true);
    expect(matchesToken(uri, { ...TOKEN, label: TOKEN.label.padEnd(32), model: TOKEN.model.padEnd(16) })).toBe(true);
  });
});

describe("an object", () => {
  test.each([
    ["pkcs11:id=%03", true],
    ["pkcs11:id=%03;type=private", true],
    ["pkcs11:id=%03;type=public", false],
    ["pkcs11:object=Key%20Management%20key", true],
    ["pkcs11:object=Key", false],
    ["pkcs11:id=%03%00", false],
  ])("and %s: %s", (uri, expected) => {
    expect(matchesObject(parseUri(uri), OBJECT)).toBe(expected);
  });

  test("is found by the URI made of it", () => {
    const uri = parseUri(formatUri(objectUri(TOKEN, OBJECT)));
    expect(matchesObject(uri, OBJECT) && matchesToken(uri, TOKEN)).toBe(true);
  });
});

test("the padding of a card's text is taken off in a time that grows as its length does", () => {
  const match = (size: number): void => {
    matchesToken({ token: "x" }, { ...TOKEN, label: `${" ".repeat(size)}x${" ".repeat(8 * size)}` });
  };
  expect(growth(match, 5_000, 8)).toBeLessThan(32);
});
