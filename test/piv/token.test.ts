import { constants, createPublicKey, publicEncrypt, verify } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { encodeTlv } from "../../src/apdu/index.ts";
import { concat, fromHex, utf8 } from "../../src/bytes/index.ts";
import { Card, LoginRequiredError, PinError, StatusError, UnsupportedError } from "../../src/card/index.ts";
import { digest, encodePublicKey, keyTypeOf, parsePublicKey } from "../../src/crypto/index.ts";
import { piv } from "../../src/piv/index.ts";
import type { VirtualPivCard } from "../../src/virtual/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { bench, claim, privateKey, READER, SELECT_OTHER, withAnotherApplication } from "./rig.ts";

const PIN = utf8("123456");
const SELECT = "00a40400";
const DISCOVERY = "00cb3fff035c017e00";

const spki = (der: Uint8Array): ReturnType<typeof createPublicKey> =>
  createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });

describe("finding the application", () => {
  test("takes one exchange where it is selected already", async () => {
    const rig = bench(await testCard());
    await claim(rig);
    expect(rig.commands).toEqual([DISCOVERY]);
  });

  test.each([
    ["says nothing", false],
    ["says YubiKey", true],
  ])(
    "takes SELECT alone where the answer to reset %s, and the discovery object where another program is there",
    async (_says, yubico) => {
      const rig = bench(await testCard({ defaultSelected: false, yubico, extended: false }));
      await claim(rig);
      expect(rig.commands.map((command) => command.slice(0, 8))).toEqual([SELECT]);
      await claim(rig);
      expect(rig.commands.slice(1)).toEqual([DISCOVERY]);
    },
  );

  test("takes SELECT last where another program has selected another application", async () => {
    const rig = bench(await testCard({ defaultSelected: false }));
    await using other = await rig.pcsc.connect(READER);
    await claim(rig);
    expect(other.reader).toBe(READER);
    expect(rig.commands.map((command) => command.slice(0, 8))).toEqual(["00cb3fff", SELECT]);
  });

  test.each([
    ["Pico Keys PIV", true],
    ["Another PIV", false],
  ])("asks a card whose application calls itself %s for its PIN policy: %s", async (label, isKnown) => {
    const card = await testCard({ defaultSelected: false });
    const template = encodeTlv(0x61, encodeTlv(0x4f, fromHex("0100")), encodeTlv(0x50, utf8(label)));
    const rig = bench({
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: async (command) => {
        const answer = await card.transmit(command);
        return command[1] === 0xa4 && answer.at(-2) === 0x90 ? concat(template, fromHex("9000")) : answer;
      },
    });
    const { token } = await claim(rig);
    await token.login("user", PIN);
    expect(rig.commands.includes(DISCOVERY)).toBe(!isKnown);
  });

  test("leaves a card of another kind alone", async () => {
    const other = { atr: fromHex("3b00"), reset: () => undefined, transmit: () => Promise.resolve(fromHex("6d00")) };
    const rig = bench(other);
    expect(await piv.claim(new Card(await rig.pcsc.connect(READER)), "thorough")).toBeUndefined();
  });
});

describe("the PIN", () => {
  test("is verified once, and tries left cost none", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 3, verified: false });
    await expect(token.login("user", utf8("654321"))).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
    expect((await token.pinStatus("user")).triesLeft).toBe(2);
    await token.login("user", PIN);
    expect(await token.pinStatus("user")).toMatchObject({ verified: true });
    await token.logout();
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 3, verified: false });
  });

  test.each([
    ["12345", "length"],
    ["123456789", "length"],
    ["12345\u00e9", "characters"],
  ])("%j never reaches the card", async (pin, reason) => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    const before = rig.commands.length;
    await expect(token.login("user", utf8(pin))).rejects.toMatchObject({ name: "PinError", reason });
    expect(rig.commands).toHaveLength(before);
  });

  test("blocks, and says so without another try", async () => {
    const rig = bench(await testCard({ tries: 1 }));
    const { token } = await claim(rig);
    await expect(token.login("user", utf8("000000"))).rejects.toThrow(PinError);
    await expect(token.login("user", PIN)).rejects.toMatchObject({ reason: "blocked", triesLeft: 0 });
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 0 });
  });

  test("is known to have had more tries", async () => {
    const { token } = await claim(bench(await testCard({ tries: 10 })));
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 10, maxTries: undefined, countLow: false });
    await expect(token.login("user", utf8("000000"))).rejects.toThrow(PinError);
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 9, maxTries: undefined, countLow: true });
  });

  test("is the global one where the card says that it comes first", async () => {
    const rig = bench(await testCard({ pinUsage: "global-then-application", globalPin: "99887766" }));
    const { token } = await claim(rig);
    await token.login("user", utf8("99887766"));
    expect(rig.commands.at(-1)?.slice(0, 8)).toBe("00200000");
  });
});

describe("keys", () => {
  test.each([
    [1, "9A"],
    [3, "9D"],
  ])("RSA key %i signs after login", async (id) => {
    const { token } = await claim(bench(await testCard()));
    const key = await privateKey(token, id);
    await token.login("user", PIN);
    const publicKey = spki(await key.publicKey());
    const block = publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, Buffer.alloc(256, 7));
    expect(await token.use(key, "rsa-raw", block)).toEqual(new Uint8Array(256).fill(7));
  });

  test("the signature key wants the PIN before each use", async () => {
    const { token } = await claim(bench(await testCard()));
    const key = await privateKey(token, 2);
    const hash = digest("sha256", utf8("message"));
    const publicKey = { key: spki(await key.publicKey()), dsaEncoding: "ieee-p1363" } as const;
    await token.login("user", PIN);
    const signature = await token.use(key, "ecdsa", hash);
    expect(verify("sha256", Buffer.from("message"), publicKey, signature)).toBe(true);
    await expect(token.use(key, "ecdsa", hash)).rejects.toThrow(LoginRequiredError);
    await token.login("user", PIN);
    expect(await token.use(key, "ecdsa", hash)).toHaveLength(64);
  });

  test("the card authentication key wants none", async () => {
    const { token } = await claim(bench(await testCard()));
    expect(await token.use(await privateKey(token, 4), "ecdsa", digest("sha1", utf8("short hash")))).toHaveLength(64);
  });

  test("a key management key on P-256 agrees on a secret", async () => {
    const { token } = await claim(bench(await testCard({ keys: { "9d": { privateKey: testKey("p-256") } } })));
    const key = await privateKey(token, 3);
    await token.login("user", PIN);
    const peer = parsePublicKey(await key.publicKey());
    const secret = await token.use(key, "ecdh", peer.type === "ec" ? peer.point : new Uint8Array());
    expect(secret).toHaveLength(32);
  });

  test("an operation that the key has not is refused before the card sees it", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await token.login("user", PIN);
    await expect(token.use(await privateKey(token, 1), "ecdsa", new Uint8Array(32))).rejects.toThrow(UnsupportedError);
    await expect(token.use(await privateKey(token, 1), "rsa-raw", new Uint8Array(32))).rejects.toThrow("32 bytes");
    expect(rig.commands.some((command) => command.startsWith("0087"))).toBe(false);
  });

  test.each([
    [0x6a81, UnsupportedError],
    [0x6a86, UnsupportedError],
    [0x6d00, UnsupportedError],
    [0x6a80, StatusError],
    [0x6985, StatusError],
    [0x6700, StatusError],
  ])("a use that the card answers by %p", async (sw, refused) => {
    const virtual = await testCard();
    const answer = Uint8Array.of(sw >> 8, sw & 0xff);
    const { token } = await claim(
      bench({
        atr: virtual.atr,
        reset: () => {
          virtual.reset();
        },
        transmit: (command) => (command[1] === 0x87 ? Promise.resolve(answer) : virtual.transmit(command)),
      }),
    );
    const key = await privateKey(token, 4);
    await expect(token.use(key, "ecdsa", new Uint8Array(32))).rejects.toThrow(refused);
  });

  test("without a login is refused before the card sees it", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await expect(token.use(await privateKey(token, 1), "rsa-raw", new Uint8Array(256))).rejects.toThrow(
      LoginRequiredError,
    );
    expect(rig.commands.some((command) => command.startsWith("0087"))).toBe(false);
  });
});

describe("key generation", () => {
  test("needs the management key, and gives the new public key", async () => {
    const { token } = await claim(bench(await testCard()));
    const type = { type: "ec", curve: "P-384" } as const;
    await expect(token.generateKeyPair?.({ type, id: Uint8Array.of(4) })).rejects.toThrow(LoginRequiredError);
    await token.login("so", utf8("010203040506070801020304050607080102030405060708"));
    const pair = await token.generateKeyPair?.({ type, id: Uint8Array.of(4) });
    expect(keyTypeOf((await pair?.publicKey.publicKey()) ?? new Uint8Array())).toEqual(type);
    expect(await pair?.privateKey.isPresent({ explicitlyRequested: false })).toBe(true);
  });

  test.each([
    ["aes-128", "00112233445566778899aabbccddeeff"],
    ["aes-192", "00112233445566778899aabbccddeeff0011223344556677"],
    ["aes-256", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"],
  ] as const)("authenticates with %s", async (algorithm, key) => {
    const { token } = await claim(bench(await testCard({ managementKey: { algorithm, value: fromHex(key) } })));
    await token.login("so", utf8(key));
  });

  test("a wrong management key is a wrong PIN", async () => {
    const { token } = await claim(bench(await testCard()));
    await expect(token.login("so", utf8("ff".repeat(24)))).rejects.toMatchObject({
      name: "PinError",
      reason: "incorrect",
    });
    await expect(token.login("so", utf8("123456"))).rejects.toMatchObject({ name: "PinError", reason: "length" });
  });
});

describe("a card that others use too", () => {
  let shared: VirtualPivCard;
  beforeAll(async () => {
    shared = await testCard();
  });

  test("a reset by another program loses the login, not the card", async () => {
    shared.reset();
    const rig = bench(shared);
    const { token } = await claim(rig);
    await token.login("user", PIN);
    const other = await rig.readers.client().connect(READER);
    await other.reconnect(1);
    await other.disconnect();
    const key = await privateKey(token, 1);
    await expect(token.use(key, "rsa-raw", new Uint8Array(256))).rejects.toThrow(LoginRequiredError);
    await token.login("user", PIN);
    expect(await token.use(key, "rsa-raw", new Uint8Array(256))).toHaveLength(256);
  });

  test("another application selected meanwhile is noticed, and no PIN is sent to it", async () => {
    const rig = bench(withAnotherApplication(shared));
    const { token } = await claim(rig);
    const other = await rig.readers.client().connect(READER);
    await other.transmit(SELECT_OTHER);
    const before = rig.commands.length;
    await token.login("user", PIN);
    const sent = rig.commands.slice(before).map((command) => command.slice(0, 8));
    expect(sent.at(-1)).toBe("00200080");
    expect(sent).toContain("00cb3fff");
  });

  test("a program that came and went, and left another application behind, gets no PIN", async () => {
    const rig = bench(withAnotherApplication(shared));
    const { token } = await claim(rig);
    await token.pinStatus("user");
    const visitor = await rig.readers.client().connect(READER);
    await visitor.transmit(SELECT_OTHER);
    await visitor.disconnect();
    const before = rig.commands.length;
    await token.login("user", PIN);
    const sent = rig.commands.slice(before).map((command) => command.slice(0, 8));
    expect(sent).toEqual(["00cb3fff", SELECT, "00200080"]);
  });

  test("a login ends on the card too where the card cannot forget a PIN: by a reset", async () => {
    const stubborn = await testCard();
    const rig = bench({
      atr: stubborn.atr,
      reset: () => {
        stubborn.reset();
      },
      // A card from before SP 800-73-4 knows no P1 = FF.
      transmit: (command) =>
        command[1] === 0x20 && command[2] === 0xff ? Promise.resolve(fromHex("6a86")) : stubborn.transmit(command),
    });
    const { token } = await claim(rig);
    await token.login("user", PIN);
    await token.logout();
    const other = await rig.readers.client().connect(READER);
    expect(await other.transmit(fromHex("00200080"))).toEqual(fromHex("63c3"));
  });

  test("reading goes on where another program had been", async () => {
    const both = withAnotherApplication(shared);
    const rig = bench(both);
    const { card, token } = await claim(rig);
    const [certificate] = await token.objects();
    await card.release();
    rig.before = async (command) => {
      rig.before = undefined;
      // Another application, behind the driver's back.
      await both.transmit(SELECT_OTHER);
      expect(command[1]).toBe(0xcb);
    };
    expect(await certificate?.isPresent({ explicitlyRequested: false })).toBe(true);
  });
});

test("a retired key without a key history is found by a search that names it, and no other", async () => {
  const rig = bench(
    await testCard({ keys: { "82": { privateKey: testKey("rsa-2048") } }, objects: new Map([[0x5fc10c, null]]) }),
  );
  const { token } = await claim(rig);
  const key = await privateKey(token, 5);
  expect(await key.isPresent({ explicitlyRequested: false })).toBe(false);
  expect(await key.isPresent({ explicitlyRequested: true })).toBe(true);
});

test("a public key of the card reads back as it was given", async () => {
  const { token } = await claim(bench(await testCard()));
  const der = await (await privateKey(token, 2)).publicKey();
  expect(encodePublicKey(parsePublicKey(der))).toEqual(der);
});
