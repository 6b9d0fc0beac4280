import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { Readable, Writable } from "node:stream";
import {
  type AgeKey,
  ageKey,
  encodeIdentity,
  encodeRecipient,
  serveIdentities,
  serveRecipients,
  StanzaStream,
} from "../../src/age/index.ts";
import { decodeBech32, encodeBech32 } from "../../src/age/bech32.ts";
import { type UnwrappingKey, unwrapFileKey, wrapFileKey } from "../../src/age/file-key.ts";
import { decodeIdentity, decodeRecipient } from "../../src/age/recipient.ts";
import { encodeStanza, type Stanza } from "../../src/age/stanza.ts";
import { DataError, fromUtf8, toHex, utf8 } from "../../src/bytes/index.ts";
import { type Key, TokenError } from "../../src/tokens/index.ts";
import { shareOf } from "../seeded-random.ts";
import { opened } from "../tokens/opened.ts";

const FILE_KEY = Uint8Array.from({ length: 16 }, (_, index) => index);

/** Runs a state machine on what age says; what the plugin said. */
async function dialogue(
  serve: (stream: StanzaStream) => Promise<void>,
  ...said: readonly (readonly [string] | readonly [string, Uint8Array])[]
): Promise<Stanza[]> {
  const input = said.map(([line, body = new Uint8Array()]) => encodeStanza({ args: line.split(" "), body })).join("");
  let output = "";
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output += chunk.toString();
      done();
    },
  });
  await serve(new StanzaStream(Readable.from([Buffer.from(input)]), sink));
  const reader = new StanzaStream(Readable.from([Buffer.from(output)]), sink);
  const found: Stanza[] = [];
  for (let stanza = await reader.read(); stanza; stanza = await reader.read()) found.push(stanza);
  return found;
}

const lines = (stanzas: readonly Stanza[]): string[] => stanzas.map(({ args }) => args.join(" "));

interface RigKey {
  readonly key: Key;
  readonly age: AgeKey;
}

async function cardKeys() {
  const rig = await opened();
  const keys = await Promise.all(
    ["9a", "9d", "83"].map(async (reference) => {
      const key = await rig.token.keys.get({ reference });
      return { key, age: ageKey((await key.publicKey()).parsed) };
    }),
  );
  return { keys: keys as [RigKey, RigKey, RigKey], [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

test("Bech32 survives, as in the examples of BIP 173, and its checksum is checked", () => {
  // From the list of valid strings of BIP 173.
  expect(toHex(decodeBech32("abcdef", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"))).toBe(
    "00443214c74254b635cf84653a56d7c675be77df",
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(1000), (bytes, at) => {
      const text = encodeBech32("age1cryptoki", bytes);
      expect(toHex(decodeBech32("age1cryptoki", text))).toBe(toHex(bytes));
      expect(toHex(decodeBech32("age1cryptoki", text.toUpperCase()))).toBe(toHex(bytes));
      const place = 13 + (at % (text.length - 13));
      const wrong = `${text.slice(0, place)}${text[place] === "q" ? "p" : "q"}${text.slice(place + 1)}`;
      expect(() => decodeBech32("age1cryptoki", wrong)).toThrow("Bech32: the checksum is wrong");
    }),
    { numRuns: shareOf(100) },
  );
  expect(() => decodeBech32("age", "age1QQ")).toThrow("small letters and capitals");
  expect(() => decodeBech32("age", "agf1qqqqqq")).toThrow("does not begin with age1");
});

test("keys of every type have a recipient and an identity; another curve has none", async () => {
  await using rig = await cardKeys();
  for (const { age } of rig.keys) {
    expect(encodeRecipient(age)).toMatch(/^age1cryptoki1[a-z0-9]+$/u);
    expect(encodeIdentity(age)).toMatch(/^AGE-PLUGIN-CRYPTOKI-1[A-Z0-9]+$/u);
    expect(decodeRecipient(encodeRecipient(age))).toEqual(age);
    expect(decodeIdentity(encodeIdentity(age))).toEqual(age);
  }
  expect(rig.keys.map(({ age }) => age.type)).toEqual(["rsa", "p256", "x25519"]);
  expect(() => decodeRecipient(encodeBech32("age1cryptoki", Uint8Array.of(9, 1)))).toThrow("type 09 of key");
  expect(() => decodeRecipient(encodeBech32("age1cryptoki", Uint8Array.of(2, 1)))).toThrow("an X25519 key of 1 bytes");
});

test("what is encrypted for a key is decrypted by its card, and by no other", async () => {
  await using rig = await cardKeys();
  for (const { key, age } of rig.keys) {
    const stanza = await wrapFileKey(age, FILE_KEY);
    expect(stanza.args.slice(0, 2)).toEqual([`cryptoki-${age.type}`, age.tag]);
    expect(toHex((await unwrapFileKey(age, key, stanza)) ?? new Uint8Array())).toBe(toHex(FILE_KEY));
    if (age.type === "rsa") continue;
    const body = Uint8Array.from(stanza.body, (byte, index) => (index === 0 ? byte ^ 1 : byte));
    expect(await unwrapFileKey(age, key, { ...stanza, body })).toBeUndefined();
  }
  await expect(wrapFileKey(rig.keys[0].age, new Uint8Array(15))).rejects.toThrow("a file key of 15 bytes");
});

test("malformed stanzas are refused before the card is asked", async () => {
  await using rig = await cardKeys();
  const card: UnwrappingKey = {
    deriveSecret: () => Promise.reject(new Error("asked")),
    decrypt: () => Promise.reject(new Error("asked")),
  };
  for (const { age } of rig.keys) {
    const stanza = await wrapFileKey(age, FILE_KEY);
    const wrong = [
      { ...stanza, args: [...stanza.args, "more"] },
      ...(age.type === "rsa"
        ? []
        : [
            { ...stanza, args: stanza.args.slice(0, 2) },
            { ...stanza, args: [...stanza.args.slice(0, 2), "AAAA"] },
            { ...stanza, args: [...stanza.args.slice(0, 2), "A-_"] },
            { ...stanza, body: stanza.body.subarray(1) },
          ]),
    ];
    for (const one of wrong) await expect(unwrapFileKey(age, card, one)).rejects.toThrow(DataError);
  }
});

test("recipient-v1 wraps each file key for each recipient and identity, without a card", async () => {
  await using rig = await cardKeys();
  const [rsa, p256] = [rig.keys[0], rig.keys[1]];
  const said = await dialogue(
    serveRecipients,
    [`add-recipient ${encodeRecipient(rsa.age)}`],
    [`add-identity ${encodeIdentity(p256.age)}`],
    ["wrap-file-key", FILE_KEY],
    ["a-later-command with arguments"],
    ["wrap-file-key", new Uint8Array(16)],
    ["done"],
    ...Array.from({ length: 4 }, () => ["ok"] as const),
  );
  expect(lines(said).map((line) => line.replace(/ \S+$/u, ""))).toEqual([
    "recipient-stanza 0 cryptoki-rsa",
    expect.stringMatching(/^recipient-stanza 0 cryptoki-p256 \S{6}$/u),
    "recipient-stanza 1 cryptoki-rsa",
    expect.stringMatching(/^recipient-stanza 1 cryptoki-p256 \S{6}$/u),
    "done",
  ]);
  const [, first = { args: [], body: new Uint8Array() }] = said;
  const unwrapped = await unwrapFileKey(p256.age, p256.key, { args: first.args.slice(2), body: first.body });
  expect(toHex(unwrapped ?? new Uint8Array())).toBe(toHex(FILE_KEY));
});

test("recipients that cannot be read are told by their number, and nothing is wrapped", async () => {
  const said = await dialogue(
    serveRecipients,
    ["add-recipient age1cryptoki1qqqqqqqq"],
    ["add-identity AGE-PLUGIN-OTHER-1QQQQQQ"],
    ["wrap-file-key", FILE_KEY],
    ["done"],
    ["ok"],
    ["ok"],
  );
  expect(lines(said)).toEqual(["error recipient 0", "error identity 0", "done"]);
  expect(fromUtf8(said[0]?.body ?? new Uint8Array())).toBe("Bech32: the checksum is wrong");
});

test("identity-v1 unwraps the files that it can, once each, and asks through age", async () => {
  await using rig = await cardKeys();
  const [, p256, x25519] = rig.keys;
  const stanzas = (await Promise.all(rig.keys.map(({ age }) => wrapFileKey(age, FILE_KEY)))) as [
    Stanza,
    Stanza,
    Stanza,
  ];
  const line = (file: number, { args, body }: Stanza) => [`recipient-stanza ${file} ${args.join(" ")}`, body] as const;
  const found: string[] = [];
  const said = await dialogue(
    (stream) =>
      serveIdentities(stream, async (identity, user) => {
        found.push(`${identity.type} ${fromUtf8((await user.ask("PIN")) ?? utf8("none"))}`);
        return (identity.type === "p256" ? p256 : x25519).key;
      }),
    [`add-identity ${encodeIdentity(p256.age)}`],
    [`add-identity ${encodeIdentity(x25519.age)}`],
    ...stanzas.map((stanza) => line(0, stanza)),
    line(1, stanzas[0]),
    line(2, { args: ["X25519", "other"], body: new Uint8Array() }),
    line(2, stanzas[2]),
    ["done"],
    ["ok", utf8("123456")],
    ["ok"],
    ["fail"],
    ["ok"],
  );
  expect(lines(said)).toEqual(["request-secret", "file-key 0", "request-secret", "file-key 2", "done"]);
  expect(found).toEqual(["p256 123456", "x25519 none"]);
  expect(toHex(said[1]?.body ?? new Uint8Array())).toBe(toHex(FILE_KEY));
});

test("a card that is not in, and a broken stanza, are errors that age shows", async () => {
  await using rig = await cardKeys();
  const { age } = rig.keys[1];
  const stanza = await wrapFileKey(age, FILE_KEY);
  const missing = await dialogue(
    (stream) => serveIdentities(stream, () => Promise.reject(new TokenError("NO_OBJECT", "no card has it"))),
    [`add-identity ${encodeIdentity(age)}`],
    [`recipient-stanza 0 ${stanza.args.join(" ")}`, stanza.body],
    ["done"],
    ["ok"],
  );
  expect(lines(missing)).toEqual(["error identity 0", "done"]);
  expect(fromUtf8(missing[0]?.body ?? new Uint8Array())).toBe("no card has it (NO_OBJECT)");
  const broken = await dialogue(
    (stream) => serveIdentities(stream, () => Promise.resolve(rig.keys[1].key)),
    [`add-identity ${encodeIdentity(age)}`],
    [`recipient-stanza 0 X25519 other`],
    [`recipient-stanza 0 ${stanza.args.join(" ")}`, stanza.body.subarray(1)],
    ["done"],
    ["ok"],
  );
  expect(lines(broken)).toEqual(["error stanza 0 1", "done"]);
});

test("what is no dialogue of age's ends with an error", async () => {
  const sink = new Writable();
  const read = (text: string): Promise<void> =>
    serveRecipients(new StanzaStream(Readable.from([Buffer.from(text)]), sink));
  await expect(read("")).rejects.toThrow("the input ended before its last command");
  await expect(read("hello\n")).rejects.toThrow('a stanza begins with "-> "');
  await expect(read("-> done")).rejects.toThrow("the last line has no end");
  await expect(read("-> a  b\n\n")).rejects.toThrow("an argument is empty");
  await expect(read("-> wrap-file-key\n")).rejects.toThrow("a stanza without its end");
  await expect(read("-> wrap-file-key\nAAA=\n")).rejects.toThrow("not base64");
  await expect(read(`-> wrap-file-key\n${"A".repeat(65)}\n`)).rejects.toThrow("a line of 65 characters");
  await expect(read(`-> ${"a".repeat(20_000)}`)).rejects.toThrow("a line of more than 16384 characters");
});
