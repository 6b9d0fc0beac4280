import { createECDH, createPublicKey, publicDecrypt } from "node:crypto";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { concat, fromHex, toHex } from "../../../src/bytes/index.ts";
import { encodeTlv, findTlv, readTlvs } from "../../../src/apdu/index.ts";
import type { VirtualCard } from "../../../src/virtual/index.ts";
import { rebuiltCard } from "../../pkcs15/rebuilt-card.ts";
import { exchange, send } from "../exchange.ts";
import { testKey } from "../keys.ts";

const SELECT = "00A404000CF276A288BCFBA69D34F3100100";
const PIN = "31323334353600000000000000000000";
const WRONG = "39393939000000000000000000000000";
const NEW_RSA = "00224100068001F3840105";
const NEW_EC = "00224100068001EC840105";
const GENERATE_RSA = { cla: 0, ins: 0x46, p1: 0x42, p2: 0, ne: 256 };

let card: VirtualCard;
beforeEach(async () => {
  card = rebuiltCard();
  await say(SELECT);
});
const say = (command: string): Promise<string> => exchange(card, command);
const logIn = (): Promise<string> => say(`0020000110${PIN}`);

describe("selection", () => {
  test("before it, the card's manager refuses all", async () => {
    card.reset();
    expect(await say("00A408000450155031")).toBe("6900");
    expect(await say("00A4040006A00000000101")).toBe("6999");
    expect(await say("0020000100")).toBe("6900");
    expect(await say(SELECT)).toBe("0006069000");
    expect(await say("00A4040006A00000000101")).toBe("6A82");
  });

  test("anew, it forgets the PIN and the environment", async () => {
    await logIn();
    await say("002241B606800111840100");
    await say(SELECT);
    expect(await say("002A9E9A0401020304")).toBe("6982");
    await logIn();
    expect(await say("002A9E9A0401020304")).toBe("6985");
  });

  test("tells of a file what was recorded of it", async () => {
    expect(await say("00A408000450153031")).toBe("6A82");
    expect(await say("00A40800045015440100")).toBe("6F1581020100820101830244018608FF909090909090009000");
    expect(await say("00A4080C0450154401")).toBe("9000");
  });
});

describe("the PIN", () => {
  test("tells its tries also while it is verified, and never says blocked", async () => {
    await logIn();
    expect(await say("00200001")).toBe("63C3");
    for (const tries of ["63C2", "63C1", "63C0", "63C0"]) expect(await say(`0020000110${WRONG}`)).toBe(tries);
    expect(await logIn()).toBe("63C0");
  });

  test("a wrong one ends what the right one opened; a short one is filled up", async () => {
    expect(await say("0020000106313233343536")).toBe("9000");
    await say(`0020000110${WRONG}`);
    expect(await say("002A9E9A0401020304")).toBe("6982");
    expect(await say("002000010331323300")).toBe("6700");
    expect(await say("0020000206313233343536")).toBe("6A86");
  });

  test("is changed by the old one, and no PUK unblocks it", async () => {
    expect(await say(`0024000120${WRONG}${PIN}`)).toBe("63C2");
    expect(await say(`0024000120${PIN}${WRONG}`)).toBe("9000");
    expect(await say(`0020000110${WRONG}`)).toBe("9000");
    expect(await say(`002C000120${PIN}${PIN}`)).toBe("63C0");
  });
});

describe("files", () => {
  const create = "00E00000176F158102000482010183026C018608FF90909090909000";

  test("are made with the PIN, once for each identifier on the card", async () => {
    await say("00A4080C025015");
    expect(await say(create)).toBe("6982");
    await logIn();
    expect(await say(create)).toBe("9000");
    expect(await say("00D6000004CAFEBABE")).toBe("9000");
    expect(await say("00B0000000")).toBe("CAFEBABE9000");
    expect(await say("00A4000C023F00")).toBe("9000");
    expect(await say(create)).toBe("6984");
    expect(await say("00E40000026C01")).toBe("9000");
    expect(await say("00A4080C0450156C01")).toBe("6A82");
  });

  test("keep to their rules: everybody reads, and who knows the PIN writes", async () => {
    await say("00A4080C0450153300");
    expect(await say("00D600000100")).toBe("6982");
    expect(await say("00B0000001")).toBe("309000");
    await logIn();
    expect(await say("00D600000100")).toBe("9000");
    expect(await say("00B0000001")).toBe("009000");
  });
});

describe("keys", () => {
  test("an environment wants a key of the algorithm's type", async () => {
    await logIn();
    expect(await say("002241B606800111840102")).toBe("6984");
    expect(await say("002241B606800121840102")).toBe("9000");
    expect(await say("002241B606800133840102")).toBe("6A81");
    expect(await say("002241B606800121840110")).toBe("6984");
  });

  test("are made with the PIN and an environment for it", async () => {
    expect((await send(card, GENERATE_RSA)).sw).toBe(0x6982);
    await logIn();
    expect((await send(card, GENERATE_RSA)).sw).toBe(0x6985);
    await say(NEW_RSA);
    const { data } = await send(card, GENERATE_RSA);
    const template = findTlv(readTlvs(data), 0x7f49) ?? new Uint8Array();
    expect(findTlv(readTlvs(template), 0x81)).toHaveLength(256);
    await say(NEW_EC);
    expect(await say("00460000058103010203")).toBe("6A80");
  });

  test("are brought: what has been brought signs as its owner", async () => {
    const key = testKey("rsa-2048", "brought");
    const { p = "", q = "", dp = "", dq = "", qi = "" } = key.export({ format: "jwk" });
    const numbers = [p, q, qi, dp, dq].map((text, index) => encodeTlv(0x92 + index, Buffer.from(text, "base64url")));
    await logIn();
    await say(NEW_RSA);
    const put = { cla: 0, ins: 0xdb, p1: 0x3f, p2: 0xff };
    expect((await send(card, { ...put, data: encodeTlv(0x7f48, ...numbers) })).sw).toBe(0x9000);
    await say("002241B606800111840105");
    const { data } = await send(card, { cla: 0, ins: 0x2a, p1: 0x9e, p2: 0x9a, data: fromHex("cafe"), ne: 256 });
    expect(toHex(publicDecrypt(createPublicKey(key), data))).toBe("cafe");
  });

  test("numbers that are not those of one key are refused, and the old key stays", async () => {
    await logIn();
    await say("00224100068001EC840102");
    const prime = fromHex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    const bring = (secret: Uint8Array): ReturnType<typeof send> =>
      send(card, {
        ...{ cla: 0, ins: 0xdb, p1: 0x3f, p2: 0xff },
        data: encodeTlv(0xe0, concat(encodeTlv(0x81, prime), encodeTlv(0x88, secret))),
      });
    expect((await bring(new Uint8Array(32))).sw).toBe(0x6a80);
    expect((await bring(new Uint8Array(5).fill(1))).sw).toBe(0x6a80);
    const own = createECDH("prime256v1");
    own.generateKeys();
    expect((await bring(own.getPrivateKey())).sw).toBe(0x9000);
  });
});
