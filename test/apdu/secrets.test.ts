import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Concealer, concealExchange, encodeCommand } from "../../src/apdu/index.ts";
import { type Concealment, fromHex, toHex } from "../../src/bytes/index.ts";

const conceal = (command: string, answer: string): readonly [string, string] => {
  const concealed = concealExchange(fromHex(command), fromHex(answer));
  return [concealed.command, concealed.answer];
};

/** Exchanges in order through one concealer. */
const inOrder = (...exchanges: readonly (readonly [string, string])[]): (readonly [string, string])[] => {
  const concealer = new Concealer();
  return exchanges.map(([command, answer]) => {
    const concealed = concealer.conceal(fromHex(command), fromHex(answer));
    return [concealed.command, concealed.answer];
  });
};

describe("a secret command shows its header alone", () => {
  test.each([
    ["VERIFY", "0020008008313233343536ffff", "00200080**"],
    ["VERIFY on logical channel 1", "01200080063132333435 36", "01200080**"],
    ["VERIFY with data objects", "0021000003800131", "00210000**"],
    ["CHANGE REFERENCE DATA", "0024008010313233343536ffff363534333231ffff", "00240080**"],
    ["DISABLE VERIFICATION REQUIREMENT", "002600010431323334", "00260001**"],
    ["ENABLE VERIFICATION REQUIREMENT", "002800010431323334", "00280001**"],
    ["RESET RETRY COUNTER", "002c0080083132333435363738", "002c0080**"],
    ["EXTERNAL AUTHENTICATE", "8482010010000102030405060708090a0b0c0d0e0f", "84820100**"],
    ["PUT KEY", "80d80181030102 03", "80d80181**"],
    ["STORE DATA", "80e29000020102", "80e29000**"],
    ["PSO ENCIPHER", "002a86800401020304", "002a8680**"],
    ["ENVELOPE", "00c20000050020008000", "00c20000**"],
    ["PUT DATA of an OpenPGP key", "00db3fff054d03b60084", "00db3fff**"],
    ["PUT DATA of an OpenPGP reset code", "00da00d3083132333435363738", "00da00d3**"],
    ["PUT DATA of a management key", "00db3fff0f5c035fc1095308880689040a0b0c0d", "00db3fff**"],
    ["PUT DATA that does not parse", "00db3fff055c035fc1", "00db3fff**"],
    ["IMPORT ASYMMETRIC KEY", "00fe0611060102030405 06", "00fe0611**"],
    ["SET MANAGEMENT KEY", "00ffffff04039b0101", "00ffffff**"],
    ["GENERAL AUTHENTICATE with the management key", "0087039b047c028000", "0087039b**"],
    ["INITIALIZE DEVICE of a SmartCard-HSM", "8050000013800200018106313233343536820812345678", "80500000**"],
    ["IMPORT DKEK SHARE of a SmartCard-HSM", `8052000020${"0a".repeat(32)}`, "80520000**"],
    ["VERIFY whose lengths do not add up", "0020008008313233", "00200080**"],
    ["VERIFY with an extended length", "00200080000006313233343536", "00200080**"],
  ])("%s", (_, command, expected) => {
    expect(conceal(command, "9000")[0]).toBe(expected);
  });

  test("whatever the length of a PIN", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 255 }), (data) => {
        const command = encodeCommand({ cla: 0, ins: 0x20, p1: 0, p2: 0x80, data });
        expect(concealExchange(command, Uint8Array.of(0x90, 0)).command).toBe("00200080**");
      }),
    );
  });

  test("and without data there is nothing to conceal", () => {
    expect(conceal("00200080", "63c3")).toEqual(["00200080", "63c3"]);
  });
});

describe("a secret answer shows its status word alone", () => {
  test.each([
    ["PSO DECIPHER", "002a80860300010200", "aabbcc9000", "**9000"],
    ["PSO DECIPHER with data objects", "002b80840201 0200", "aabbcc9000", "**9000"],
    ["GENERAL AUTHENTICATE with 9D", "0087079d047c02820000", "7c038201aa9000", "**9000"],
    ["GENERAL AUTHENTICATE with a retired key", "0087118204 7c02820000", "7c038201aa6100", "**6100"],
    ["GENERAL AUTHENTICATE with the management key", "0087039b047c02800000", "7c038001aa9000", "**9000"],
    ["PRIVATE SIGN/DECRYPT of a CAC", "8042000002010200", "aabb9000", "**9000"],
    ["DECIPHER of a SmartCard-HSM", "8062012102010200", "aabb9000", "**9000"],
    ["SIGN of a SmartCard-HSM, raw, of what may be a cryptogram", "8068012002010200", "aabb9000", "**9000"],
    ["GET CHALLENGE", "0084000008", "01020304050607089000", "**9000"],
    ["GET DATA of a management key", "00cb3fff055c035fc10900", "530488028901aa9000", "**9000"],
    ["GET RESPONSE to an unknown command", "00c0000003", "aabbcc9000", "**9000"],
    ["PSO DECIPHER, cut off", "002a80860300010200", "aabb", "**"],
    ["PSO DECIPHER, refused", "002a80860300010200", "6a80", "6a80"],
    ["PSO DECIPHER, no answer", "002a80860300010200", "", ""],
  ])("%s", (_, command, answer, expected) => {
    expect(conceal(command, answer)[1]).toBe(expected);
  });
});

describe("what is no secret is shown", () => {
  test.each([
    ["SELECT", "00a4040005a000000308", "6102"],
    ["READ BINARY", "00b0000000", "01029000"],
    ["GET DATA of a certificate", "00cb3fff055c035fc10500", "530370015a9000"],
    ["GET DATA of the printed information", "00cb3fff055c035fc10900", "530301015a9000"],
    ["GET DATA of an empty object", "00cb3fff055c035fc10900", "53009000"],
    ["PUT DATA of a certificate", "00db3fff0a5c035fc105530370015a", "9000"],
    ["PUT DATA of the discovery object", "00db3fff037e015a", "9000"],
    ["PUT DATA that clears the printed information", "00db3fff075c035fc1095300", "9000"],
    ["ECDSA with 9A", "0087119a047c02820000", "7c038201aa9000"],
    [
      "an RSA signature with 9A, which begins with its padding",
      "1087079aff7c82010682008182010000 01ffffffffffffffffffff".replaceAll(" ", ""),
      "9000",
    ],
    ["ECDSA of a SmartCard-HSM", "8068027002010200", "aabb9000"],
    [
      "an RSA signature of a SmartCard-HSM, which begins with its padding",
      "80680120100001ffffffffffffffffff0001020304",
      "9000",
    ],
    ["INITIALIZE UPDATE", "8050000008010203040506070800", "aabb9000"],
    ["READ BUFFER of a CAC", "805200000201ff00", "aabb9000"],
    ["PSO COMPUTE DIGITAL SIGNATURE", "002a9e9a02010200", "aabb9000"],
    ["APPEND RECORD", "00e20000020102", "9000"],
    ["READ BINARY of a SIM card", "a0b0000002", "aabb9000"],
    ["GET STATUS", "80f28000024f0000", "aabb9000"],
    ["GET PROPERTIES of a CAC", "8056010000", "aabb9000"],
    ["ENUMERATE OBJECTS of a SmartCard-HSM", "8058000000", "aabb9000"],
    ["GET METADATA of Yubico's", "00f7009a00", "aabb9000"],
    ["GENERATE ASYMMETRIC KEY PAIR", "0047009a05ac0380011100", "7f49009000"],
    ["MANAGE SECURITY ENVIRONMENT", "002241b603840101", "9000"],
    ["INTERNAL AUTHENTICATE", "0088000002010200", "aabb9000"],
    ["GET DATA of a contactless reader", "ffca000000", "aabb9000"],
    ["not even a command", "00", "6700"],
  ])("%s", (_, command, answer) => {
    expect(conceal(command, answer)).toEqual([command, answer]);
  });
});

describe("an instruction that no table knows is concealed with its answer", () => {
  test.each([
    ["an unknown instruction", "005a0000020102", "aabb9000", "005a0000**", "**9000"],
    ["CREDIT of a payment card", "0042000002010200", "aabb9000", "00420000**", "**9000"],
    ["an unknown proprietary instruction", "805a000002010200", "aabb9000", "805a0000**", "**9000"],
    ["a standard's instruction in a proprietary class", "80d600000431323334", "9000", "80d60000**", "9000"],
    ["INITIALIZE DEVICE, in another class", "0050000008010203040506070800", "aabb9000", "00500000**", "**9000"],
    ["an escape command to a reader", "ff00000002d402", "d503320106079000", "ff000000**", "**9000"],
    ["one of class FE", "fe5a0000020102", "aabb9000", "fe5a0000**", "**9000"],
    ["COMPARE with reference data", "0033000002 0102", "9000", "00330000**", "9000"],
    ["UPDATE DATA", "00de3fff02 0102", "9000", "00de3fff**", "9000"],
    ["one without data, whose Le is shown", "805a000000", "aabb9000", "805a000000", "**9000"],
    ["one without anything", "805a0000", "9000", "805a0000", "9000"],
  ])("%s", (_, command, answer, shownCommand, shownAnswer) => {
    expect(conceal(command, answer)).toEqual([shownCommand, shownAnswer]);
  });
});

describe("what the builder of a command declares goes over the tables", () => {
  const declared = (conceal: Concealment, command: string): readonly [string, string] => {
    const concealed = new Concealer().conceal(fromHex(command), fromHex("aabb9000"), conceal);
    return [concealed.command, concealed.answer];
  };

  test.each<[string, string]>([
    ["a command that the tables show", "00b0000002010200"],
    ["a command that the tables conceal", "0020008002313200"],
    ["a command that no table knows", "805a000002010200"],
  ])("of %s", (_, command) => {
    const header = `${command.slice(0, 8)}**`;
    expect(declared("nothing", command)).toEqual([command, "aabb9000"]);
    expect(declared("command", command)).toEqual([header, "aabb9000"]);
    expect(declared("answer", command)).toEqual([command, "**9000"]);
    expect(declared("both", command)).toEqual([header, "**9000"]);
  });

  test("for all parts of a chain and of its answer, and not for the command after it", () => {
    const concealer = new Concealer();
    const shown = (command: string, answer: string, conceal?: Concealment): readonly string[] => {
      const concealed = concealer.conceal(fromHex(command), fromHex(answer), conceal);
      return [concealed.command, concealed.answer];
    };
    expect(shown("10d60000020102", "9000", "both")).toEqual(["10d60000**", "9000"]);
    expect(shown("00d6000002030400", "aa6101", "both")).toEqual(["00d60000**", "**6101"]);
    expect(shown("00c0000001", "bb9000")).toEqual(["00c0000001", "**9000"]);
    expect(shown("00d6000002030400", "aa9000")).toEqual(["00d6000002030400", "aa9000"]);
  });
});

describe("exchanges in order", () => {
  test("the parts of a chain are concealed as the first one", () => {
    expect(
      inOrder(
        ["10db3fff0a5c035fc1095303880101", "9000"],
        // Would pass for a certificate.
        ["00db3fff055c035fc105", "9000"],
        ["00db3fff085c035fc105530170", "9000"],
      ),
    ).toEqual([
      ["10db3fff**", "9000"],
      ["00db3fff**", "9000"],
      ["00db3fff085c035fc105530170", "9000"],
    ]);
  });

  test("the parts of an open chain stay open, though they would not by themselves", () => {
    expect(inOrder(["10db3fff095c035fc10553827001", "9000"], ["00db3fff02aabb", "9000"])[1]).toEqual([
      "00db3fff02aabb",
      "9000",
    ]);
  });

  test("a chain ends with another command", () => {
    expect(
      inOrder(["10db3fff095c035fc10553827001", "9000"], ["00a40400", "9000"], ["00db3fff02aabb", "9000"])[2],
    ).toEqual(["00db3fff**", "9000"]);
  });

  test("a chained VERIFY is concealed in every part", () => {
    expect(inOrder(["1020008002 3132", "9000"], ["00200080023334", "9000"]).map(([command]) => command)).toEqual([
      "10200080**",
      "00200080**",
    ]);
  });

  test("GET RESPONSE is concealed as the answer that it collects", () => {
    expect(
      inOrder(
        ["0087079d047c028200", "aabb6102"],
        ["00c0000002", "ccdd6101"],
        ["00c0000001", "ee9000"],
        ["00a40400", "6102"],
        ["00c0000002", "ccdd9000"],
      ).map(([, answer]) => answer),
    ).toEqual(["**6102", "**6101", "**9000", "6102", "ccdd9000"]);
  });

  test("a management key is found where the answer begins, and concealed to its end", () => {
    expect(
      inOrder(["00cb3fff055c035fc109", "6108"], ["00c0000008", "53068804 89026104"], ["00c0000004", "aabb9000"]).map(
        ([, answer]) => answer,
      ),
    ).toEqual(["6108", "**6104", "**9000"]);
  });

  test("no secret comes through, cut into whatever parts", () => {
    const secret = "c0ffee";
    fc.assert(
      fc.property(
        fc.constantFrom(
          [0x20, 0x00, 0x80],
          [0x24, 0x00, 0x80],
          [0x2c, 0x00, 0x80],
          [0xfe, 0x07, 0x9a],
          [0xff, 0xff, 0xff],
        ),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
        ([ins = 0, p1 = 0, p2 = 0], repeats) => {
          const concealer = new Concealer();
          const shown = repeats.map((repeat, index) => {
            const cla = index < repeats.length - 1 ? 0x10 : 0;
            const data = fromHex(secret.repeat(repeat));
            return concealer.conceal(encodeCommand({ cla, ins, p1, p2, data }), Uint8Array.of(0x90, 0)).command;
          });
          expect(shown.join("")).not.toContain(secret);
        },
      ),
    );
  });

  test("anything at all is taken", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ maxLength: 8 }))),
        (exchanges) => {
          const concealer = new Concealer();
          for (const [command, answer] of exchanges) {
            const concealed = concealer.conceal(command, answer);
            expect(concealed.command).toMatch(/^([0-9a-f]{2})*(\*\*)?$/u);
            expect(concealed.answer).toMatch(/^(\*\*)?([0-9a-f]{2})*$/u);
            expect(toHex(command).startsWith(concealed.command.replace("**", ""))).toBe(true);
          }
        },
      ),
    );
  });
});
