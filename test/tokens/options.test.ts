/** Options come last, and are `{ signal }`: a bare AbortSignal, which would abort nothing, is refused by every method. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { CallOptions } from "../../src/async/index.ts";
import { utf8 } from "../../src/bytes/index.ts";
import { TokenError } from "../../src/tokens/index.ts";
import { type Opened, opened, PIN, PUK } from "./opened.ts";

let card: Opened;
beforeAll(async () => {
  card = await opened();
});
afterAll(async () => {
  await card[Symbol.asyncDispose]();
});

/** What a generator gives first. */
const firstOf = async (values: AsyncIterable<unknown>): Promise<unknown> => {
  for await (const value of values) return value;
  return undefined;
};

type Call = (options: CallOptions) => Promise<unknown>;

const CALLS: Readonly<Record<string, Call>> = {
  "source.tokens": (options) => firstOf(card.cards.tokens(undefined, options)),
  "source.token": (options) => card.cards.token(undefined, options),
  "source.changes": (options) => firstOf(card.cards.changes(options)),
  "token.info": (options) => card.token.info(options),
  "token.pinState": (options) => card.token.pinState(options),
  "token.login": (options) => card.token.login(PIN, options),
  "token.changePin": (options) => card.token.changePin({ old: PIN, new: PIN }, options),
  "token.unblockPin": (options) => card.token.unblockPin({ puk: PUK, new: PIN }, options),
  "token.webCrypto": (options) => card.token.webCrypto(options),
  "token.mechanisms": (options) => card.token.mechanisms(options),
  "token.withSession": (options) => card.token.withSession(() => Promise.resolve(), options),
  "token.keys.find": (options) => firstOf(card.token.keys.find({}, options)),
  "token.keys.get": (options) => card.token.keys.get({ reference: "9a" }, options),
  "token.certificates.find": (options) => firstOf(card.token.certificates.find({}, options)),
  "token.certificates.get": (options) => card.token.certificates.get({ reference: "9a" }, options),
  "token.data.find": (options) => firstOf(card.token.data.find({}, options)),
  "key.uri": async (options) => (await key()).uri(options),
  "key.publicKey": async (options) => (await key()).publicKey(options),
  "key.sign": async (options) => (await key()).sign(utf8("data"), options),
  "key.signDigest": async (options) => (await key()).signDigest(new Uint8Array(32), options),
  "key.signStream": async (options) => (await key()).signStream(options),
  "key.decrypt": async (options) => (await key()).decrypt(new Uint8Array(256), options),
  "key.deriveSecret": async (options) => (await key("9d")).deriveSecret(await (await key("9d")).publicKey(), options),
  "key.toCryptoKey": async (options) => (await key()).toCryptoKey(options),
  "key.hasPublicKey": async (options) => (await key()).hasPublicKey(await (await key()).publicKey(), options),
};

const key = (reference = "9a"): ReturnType<typeof card.token.keys.get> => card.token.keys.get({ reference });

test.each(Object.entries(CALLS))("%s refuses a bare AbortSignal", async (_, call) => {
  const exchanges = card.exchanges.length;
  const failure: unknown = await call(new AbortController().signal as CallOptions).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(TokenError);
  expect(failure).toMatchObject({
    code: "BAD_INPUT",
    message: "the last argument is { signal }, and not the AbortSignal itself",
  });
  expect(card.exchanges.slice(exchanges).filter((exchange) => /^00(?:20|24|2c|87)/u.test(exchange))).toEqual([]);
});

test("options may be left out, and a signal that does not abort changes nothing", async () => {
  expect(await card.token.pinState({})).toMatchObject({ status: "usable" });
  expect(await card.token.pinState({ signal: new AbortController().signal })).toEqual(await card.token.pinState());
});
