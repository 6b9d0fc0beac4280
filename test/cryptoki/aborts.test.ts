/** What an abort ends, what it leaves alone, and what is finished behind it: for every function that there is. */
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CardCancelledError } from "../../src/card/index.ts";
import {
  type CallOptions,
  CKA,
  CKF,
  CKK,
  CKM,
  CKO,
  CKP,
  CKS,
  CKU,
  CKZ,
  Cryptoki,
  type CryptokiError,
} from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { type AnyFunction, EVERY_FUNCTION, named } from "./every-function.ts";
import { fake, type FakeRig } from "./fake-rig.ts";
import { first, PIN, READER, refusal, rig, type Rig } from "./rig.ts";

const HASH = { mechanism: CKM.SHA256 };
const RSA = { mechanism: CKM.SHA256_RSA_PKCS };
const DATA = utf8("data");

/** Holds every command back until it is released. */
function hold(made: Rig): { readonly reached: Promise<void>; readonly release: () => void } {
  let release = (): void => undefined;
  let arrive = (): void => undefined;
  const open = new Promise<void>((resolve) => (release = resolve));
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  made.before = (): Promise<void> => {
    arrive();
    return open;
  };
  return {
    reached,
    release: () => {
      made.before = undefined;
      release();
    },
  };
}

/** All that an application can see of itself without an exchange. */
async function state({ cryptoki }: Rig, session: number, slot: number): Promise<unknown> {
  return {
    info: await cryptoki.C_GetSessionInfo(session),
    slots: await cryptoki.C_GetSlotList(false),
    variable: await cryptoki.C_GetVariable("mine"),
    event: await cryptoki.C_HasNewEvent(1).catch((error: unknown) => (error as CryptokiError).code),
    slot: await cryptoki.C_GetSlotInfo(slot),
  };
}

describe("a signal that aborted before the call", () => {
  test("107 functions take one", () => {
    expect(EVERY_FUNCTION).toHaveLength(107);
  });

  test.each(named(EVERY_FUNCTION))(
    "%s is cancelled, changes nothing and asks the card nothing",
    async (_, { call }) => {
      await using made = await rig(await testCard());
      const { cryptoki } = made;
      const slot = await made.slot();
      const session = await made.loggedIn();
      const key = await made.privateKey(session, 1);
      await cryptoki.C_SetVariable("mine", "value");
      await cryptoki.C_DigestInit(session, HASH);
      await cryptoki.C_SignInit(session, RSA, key);
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE });
      const before = await state(made, session, slot);
      const commands = made.commands.length;
      const reason = new Error("enough");
      await expect(
        call(cryptoki, { slot, session, object: key, key }, { signal: AbortSignal.abort(reason) }),
      ).rejects.toMatchObject({
        ...refusal("FUNCTION_CANCELED"),
        cause: reason,
      });
      expect(made.commands).toHaveLength(commands);
      expect(await state(made, session, slot)).toEqual(before);
      // Operations are as they were.
      expect(await cryptoki.C_Digest(session, DATA)).toHaveLength(32);
      expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(256);
      expect(await cryptoki.C_FindObjects(session)).toHaveLength(4);
    },
  );

  test("C_Initialize is cancelled, and succeeds without it", async () => {
    await using made = await rig();
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await expect(other.C_Initialize({ signal: AbortSignal.abort() })).rejects.toMatchObject(
      refusal("FUNCTION_CANCELED"),
    );
    await expect(other.C_GetInfo()).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
    await other.C_Initialize();
    expect(await other.C_GetSlotList(false)).toEqual([0]);
  });

  test.each(named(EVERY_FUNCTION))(
    "of %s stands in { signal }, and nothing else comes last",
    async (_name, { call }) => {
      await using made = await rig();
      const habits = [6, "now", null, [], new Uint8Array(4), () => undefined].map(
        (habit) => [habit, /: the last argument is \{ signal \}, or left out; lengths are not given$/u] as const,
      );
      const signals = [6, "now", null, {}, new AbortController()].map(
        (signal) => [{ signal }, /: signal in \{ signal \}, the last argument, is an AbortSignal$/u] as const,
      );
      const bare = [
        new AbortController().signal,
        /: the last argument is \{ signal \}, and not the AbortSignal itself$/u,
      ] as const;
      for (const [last, message] of [...habits, ...signals, bare]) {
        await expect(call(made.cryptoki, {}, last as CallOptions)).rejects.toMatchObject({
          ...refusal("ARGUMENTS_BAD"),
          message: expect.stringMatching(message),
        });
      }
    },
  );

  test("may be left out of the options, and the options may be a larger object", async () => {
    await using made = await rig();
    const { cryptoki } = made;
    expect(await cryptoki.C_GetSlotList(false, {})).toEqual([0]);
    expect(await cryptoki.C_GetSlotList(false, { signal: undefined })).toEqual([0]);
    expect(await cryptoki.C_GetSlotList(false, new AbortController())).toEqual([0]);
  });

  test("may follow a PIN, whose length does not", async () => {
    await using made = await rig(await testCard());
    const session = await made.session();
    const C_Login = made.cryptoki.C_Login.bind(made.cryptoki) as (...values: unknown[]) => Promise<void>;
    await expect(C_Login(session, CKU.USER, PIN, 6)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await C_Login(session, CKU.USER, PIN, { signal: new AbortController().signal });
  });
});

/** How a call ended; undefined while it is under way. */
function outcomeOf(call: Promise<unknown>): { readonly name: () => string | undefined } {
  let name: string | undefined;
  call.then(
    () => (name = "CKR_OK"),
    (error: unknown) => (name = (error as CryptokiError).code),
  );
  return { name: () => name };
}

/** Until everything has run that needs no card and no clock. */
async function idle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe("a card that hangs", () => {
  // What they are given starts computations that take their time, and none of them waits for the card.
  const others = EVERY_FUNCTION.filter(({ name }) => !/^C_(?:Initialize|GenerateKey)/u.test(name));

  test.each(named(others))("keeps no call of %s whose signal aborts", async (_, { name, call }: AnyFunction) => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await cryptoki.C_SignInit(session, RSA, key);
    const held = hold(made);
    const signing = cryptoki.C_Sign(session, DATA);
    await held.reached;
    const stop = new AbortController();
    // The session is busy, and the card as well.
    const outcome = outcomeOf(
      call(cryptoki, { slot, session, object: key, key, flags: 0, oldPin: PIN, pPin: PIN }, { signal: stop.signal }),
    );
    await idle();
    stop.abort();
    await idle();
    expect([name, outcome.name()]).not.toEqual([name, undefined]);
    held.release();
    expect(await signing).toHaveLength(256);
  });
});

describe("an abort in the middle", () => {
  test("of the last call of an operation ends the operation", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await cryptoki.C_SignInit(session, RSA, key);
    const held = hold(made);
    const stop = new AbortController();
    const signing = cryptoki.C_Sign(session, DATA, { signal: stop.signal });
    await held.reached;
    stop.abort();
    await expect(signing).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    held.release();
    await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
    await cryptoki.C_SignInit(session, RSA, key);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(256);
  });

  test("leaves the session and the login of another application as they are", async () => {
    await using made = await rig(await testCard());
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    await other.C_Login(theirs, CKU.USER, PIN);
    const session = await made.session();
    const held = hold(made);
    const stop = new AbortController();
    const login = made.cryptoki.C_Login(session, CKU.USER, PIN, { signal: stop.signal });
    await held.reached;
    stop.abort();
    await expect(login).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    held.release();
    await other.C_FindObjectsInit(theirs, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
    const key = first(await other.C_FindObjects(theirs));
    await other.C_SignInit(theirs, RSA, key);
    expect(await other.C_Sign(theirs, DATA)).toHaveLength(256);
    expect(await made.cryptoki.C_GetSessionInfo(session)).toMatchObject({ state: CKS.RW_PUBLIC_SESSION });
  });

  test("of a wait for a session's turn takes back what has not begun", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await cryptoki.C_SignInit(session, RSA, key);
    const held = hold(made);
    const signing = cryptoki.C_Sign(session, DATA);
    await held.reached;
    const stop = new AbortController();
    const calls = [
      cryptoki.C_CreateObject(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "given up" }, { signal: stop.signal }),
      cryptoki.C_CloseSession(session, { signal: stop.signal }),
      cryptoki.C_CloseAllSessions(0, { signal: stop.signal }),
      cryptoki.C_Logout(session, { signal: stop.signal }),
    ];
    stop.abort();
    for (const call of calls) await expect(call).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    held.release();
    await signing;
    expect(await cryptoki.C_GetSessionInfo(session)).toMatchObject({ state: CKS.RW_USER_FUNCTIONS });
    expect(await made.find(session, { [CKA.LABEL]: "given up" })).toEqual([]);
  });

  test("of C_Logout leaves no user logged in", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const held = hold(made);
    const stop = new AbortController();
    const logout = cryptoki.C_Logout(session, { signal: stop.signal });
    await held.reached;
    stop.abort();
    await expect(logout).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    held.release();
    expect(await cryptoki.C_GetSessionInfo(session)).toMatchObject({ state: CKS.RW_PUBLIC_SESSION });
    await cryptoki.C_Login(session, CKU.USER, PIN);
  });
});

/** A token whose next call of one method ends when it is told to. */
function slowly(
  made: FakeRig,
  name: "login" | "changePin",
): { readonly given: Uint8Array[]; readonly begun: Promise<void>; readonly go: () => void } {
  const token = made.tokens[0];
  if (!token) throw new Error("no token");
  let go = (): void => undefined;
  let begin = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const given: Uint8Array[] = [];
  const method = token[name].bind(token) as (...values: readonly unknown[]) => Promise<void>;
  token[name] = async (...values: readonly unknown[]): Promise<void> => {
    given.push(...values.filter((value) => value instanceof Uint8Array));
    begin();
    await gate;
    await method(...values);
  };
  return { given, begun, go };
}

describe("an aborted C_Login", () => {
  test("whose PIN the card takes afterwards is undone, and its copy of the PIN wiped", async () => {
    await using made = await fake();
    const slow = slowly(made, "login");
    const stop = new AbortController();
    const login = made.cryptoki.C_Login(made.session, CKU.USER, "PIN1", { signal: stop.signal });
    await slow.begun;
    stop.abort();
    await expect(login).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    // The card still has it.
    expect(slow.given).toEqual([utf8("PIN1")]);
    slow.go();
    // Logins run one after the other.
    await expect(made.cryptoki.C_Login(made.session, CKU.USER, "wrong")).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    expect(made.tokens[0]?.asked).toEqual(["login user", "logout", "login user"]);
    expect(slow.given[0]).toEqual(new Uint8Array(4));
    expect(await made.cryptoki.C_GetSessionInfo(made.session)).toMatchObject({ state: CKS.RW_PUBLIC_SESSION });
  });

  test("takes no login from another application", async () => {
    await using made = await fake();
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(0, CKF.SERIAL_SESSION);
    await other.C_Login(theirs, CKU.USER, "PIN1");
    const slow = slowly(made, "login");
    const stop = new AbortController();
    const login = made.cryptoki.C_Login(made.session, CKU.USER, "PIN1", { signal: stop.signal });
    await slow.begun;
    stop.abort();
    await expect(login).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    slow.go();
    await made.cryptoki.C_Login(made.session, CKU.USER, "PIN1");
    expect(made.tokens[0]?.asked).not.toContain("logout");
    expect(await other.C_GetSessionInfo(theirs)).toMatchObject({ state: CKS.RO_USER_FUNCTIONS });
  });

  test("frees its session at once", async () => {
    await using made = await fake();
    const slow = slowly(made, "login");
    const stop = new AbortController();
    const login = made.cryptoki.C_Login(made.session, CKU.USER, "PIN1", { signal: stop.signal });
    await slow.begun;
    stop.abort();
    await expect(login).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    expect(await made.cryptoki.C_GenerateRandom(made.session, 8)).toHaveLength(8);
    slow.go();
  });
});

test("a PIN that is changed after C_SetPIN was aborted is not left verified", async () => {
  await using made = await fake();
  const slow = slowly(made, "changePin");
  const stop = new AbortController();
  const change = made.cryptoki.C_SetPIN(made.session, "PIN1", "PIN2", { signal: stop.signal });
  await slow.begun;
  stop.abort();
  await expect(change).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
  slow.go();
  await made.cryptoki.C_Login(made.session, CKU.USER, "PIN2");
  expect(made.tokens[0]?.asked).toEqual(["change user", "logout", "login user"]);
});

test("a PIN that the card has changed behind an aborted C_SetPIN is not left verified", async () => {
  await using made = await fake();
  const [token] = made.tokens;
  if (!token) throw new Error("no token");
  const change = token.changePin.bind(token);
  const stop = new AbortController();
  // As a card does: its caller's wait ends, and the command is carried out all the same.
  token.changePin = async (...values) => {
    const changed = change(...values);
    stop.abort();
    await changed;
    throw new CardCancelledError("the call was cancelled");
  };
  await expect(made.cryptoki.C_SetPIN(made.session, "PIN1", "PIN2", { signal: stop.signal })).rejects.toMatchObject(
    refusal("FUNCTION_CANCELED"),
  );
  await made.cryptoki.C_Login(made.session, CKU.USER, "PIN2");
  expect(token.asked).toEqual(["change user", "logout", "login user"]);
});

const OPEN = { [CKA.TOKEN]: false, [CKA.PRIVATE]: false, [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true } as const;

/** What takes its time, and makes an object of the session. */
const MAKING: Readonly<Record<string, (cryptoki: Cryptoki, session: number, signal: AbortSignal) => Promise<unknown>>> =
  {
    C_GenerateKeyPair: (cryptoki, session, signal) =>
      cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
        { [CKA.MODULUS_BITS]: 2048 },
        OPEN,
        { signal },
      ),
    C_GenerateKey: (cryptoki, session, signal) => {
      const parameter = {
        saltSource: CKZ.SALT_SPECIFIED,
        pSaltSourceData: DATA,
        iterations: 200_000,
        prf: CKP.PKCS5_PBKD2_HMAC_SHA256,
        pPassword: DATA,
      };
      const template = { ...OPEN, [CKA.KEY_TYPE]: CKK.GENERIC_SECRET, [CKA.VALUE_LEN]: 32 };
      return cryptoki.C_GenerateKey(session, { mechanism: CKM.PKCS5_PBKD2, parameter }, template, { signal });
    },
  };

test.each(Object.entries(MAKING))("%s that was aborted makes no object behind its caller", async (_, make) => {
  await using made = await fake();
  const { cryptoki, session } = made;
  const stop = new AbortController();
  const making = make(cryptoki, session, stop.signal);
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await expect(making).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
  // The next call on the session runs after it.
  await cryptoki.C_FindObjectsInit(session, { [CKA.TOKEN]: false });
  expect(await cryptoki.C_FindObjects(session)).toEqual([]);
});

describe("C_Finalize", () => {
  test("that was aborted gives the card back while an exchange has no end", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    await cryptoki.C_SignInit(session, RSA, await made.privateKey(session, 1));
    const held = hold(made);
    const signing = outcomeOf(cryptoki.C_Sign(session, DATA));
    await held.reached;
    const watch = new AbortController();
    const free = (async (): Promise<void> => {
      for await (const [state] of made.readers.client().changes({ signal: watch.signal }))
        if (state?.sharing === 0) return;
    })();
    const stop = new AbortController();
    const finalized = cryptoki.C_Finalize({ signal: stop.signal });
    stop.abort();
    await expect(finalized).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    await free;
    expect(signing.name()).not.toBe("CKR_OK");
    held.release();
  });

  test("ends with its signal while a call hangs, and the application is over", async () => {
    await using made = await rig(await testCard());
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const session = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    await other.C_Login(session, CKU.USER, PIN);
    await other.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
    const key = first(await other.C_FindObjects(session));
    await other.C_SignInit(session, RSA, key);
    const held = hold(made);
    const signing = outcomeOf(other.C_Sign(session, DATA));
    await held.reached;
    const stop = new AbortController();
    const finalized = other.C_Finalize({ signal: stop.signal });
    await idle();
    stop.abort();
    await expect(finalized).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    await expect(other.C_GetInfo()).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
    held.release();
    // Those who share the cards go on, and so does the application, initialised anew.
    const mine = await made.loggedIn();
    await made.cryptoki.C_SignInit(mine, RSA, await made.privateKey(mine, 1));
    expect(await made.cryptoki.C_Sign(mine, DATA)).toHaveLength(256);
    expect(signing.name()).toBe("CKR_OK");
    await other.C_Initialize();
    expect(await other.C_GetSlotList(true)).toEqual([0]);
  });

  test("waits for calls under way", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    await cryptoki.C_SignInit(session, RSA, await made.privateKey(session, 1));
    const held = hold(made);
    const signing = cryptoki.C_Sign(session, DATA);
    await held.reached;
    const finalized = outcomeOf(cryptoki.C_Finalize());
    await idle();
    expect(finalized.name()).toBeUndefined();
    held.release();
    expect(await signing).toHaveLength(256);
  });
});

test("C_AddSlot that was aborted adds no slot", async () => {
  await using made = await rig();
  const { MemoryReaders } = await import("../../src/pcsc/index.ts");
  const readers = new MemoryReaders();
  readers.plug(`${READER} of another kind`);
  let go = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const pcsc = readers.client();
  const slow = Object.create(pcsc, {
    changes: {
      value: async function* (signal: AbortSignal) {
        await gate;
        yield* pcsc.changes({ signal });
      },
    },
  }) as typeof pcsc;
  const stop = new AbortController();
  const added = made.cryptoki.C_AddSlot(slow, { signal: stop.signal });
  stop.abort();
  await expect(added).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
  go();
  await idle();
  expect(await made.cryptoki.C_GetSlotList(false)).toEqual([0]);
});
