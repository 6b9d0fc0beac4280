import { describe, expect, test } from "@jest/globals";
import { decodeCommand } from "../../src/apdu/index.ts";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { Card, CardCancelledError, type CardToken, UnsupportedError } from "../../src/card/index.ts";
import { type CardConnection, MemoryReaders, PcscError } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { odf, pin, tokenInfo, type TestPin } from "./directory-files.ts";
import { FileCard, READER } from "./file-card.ts";

const GET_FEATURES = 0x42000d48;
const VERIFY = 0x42330006;
const MODIFY = 0x42330007;
/** A connection to a reader that has keys: what is typed there is `typed`, and every command is answered by `answer`. */
interface Pad {
  readonly connection: CardConnection;
  readonly asked: { readonly code: number; readonly data: string }[];
  answer: string;
  /** What the reader's driver fails with in place of an answer. */
  failure?: Error;
}

async function padConnection(card: FileCard, features: string): Promise<Pad> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const connection = await readers.client().connect(READER);
  const asked: { code: number; data: string }[] = [];
  const pad: Pad = {
    asked,
    answer: "9000",
    connection: new Proxy(connection, {
      get(target, name) {
        if (name === "control") {
          return (code: number, data: Uint8Array) => {
            if (code === GET_FEATURES) return Promise.resolve(fromHex(features));
            asked.push({ code, data: toHex(data) });
            if (pad.failure) return Promise.reject(pad.failure);
            return Promise.resolve(fromHex(pad.answer));
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    }),
  };
  return pad;
}

const BOTH = "060442330006" + "070442330007";

async function open(
  fields: Partial<TestPin>,
  features = BOTH,
  puk: Partial<TestPin> = {},
): Promise<{ pad: Pad; token: CardToken }> {
  const pins = [
    pin({ label: "PIN", authId: "01", reference: "81", puk: "11", ...fields }),
    pin({ label: "PUK", authId: "11", reference: "91", flags: "010e", padding: "ff", lengths: [8, 8, 8], ...puk }),
  ];
  const card = new FileCard({
    aid: "a000000063504b43532d3135",
    files: {
      "50155031": { contents: odf({ a8: "4401" }) },
      "50155032": { contents: tokenInfo("T") },
      "50154401": { contents: pins.join("") },
    },
  });
  const pad = await padConnection(card, features);
  const [token] = (await pkcs15.claim(new Card(pad.connection), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  return { pad, token };
}

const PADDED = { flags: "020c", padding: "ff", lengths: [4, 8, 8] } as const;

describe("a reader with keys", () => {
  test("writes the digits where the card wants them", async () => {
    const { pad, token } = await open(PADDED);
    await token.pinPad?.login("user");
    const [{ code, data } = { code: 0, data: "" }] = pad.asked;
    expect(code).toBe(VERIFY);
    // Time-outs, ASCII at byte 0, a block of 8, 4 to 8 digits, the validation key, one message in English, T=1 prologue.
    expect(data.slice(0, 38)).toBe("1e1e" + "820800" + "0804" + "02" + "01" + "0904" + "00" + "000000" + "0d000000");
    expect(decodeCommand(fromHex(data.slice(38)))).toMatchObject({
      ins: 0x20,
      p2: 0x81,
      data: new Uint8Array(8).fill(0xff),
    });
  });

  test("writes a format 2 block with its length", async () => {
    const { pad, token } = await open({ type: 4, lengths: [4, 8, 12] });
    await token.pinPad?.login("user");
    const data = pad.asked[0]?.data ?? "";
    expect(data.slice(4, 10)).toBe("894704");
    expect(data.slice(38)).toBe("0020008108" + "20ffffffffffffff");
  });

  test("changes and unblocks PINs, with the new one typed twice", async () => {
    const { pad, token } = await open(PADDED);
    await token.pinPad?.changePin?.("user");
    await token.pinPad?.unlockPin?.();
    expect(pad.asked.map(({ code }) => code)).toEqual([MODIFY, MODIFY]);
    const [change = "", unlock = ""] = pad.asked.map(({ data }) => data);
    // Offsets of the old and the new PIN, 4 to 8 digits, the new one twice and the old one once.
    expect(change.slice(10, 22)).toBe("0008" + "0804" + "03" + "02");
    expect(change.slice(-42)).toBe("0024008110" + "ff".repeat(16));
    expect(unlock.slice(-42)).toBe("002c008110" + "ff".repeat(16));
  });

  test.each([
    ["63c1", { name: "PinError", reason: "incorrect", triesLeft: 1 }],
    ["6983", { name: "PinError", reason: "blocked" }],
    ["6403", { name: "PinError", reason: "length" }],
    ["6400", { name: "CardError" }],
  ])("tells what came of %s", async (answer, expected) => {
    const { pad, token } = await open(PADDED);
    pad.answer = answer;
    await expect(token.pinPad?.login("user")).rejects.toMatchObject(expected);
  });

  test("cancelled by the user is cancelled", async () => {
    const { pad, token } = await open(PADDED);
    pad.answer = "6401";
    await expect(token.pinPad?.login("user")).rejects.toThrow(CardCancelledError);
  });

  describe("whose answer to a changed PIN is lost", () => {
    const uncertain = {
      name: "PinUncertainError",
      message: expect.stringMatching(/the PIN may have changed\. To find out, try the new one first/u) as unknown,
    };

    test.each(["changePin", "unlockPin"] as const)("leaves the PIN uncertain: %s", async (change) => {
      const { pad, token } = await open(PADDED);
      const run = (): Promise<void> | undefined =>
        change === "unlockPin" ? token.pinPad?.unlockPin?.() : token.pinPad?.changePin?.("user");
      pad.answer = "90";
      await expect(run()).rejects.toMatchObject(uncertain);
      pad.failure = new PcscError("SCARD_W_REMOVED_CARD", "SCardControl");
      await expect(run()).rejects.toMatchObject({ ...uncertain, isGone: true });
    });

    test.each([
      ["6400", { name: "CardError" }],
      ["6401", { name: "CardCancelledError" }],
      ["6402", { name: "PinError", reason: "unacceptable" }],
      ["63c1", { name: "PinError", reason: "incorrect", triesLeft: 1 }],
    ])("and nothing but its answer: %s leaves no doubt", async (answer, expected) => {
      const { pad, token } = await open(PADDED);
      pad.answer = answer;
      await expect(token.pinPad?.changePin?.("user")).rejects.toMatchObject(expected);
    });

    test("is another thing than a login", async () => {
      const { pad, token } = await open(PADDED);
      pad.answer = "90";
      await expect(token.pinPad?.login("user")).rejects.toMatchObject({ name: "MalformedAnswerError" });
    });
  });

  test("is not used for PINs that it cannot write", async () => {
    expect((await open({ type: 3 })).token.pinPad).toBeUndefined();
  });

  test.each([3, 0])("writes no PUK of another type than the PIN, here %d", async (type) => {
    const { pad, token } = await open(PADDED, BOTH, { type });
    await expect(token.pinPad?.unlockPin?.()).rejects.toThrow(UnsupportedError);
    if (type === 3) await expect(token.pinPad?.changePin?.("puk")).rejects.toThrow(UnsupportedError);
    expect(pad.asked).toEqual([]);
  });

  test("may be able to verify, and no more", async () => {
    const { token } = await open(PADDED, "060442330006");
    expect(Object.keys(token.pinPad ?? {})).toEqual(["login"]);
  });

  test.each([[""], ["0602"], ["060242330006ffff"]])("is none if its features are %j", async (features) => {
    expect((await open(PADDED, features)).token.pinPad).toBeUndefined();
  });
});
