import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError, toHex } from "../../src/bytes/index.ts";
import { decodeDestinations } from "../../src/ssh-agent/destinations.ts";
import { decodeRequest } from "../../src/ssh-agent/messages.ts";
import { decodeKeyBlob, encodeKeyBlob } from "../../src/ssh-agent/public-key.ts";
import { integer, string, WireReader } from "../../src/ssh-agent/wire.ts";
import { shareOf } from "../seeded-random.ts";
import { Host, request, restrictTo } from "./client.ts";

const bytes = fc.uint8Array({ maxLength: 300 });
const runs = { numRuns: shareOf(300) };

test("strings and numbers survive", () => {
  fc.assert(
    fc.property(bytes, bytes, (first, second) => {
      const reader = new WireReader(concat(string(first), integer(second)), "test");
      expect(toHex(reader.string())).toBe(toHex(first));
      expect(toHex(reader.integer())).toBe(toHex(second).replace(/^(00)*/u, ""));
      reader.end();
    }),
    runs,
  );
});

test("a number that is negative, or has zeros before, is refused", () => {
  for (const digits of [Uint8Array.of(0x80), Uint8Array.of(0, 0x7f), Uint8Array.of(0)])
    expect(() => new WireReader(string(digits), "test").integer()).toThrow(/^test: a /u);
});

test("requests survive, and bytes too many are refused", () => {
  fc.assert(
    fc.property(bytes, bytes, fc.nat(0xffff_ffff), (key, data, flags) => {
      const message = request.sign(key, data, flags);
      const decoded = decodeRequest(message);
      expect(decoded).toMatchObject({ type: "sign", flags });
      if (decoded.type === "sign") expect([toHex(decoded.key), toHex(decoded.data)]).toEqual([toHex(key), toHex(data)]);
      expect(() => decodeRequest(concat(message, Uint8Array.of(0)))).toThrow("1 bytes too many");
      expect(() => decodeRequest(message.subarray(0, -1))).toThrow(DataError);
    }),
    runs,
  );
});

test("garbage is a DataError, or a request", async () => {
  const seeds = [
    request.list,
    request.addCard("cryptoki", "123456", restrictTo({ to: { host: "h", keys: [new Host().blob] } })),
    new Host().bind(Uint8Array.of(1), true),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(bytes, fc.constantFrom(...seeds)),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }),
      async (message, changes) => {
        const broken = Uint8Array.from(message);
        for (const [at, value] of changes) if (at < broken.length) broken[at] = value;
        for (const read of [decodeRequest, decodeKeyBlob, decodeDestinations]) {
          try {
            await read(broken);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        }
      },
    ),
    runs,
  );
});

test("keys survive; another type, another curve's name and bytes too many are refused", async () => {
  for (const host of [new Host(), new Host("p-256")]) {
    const { key, certificate } = await decodeKeyBlob(host.blob);
    expect(toHex(encodeKeyBlob(key))).toBe(toHex(host.blob));
    expect(certificate).toBeUndefined();
    await expect(decodeKeyBlob(concat(host.blob, Uint8Array.of(0)))).rejects.toThrow("1 bytes too many");
  }
  await expect(decodeKeyBlob(string("ssh-dss"))).rejects.toThrow("type ssh-dss is not RSA, ECDSA or Ed25519");
  const mixed = concat(string("ecdsa-sha2-nistp256"), string("nistp384"), string(new Uint8Array(65)));
  await expect(decodeKeyBlob(mixed)).rejects.toThrow("two names of its curve");
});
