import { createPublicKey } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DataError, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { MalformedAnswerError } from "../../src/card/index.ts";
import { createPkcs15, describeFiles, pkcs15 } from "../../src/pkcs15/index.ts";
import { readCardVerifiable } from "../../src/pkcs15/syntax/card-verifiable.ts";
import { testKey } from "../virtual/keys.ts";
import { insert } from "./file-card.ts";
import { HSM_PIN, SmartCardHsm } from "./smartcard-hsm-card.ts";
import { claimed, EC, labCard, RSA } from "./smartcard-hsm-lab.ts";
import { request } from "./smartcard-hsm-request.ts";

/** A Java Card that tells nothing of its applets, and one that tells its name, and nothing of extended length. */
const JAVA_CARD = "3b80800101";
const SHORT = "3b8580015448534d3137";

describe("which card is a SmartCard-HSM", () => {
  test("one with another answer to reset is found at last", async () => {
    const card = labCard(JAVA_CARD);
    const { tokens } = await claimed(card);
    expect((await tokens[0]?.info())?.serialNumber).toBe("DENK0100123");
    expect(card.commands.findIndex((command) => command.startsWith("00a404000be82b"))).toBeGreaterThan(2);
  });

  test("one that a store remembers is found at once, whatever its answer to reset", async () => {
    const kept = new Map<string, Uint8Array>();
    const profile = createPkcs15({
      store: {
        get: (key) => Promise.resolve(kept.get(key)),
        set: (key, bytes) => Promise.resolve(void kept.set(key, bytes)),
      },
    });
    await profile.claim(await insert(labCard(JAVA_CARD)), "thorough");
    const card = labCard(JAVA_CARD);
    expect(await profile.claim(await insert(card), "thorough")).toBeDefined();
    expect(card.commands).toHaveLength(1);
  });

  test("one that takes the name and tells nothing of the applet is none", async () => {
    const card = labCard(JAVA_CARD);
    card.lies.set("00a40400", "6f009000");
    expect(await pkcs15.claim(await insert(card), "thorough")).toBeUndefined();
  });

  test("files are read in parts where the answer to reset tells of no extended length", async () => {
    const card = labCard(SHORT);
    const { tokens } = await claimed(card);
    const own = (await tokens[0]?.objects(["certificate"])) ?? [];
    const [certificate] = own;
    expect(certificate?.class === "certificate" && (await certificate.value())).toEqual(card.files.get("ce01"));
    expect(card.commands.filter((command) => command.startsWith("00b1ce01")).length).toBeGreaterThan(2);
  });
});

test("its files are described, each with what is in it", async () => {
  const description = await describeFiles(await insert(labCard()));
  expect(description?.findings).toEqual([]);
  expect(description?.files.map(({ path, content }) => `${path} ${content}`)).toEqual([
    './CA00 certificate "Lab CA"',
    './CD01 data "guarded data"',
    './CE01 public-key "RSA key", certificate "RSA key"',
    './CE02 public-key "EC key"',
    './CF00 data "open data"',
  ]);
});

describe("a card that is not in order", () => {
  const objects = async (card: SmartCardHsm): Promise<readonly string[]> => {
    const application = await claimed(card);
    const { tokens } = application;
    const found = (await tokens[0]?.objects()) ?? [];
    const names = found.map((object) => `${object.class} ${object.label}`);
    return [...names, ...(application.findings?.().map(({ where }) => `! ${where}`) ?? [])];
  };
  const twoKeys = (): SmartCardHsm => new SmartCardHsm().addKey(1, RSA, "one").addKey(2, EC, "two");
  const SECOND = ["private-key two", "public-key two"];

  test.each(["", "30", "3080", "ff".repeat(64), "30030c0161", "a0003000"])(
    "an entry of %s costs its key",
    async (entry) => {
      const card = twoKeys();
      card.files.set("c401", fromHex(entry));
      expect(await objects(card)).toEqual([...SECOND, "! private-keys ./C401"]);
    },
  );

  test("a key without an entry is reported, and one whose entry is gone", async () => {
    const card = twoKeys();
    card.files.delete("c401");
    expect(await objects(card)).toEqual([...SECOND, "! key 1"]);
    card.lies.set("00b1c402", "6a82");
    expect(await objects(card)).toEqual(["! key 1", "! private-keys ./C402"]);
  });

  test.each([
    ["twice", "cc02c402ce02cc02c402ce02"],
    ["and half of another", "cc02c402ce02cc"],
    ["and what is not there", "cc02c402ce02c8ffc9ffcc09c409"],
  ])("a list with a key %s shows it once", async (_, list) => {
    const card = twoKeys();
    card.lies.set("80580000", `${list}9000`);
    expect((await objects(card)).filter((name) => !name.startsWith("!"))).toEqual(SECOND);
  });

  test("a list that is refused is an error, and asked for again", async () => {
    const card = twoKeys();
    card.lies.set("80580000", "6f00");
    const [token] = (await claimed(card)).tokens;
    await expect(token?.objects()).rejects.toMatchObject({ sw: 0x6f00 });
    card.lies.clear();
    expect(await token?.objects()).toHaveLength(4);
  });

  test.each(["", "7f21", "7f2103", "7f21027f4e", "30030c0161", "67037f2100"])(
    "a device certificate of %s costs the number",
    async (bytes) => {
      const card = twoKeys();
      card.files.set("2f02", fromHex(bytes));
      card.files.delete("2f03");
      const application = await claimed(card);
      const { tokens } = application;
      expect(await tokens[0]?.info()).toMatchObject({ label: "SmartCard-HSM", serialNumber: "" });
      expect(application.findings?.()).toEqual([expect.objectContaining({ where: "certificate of the device" })]);
    },
  );

  test("a request that does not parse costs the public key, and not the signature", async () => {
    const card = twoKeys();
    card.files.set("ce02", fromHex("67067f21037f4e00"));
    const [token] = (await claimed(card)).tokens;
    await token?.login("user", utf8(HSM_PIN));
    const key = (await token?.objects(["private-key"]))?.find(({ label }) => label === "two");
    if (key?.class !== "private-key") throw new Error("no key");
    expect(await token?.use(key, "ecdsa", new Uint8Array(32).fill(7))).toHaveLength(64);
    await expect(key.publicKey()).rejects.toThrow(/no public key/u);
  });

  test.each([
    ["a signature of too many numbers", "80680270", "300c0201010201020201030201049000"],
    ["a signature that is nothing", "80680270", "9000"],
    ["a shared point of another curve", "80620280", `04${"11".repeat(48)}9000`],
  ])("%s is an error", async (_, header, lie) => {
    const card = new SmartCardHsm().addKey(2, EC, "two", "072480");
    card.lies.set(header, lie);
    const [token] = (await claimed(card)).tokens;
    await token?.login("user", utf8(HSM_PIN));
    const [key] = (await token?.objects(["private-key"])) ?? [];
    if (key?.class !== "private-key") throw new Error("no key");
    const primitive = header.startsWith("8068") ? "ecdsa" : "ecdh";
    await expect(token?.use(key, primitive, new Uint8Array(32).fill(7))).rejects.toBeInstanceOf(MalformedAnswerError);
  });
});

describe("card verifiable certificates", () => {
  test.each([
    ["RSA", RSA],
    ["P-256", EC],
    ["P-384", testKey("p-384", "hsm")],
  ])("%s: the public key of a request", (_, key) => {
    const { holder, publicKey } = readCardVerifiable(request(key));
    expect(holder).toBe("DENK010012300001");
    expect(publicKey()).toEqual(new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" })));
  });

  test("a point that does not begin with 04 is refused", () => {
    const bytes = request(EC);
    // The point is the field 86 of the public key, 65 bytes.
    const at = toHex(bytes).indexOf("864104") / 2 + 2;
    bytes[at] = 0x06;
    expect(() => readCardVerifiable(bytes).publicKey()).toThrow("not an uncompressed point of P-256");
  });

  test("any bytes are read, or are a DataError", () => {
    const whole = request(EC);
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc
        .tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(whole.length))
        .map(([at, octet, length]) => whole.with(at, octet).subarray(0, length)),
    );
    fc.assert(
      fc.property(anything, (bytes) => {
        try {
          readCardVerifiable(bytes).publicKey();
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });
});
