import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { commandText, explainCommand } from "../../../src/apdu/index.ts";
import { fromHex, toHex } from "../../../src/bytes/index.ts";
import { shareOf } from "../../seeded-random.ts";

const text = (hex: string): string => commandText(explainCommand(fromHex(hex)));

describe("ISO/IEC 7816-4 commands in words", () => {
  test.each([
    ["00a4040009a0000003080000100000", "SELECT: by name: PIV card application (A00000030800001000), wants FCI"],
    ["00a4040c0ca000000063504b43532d3135", "SELECT: by name: PKCS#15 (A000000063504B43532D3135), wants no answer data"],
    ["00a4040003010203", "SELECT: by name: 010203, wants FCI"],
    ["00a40400", "SELECT: by name, wants FCI"],
    ["00a40000023f00", "SELECT: MF, DF or EF by file identifier: 3F00 (MF), wants FCI"],
    ["00a4080404501550 31", "SELECT: by path from the MF: 50155031 (EF.OD), wants FCP"],
    ["00a4040201a0", "SELECT: by name: A0, wants FCI, next occurrence"],
    ["00b0010010", "READ BINARY: current EF, offset 256, up to 16 bytes"],
    ["00b0820500", "READ BINARY: short EF 02, offset 5, all there is"],
    ["00b12f00045402000000", "READ BINARY: EF 2F00, offset in data object 54, all there is"],
    ["00d60000020102", "UPDATE BINARY: current EF, offset 0, 2 bytes of data"],
    ["00b2010c00", "READ RECORD: short EF 01, record 1, all there is"],
    ["00b2010500", "READ RECORD: current EF, all records from 1, all there is"],
    ["00e20008020102", "APPEND RECORD: short EF 01, 2 bytes of data"],
    ["00ca006e00", "GET DATA: data object 6E"],
    ["00ca5f5200", "GET DATA: data object 5F52"],
    ["00cb2f01035c015f00", "GET DATA: 2F01 (EF.ATR/INFO), tag list 5F"],
    ["00200080", "VERIFY: reference 80: local 0 (PIV: application PIN), queries the tries left; spends none"],
    ["0020000108313233343536ffff", "VERIFY: reference 01: global 1, data concealed"],
    ["0020ff80", "VERIFY: reference 80: local 0 (PIV: application PIN), resets the verified state"],
    [
      "00240080023132",
      "CHANGE REFERENCE DATA: reference 80: local 0 (PIV: application PIN), old and new value, data concealed",
    ],
    [
      "002c0080023132",
      "RESET RETRY COUNTER: reference 80: local 0 (PIV: application PIN), reset code and new value, data concealed",
    ],
    ["002c0381", "RESET RETRY COUNTER: reference 81: local 1 (PIV: PIN unblocking key (PUK)), only the reference"],
    ["00c0000012", "GET RESPONSE: up to 18 bytes"],
    ["0084000008", "GET CHALLENGE: up to 8 bytes"],
    ["0082000002aabb", "EXTERNAL AUTHENTICATE: algorithm implied, key implied, 2 bytes of data"],
    ["0082010202aabb08", "MUTUAL AUTHENTICATE: algorithm 01, key 02, 2 bytes of data"],
    ["0088000002aabb00", "INTERNAL AUTHENTICATE: algorithm implied, key implied, 2 bytes of data"],
    ["0070000001", "MANAGE CHANNEL: opens a logical channel, number by the card"],
    ["00708002", "MANAGE CHANNEL: closes logical channel 2"],
    ["00c20000050020008000", "ENVELOPE: 5 bytes of data"],
  ])("%s", (command, expected) => {
    expect(text(command)).toBe(expected);
  });
});

describe("ISO/IEC 7816-8 and -9 commands in words", () => {
  test.each([
    [
      "002241b6068001028401 03",
      "MANAGE SECURITY ENVIRONMENT: SET template B6: digital signature (DST), " +
        "for computation, decipherment, internal authentication, algorithm 02, private or session key 03",
    ],
    ["0022f305", "MANAGE SECURITY ENVIRONMENT: RESTORE environment 5"],
    ["002241b80380", "MANAGE SECURITY ENVIRONMENT: its lengths do not match"],
    [
      "002a9e9a020102 00",
      "PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE: input 9A: hash or data to sign, 2 bytes of data",
    ],
    [
      "002a808603000102 00",
      "PERFORM SECURITY OPERATION: DECIPHER: input 86: cryptogram after a padding indicator byte, 3 bytes of data",
    ],
    ["002a1234", "PERFORM SECURITY OPERATION: answer 12, input 34"],
    ["00468000", "GENERATE ASYMMETRIC KEY PAIR: generates; returns the public key as stored"],
    ["00e40000025031", "DELETE FILE: 5031 (EF.OD)"],
    ["00440000", "ACTIVATE FILE: current file"],
    ["00fe0000", "TERMINATE CARD USAGE: permanently"],
  ])("%s", (command, expected) => {
    expect(text(command)).toBe(expected);
  });
});

describe("PIV commands in words", () => {
  test.each([
    ["00cb3fff055c035fc10500", "GET DATA: object 5FC105: X.509 Certificate for PIV Authentication (9A)"],
    ["00cb3fff055c035fc11000", "GET DATA: object 5FC110: X.509 Certificate for Key Management, retired 4 (85)"],
    ["00cb3fff055c035fc12000", "GET DATA: object 5FC120: X.509 Certificate for Key Management, retired 20 (95)"],
    ["00cb3fff055c035fc12100", "GET DATA: object 5FC121: Cardholder Iris Images"],
    ["00cb3fff035c017e00", "GET DATA: object 7E: Discovery Object"],
    ["00cb3fff055c035fffff00", "GET DATA: object 5FFFFF: unknown"],
    ["00db3fff075c035fc1025300", "PUT DATA: object 5FC102: Card Holder Unique Identifier, clears it"],
    [
      "10db3fff0a5c035fc105538202d070",
      "PUT DATA: object 5FC105: X.509 Certificate for PIV Authentication (9A), 720 bytes of content, more parts follow",
    ],
    [
      "0087119a087c0682008102aabb00",
      "GENERAL AUTHENTICATE: key 9A: PIV Authentication, algorithm 11: ECC P-256, requests response, provides challenge of 2 bytes",
    ],
    [
      "0087119d087c0682008502aabb00",
      "GENERAL AUTHENTICATE: key 9D: Key Management, algorithm 11: ECC P-256, requests response, provides exponentiation of 2 bytes",
    ],
    ["0087039b047c02800000", "GENERAL AUTHENTICATE: key 9B: card management, algorithm 03: 3DES, requests witness"],
    ["0087079a02aabb00", "GENERAL AUTHENTICATE: key 9A: PIV Authentication, algorithm 07: RSA-2048, continues a chain"],
    [
      "0047009a0bac09800111aa0103ab010200",
      "GENERATE ASYMMETRIC KEY PAIR: key 9A: PIV Authentication, algorithm 11: ECC P-256, PIN policy: always, touch policy: always",
    ],
    ["00f6829a", "MOVE KEY: from key 9A: PIV Authentication, to key 82: Key Management, retired 1"],
    ["00f6ff9a", "MOVE KEY: deletes key 9A: PIV Authentication"],
    ["00f70080", "GET METADATA: PIN"],
    ["00f7009c", "GET METADATA: key 9C: Digital Signature"],
    ["00f80000", "GET SERIAL NUMBER"],
    ["00f99a00", "ATTEST: key 9A: PIV Authentication"],
    ["00fa0305", "SET PIN RETRIES: PIN: 3 tries, PUK: 5 tries, resets both to their factory values"],
    ["00fd0000", "GET VERSION"],
    ["00fe119a03060101", "IMPORT ASYMMETRIC KEY: key 9A: PIV Authentication, algorithm 11: ECC P-256, data concealed"],
    ["00fffffe04039b0101", "SET MANAGEMENT KEY: data concealed, touch needed for each use"],
  ])("%s", (command, expected) => {
    expect(text(command)).toBe(expected);
  });
});

describe("GlobalPlatform and other commands in words", () => {
  test.each([
    ["8050000008010203040506070800", "INITIALIZE UPDATE: key version 00, key identifier 00"],
    ["848203001001020304050607080102030405060708", "EXTERNAL AUTHENTICATE: proprietary secure messaging"],
    ["8082030002aabb", "EXTERNAL AUTHENTICATE: security level 03: C-MAC, C-DECRYPTION, data concealed"],
    ["80f24000024f0000", "GET STATUS: applications and security domains"],
    ["80e4008007 4f05a000000308", "DELETE: NIST application (A000000308), and related objects"],
    [
      "80e60c00 0d 05a000000308 05a000000308 00",
      "INSTALL: for install and make selectable, NIST application (A000000308), NIST application (A000000308)",
    ],
    ["80e88002020102", "LOAD: block 2, the last, 2 bytes"],
    ["80d8018103010203", "PUT KEY: replaces key version 01, key identifier 01 and following, data concealed"],
    ["80e29000020102", "STORE DATA: block 0, the last, data concealed"],
    ["80f0800f", "SET STATUS: of issuer security domain, life cycle 0F"],
    ["80ca9f7f00", "GET DATA: data object 9F7F: card production life cycle (CPLC)"],
    ["80580000000000", "ENUMERATE OBJECTS"],
    ["8058000003ff00aa", "UPDATE BUFFER: offset 0"],
    ["8068027004aabbccdd00", "SIGN: key 2, ECDSA"],
    ["8062028004aabbccdd00", "DECIPHER: key 2, agrees on a secret"],
    ["8042800002010200", "PRIVATE SIGN/DECRYPT: 2 bytes of input, more parts follow"],
    ["8056010000", "GET PROPERTIES"],
    ["ffca000000", "GET DATA: identifier of the card (UID)"],
  ])("%s", (command, expected) => {
    expect(text(command)).toBe(expected);
  });
});

describe("the class byte", () => {
  test.each([
    ["01b0000000", "READ BINARY: logical channel 1, current EF, offset 0, all there is"],
    ["45b0000000", "READ BINARY: logical channel 9, current EF, offset 0, all there is"],
    ["0020008008313233", "VERIFY: its lengths do not match"],
    ["0cb0000001870 0", "READ BINARY: secure messaging, header authenticated"],
    ["60b0000000", "READ BINARY: logical channel 4, secure messaging, header not authenticated"],
    [
      "5087079a02aabb",
      "GENERAL AUTHENTICATE: logical channel 4, key 9A: PIV Authentication, algorithm 07: RSA-2048, continues a chain, more parts follow",
    ],
    ["20b0000000", "INS B0: class byte reserved"],
    ["905a000000", "INS 5A"],
    ["005a0000", "INS 5A"],
  ])("%s", (command, expected) => {
    expect(text(command)).toBe(expected);
  });
});

describe("an explanation", () => {
  test("names the standard and the section", () => {
    expect(explainCommand(fromHex("00200080"))).toMatchObject({ standard: "ISO/IEC 7816-4 11.5.6", chained: false });
    expect(explainCommand(fromHex("10db3fff035c017e"))).toMatchObject({
      standard: "SP 800-73-4 part 2 3.3.1",
      chained: true,
    });
    expect(explainCommand(fromHex("005a0000")).standard).toBe("");
  });

  test("takes a command that is not encoded", () => {
    expect(explainCommand({ cla: 0, ins: 0x20, p1: 0, p2: 0x80 }).name).toBe("VERIFY");
  });

  test("is there for anything", () => {
    const plausible = fc
      .tuple(fc.constantFrom(0x00, 0x10, 0x80, 0xff, 0x41), fc.nat(255), fc.uint8Array({ maxLength: 40 }))
      .map(([cla, ins, rest]) => Uint8Array.of(cla, ins, ...rest));
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 5 }), plausible),
        (bytes) => commandText(explainCommand(bytes)).length > 0,
      ),
      { numRuns: shareOf(3000) },
    );
    expect(text("0020")).toBe("no command: 2 bytes; the minimum is 4");
  });

  test("repeats no byte of a PIN or key", () => {
    const secret = fc.uint8Array({ minLength: 8, maxLength: 16 });
    const instruction = fc.constantFrom(0x20, 0x21, 0x24, 0x26, 0x28, 0x2c, 0x82, 0xd8, 0xe2, 0xfe, 0xff, 0x87, 0xda);
    fc.assert(
      fc.property(fc.constantFrom(0x00, 0x10, 0x80), instruction, secret, (cla, ins, data) => {
        const { details } = explainCommand({ cla, ins, p1: 0, p2: 0x9b, data });
        expect(details.join().toLowerCase()).not.toContain(toHex(data.subarray(0, 4)));
      }),
    );
  });
});
