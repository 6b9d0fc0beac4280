import { describe, expect, test } from "@jest/globals";
import { differences, pairObjects } from "./compare.ts";
import type { Described } from "./objects.ts";
import { parseObjects, parseSlots } from "./opensc.ts";

/** As pkcs11-tool of OpenSC 0.23 prints a token. */
const PRINTED = `Private Key Object; RSA 
  label:      PIV AUTH key
  ID:         01
  Usage:      decrypt, sign, non-repudiation
  Access:     sensitive, always sensitive, never extractable, local
Public Key Object; EC  EC_POINT 256 bits
  EC_POINT:   0441046a7b
  EC_PARAMS:  06082a8648ce3d030107
  label:      SIGN pubkey
  ID:         02
  Usage:      verify
  Access:     none
Certificate Object; type = X.509 cert
  label:      Certificate for PIV Authentication
  subject:    DN: C=ZZ, O=Test Cards, CN=Test Cardholder
  serial:     6F8B21A882703854B1DBEA99C053A338
  ID:         01
Data object 2074724208
  label:          'Private note'
  application:    'Notes'
  app_id:         <empty>
  flags:           modifiable private
Data object 2074724112
  label:          'Public note'
  application:    'Notes'
  app_id:         <empty>
  flags:          <empty>
Profile object 2074739920
  profile_id:          CKP_PUBLIC_CERTIFICATES_TOKEN (4)
`;

describe("what pkcs11-tool prints", () => {
  test("is read field by field", () => {
    expect(parseObjects(PRINTED)).toEqual([
      {
        type: "private",
        label: "PIV AUTH key",
        id: "01",
        fields: { key: "RSA", uses: "decrypt, sign", access: "always sensitive, local, never extractable, sensitive" },
      },
      {
        type: "public",
        label: "SIGN pubkey",
        id: "02",
        fields: { key: "EC", size: "256", point: "0441046a7b", curve: "06082a8648ce3d030107", uses: "verify" },
      },
      {
        type: "certificate",
        label: "Certificate for PIV Authentication",
        id: "01",
        fields: { subject: "C=ZZ, O=Test Cards, CN=Test Cardholder", serial: "6f8b21a882703854b1dbea99c053a338" },
      },
      { type: "data", label: "Private note", id: "", fields: { application: "Notes", flags: "modifiable, private" } },
      { type: "data", label: "Public note", id: "", fields: { application: "Notes", flags: "" } },
    ]);
  });

  test("names slots, and the tokens in them", () => {
    const printed =
      "Available slots:\nSlot 0 (0x0): Suite 00 00\n  token label        : Virtual eID\n  serial num         : bb59\n" +
      "Slot 1 (0x4): Suite 00 01\n  (empty)\n";
    expect(parseSlots(printed)).toEqual([
      { index: "0", reader: "Suite 00 00", "token label": "Virtual eID", "serial num": "bb59" },
    ]);
  });
});

const object = (type: Described["type"], id: string, label: string, more: Partial<Described> = {}): Described => ({
  type,
  id,
  label,
  fields: {},
  ...more,
});

describe("two lists of objects", () => {
  test("are paired by class, CKA_ID and label, and what is left by class and CKA_ID", () => {
    const ours = [object("public", "01", "old"), object("public", "01", "key"), object("private", "01", "key")];
    const theirs = [object("public", "01", "key"), object("public", "01", "new"), object("certificate", "01", "key")];
    expect(pairObjects(ours, theirs)).toEqual([
      { ours: ours[0], theirs: theirs[1] },
      { ours: ours[1], theirs: theirs[0] },
      { ours: ours[2] },
      { theirs: theirs[2] },
    ]);
  });

  test("never pair data, which have no CKA_ID, by anything but their label", () => {
    const [ours, theirs] = [object("data", "", "one"), object("data", "", "another")];
    expect(pairObjects([ours], [theirs])).toEqual([{ ours }, { theirs }]);
  });
});

describe("two descriptions of an object", () => {
  test("differ in the fields that both have", () => {
    const ours = object("public", "01", "a", { fields: { key: "RSA", uses: "verify", size: "2048" } });
    const theirs = object("public", "01", "b", { fields: { key: "RSA", uses: "encrypt, verify", access: "local" } });
    expect(differences(ours, theirs)).toEqual([
      { field: "label", ours: "a", theirs: "b" },
      { field: "uses", ours: "verify", theirs: "encrypt, verify" },
    ]);
  });

  test("differ in the bytes of a certificate, of the same length too", () => {
    const [ours, theirs] = [1, 2].map((byte) => object("certificate", "01", "a", { value: Uint8Array.of(byte, 3) }));
    if (!ours || !theirs) throw new Error("two objects");
    expect(differences(ours, theirs)).toEqual([{ field: "value", ours: "2 bytes", theirs: "2 bytes, others" }]);
    expect(differences(ours, ours)).toEqual([]);
    expect(differences(ours, object("certificate", "01", "a"))).toEqual([]);
  });
});
