import { createPublicKey, diffieHellman, type KeyObject, verify, X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { type CardPrivateKey, type CardToken, UnsupportedError } from "../../src/card/index.ts";
import { parsePublicKey } from "../../src/crypto/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { KEY_SLOTS } from "../../src/piv/keys.ts";
import type { PivCardOptions } from "../../src/virtual/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { bench, claim, privateKey } from "./rig.ts";

const PIN = utf8("123456");
const MANAGEMENT_KEY = utf8("010203040506070801020304050607080102030405060708");
const METADATA = "00f700";
const EMPTY = { "9a": null, "9c": null, "9d": null, "9e": null } as const;
const yubikey = (options: PivCardOptions = {}): ReturnType<typeof testCard> =>
  testCard({ yubico: true, defaultSelected: false, ...options });

const spki = (der: Uint8Array): ReturnType<typeof createPublicKey> =>
  createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });

/** References of the objects that a search for everything finds. */
async function found(token: CardToken): Promise<string[]> {
  const references: string[] = [];
  for (const object of await token.objects())
    if (await object.isPresent({ explicitlyRequested: false })) references.push(object.reference);
  return references.sort();
}

/** The key, once a search has found it: only then its policies are known. */
async function foundKey(token: CardToken, id: number): Promise<CardPrivateKey> {
  const key = await privateKey(token, id);
  expect(await key.isPresent({ explicitlyRequested: true })).toBe(true);
  return key;
}

/** `card` with some commands answered by `answer`. */
function answering(card: InProcessCard, answer: (command: Uint8Array) => string | undefined): InProcessCard {
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      const own = answer(command);
      return own === undefined ? card.transmit(command) : fromHex(own);
    },
  };
}

describe("a key without a certificate", () => {
  const keys = { ...EMPTY, "9a": { privateKey: testKey("p-256", "9a"), certificate: null }, "86": "p-384" } as const;

  test("is found on a card with metadata, and signs", async () => {
    const { token } = await claim(bench(await yubikey({ keys, deviations: ["no-certificates"] })));
    expect(await found(token)).toEqual(["86.private-key", "86.public-key", "9A.private-key", "9A.public-key"]);
    const key = await foundKey(token, 1);
    await token.login("user", PIN);
    const signature = await token.use(key, "ecdsa", new Uint8Array(32).fill(5));
    expect(signature).toHaveLength(64);
    expect(spki(await key.publicKey()).equals(createPublicKey(testKey("p-256", "9a")))).toBe(true);
  });

  test("is found on a card that only its answers tell of: it has the commands, and says so nowhere", async () => {
    const card = await yubikey({ keys });
    const rig = bench({ ...answering(card, () => undefined), atr: (await testCard()).atr });
    const { token } = await claim(rig);
    expect(await (await privateKey(token, 1)).isPresent({ explicitlyRequested: false })).toBe(true);
    expect(await (await privateKey(token, 3)).isPresent({ explicitlyRequested: false })).toBe(false);
  });

  test("is found on no card that refuses metadata, which is asked once", async () => {
    for (const options of [{}, { yubico: true, deviations: ["no-metadata"] }] as const) {
      const rig = bench(await testCard({ ...options, keys, objects: new Map([[0x5fc105, null]]) }));
      const { token } = await claim(rig);
      for (const id of [1, 2, 3, 4])
        expect(await (await privateKey(token, id)).isPresent({ explicitlyRequested: false })).toBe(false);
      expect(rig.commands.filter((command) => command.startsWith(METADATA))).toHaveLength(1);
    }
  });

  test("a card with a certificate for each key, that announces nothing, is never asked for metadata", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await found(token);
    expect(rig.commands.filter((command) => command.startsWith(METADATA))).toEqual([]);
  });

  test("6A88 of a card that never gave metadata says nothing about its keys", async () => {
    const card = answering(await testCard(), (command) => (command[1] === 0xf7 ? "6a88" : undefined));
    const { token } = await claim(bench(card));
    expect(await (await privateKey(token, 1)).isPresent({ explicitlyRequested: false })).toBe(true);
  });

  test("an accident is not remembered", async () => {
    let accidents = 1;
    const card = answering(await yubikey({ keys }), (command) =>
      command[1] === 0xf7 && accidents-- > 0 ? "6f00" : undefined,
    );
    const { token } = await claim(bench(card));
    const key = await privateKey(token, 1);
    await expect(key.isPresent({ explicitlyRequested: false })).rejects.toMatchObject({
      name: "StatusError",
      sw: 0x6f00,
    });
    expect(await key.isPresent({ explicitlyRequested: false })).toBe(true);
  });
});

describe("a certificate without a key", () => {
  test("on a card with metadata has no private key, and is there", async () => {
    const { token } = await claim(bench(await yubikey({ deviations: ["certificate-without-key"] })));
    const references = await found(token);
    expect(references).toContain("9A.certificate");
    expect(references).toContain("9A.public-key");
    expect(references).not.toContain("9A.private-key");
    expect(references).toContain("9C.private-key");
  });

  test("in 9E has a private key for a search of everything, and none for one that names it", async () => {
    const card = answering(await yubikey(), (command) =>
      command[1] === 0xf7 && command[3] === 0x9e ? "6a88" : undefined,
    );
    const { token } = await claim(bench(card));
    expect(await found(token)).toContain("9E.private-key");
    expect(await (await privateKey(token, 4)).isPresent({ explicitlyRequested: true })).toBe(false);
    expect(await found(token)).not.toContain("9E.private-key");
  });

  test.each(["6a86", "6a88"])("elsewhere the refusal of its first use (%s) says so", async (sw) => {
    const card = answering(await testCard({ deviations: ["certificate-without-key"] }), (command) =>
      command[1] === 0x87 && command[3] === 0x9a ? sw : undefined,
    );
    const { token } = await claim(bench(card));
    const key = await foundKey(token, 1);
    await token.login("user", PIN);
    const block = new Uint8Array(256);
    await expect(token.use(key, "rsa-raw", block)).rejects.toThrow("there is no key in 9A");
  });
});

describe("retired keys", () => {
  const key = (name: string): { readonly privateKey: KeyObject } => ({ privateKey: testKey("p-256", name) });
  const keys = { ...EMPTY, "83": key("83"), "95": key("95") };

  test.each([
    ["with metadata", ["no-key-history"]],
    ["without", ["no-key-history", "no-metadata"]],
  ] as const)("are listed without a key history on a YubiKey %s", async (_how, deviations) => {
    const { token } = await claim(bench(await yubikey({ keys, deviations })));
    const references = await found(token);
    for (const name of ["83.certificate", "83.private-key", "95.certificate", "95.public-key"]) {
      expect(references).toContain(name);
    }
    expect(references).not.toContain("84.certificate");
  });

  test.each([
    [0, ["82"]],
    [1, ["82", "83", "84"]],
  ])("are looked for in the first place, and in two more for an empty named place (%i)", async (empty, places) => {
    const named = { "9c": empty > 0 ? null : "p-256", "95": key("95") } as const;
    const rig = bench(await yubikey({ keys: named, deviations: ["no-key-history"] }));
    const { token } = await claim(rig);
    expect(await found(token)).not.toContain("95.certificate");
    const asked = rig.commands.filter((command) => /^00f700(?:8|9[0-5])/u.test(command));
    expect(asked).toEqual(places.map((place) => `00f700${place}000000`));
    // One that is asked for by name shows that the card uses these places.
    expect(await (await privateKey(token, 24)).isPresent({ explicitlyRequested: true })).toBe(true);
    expect(await found(token)).toContain("95.certificate");
  });

  test("that were made here are listed wherever they are", async () => {
    const { token } = await claim(bench(await yubikey()));
    await token.login("so", MANAGEMENT_KEY);
    await token.generateKeyPair?.({ type: { type: "ec", curve: "P-256" }, id: Uint8Array.of(24) });
    expect(await found(token)).toContain("95.private-key");
  });

  test("are as many as the key history counts, where a YubiKey has one", async () => {
    const objects = new Map([[0x5fc10c, fromHex("c10102c20101f300fe00")]]);
    const withFirst = { ...keys, "82": key("82"), "84": key("84") };
    const rig = bench(await yubikey({ keys: withFirst, objects }));
    const { token } = await claim(rig);
    expect((await found(token)).filter((name) => name.endsWith("certificate"))).toEqual([
      "82.certificate",
      "83.certificate",
    ]);
    // The third has its certificate elsewhere.
    expect((await found(token)).filter((name) => name.endsWith("private-key"))).toEqual(
      ["82", "83", "84"].map((name) => `${name}.private-key`),
    );
    expect(rig.commands.filter((command) => /^00f700(?:8[5-9f]|9[0-5])/u.test(command))).toEqual([]);
  });

  test("a count of 0 hides none that is asked for", async () => {
    const objects = new Map([[0x5fc10c, fromHex("c10100c20100f300fe00")]]);
    const { token } = await claim(bench(await testCard({ keys, objects })));
    expect(await found(token)).toEqual([]);
    const key = await privateKey(token, 6);
    expect(await key.isPresent({ explicitlyRequested: true })).toBe(true);
  });

  test("a card that has metadata, and no such places, is asked for one of them only", async () => {
    const card = answering(await yubikey(), (command) => {
      const isRetired = (command[3] ?? 0) >= 0x82 && (command[3] ?? 0) <= 0x95;
      return command[1] === 0xf7 && isRetired ? "6a86" : undefined;
    });
    const rig = bench(card);
    const { token } = await claim(rig);
    await found(token);
    expect(rig.commands.filter((command) => command.startsWith(METADATA))).toHaveLength(4);
  });

  test("that are not there cost one exchange in all", async () => {
    const rig = bench(await yubikey());
    const { token } = await claim(rig);
    const before = rig.commands.length;
    for (const object of await token.objects()) {
      if (object.class !== "private-key" || !object.private) await object.isPresent({ explicitlyRequested: false });
    }
    expect(rig.commands.slice(before).filter((command) => !/^00(?:cb|c0)/u.test(command))).toEqual(["00f70082000000"]);
    expect(rig.commands.filter((command) => command.startsWith("00cb3fff055c035fc10c"))).toEqual([]);
  });
});

describe("when a key wants the PIN", () => {
  const policies = {
    "9a": { privateKey: testKey("p-256", "9a"), pinPolicy: "always" },
    "9c": { privateKey: testKey("p-256", "9c"), pinPolicy: "once" },
    "9d": { privateKey: testKey("rsa-2048", "9d"), pinPolicy: "never" },
    "82": { privateKey: testKey("p-256", "82"), pinPolicy: "always" },
  } as const;

  test.each([
    [1, true, true],
    [2, false, true],
    [3, false, false],
    [4, false, false],
    [5, true, true],
  ])("key %i: each time %s, at all %s, as its metadata say", async (id, always, ever) => {
    const { token } = await claim(bench(await yubikey({ keys: policies })));
    const key = await foundKey(token, id);
    expect([key.alwaysAuthenticate, key.needsLogin]).toEqual([always, ever]);
  });

  test("without metadata, as the standard says", async () => {
    const { token } = await claim(bench(await yubikey({ keys: policies, deviations: ["no-metadata"] })));
    const facts = [];
    for (const id of [1, 2, 3]) {
      const key = await foundKey(token, id);
      facts.push([key.alwaysAuthenticate, key.needsLogin]);
    }
    expect(facts).toEqual([
      [false, true],
      [true, true],
      [false, true],
    ]);
  });

  test.each([
    [0x04, false],
    [0x05, true],
    [0x00, true],
  ])("policy %i of 9C, a fingerprint's among them", async (policy, always) => {
    const point = createPublicKey(testKey("p-256", "9c")).export({ format: "jwk" });
    const hex = (text: string | undefined): string => Buffer.from(text ?? "", "base64url").toString("hex");
    const metadata = `0101110202${Buffer.of(policy, 1).toString("hex")}0301010443864104${hex(point.x)}${hex(point.y)}`;
    const card = answering(await yubikey(), (command) =>
      command[1] === 0xf7 && command[3] === 0x9c ? `${metadata}9000` : undefined,
    );
    const { token } = await claim(bench(card));
    expect((await foundKey(token, 2)).alwaysAuthenticate).toBe(always);
  });

  test("a key that never wants it signs without a login, and one that does is refused before the card sees it", async () => {
    const rig = bench(await yubikey({ keys: policies }));
    const { token } = await claim(rig);
    expect(await token.use(await foundKey(token, 3), "rsa-raw", new Uint8Array(256).fill(1))).toHaveLength(256);
    const before = rig.commands.filter((command) => command.startsWith("0087") || command.startsWith("1087")).length;
    await expect(token.use(await foundKey(token, 2), "ecdsa", new Uint8Array(32))).rejects.toThrow(
      "the card needs the PIN",
    );
    expect(rig.commands.filter((command) => /^[01]087/u.test(command))).toHaveLength(before);
  });

  test("the numbers of both policies are attributes by the numbers of Yubico's own module", async () => {
    const keys = { "9a": { privateKey: testKey("p-256", "9a"), pinPolicy: "always", touchPolicy: "cached" } } as const;
    const attributes = async (options: PivCardOptions): Promise<(number | undefined)[]> => {
      const { token } = await claim(bench(await yubikey({ keys, ...options })));
      const { vendorAttributes } = await foundKey(token, 1);
      return [await vendorAttributes?.get(0xd9554201)?.(), await vendorAttributes?.get(0xd9554202)?.()];
    };
    expect(await attributes({})).toEqual([3, 3]);
    expect(await attributes({ deviations: ["no-metadata"] })).toEqual([undefined, undefined]);
  });
});

describe("keys on Curve25519", () => {
  const keys = {
    ...EMPTY,
    "9a": { privateKey: testKey("ed25519") },
    "9d": { privateKey: testKey("x25519"), certificate: null },
  };

  test("Ed25519 signs a whole message", async () => {
    const { token } = await claim(bench(await yubikey({ keys })));
    const key = await foundKey(token, 1);
    await token.login("user", PIN);
    const message = utf8("a message of any length ".repeat(20));
    const signature = await token.use(key, "eddsa", message);
    expect(verify(null, message, spki(await key.publicKey()), signature)).toBe(true);
    await expect(token.use(key, "ecdsa", new Uint8Array(32))).rejects.toThrow(
      "PIV does not support ecdsa with this key",
    );
  });

  test("X25519 agrees on a secret", async () => {
    const { token } = await claim(bench(await yubikey({ keys })));
    const key = await foundKey(token, 3);
    await token.login("user", PIN);
    const peer = testKey("x25519", "peer");
    const point = parsePublicKey(createPublicKey(peer).export({ format: "der", type: "spki" }));
    const secret = await token.use(key, "ecdh", "point" in point ? point.point : new Uint8Array());
    const expected = diffieHellman({ privateKey: peer, publicKey: spki(await key.publicKey()) });
    expect(Buffer.from(secret).equals(expected)).toBe(true);
  });

  test("are made on the card", async () => {
    const { token } = await claim(bench(await yubikey({ keys: EMPTY })));
    await token.login("so", MANAGEMENT_KEY);
    const type = { type: "edwards", curve: "Ed25519" } as const;
    const pair = await token.generateKeyPair?.({ type, id: Uint8Array.of(1) });
    expect(parsePublicKey((await pair?.publicKey.publicKey()) ?? new Uint8Array())).toMatchObject(type);
  });

  test("a card of the standard makes none, and says so", async () => {
    const { token } = await claim(bench(await testCard()));
    await token.login("so", MANAGEMENT_KEY);
    const type = { type: "montgomery", curve: "X25519" } as const;
    const made = token.generateKeyPair?.({ type, id: Uint8Array.of(1) });
    await expect(made).rejects.toThrow("the card cannot generate X25519 keys");
  });
});

test.each(["rsa-3072", "rsa-4096"] as const)(
  "%s: its metadata are its public key",
  async (type) => {
    const { token } = await claim(bench(await yubikey({ keys: { ...EMPTY, "9a": { privateKey: testKey(type) } } })));
    const key = await foundKey(token, 1);
    expect(spki(await key.publicKey()).equals(createPublicKey(testKey(type)))).toBe(true);
  },
  60_000,
);

describe("making a key names the places that are free", () => {
  const type = { type: "ec", curve: "P-256" } as const;
  async function refusal(options: PivCardOptions, id: Uint8Array): Promise<string> {
    const { token } = await claim(bench(await testCard(options)));
    await token.login("so", MANAGEMENT_KEY);
    const made = token.generateKeyPair?.({ type, id });
    const error = await made?.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(UnsupportedError);
    return (error as Error).message;
  }

  test("for a CKA_ID that is none of a PIV card", async () => {
    const keys = { "9c": null, "9e": null };
    expect(await refusal({ keys }, Uint8Array.of(0, 1))).toMatch(
      /01 to 18 only.*; free: CKA_ID 02 \(9C\), 04 \(9E\)$/u,
    );
    expect(await refusal({}, Uint8Array.of(0, 1))).toMatch(
      /; no slot is free: generating a key replaces an existing one$/u,
    );
  });

  test("and the retired ones on a YubiKey", async () => {
    const message = await refusal({ yubico: true, keys: { "82": "p-256" } }, Uint8Array.of(99));
    expect(message).toMatch(/free: CKA_ID 06 \(83\), .*18 \(95\)$/u);
    expect(message).not.toContain("(82)");
  });

  test("for a place that the card does not have", async () => {
    const message = await refusal({ keys: { "9d": null } }, Uint8Array.of(5));
    expect(message).toBe("the card cannot generate a key in 82, which CKA_ID 05 names; free: CKA_ID 03 (9D)");
  });
});

describe("the key history", () => {
  const HISTORY = "00cb3fff055c035fc10c";
  const WRITE_HISTORY = "00db3fff";

  async function afterWriting(options: PivCardOptions, id: number): Promise<string[]> {
    const card = await testCard(options);
    const rig = bench(card);
    const { token } = await claim(rig);
    await token.login("so", MANAGEMENT_KEY);
    const value = await certificate(token);
    await token.createObject?.({ class: "certificate", label: "", private: false, id: Uint8Array.of(id), value });
    expect(rig.commands.filter((command) => command.startsWith(WRITE_HISTORY)).length).toBeGreaterThan(0);
    return found((await claim(bench(card))).token);
  }

  async function certificate(token: CardToken): Promise<Uint8Array> {
    const object = (await token.objects()).find(({ reference }) => reference === "9C.certificate");
    const value = object?.class === "certificate" ? await object.value() : new Uint8Array();
    expect(new X509Certificate(value).subject).toBeTruthy();
    return value;
  }

  test("counts a certificate that is written for a retired key, so that the next program finds it", async () => {
    expect(await afterWriting({}, 5)).toContain("82.certificate");
    expect(await afterWriting({}, 7)).toContain("84.certificate");
  });

  test("stays as it is for the four named keys, and on a YubiKey without one", async () => {
    const read = async (options: PivCardOptions, id: number): Promise<Uint8Array> => {
      const card = await testCard(options);
      const { token } = await claim(bench(card));
      await token.login("so", MANAGEMENT_KEY);
      const value = await certificate(token);
      await token.createObject?.({ class: "certificate", label: "", private: false, id: Uint8Array.of(id), value });
      return card.transmit(fromHex(`${HISTORY}00`));
    };
    expect(await read({}, 1)).toEqual(fromHex("6a82"));
    expect(await read({ yubico: true }, 5)).toEqual(fromHex("6a82"));
    const objects = new Map([[0x5fc10c, fromHex("c10100c20100f300fe00")]]);
    expect(await read({ yubico: true, objects }, 5)).toEqual(fromHex("530ac10101c20100f300fe009000"));
    expect(await read({}, 5)).toEqual(fromHex("530ac10101c20100f300fe009000"));
  });

  test("is done without on a card that has none", async () => {
    const { token } = await claim(bench(await testCard({ deviations: ["no-key-history"] })));
    await token.login("so", MANAGEMENT_KEY);
    const value = await certificate(token);
    const object = { class: "certificate", label: "", private: false, id: Uint8Array.of(5), value } as const;
    expect(await (await token.createObject?.(object))?.isPresent({ explicitlyRequested: true })).toBe(true);
  });

  test("counts one less once the last of them is taken off", async () => {
    const card = await testCard({ keys: { "82": "p-256", "83": "p-256" } });
    const { token } = await claim(bench(card));
    await token.login("so", MANAGEMENT_KEY);
    const last = (await token.objects()).find(({ reference }) => reference === "83.certificate");
    if (last) await token.destroyObject?.(last);
    expect(await card.transmit(fromHex(`${HISTORY}00`))).toEqual(fromHex("530ac10101c20100f300fe009000"));
  });
});

test("the ids of the places are those that other modules use", () => {
  expect(KEY_SLOTS.map(({ id, retired }) => [id, retired])).toEqual([
    [1, undefined],
    [2, undefined],
    [3, undefined],
    [4, undefined],
    ...Array.from({ length: 20 }, (_, index) => [5 + index, 1 + index]),
  ]);
});
