import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { KeyPrimitive } from "../../src/card/index.ts";
import { decodeReply, decodeRequest, encodeReply, encodeRequest } from "../../src/farm/message.ts";
import { decodeResult, encodeResult } from "../../src/farm/result-entry.ts";
import { decide, decodeClaim, encodeClaim, isSecret } from "../../src/farm/rules.ts";
import { seal, SealKey } from "../../src/farm/seal.ts";

const PRIMITIVES: readonly KeyPrimitive[] = ["rsa-raw", "rsa-pkcs1", "rsa-pss", "ecdsa", "ecdsa-sha1", "ecdh", "eddsa"];
const primitive = fc.constantFrom(...PRIMITIVES);
const id = fc.stringMatching(/^[\w-]{1,40}$/u);

describe("the rules of a second delivery", () => {
  test("what was not begun is begun; what is done is sent again", () => {
    for (const one of PRIMITIVES) {
      expect(decide(one, { state: "none" })).toEqual({ action: "begin", count: 1 });
      expect(decide(one, { state: "done" })).toEqual({ action: "resend" });
    }
  });

  test.each(["rsa-pss", "ecdsa", "ecdsa-sha1"] as const)("%s is begun once more, and no third time", (one) => {
    expect(decide(one, { state: "claimed", count: 1 })).toEqual({ action: "begin", count: 2 });
    expect(decide(one, { state: "claimed", count: 2 })).toEqual({ action: "give-up" });
  });

  test("what has one result may be computed again", () => {
    expect(decide("rsa-pkcs1", { state: "claimed", count: 2 })).toEqual({ action: "begin", count: 3 });
  });

  test("a claim is read as it was written", () => {
    expect(decodeClaim(encodeClaim(2))).toEqual({ state: "claimed", count: 2 });
    expect(decodeClaim(undefined)).toEqual({ state: "none" });
  });

  test("a plaintext and a shared secret are secret, a signature is not", () => {
    expect(isSecret("rsa-pkcs1", 256, 256)).toBe(true);
    expect(isSecret("rsa-pkcs1", 51, 256)).toBe(false);
    expect(isSecret("ecdh", 65, undefined)).toBe(true);
    expect(isSecret("ecdsa", 32, undefined)).toBe(false);
  });
});

describe("messages", () => {
  test("a request is read as it was written", () => {
    fc.assert(
      fc.property(
        id,
        primitive,
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 100 }),
        (name, one, deadline, input) => {
          const request = {
            id: name,
            primitive: one,
            deadline,
            reply: `farm.v1.reply.c.${name}`,
            trace: undefined,
            input,
          };
          const seals = fc.sample(fc.uint8Array({ minLength: 32, maxLength: 32 }), 1)[0];
          expect(decodeRequest(encodeRequest({ ...request, seal: seals }), input)).toEqual({ ...request, seal: seals });
        },
      ),
    );
  });

  test("an answer, and one that is kept, is read as it was written", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.uint8Array(), fc.nat(1000), (reason, result, worked) => {
        const reply = {
          status: "ok" as const,
          reason,
          serial: "a 1",
          times: { waited: 1, worked },
          attempt: 2,
          result,
        };
        expect(decodeReply(encodeReply(reply), result)).toEqual(reply);
        expect(decodeResult(encodeResult(reply))).toEqual(reply);
      }),
    );
  });

  test.each([
    "$JS.API.STREAM.DELETE.FARM",
    "farm.v1.work.x",
    "farm.v1.reply.>",
    "farm.v1.reply.a.*",
    "farm.v1.reply.a",
  ])("an answer to %s is refused", (reply) => {
    const request = { id: "a", primitive: "ecdsa" as const, deadline: 1, reply, seal: undefined, trace: undefined };
    const headers = encodeRequest({ ...request, input: Uint8Array.of(1) });
    expect(() => decodeRequest(headers, Uint8Array.of(1))).toThrow("the header Farm-Reply is missing or malformed");
  });

  test("a message that is too long is refused", () => {
    const request = { id: "a", primitive: "eddsa" as const, deadline: 1, reply: "farm.v1.reply.a.a", seal: undefined };
    const input = new Uint8Array(3073);
    expect(() => decodeRequest(encodeRequest({ ...request, trace: undefined, input }), input)).toThrow("3073 bytes");
  });
});

test("a secret result opens for its client and its request alone", async () => {
  const client = await SealKey.create();
  const result = Uint8Array.of(1, 2, 3);
  const sealed = await seal(result, client.point, "one");
  expect(await client.open(sealed, "one")).toEqual(result);
  await expect(client.open(sealed, "two")).rejects.toThrow();
  await expect((await SealKey.create()).open(sealed, "one")).rejects.toThrow();
});
