/** URIs and labels from elsewhere: OpenSC's, and those of the first release. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { presentLabel } from "../../src/cli/input/selection.ts";
import { CardFolder, PIN } from "./card.ts";
import { cryptoki, json } from "./program.ts";

const GUID = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
/** A YubiKey, whose own number stands in CK_TOKEN_INFO. */
let folder: CardFolder;
beforeAll(async () => {
  folder = await CardFolder.create({ guid: GUID, yubico: true, serial: 12_345_678 });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

test.each([
  ["the device's", "12345678"],
  ["OpenSC's", "090a0b0c0d0e0f10"],
  ["the first release's", "0102030405060708"],
])("a URI with %s serial number finds the token", async (_, serial) => {
  const uri = `pkcs11:serial=${serial};manufacturer=piv_II`;
  expect(json(await cryptoki(["--virtual", folder.card, "tokens", uri, "--json"]))).toMatchObject([
    { serialNumber: "12345678", label: "PIV 12345678" },
  ]);
});

test.each([
  ["another serial number", "serial=0102030405060709"],
  ["OpenSC's serial number and another manufacturer", "serial=090a0b0c0d0e0f10;manufacturer=Other"],
])("a URI with %s does not", async (_, attributes) => {
  const { code } = await cryptoki(["--virtual", folder.card, "tokens", `pkcs11:${attributes}`, "--json"]);
  expect(code).toBe(3);
});

test("a key is found by OpenSC's URI, and by its label of the first release", async () => {
  const opensc = "pkcs11:serial=090a0b0c0d0e0f10;manufacturer=piv_II;id=%01;object=PIV%20AUTH%20pubkey;type=public";
  const byUri = await cryptoki(["--virtual", folder.card, "read", opensc, "--json"]);
  expect(json(byUri)).toMatchObject({ id: "01", label: "PIV AUTH pubkey" });
  const args = ["--virtual", folder.card, "objects", "--login", "--label", "PIV Authentication key", "--json"];
  expect(json(await cryptoki(args, PIN))).toMatchObject([{ type: "private", id: "01", label: "PIV AUTH key" }]);
});

test.each([
  ["PIV Authentication key", "PIV AUTH key"],
  ["Digital Signature public key", "SIGN pubkey"],
  ["Key Management key", "KEY MAN key"],
  ["Card Authentication public key", "CARD AUTH pubkey"],
  ["Retired Key Management 7 key", "Retired KEY MAN 7"],
  ["Retired Key Management 20 public key", "Retired KEY MAN 20"],
  ["Certificate for Retired Key Management 3", "Retired Certificate for Key Management 3"],
  ["Certificate for Key Management", undefined],
  ["PIV AUTH key", undefined],
  ["my key", undefined],
  ["", undefined],
])("%j of the first release is %j", (label, now) => {
  expect(presentLabel(label)).toBe(now);
});
