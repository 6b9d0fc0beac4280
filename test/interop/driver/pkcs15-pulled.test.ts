import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { fromHex, utf8 } from "../../../src/bytes/index.ts";
import { Card, type CardObject, type CardToken } from "../../../src/card/index.ts";
import { type InProcessCard, MemoryReaders } from "../../../src/pcsc/index.ts";
import { pkcs15 } from "../../../src/pkcs15/index.ts";
import { type FileCard, READER, RECORDING, recordedCard, withoutLe } from "../../pkcs15/file-card.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

/** A reader's contents that change between two programs. */
class Exchangeable implements InProcessCard {
  current: FileCard = recordedCard();

  get atr(): Uint8Array {
    return this.current.atr;
  }

  reset(): void {
    this.current.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.current.transmit(command);
  }
}

function writableCard(): FileCard {
  const card = recordedCard();
  for (const { command, answer } of RECORDING.exchanges["generate-rsa"] ?? []) {
    card.script.set(withoutLe(command), answer);
  }
  return card;
}

async function tokenOf(card: FileCard): Promise<{ readonly readers: MemoryReaders; readonly token: CardToken }> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const [token] = (await pkcs15.claim(new Card(await readers.client({ patience: 200 }).connect(READER))))?.tokens ?? [];
  if (!token) throw new Error("no token");
  await token.login("user", utf8("123456"));
  return { readers, token };
}

async function certificateOf(token: CardToken, label: string): Promise<CardObject> {
  const found = (await token.objects(["certificate"])).find((object) => object.label === label);
  if (!found) throw new Error(`no certificate ${label}`);
  return found;
}

const NEW = {
  class: "certificate",
  label: "stored",
  id: fromHex("77"),
  private: false,
  value: fromHex(RECORDING.files["50153401"]?.contents ?? ""),
} as const;
const PAIR = {
  type: { type: "rsa", modulusBits: 2048 },
  id: fromHex("0a"),
  label: "made",
  usage: { sign: true, decrypt: true, derive: false },
} as const;

const OPERATIONS: readonly (readonly [string, (token: CardToken) => Promise<unknown>])[] = [
  ["a certificate is stored", (token) => token.createObject?.(NEW) ?? Promise.reject(new Error("it cannot"))],
  ["a certificate is deleted", async (token) => token.destroyObject?.(await certificateOf(token, "RSA cert"))],
  [
    "a label is changed",
    async (token) => token.setAttributes?.(await certificateOf(token, "RSA cert"), { label: "x".repeat(300) }),
  ],
  ["a key pair is made", (token) => token.generateKeyPair?.(PAIR) ?? Promise.reject(new Error("it cannot"))],
];

describe("a card that was pulled while it was written to", () => {
  const reader = new Exchangeable();
  let plugged: PluggedIn;

  beforeAll(async () => {
    requirePrograms("pkcs15-tool");
    plugged = await plugIn(reader, "Virtual PCD");
  });
  afterAll(async () => {
    await plugged[Symbol.asyncDispose]();
  });

  /** The labels that OpenSC finds on a card; it fails if OpenSC cannot read one of its directories. */
  async function seenByOpenSC(card: FileCard): Promise<readonly string[]> {
    card.before = undefined;
    reader.current = card;
    const text = await plugged.succeed("pkcs15-tool", "--list-certificates", "--list-keys", "--list-public-keys");
    return [
      ...text.matchAll(
        /^(?:X\.509 Certificate|Private RSA Key|Private EC Key|Public RSA Key|Public EC Key) \[(.*)\]/gmu,
      ),
    ]
      .map(([whole]) => whole)
      .sort();
  }

  test.each(OPERATIONS)(
    "while %s, at any exchange: OpenSC reads it as it was before, or as it is afterwards",
    async (_, work) => {
      const whole = writableCard();
      const before = await seenByOpenSC(whole);
      expect(before).toHaveLength(8);
      const { token } = await tokenOf(whole);
      await token.objects();
      whole.commands.length = 0;
      await work(token);
      const exchanges = whole.commands.length;
      const after = await seenByOpenSC(whole);
      expect(after).not.toEqual(before);

      for (let at = 0; at < exchanges; at++) {
        const card = writableCard();
        const { readers, token: pulled } = await tokenOf(card);
        await pulled.objects();
        let left = at;
        card.before = () => {
          if (left-- > 0) return undefined;
          readers.eject(READER);
          return "pull";
        };
        await expect(work(pulled)).rejects.toThrow();
        const found = await seenByOpenSC(card);
        // Of a pair, the public half alone may be there: it does no harm.
        const halves = after.filter((line) => before.includes(line) || line.startsWith("Public"));
        expect([before, halves, after]).toContainEqual(found);
      }
    },
  );
});
