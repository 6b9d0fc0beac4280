/** An AbortSignal for every call that may turn to a card: who waits is told at once, and what others wait for goes on. */
import { createPublicKey } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import type { CardObject } from "../../src/card/index.ts";
import {
  CKA,
  CKD,
  CKF,
  CKK,
  CKM,
  CKO,
  type CK_MECHANISM,
  type Cryptoki,
  type CryptokiError,
} from "../../src/cryptoki/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { first, refusal, rig, type Rig } from "./rig.ts";
import { find, type WritableRig, writableRig } from "./writable-card.ts";

/** Holds every command back until it is told to let them through. */
function hold(made: Rig): { readonly reached: Promise<void>; readonly release: () => void } {
  let release = (): void => undefined;
  let arrive = (): void => undefined;
  const open = new Promise<void>((resolve) => (release = resolve));
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  made.before = (): Promise<void> => {
    arrive();
    return open;
  };
  return { reached, release };
}

/** Aborts as programs do. */
const REASONS: readonly unknown[] = [undefined, new Error("closed the window"), "enough"];

type SlotCall = (cryptoki: Cryptoki, slot: number, signal?: AbortSignal) => Promise<unknown>;

/** Calls that examine a new card. */
const OF_SLOTS: Readonly<Record<string, SlotCall>> = {
  C_GetSlotList: (cryptoki, _slot, signal) => cryptoki.C_GetSlotList(true, { signal }),
  C_GetTokenInfo: (cryptoki, slot, signal) => cryptoki.C_GetTokenInfo(slot, { signal }),
  C_GetMechanismList: (cryptoki, slot, signal) => cryptoki.C_GetMechanismList(slot, { signal }),
  C_GetMechanismInfo: (cryptoki, slot, signal) => cryptoki.C_GetMechanismInfo(slot, CKM.ECDSA, { signal }),
  C_OpenSession: (cryptoki, slot, signal) => cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION, { signal }),
  C_InitToken: (cryptoki, slot, signal) => cryptoki.C_InitToken(slot, "12345678", "label", { signal }),
  C_ResetToken: (cryptoki, slot, signal) => cryptoki.C_ResetToken(slot, "12345678", { signal }),
  C_UnlockBegin: (cryptoki, slot, signal) => cryptoki.C_UnlockBegin(slot, 1000, { signal }),
};

describe("a slot whose card is slow", () => {
  test.each(Object.entries(OF_SLOTS))("%s is cancelled, and the next one has its answer", async (_name, call) => {
    await using made = await rig(await testCard());
    // The ID is assigned before the card was examined.
    const slot = 0;
    const held = hold(made);
    for (const reason of REASONS) {
      const stop = new AbortController();
      const cancelled = call(made.cryptoki, slot, stop.signal);
      await held.reached;
      stop.abort(reason);
      await expect(cancelled).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
      await expect(call(made.cryptoki, slot, AbortSignal.abort(reason))).rejects.toMatchObject(
        refusal("FUNCTION_CANCELED"),
      );
    }
    const other = made.cryptoki.C_GetTokenInfo(slot);
    held.release();
    expect(await other).toMatchObject({ ulSessionCount: 0 });
    const again = await call(made.cryptoki, slot).catch((error: unknown) => (error as CryptokiError).name);
    expect(again).not.toBe("CKR_FUNCTION_CANCELED");
  });

  test("is read once, however many gave up", async () => {
    await using made = await rig(await testCard());
    await using alone = await rig(await testCard());
    await alone.cryptoki.C_GetTokenInfo(0);
    const held = hold(made);
    const stop = new AbortController();
    const given = Array.from({ length: 9 }, () => made.cryptoki.C_GetTokenInfo(0, { signal: stop.signal }));
    await held.reached;
    stop.abort();
    for (const one of given) await expect(one).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    held.release();
    await made.cryptoki.C_GetTokenInfo(0);
    expect(made.commands).toEqual(alone.commands);
  });
});

const PKCS: CK_MECHANISM = { mechanism: CKM.RSA_PKCS };
const PAIR = testKey("rsa-2048", "9a");
const RSA = new Uint8Array(createPublicKey(PAIR).export({ type: "spki", format: "der" }));
const EC = new Uint8Array(createPublicKey(testKey("p-256", "9c")).export({ type: "spki", format: "der" }));
const POINT = new Uint8Array(createPublicKey(testKey("p-256", "other")).export({ type: "spki", format: "der" })).slice(
  -65,
);

/** A token whose card answers when it is told to. */
class SlowCard {
  readonly made: WritableRig;
  #answer: (() => void) | undefined;
  #gate: Promise<void> | undefined;
  #asked: (() => void) | undefined;

  constructor(made: WritableRig) {
    this.made = made;
    const common = { id: Uint8Array.of(1), label: "", private: false, isPresent: () => Promise.resolve(true) };
    const usage = { sign: true, decrypt: true, derive: true };
    const key = { ...common, usage, publicKey: this.#slow(RSA) };
    const ownKey = { ...key, class: "private-key", alwaysAuthenticate: false, needsLogin: false } as const;
    const objects: readonly CardObject[] = [
      { ...common, reference: "certificate", class: "certificate", value: this.#slow(utf8("no certificate")) },
      { ...key, reference: "public", class: "public-key" },
      { ...ownKey, reference: "private", primitives: ["rsa-raw"] },
      { ...ownKey, reference: "ec", id: Uint8Array.of(2), primitives: ["ecdh"], publicKey: this.#slow(EC) },
    ];
    for (const object of objects) made.token.kept.set(object.reference, object);
  }

  /** From now on the card is slow. @returns Resolves when it is asked for something. */
  stop(): Promise<void> {
    this.#gate = new Promise((resolve) => (this.#answer = resolve));
    return new Promise((resolve) => (this.#asked = resolve));
  }

  go(): void {
    this.#gate = undefined;
    this.#answer?.();
  }

  /** Waits for the card, if it is slow. */
  #slow<T>(value: T): () => Promise<T> {
    return async () => {
      await this.passed();
      return value;
    };
  }

  passed(): Promise<void> {
    this.#asked?.();
    return this.#gate ?? Promise.resolve();
  }
}

interface Handles {
  readonly session: number;
  readonly certificate: number;
  readonly own: number;
  readonly open: number;
  readonly ec: number;
  readonly secret: number;
}

async function handlesOf({ made }: SlowCard): Promise<Handles> {
  const session = await made.session();
  const by = async (objectClass: number, id: number): Promise<number> =>
    first(await find(made.one, session, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(id) }));
  return {
    session,
    certificate: await by(CKO.CERTIFICATE, 1),
    own: await by(CKO.PRIVATE_KEY, 1),
    open: await by(CKO.PUBLIC_KEY, 1),
    ec: await by(CKO.PRIVATE_KEY, 2),
    secret: await made.one.C_CreateObject(session, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.AES,
      [CKA.VALUE]: new Uint8Array(16),
      [CKA.EXTRACTABLE]: true,
    }),
  };
}

type SessionCall = (cryptoki: Cryptoki, handles: Handles, signal?: AbortSignal) => Promise<unknown>;

/** Calls that read unread parts of an object. */
const OF_SESSIONS: Readonly<Record<string, SessionCall>> = {
  C_GetAttributeValue: (c, { session, open }, signal) =>
    c.C_GetAttributeValue(session, open, [CKA.MODULUS], { signal }),
  C_GetObjectSize: (c, { session, certificate }, signal) => c.C_GetObjectSize(session, certificate, { signal }),
  C_CopyObject: (c, { session, open }, signal) => c.C_CopyObject(session, open, { [CKA.TOKEN]: false }, { signal }),
  C_SignInit: (c, { session, own }, signal) => c.C_SignInit(session, PKCS, own, { signal }),
  C_SignRecoverInit: (c, { session, own }, signal) => c.C_SignRecoverInit(session, PKCS, own, { signal }),
  C_MessageSignInit: (c, { session, own }, signal) => c.C_MessageSignInit(session, PKCS, own, { signal }),
  C_DecryptInit: (c, { session, own }, signal) => c.C_DecryptInit(session, PKCS, own, { signal }),
  C_EncryptInit: (c, { session, open }, signal) => c.C_EncryptInit(session, PKCS, open, { signal }),
  C_VerifyInit: (c, { session, open }, signal) => c.C_VerifyInit(session, PKCS, open, { signal }),
  C_VerifyRecoverInit: (c, { session, open }, signal) => c.C_VerifyRecoverInit(session, PKCS, open, { signal }),
  C_MessageVerifyInit: (c, { session, open }, signal) => c.C_MessageVerifyInit(session, PKCS, open, { signal }),
  C_WrapKey: (c, { session, open, secret }, signal) => c.C_WrapKey(session, PKCS, open, secret, { signal }),
  C_UnwrapKey: (c, { session, own }, signal) =>
    c.C_UnwrapKey(session, PKCS, own, new Uint8Array(256), { [CKA.CLASS]: CKO.SECRET_KEY }, { signal }),
  C_DeriveKey: (c, { session, ec }, signal) => {
    const parameter = { kdf: CKD.NULL, pPublicData: POINT };
    return c.C_DeriveKey(session, { mechanism: CKM.ECDH1_DERIVE, parameter }, ec, {}, { signal });
  },
};

describe("an object whose card is slow", () => {
  test.each(Object.entries(OF_SESSIONS))("%s is cancelled, and can be called again", async (_name, call) => {
    await using made = await writableRig();
    const { one } = made;
    const card = new SlowCard(made);
    const handles = await handlesOf(card);
    const objects = await find(one, handles.session, {});
    const asked = card.stop();
    for (const reason of REASONS) {
      const stop = new AbortController();
      const cancelled = call(one, handles, stop.signal);
      await asked;
      stop.abort(reason);
      await expect(cancelled).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
      // The session is free, though the card is not.
      expect(await one.C_GenerateRandom(handles.session, 1)).toHaveLength(1);
    }
    card.go();
    expect(await find(one, handles.session, {})).toEqual(objects);
    const again = await call(one, handles).catch((error: unknown) => (error as CryptokiError).name);
    expect(["CKR_OPERATION_ACTIVE", "CKR_FUNCTION_CANCELED"]).not.toContain(again);
  });

  test("what one caller gave up comes to the other", async () => {
    await using made = await writableRig();
    const card = new SlowCard(made);
    const { open, session } = await handlesOf(card);
    const second = await made.session();
    const asked = card.stop();
    const stop = new AbortController();
    const cancelled = made.one.C_GetAttributeValue(session, open, [CKA.MODULUS_BITS], { signal: stop.signal });
    const other = made.one.C_GetAttributeValue(second, open, [CKA.MODULUS_BITS]);
    await asked;
    stop.abort();
    await expect(cancelled).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    card.go();
    expect(await other).toEqual({ [CKA.MODULUS_BITS]: 2048 });
  });
});

describe("a search", () => {
  test("that is cancelled before it began was never begun", async () => {
    await using made = await writableRig();
    const { one, token } = made;
    const card = new SlowCard(made);
    const session = await made.session();
    const objects = token.objects.bind(token);
    token.objects = async () => {
      await card.passed();
      return objects();
    };
    const asked = card.stop();
    const stop = new AbortController();
    const cancelled = one.C_FindObjectsInit(session, {}, { signal: stop.signal });
    await asked;
    stop.abort();
    await expect(cancelled).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    await expect(one.C_FindObjects(session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
    card.go();
    expect((await find(one, session, {})).length).toBeGreaterThanOrEqual(4);
  });

  test("that is cancelled in the middle finds afterwards all that it had not given", async () => {
    await using made = await writableRig();
    const { one, token } = made;
    const card = new SlowCard(made);
    const last = token.kept.get("ec");
    if (!last) throw new Error("no key");
    token.kept.set("ec", { ...last, isPresent: () => card.passed().then(() => true) });
    const { session } = await handlesOf(card);
    const expected = await find(one, session, { [CKA.TOKEN]: true });
    const asked = card.stop();
    const stop = new AbortController();
    await one.C_FindObjectsInit(session, { [CKA.TOKEN]: true });
    const [given] = await one.C_FindObjects(session, 1);
    const cancelled = one.C_FindObjects(session, undefined, { signal: stop.signal });
    await asked;
    stop.abort();
    await expect(cancelled).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    card.go();
    expect([given, ...(await one.C_FindObjects(session))]).toEqual(expected);
    await one.C_FindObjectsFinal(session);
  });
});

test("a signal that aborted before the call has nothing asked of the card", async () => {
  await using made = await rig(await testCard());
  const session = await made.loggedIn();
  const key = await made.privateKey(session, 1);
  const before = made.commands.length;
  const gone = AbortSignal.abort();
  const calls = [
    made.cryptoki.C_FindObjectsInit(session, {}, { signal: gone }),
    made.cryptoki.C_GetAttributeValue(session, key, [CKA.MODULUS], { signal: gone }),
    made.cryptoki.C_SignInit(session, PKCS, key, { signal: gone }),
    made.cryptoki.C_SetPIN(session, "123456", "654321", { signal: gone }),
  ];
  for (const call of calls) await expect(call).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
  expect(made.commands).toHaveLength(before);
});
