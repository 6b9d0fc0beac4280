import { describe, expect, test } from "@jest/globals";
import { PassThrough, Duplex } from "node:stream";
import fc from "fast-check";
import { concat, DataError, toHex } from "../../src/bytes/index.ts";
import { CryptokiError, Cryptoki } from "../../src/cryptoki/index.ts";
import { serveConnection } from "../../src/p11kit/index.ts";
import { decodeReply, decodeRequest, type Request } from "../../src/p11kit/wire/message.ts";
import { rig } from "../cryptoki/rig.ts";
import { SeededRandom, shareOf, withSeed } from "../seeded-random.ts";
import { testCard } from "../virtual/keys.ts";
import { DIALECTS, reply, request } from "./arbitrary.ts";
import { frameOf, readFrames, replyBody, requestBody } from "./frames.ts";

/** Messages of each test here. For long: TEST_SHARE=1000 npm run test:unit -- --testPathPatterns test/p11kit/fuzz */
const MESSAGES = shareOf(5000);
const CONVERSATIONS = shareOf(10);
const SAMPLES = 400;
/** Milliseconds; a run by hand takes as long as it takes. */
const PATIENCE = 3_600_000;
const random = new SeededRandom();

/** A copy with a few bytes changed, cut out, put in or doubled: what a parser that trusts lengths falls over. */
function mutated(bytes: Uint8Array): Uint8Array {
  let copy: Uint8Array = bytes.slice();
  for (let changes = 1 + random.below(4); changes > 0 && copy.length > 0; changes--) {
    const at = random.below(copy.length);
    switch (random.below(6)) {
      case 0:
        copy[at] = random.below(256);
        break;
      case 1:
        copy[at] = [0x00, 0xff, 0x7f, 0x80][random.below(4)] ?? 0;
        break;
      case 2:
        copy.fill(0xff, at, at + 4);
        break;
      case 3:
        copy = copy.slice(0, at);
        break;
      case 4:
        copy = concat(copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + random.below(9))));
        break;
      case 5:
        copy = concat(copy.subarray(0, at), copy.subarray(Math.max(0, at - random.below(40)), at), copy.subarray(at));
    }
  }
  return copy;
}

/** An error that is none of ours is told with what led to it. */
function ours(error: unknown, bytes: Uint8Array): void {
  if (error instanceof DataError || error instanceof CryptokiError) return;
  throw withSeed(random, new Error(`not one of our errors, from ${toHex(bytes)}`, { cause: error }));
}

describe("mutated messages", () => {
  test.each(DIALECTS)(
    "to a server, of a client that offers version $offered, are requests or errors of ours",
    (dialect) => {
      const samples = fc
        .sample(request(dialect), { numRuns: SAMPLES, seed: random.seed })
        .map((one) => requestBody(one, dialect));
      let refused = 0;
      for (let count = 0; count < MESSAGES; count++) {
        const bytes = mutated(samples[random.below(SAMPLES)] ?? new Uint8Array());
        try {
          decodeRequest(bytes, dialect);
        } catch (error) {
          ours(error, bytes);
          refused++;
        }
      }
      expect(refused).toBeGreaterThan(0);
    },
    PATIENCE,
  );

  test.each(DIALECTS)(
    "to a client that offered version $offered are answers or errors of ours",
    (dialect) => {
      const askable = request(dialect).filter(
        ({ call, args }) => call.result.kind !== "derived key" || args[1] !== null,
      );
      const pair = askable.chain((asked) => fc.tuple(fc.constant(asked), reply(asked, dialect)));
      const samples = fc
        .sample(pair, { numRuns: SAMPLES, seed: random.seed })
        .map(([asked, given]): [Request, Uint8Array] => [asked, replyBody(asked.call, given, dialect)]);
      let refused = 0;
      for (let count = 0; count < MESSAGES; count++) {
        const [asked, encoded] = samples[random.below(SAMPLES)] ?? [];
        if (!asked || !encoded) continue;
        const bytes = mutated(encoded);
        try {
          decodeReply(bytes, asked, dialect);
        } catch (error) {
          ours(error, bytes);
          refused++;
        }
      }
      expect(refused).toBeGreaterThan(0);
    },
    PATIENCE,
  );
});

test(
  "a server lives through whole conversations of nonsense, and each ends",
  async () => {
    await using local = await rig(await testCard());
    let ended = 0;
    for (let conversation = 0; conversation < CONVERSATIONS; conversation++) {
      const dialect = DIALECTS[random.below(3)] ?? { offered: 0 };
      const bodies = fc.sample(
        // Logins with any PIN would block it, and an event is waited for.
        request(dialect).filter(({ call }) => !/Login|PIN|InitToken|WaitFor/u.test(call.name)),
        { numRuns: shareOf(20), seed: random.seed + conversation },
      );
      const incoming = new PassThrough();
      const outgoing = new PassThrough();
      outgoing.resume();
      const served = serveConnection(
        Duplex.from({ readable: incoming, writable: outgoing }),
        new Cryptoki({ slots: local.cryptoki.slots }),
        { messageLimit: 100_000 },
      ).catch((error: unknown) => {
        ours(error, new Uint8Array());
      });
      incoming.write(Uint8Array.of(dialect.offered));
      bodies.forEach((one, index) => {
        const body = requestBody(one, dialect);
        const frame = frameOf(index + 1, index % 3 === 2 ? mutated(body) : body);
        incoming.write(index % 7 === 6 ? mutated(frame) : frame);
      });
      incoming.end();
      await served;
      ended++;
    }
    expect(ended).toBe(CONVERSATIONS);
  },
  PATIENCE,
);

test("any chunks of any bytes are frames, or an error of ours", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (chunks) => {
      const { error } = readFrames(chunks, 1000);
      if (error !== undefined) ours(error, concat(...chunks));
    }),
  );
});

test("frames are read as they were written, however they are cut", () => {
  const frame = fc.record({ code: fc.integer({ min: 1, max: 0xffffffff }), body: fc.uint8Array({ maxLength: 60 }) });
  fc.assert(
    fc.property(fc.array(frame), fc.integer({ min: 1, max: 50 }), fc.nat({ max: 3 }), (frames, size, options) => {
      const all = concat(...frames.map(({ code, body }) => frameOf(code, body, new Uint8Array(options))));
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < all.length; at += size) chunks.push(all.subarray(at, at + size));
      expect(readFrames(chunks, 1000)).toEqual({ frames, error: undefined });
    }),
  );
});

test("a message may come byte by byte", () => {
  const body = Uint8Array.from({ length: 300_000 }, (_, index) => index);
  const bytes = [...frameOf(1, body)].map((byte) => Uint8Array.of(byte));
  const { frames } = readFrames(bytes, body.length);
  expect(Buffer.compare(frames[0]?.body ?? new Uint8Array(), body)).toBe(0);
});
