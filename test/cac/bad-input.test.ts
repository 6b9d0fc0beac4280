import { gzipSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { CardError, MalformedAnswerError } from "../../src/apdu/index.ts";
import { concat, fromHex, toHex } from "../../src/bytes/index.ts";
import { cac, cacUnlisted } from "../../src/cac/index.ts";
import { type Applet, AppletCard, PIN } from "./applet-card.ts";
import {
  AID,
  buffers,
  ccc,
  certificate,
  connect,
  insert,
  type Inserted,
  key,
  listedApplets,
  pkiBuffers,
  privateKey,
  properties,
  url,
  valueOf,
} from "./cards.ts";
import { shareOf } from "../seeded-random.ts";

const ID = "CAC ID Certificate";
const one = (applet: Applet): Promise<Inserted> =>
  insert({ [AID.CCC]: ccc(url(0x04, "0100")), [AID.PKI[0]]: { key: key(1), ...applet } });
const person = (applet: Applet): Promise<Inserted> => insert({ ...listedApplets(), [AID.PERSON]: applet });

describe("applets that are not what they should be", () => {
  test("one that is listed and not there has no objects, and hides no other", async () => {
    const listed = Object.entries(listedApplets());
    const rig = await insert(Object.fromEntries(listed.filter(([aid]) => aid !== AID.PKI[0])));
    const exist = await Promise.all(
      rig.objects
        .filter((object) => object.class === "certificate")
        .map((object) => object.isPresent({ explicitlyRequested: false })),
    );
    expect(exist).toEqual([false, true, true]);
    expect((await rig.token.info()).label).toBe("HOLDER.CARD.A.1234567890");
  });

  test("a card whose certificates cannot be read is called by its kind", async () => {
    const rig = await one({ objects: { "0100": buffers([0x71, fromHex("00")], [0x70, fromHex("3003020101")]) } });
    expect((await rig.token.info()).label).toBe("CAC II");
    await expect(privateKey(rig, "0001").publicKey()).rejects.toThrow(MalformedAnswerError);
  });

  test("an empty one has no certificate and no key", async () => {
    const rig = await one({ objects: { "0100": buffers() } });
    expect(await Promise.all(rig.objects.map((object) => object.isPresent({ explicitlyRequested: true })))).toEqual([
      false,
      false,
      false,
    ]);
  });

  test("a card that lists nothing is no CAC", async () => {
    for (const container of [ccc(), { objects: { "": buffers() } }, {}]) {
      const { connected } = await connect(new AppletCard({ [AID.CCC]: container }));
      expect(await cac.claim(connected, "thorough")).toBeUndefined();
    }
  });

  test("a CardURL that is cut off hides no other; containers that refer to each other are read once", async () => {
    const { tags, values } = buffers(
      [0xf3, fromHex("a00000")],
      [0xf3, url(0x04, "0100")],
      [0xfd, url(0x01, "db00", "db00", "a000000116")],
    );
    const rig = await insert({
      [AID.CCC]: { objects: { db00: { tags, values } } },
      [AID.PKI[0]]: { objects: { "0100": pkiBuffers(certificate(1)) } },
    });
    expect(rig.objects).toHaveLength(3);
    expect(rig.card.commands.length).toBeLessThan(10);
  });
});

describe("a certificate", () => {
  const read = async (applet: Applet): Promise<string> => valueOf(await one(applet), ID, "certificate");

  test.each([0, 1, 255])("in a buffer that is %p bytes shorter than it says is refused", async (missing) => {
    const { tags, values } = pkiBuffers(certificate(1));
    const short = { tags, values: values.subarray(0, values.length - missing - 1), claimedLength: values.length };
    await expect(read({ objects: { "0100": short } })).rejects.toThrow("the card returned only");
  });

  test("that is longer than its buffer is refused", async () => {
    const { tags, values } = pkiBuffers(certificate(1));
    await expect(read({ objects: { "0100": { tags, values: values.subarray(0, 400) } } })).rejects.toThrow(
      MalformedAnswerError,
    );
    const rig = await one({ objects: { "0100": { tags, values: values.subarray(0, 30) } } });
    expect((await rig.token.info()).label).toBe("CAC II");
  });

  test("that inflates without end is refused at 64 KiB", async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(10_000_000)));
    const buffer = buffers([0x71, Uint8Array.of(1)], [0x70, bomb]);
    await expect(read({ objects: { "0100": buffer } })).rejects.toThrow("more than 65536 bytes");
    await expect(
      read({ objects: { "0100": buffers([0x71, Uint8Array.of(1)], [0x70, bomb.subarray(0, -9)]) } }),
    ).rejects.toThrow(MalformedAnswerError);
  });

  test("that is not compressed is read though CertInfo says that it is", async () => {
    const value = await read({ objects: { "0100": buffers([0x71, Uint8Array.of(1)], [0x70, certificate(1)]) } });
    expect(value).toBe(toHex(certificate(1)));
  });

  test("of a card that gives one byte at a time takes a bounded number of exchanges", async () => {
    const { card, token } = await insert(listedApplets(), { maxRead: 1 });
    await token.info();
    expect(card.commands.length).toBeLessThan(3000);
  });

  test("of the first generation that never ends is refused", async () => {
    const endless = new Uint8Array(100_000);
    const rig = await insert({ [AID.PKI[0]]: { certificate: endless, key: key(1) } });
    await expect(valueOf(rig, ID, "certificate")).rejects.toThrow("does not end within");
    expect((await rig.token.info()).label).toBe("CAC I");
  });

  test("is read from cards that refuse to be asked for more than there is", async () => {
    const rig = await insert(listedApplets(), { exact: true });
    expect(await valueOf(rig, ID, "certificate")).toBe(toHex(certificate(1)));
    expect(await valueOf(rig, "Person Instance")).toContain("4d61726965");
    expect(await valueOf(rig, "Personnel")).toBe("");
  });

  test("is not remembered as missing after a failure", async () => {
    const rig = await one({ objects: { "0100": pkiBuffers(certificate(1)) } });
    const applet = rig.card.applets.get(AID.PKI[0]);
    rig.card.applets.set(AID.PKI[0], { objects: { "0100": { ...pkiBuffers(certificate(1)), guarded: true } } });
    await expect(valueOf(rig, ID, "certificate")).rejects.toThrow(CardError);
    if (applet) rig.card.applets.set(AID.PKI[0], applet);
    await rig.token.logout();
    expect(await valueOf(rig, ID, "certificate")).toBe(toHex(certificate(1)));
  });
});

describe("a container", () => {
  const objects = { "0200": buffers([0x01, fromHex("4d")], [0x02, fromHex("")]) };

  test.each([
    ["nonsense", fromHex("ffffffff")],
    ["a length that lies", fromHex("50ff0101")],
    ["nothing", fromHex("")],
    ["an object without its properties", fromHex("500241ff")],
  ])("whose applet answers GET PROPERTIES with %s is SIMPLE-TLV", async (_, answer) => {
    expect(await valueOf(await person({ objects, properties: answer }), "Person Instance")).toBe("01014d0200");
  });

  test("whose tags have no known form comes as it is on the card", async () => {
    const applet = { objects, properties: properties(0x50, "0200", false) };
    expect(await valueOf(await person(applet), "Person Instance")).toBe("0400" + "01010200" + "0100" + "4d");
  });

  test("whose values are shorter than its tags say is refused", async () => {
    const { tags } = buffers([0x01, new Uint8Array(40)]);
    const applet = { objects: { "0200": { tags, values: new Uint8Array(39) } } };
    await expect(valueOf(await person(applet), "Person Instance")).rejects.toThrow(MalformedAnswerError);
  });

  test("that the PIN guards is read after a login", async () => {
    const rig = await person({ objects: { "0200": { ...objects["0200"], guarded: true } } });
    await expect(valueOf(rig, "Person Instance")).rejects.toThrow("6982");
    await rig.token.login("user", PIN);
    expect(await valueOf(rig, "Person Instance")).toBe("01014d0200");
  });

  test("that most cards leave empty is shown if it has contents and a search names it", async () => {
    const chuid = { objects: { "3000": buffers([0x30, new Uint8Array(25)]) } };
    const applets = { [AID.CCC]: ccc(url(0x01, "3000", "3000", "a000000116")), a0000001163000: chuid };
    const shown = async (rig: Inserted): Promise<unknown> =>
      Promise.all([false, true].map(async (named) => rig.objects[0]?.isPresent({ explicitlyRequested: named })));
    expect(await shown(await insert(applets))).toEqual([false, true]);
    const empty = { ...applets, a0000001163000: { objects: { "3000": buffers() } } };
    expect(await shown(await insert(empty))).toEqual([false, false]);
    expect(await shown(await insert({ [AID.CCC]: applets[AID.CCC] }))).toEqual([false, false]);
  });
});

describe("a card that answers anything", () => {
  test("is refused by the driver's own errors, after a bounded number of exchanges", async () => {
    const answers = fc.array(fc.uint8Array({ minLength: 0, maxLength: 40 }), { minLength: 1, maxLength: 20 });
    const statuses = fc.array(fc.constantFrom("9000", "6a82", "6982", "6310", "6d00", "6a86"), {
      minLength: 1,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(answers, statuses, async (data, words) => {
        let exchanges = 0;
        const card = {
          atr: fromHex("3b800181"),
          reset: () => undefined,
          transmit: (): Promise<Uint8Array> => {
            const at = exchanges++;
            return Promise.resolve(
              concat(data[at % data.length] ?? new Uint8Array(), fromHex(words[at % words.length] ?? "9000")),
            );
          },
        };
        const { connected } = await connect(card);
        for (const profile of [cac, cacUnlisted]) {
          const token = (await profile.claim(connected, "thorough"))?.tokens[0];
          if (!token) continue;
          await token.info().catch(onlyOurs);
          for (const object of (await token.objects()).slice(0, 4)) {
            await object.isPresent({ explicitlyRequested: true }).catch(onlyOurs);
            if ("value" in object) await object.value().catch(onlyOurs);
          }
        }
        expect(exchanges).toBeLessThan(60_000);
      }),
      { numRuns: shareOf(200) },
    );
  });
});

function onlyOurs(error: unknown): void {
  expect(error).toBeInstanceOf(CardError);
}
