import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { ByteReader, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import {
  type AttributeValue,
  CK,
  CKA,
  CKG,
  CKM,
  CKO,
  CKR,
  CryptokiError,
  type Template,
} from "../../src/cryptoki/index.ts";
import { readAnswers, TEMPLATE, WANTED, type WireAttribute } from "../../src/p11kit/wire/attribute.ts";
import { CALLS, requestSignature, resultSignature } from "../../src/p11kit/wire/calls.ts";
import { MECHANISM } from "../../src/p11kit/wire/mechanism.ts";
import { decodeReply, decodeRequest, type Request } from "../../src/p11kit/wire/message.ts";
import { ByteWriter, type Dialect, type Field, OPTIONAL_BYTES, ULONG } from "../../src/p11kit/wire/values.ts";
import { dialect, DIALECTS, reply, request, template } from "./arbitrary.ts";
import { shareOf } from "../seeded-random.ts";
import { errorBody, replyBody, requestBody } from "./frames.ts";

const [OLD, MIDDLE, NEW] = [{ offered: 0 }, { offered: 1 }, { offered: 2 }] as const;

function written<Value>(field: Field<Value>, value: Value, spoken: Dialect = NEW): string {
  const out = new ByteWriter();
  field.write(out, value, spoken);
  return toHex(out.finish());
}

function readBack<Value>(field: Field<Value>, hex: string, spoken: Dialect = NEW): Value {
  const from = new ByteReader(fromHex(hex));
  const value = field.read(from, spoken);
  from.end();
  return value;
}

function named(name: string): Request["call"] {
  const call = CALLS.find((one) => one.name === name);
  if (!call) throw new Error(`no call ${name}`);
  return call;
}

/** Runs `work`; what it throws must be ours. */
function orOurError(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof DataError || error instanceof CryptokiError)) throw error;
  }
}

describe("requests and responses", () => {
  test("a request is read as it was written, in every version", () => {
    fc.assert(
      fc.property(
        dialect.chain((spoken) => fc.tuple(fc.constant(spoken), request(spoken))),
        ([spoken, given]) => {
          expect(decodeRequest(requestBody(given, spoken), spoken)).toEqual(given);
        },
      ),
      { numRuns: shareOf(1000) },
    );
  });

  test("a response is read as it was written, in every version", () => {
    const any = dialect.chain((spoken) =>
      request(spoken)
        .filter(({ call, args }) => call.result.kind !== "derived key" || args[1] !== null)
        .chain((asked) => fc.tuple(fc.constant(spoken), fc.constant(asked), reply(asked, spoken))),
    );
    fc.assert(
      fc.property(any, ([spoken, asked, given]) => {
        expect(decodeReply(replyBody(asked.call, given, spoken), asked, spoken)).toEqual(given);
      }),
      { numRuns: shareOf(1000) },
    );
  });

  test("an error is read as the error it is", () => {
    const asked = { call: named("C_Sign"), args: [], room: 0, wanted: [] };
    expect(() => decodeReply(errorBody(CKR.PIN_LOCKED), asked, NEW)).toThrow(
      expect.objectContaining({ rv: CKR.PIN_LOCKED }),
    );
  });

  test("any bytes are a request, or an error of ours", () => {
    fc.assert(
      fc.property(dialect, fc.uint8Array({ maxLength: 200 }), (spoken, bytes) => {
        orOurError(() => decodeRequest(bytes, spoken));
      }),
    );
  });

  test("a request with any byte changed, or any part missing, is a request or an error of ours", () => {
    fc.assert(
      fc.property(
        dialect.chain((spoken) => fc.tuple(fc.constant(spoken), request(spoken))),
        fc.nat(),
        fc.nat(255),
        fc.nat(),
        ([spoken, given], at, byte, end) => {
          const bytes = requestBody(given, spoken).slice();
          bytes[at % bytes.length] = byte;
          orOurError(() => decodeRequest(bytes, spoken));
          orOurError(() => decodeRequest(bytes.subarray(0, end % bytes.length), spoken));
        },
      ),
      { numRuns: shareOf(1000) },
    );
  });

  test("a response with any byte changed is a response or an error of ours", () => {
    const any = dialect.chain((spoken) =>
      request(spoken)
        .filter(({ call, args }) => call.result.kind !== "derived key" || args[1] !== null)
        .chain((asked) => fc.tuple(fc.constant(spoken), fc.constant(asked), reply(asked, spoken))),
    );
    fc.assert(
      fc.property(any, fc.nat(), fc.nat(255), ([spoken, asked, given], at, byte) => {
        const bytes = replyBody(asked.call, given, spoken).slice();
        bytes[at % bytes.length] = byte;
        orOurError(() => decodeReply(bytes, asked, spoken));
      }),
      { numRuns: shareOf(1000) },
    );
  });

  test.each([
    ["C_SignInit", "uMu", ""],
    ["C_GetAttributeValue", "uufA", "aAu"],
    ["C_GenerateKeyPair", "uMaAaA", "uu"],
    ["C_GetTokenInfo", "u", "ssssuuuuuuuuuuuvvs"],
    ["C_InitToken", "uayz", ""],
    ["C_InitToken2", "uays", ""],
    ["C_EncryptMessageNext", "uayayfyu", "ay"],
    ["C_SignMessageNext", "uayayyfy", "ay"],
    ["C_DeriveKey2", "uMuaA", "uPu"],
    ["C_Initialize", "ayyay", ""],
  ])("%s is signed %s and answered %s", (name, asked, answered) => {
    expect([requestSignature(named(name)), resultSignature(named(name))]).toEqual([asked, answered]);
  });

  test("the calls are numbered as p11-kit numbers them", () => {
    expect(CALLS.map(({ id }) => id)).toEqual(Array.from({ length: 89 }, (_, index) => index + 1));
  });
});

describe("what p11-kit writes", () => {
  /** Bodies as p11-kit-client.so 0.24.1 and 0.26.4 wrote them. */
  const INITIALIZE =
    "00000001 00000005 617979 6179 01 00000029 505249564154452d474e4f4d452d4b455952494e472d504b435331312d50524f544f434f4c2d562d31 00 01 00000001 00";
  const SIGN_INIT_PSS_OLD =
    "0000002a 00000003 754d75 0000000000000001 0000000d 0000000000000250 0000000000000002 0000000000000020 0000000000000002";
  const SIGN_INIT_PSS_NEW =
    "0000002a 00000003 754d75 0000000000000001 00000043 01 0000000000000250 0000000000000002 0000000000000020 0000000000000002";
  const SIGN_INIT_OLD = "0000002a 00000003 754d75 0000000000000001 00000001 ffffffff 0000000000000002";
  const SIGN_INIT_NEW = "0000002a 00000003 754d75 0000000000000001 00000001 0000000000000002";
  const ALLOWED = "00000018 00000004 75756641 0000000000000001 0000000000000002 00000001 40000600 00000000";
  const PSS = { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, sLen: 32 };

  test.each([
    ["C_Initialize", INITIALIZE, OLD, { args: [] }],
    ["C_SignInit of 0.24", SIGN_INIT_PSS_OLD, OLD, { args: [1, { mechanism: CKM.RSA_PKCS_PSS, parameter: PSS }, 2] }],
    [
      "C_SignInit of 0.26",
      SIGN_INIT_PSS_NEW,
      NEW,
      { args: [1, { mechanism: CKM.SHA256_RSA_PKCS_PSS, parameter: PSS }, 2] },
    ],
    ["C_SignInit of 0.24 without parameter", SIGN_INIT_OLD, OLD, { args: [1, { mechanism: CKM.RSA_PKCS }, 2] }],
    ["C_SignInit of 0.26 without parameter", SIGN_INIT_NEW, NEW, { args: [1, { mechanism: CKM.RSA_PKCS }, 2] }],
    [
      "C_GetAttributeValue",
      ALLOWED,
      OLD,
      { args: [1, 2, [CKA.ALLOWED_MECHANISMS]], wanted: [{ type: CKA.ALLOWED_MECHANISMS, room: 0 }] },
    ],
  ] as const)("%s is read, and written alike", (_, hex, spoken, wanted) => {
    const asked = decodeRequest(fromHex(hex), spoken);
    expect(asked).toMatchObject(wanted);
    expect(toHex(requestBody(asked, spoken))).toBe(toHex(fromHex(hex)));
  });

  test("NULL in place of bytes, in either of its forms", () => {
    expect(readBack(OPTIONAL_BYTES, "00 00000000")).toBeNull();
    expect(readBack(OPTIONAL_BYTES, "01 ffffffff")).toBeNull();
    expect(readBack(OPTIONAL_BYTES, "01 00000000")).toEqual(new Uint8Array());
  });

  test("no mechanism, in any of its forms", () => {
    expect(readBack(MECHANISM, "ffffffff", NEW)).toBeNull();
    expect(readBack(MECHANISM, "ffffffff", MIDDLE)).toBeNull();
    expect(readBack(MECHANISM, "00000000", MIDDLE)).toBeNull();
    expect(readBack(MECHANISM, "00000000 ffffffff", MIDDLE)).toEqual({ mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN });
  });

  test("an unavailable number is all ones in 64 bits, and our own in here", () => {
    expect(written(ULONG, CK.UNAVAILABLE_INFORMATION)).toBe("ffffffffffffffff");
    expect(readBack(ULONG, "ffffffffffffffff")).toBe(CK.UNAVAILABLE_INFORMATION);
    expect(readBack(ULONG, "fffffffffffffffe")).toBe(Infinity);
  });
});

describe("mechanisms", () => {
  test("what p11-kit does not pass on is not to be read or written", () => {
    expect(() => readBack(MECHANISM, "00001057", NEW)).toThrow(
      expect.objectContaining({ code: "CKR_MECHANISM_INVALID" }),
    );
    expect(() => written(MECHANISM, { mechanism: CKM.SHA256_RSA_PKCS_PSS }, OLD)).toThrow(/CKR_MECHANISM_INVALID/u);
  });

  test("a parameter that does not fit is none", () => {
    const cbc = { mechanism: CKM.AES_CBC, parameter: new Uint8Array(15) };
    expect(() => written(MECHANISM, cbc)).toThrow(/CKR_MECHANISM_PARAM_INVALID/u);
    expect(() => written(MECHANISM, { mechanism: CKM.ECDSA, parameter: new Uint8Array(1) })).toThrow(
      /CKR_MECHANISM_PARAM_INVALID/u,
    );
    expect(() => readBack(MECHANISM, "00001082 01 00000002 0000", NEW)).toThrow("a parameter must have 16 bytes");
  });

  test("a missing parameter is told in version 2, and impossible before", () => {
    expect(written(MECHANISM, { mechanism: CKM.RSA_PKCS_OAEP }, NEW)).toBe("0000000900");
    expect(() => written(MECHANISM, { mechanism: CKM.RSA_PKCS_OAEP }, OLD)).toThrow(/CKR_MECHANISM_PARAM_INVALID/u);
  });
});

describe("attributes", () => {
  const answers = (hex: string): readonly WireAttribute[] => readAnswers(new ByteReader(fromHex(hex)), NEW);

  test("templates keep their values in every version", () => {
    fc.assert(
      fc.property(
        dialect.chain((spoken) => fc.tuple(fc.constant(spoken), template(spoken))),
        ([spoken, given]) => {
          expect(readBack(TEMPLATE, written(TEMPLATE, given as Template, spoken), spoken)).toEqual(given);
        },
      ),
      { numRuns: shareOf(500) },
    );
  });

  test.each<[string, Template, string]>([
    ["a number in 64 bits", { [CKA.CLASS]: CKO.DATA }, "00000001 00000000 01 00000008 0000000000000000"],
    ["a boolean in a byte", { [CKA.TOKEN]: true }, "00000001 00000001 01 00000001 01"],
    [
      "a date in digits",
      { [CKA.START_DATE]: new Date("2024-02-29") },
      "00000001 00000110 01 00000008 00000008 3230323430323239",
    ],
    ["no date", { [CKA.END_DATE]: null }, "00000001 00000111 01 00000000 00000000"],
    ["mechanisms", { [CKA.ALLOWED_MECHANISMS]: [1] }, "00000001 40000600 01 00000008 00000001 0000000000000001"],
    [
      "a boolean that p11-kit does not know as it is in C",
      { [CKA.DESTROYABLE]: true },
      "00000001 00000172 01 00000001 00000001 01",
    ],
    [
      "a number that p11-kit does not know as it is in C",
      { [CKA.PROFILE_ID]: 2 },
      "00000001 00000601 01 00000008 00000008 0200000000000000",
    ],
    [
      "a template in a template",
      { [CKA.WRAP_TEMPLATE]: { [CKA.TOKEN]: false } },
      "00000001 40000211 01 00000018 00000001 00000001 01 00000001 00",
    ],
  ])("%s", (_, value, hex) => {
    expect(written(TEMPLATE, value)).toBe(toHex(fromHex(hex)));
    expect(readBack(TEMPLATE, hex)).toEqual(value);
  });

  test.each([
    ["without a value", "00000001 00000003 00", CKR.ATTRIBUTE_VALUE_INVALID],
    ["text that is none", "00000001 00000003 01 00000001 00000001 ff", CKR.ATTRIBUTE_VALUE_INVALID],
    ["an empty boolean", "00000001 00000001 01 00000000 00", CKR.ATTRIBUTE_VALUE_INVALID],
    ["the 30th of February", "00000001 00000110 01 00000008 00000008 3230323430323330", CKR.ATTRIBUTE_VALUE_INVALID],
    ["twice the same", "00000002 00000001 01 00000001 00 00000001 01 00000001 00", CKR.TEMPLATE_INCONSISTENT],
  ])("a wanted attribute %s is refused, not a reason to hang up", (_, hex, rv) => {
    expect(() => readBack(TEMPLATE, hex)).toThrow(expect.objectContaining({ rv }));
  });

  test("an answer may have no value, or only a length", () => {
    expect(answers("00000003 00000003 00 00000000 01 00000000 0000000000000000 00000003 01 00000005 ffffffff")).toEqual(
      [{ type: CKA.LABEL }, { type: CKA.CLASS, length: 0 }, { type: CKA.LABEL, length: 5 }],
    );
  });

  test("a label in another encoding than UTF-8 is shown as far as it goes", () => {
    expect(answers("00000001 00000003 01 00000002 00000002 41e4")).toEqual([
      { type: CKA.LABEL, length: 2, value: "A\ufffd" },
    ]);
  });

  test.each(DIALECTS)("nesting without end ends, in version $offered", (spoken) => {
    const level = "00000001 40000211 01 00000018 ";
    expect(() => readBack(TEMPLATE, `${level.repeat(2000)} 00000000`, spoken)).toThrow(/nested more than/u);
    if (spoken.offered < 1) return;
    expect(() => readBack(WANTED, `${"00000001 40000211 00000018 ".repeat(2000)} 00000000`, spoken)).toThrow(
      /nested more than/u,
    );
  });

  test("a count without a body costs nothing", () => {
    expect(() => readBack(TEMPLATE, "ffffffff")).toThrow(": 4 bytes needed at 4, 0 left");
    expect(() => readBack(WANTED, "ffffffff")).toThrow(": 4 bytes needed at 4, 0 left");
  });

  test("a value of another kind than its attribute's is refused", () => {
    const wrong = { [CKA.CLASS]: "text" as unknown as AttributeValue };
    expect(() => written(TEMPLATE, wrong as Template)).toThrow(/CKR_ATTRIBUTE_VALUE_INVALID/u);
  });
});

describe("the attributes that are asked for, with templates among them", () => {
  const WRAP = "40000211";
  const UNWRAP = "40000212";
  const CLASS = "00000000 00000008";
  const read = (hex: string, offered = 1): unknown => WANTED.read(new ByteReader(fromHex(hex)), { offered });
  const wrap = { type: CKA.WRAP_TEMPLATE, room: 0 };
  const unwrap = { type: CKA.UNWRAP_TEMPLATE, room: 0 };
  const counted = { nested: [] };

  test.each([
    ["pValue is NULL", `00000002 ${WRAP} 00000000 ${CLASS}`, [wrap, { type: 0, room: 8 }]],
    [
      "pValue is not NULL and the length 0",
      `00000002 ${WRAP} 00000000 00000000 ${CLASS}`,
      [
        { ...wrap, ...counted },
        { type: 0, room: 8 },
      ],
    ],
    [
      "it is both, the first one NULL",
      `00000002 ${WRAP} 00000000 ${UNWRAP} 00000000 00000000`,
      [wrap, { ...unwrap, ...counted }],
    ],
    [
      "it is both, the second one NULL",
      `00000002 ${WRAP} 00000000 00000000 ${UNWRAP} 00000000`,
      [{ ...wrap, ...counted }, unwrap],
    ],
    [
      "there is room",
      `00000001 ${WRAP} 00000018 00000001 ${CLASS}`,
      [{ ...wrap, room: 24, nested: [{ type: 0, room: 8 }] }],
    ],
  ])("where %s", (_, hex, wanted) => {
    expect(read(hex)).toEqual(wanted);
  });

  test("are refused where no form uses the request exactly", () => {
    expect(() => read(`00000001 ${WRAP} 00000000 0000`)).toThrow(/the requested attributes: 2 bytes too many/u);
    expect(() => read(`00000002 ${WRAP} 00000000`)).toThrow(/the requested attributes/u);
    // A client before 0.25 has no such count.
    expect(() => read(`00000001 ${WRAP} 00000000 00000000`, 0)).toThrow(/bytes/u);
  });
});
