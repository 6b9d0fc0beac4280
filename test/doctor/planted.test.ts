import { describe, expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { defects, examined, notes, unchecked } from "./examined.ts";
import { FASCN, issueCard, OTHER_FASCN, OTHER_UUID, PIN, type Planted, TAG } from "./issued-card.ts";

const CHUID = "Card Holder Unique Identifier";
const FACE = "Cardholder Facial Image";
const FINGERPRINTS = "Cardholder Fingerprints";
const DAY = 86_400_000;
const YESTERDAY = new Date(Date.now() - DAY);
const LONG_AGO = new Date(Date.now() - 9 * DAY);
const LATER = new Date(Date.now() + 9 * DAY);
const MUCH_LATER = new Date(Date.now() + 99 * DAY);

/** The same bytes but for the last one of the first third. */
function altered(content: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(content);
  const at = Math.floor(content.length / 3);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

test("a card as its issuer made it is clean, and everything was looked at", async () => {
  const { card, authority } = await issueCard();
  const report = await examined(card, { authorities: [authority], pin: PIN });
  expect(defects(report)).toEqual([]);
  expect(notes(report)).toEqual([]);
  expect(unchecked(report)).toEqual([]);
});

test.each<[string, Planted, readonly string[]]>([
  [
    "a CHUID that was changed after it was signed: one defect, whatever else follows from it",
    {
      alter: [
        { tag: TAG.CHUID, change: (chuid) => Uint8Array.from([0x30, 0x19, ...OTHER_FASCN, ...chuid.subarray(27)]) },
      ],
    },
    [`${CHUID}: signature-wrong`],
  ],
  [
    "a photo that was changed: its hash says no more than its signature",
    {
      alter: [{ tag: TAG.FACE, change: (face) => Uint8Array.from(face, (byte, at) => (at === 95 ? byte ^ 1 : byte)) }],
    },
    [`${FACE}: signature-wrong`],
  ],
  ["a wrong hash in the security object", { hashed: altered }, [`${FACE}: security-object-hash`]],
  [
    "a photo that is gone",
    { alter: [{ tag: TAG.FACE, change: () => new Uint8Array() }] },
    ["Security Object: security-object-names-missing"],
  ],
  ["another FASC-N in the photo", { faceFascn: OTHER_FASCN }, [`${FACE}: fascn-differs`]],
  [
    "another FASC-N in the photo's signature than in its header",
    { signedFascn: OTHER_FASCN },
    [`${FACE}: biometric-fascn-within`],
  ],
  ["another FASC-N in a certificate", { certificateFascn: OTHER_FASCN }, ["certificate 9E: fascn-differs"]],
  [
    "another FASC-N in the CHUID, signed: everything else differs from it",
    { chuidFascn: OTHER_FASCN },
    ["certificate 9E: fascn-differs", `${FINGERPRINTS}: fascn-differs`, `${FACE}: fascn-differs`],
  ],
  ["another UUID in a certificate", { certificateUuid: OTHER_UUID }, ["certificate 9E: uuid-differs"]],
  ["another UUID in the photo", { faceUuid: OTHER_UUID }, [`${FACE}: uuid-differs`]],
  ["a certificate that has expired", { cardAuthValid: [LONG_AGO, YESTERDAY] }, ["certificate 9E: certificate-expired"]],
  [
    "a certificate that is not valid yet",
    { cardAuthValid: [LATER, MUCH_LATER] },
    ["certificate 9E: certificate-not-yet-valid"],
  ],
  ["a signer that has expired", { signerValid: [LONG_AGO, YESTERDAY] }, [`signer of ${CHUID}: certificate-expired`]],
  ["a signer that may not sign cards", { signerPurpose: "1.3.6.1.5.5.7.3.4" }, [`signer of ${CHUID}: signer-purpose`]],
  ["a key that does not fit its certificate", { otherKey: true }, ["key 9E: key-mismatch"]],
  [
    "an authority of the right name with another key",
    { otherAuthority: true },
    [`signer of ${CHUID}: certificate-untrusted`, "certificate 9E: certificate-untrusted"],
  ],
  [
    "a CHUID whose FASC-N has a wrong parity, signed as it is",
    { chuidFascn: altered(FASCN), certificateFascn: altered(FASCN), faceFascn: altered(FASCN) },
    [`${CHUID}: chuid-malformed`, `${FINGERPRINTS}: fascn-differs`],
  ],
  [
    "a security object that is none",
    { alter: [{ tag: TAG.SECURITY, change: () => fromHex("ba00bb00fe00") }] },
    ["Security Object: security-object-malformed"],
  ],
  [
    "a photo cut off within its header",
    { alter: [{ tag: TAG.FACE, change: () => fromHex("bc03030d00fe00") }] },
    [`${FACE}: biometric-malformed`, `${FACE}: security-object-hash`],
  ],
])("%s", async (_what, planted, expected) => {
  const { card, authority } = await issueCard(planted);
  expect(defects(await examined(card, { authorities: [authority], pin: PIN }))).toEqual(expected);
});

describe("without all that an examination may have", () => {
  test("without authorities chains are not looked at, and dates are", async () => {
    const { card } = await issueCard({ otherAuthority: true, cardAuthValid: [LONG_AGO, YESTERDAY] });
    const report = await examined(card, { pin: PIN });
    expect(defects(report)).toEqual(["certificate 9E: certificate-expired"]);
    expect(unchecked(report)).toEqual(["certificate chains"]);
  });

  test("an authority that the user does not trust is a defect that names it", async () => {
    const [{ card }, other] = [await issueCard(), await issueCard()];
    const report = await examined(card, { authorities: [other.authority], pin: PIN });
    expect(defects(report)).toEqual([
      `signer of ${CHUID}: certificate-untrusted`,
      "certificate 9E: certificate-untrusted",
    ]);
    expect(report.findings[0]?.finding).toBe(
      "Its issuer is named CN=Authority, but no authority of that name made its signature.",
    );
  });

  test("a wrong PIN ends the examination, and is tried once", async () => {
    const { card } = await issueCard();
    await expect(examined(card, { pin: "999999" })).rejects.toThrow("the PIN is wrong; 2 tries are left");
    await expect(examined(card, { pin: "999999" })).rejects.toThrow("the PIN is wrong; 1 try is left");
    expect(notes(await examined(card))).toEqual(["PIV PIN: pin-last-try"]);
  });
});
