import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKS, CKU, Cryptoki, CryptokiError } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, refusal, rig, type Rig } from "./rig.ts";

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const DATA = utf8("data");
const HASH = { mechanism: CKM.SHA256 };
const RSA = { mechanism: CKM.SHA256_RSA_PKCS };

describe("C_Initialize", () => {
  test("twice", async () => {
    await using made = await rig();
    await expect(made.cryptoki.C_Initialize()).rejects.toMatchObject(refusal("CRYPTOKI_ALREADY_INITIALIZED"));
  });

  test("again after C_Finalize, with the slots that there were", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    const session = await made.session();
    await cryptoki.C_Finalize();
    await cryptoki.C_Initialize();
    expect(await made.slot()).toBe(slot);
    await expect(cryptoki.C_GetSessionInfo(session)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
  });

  test("right behind a C_Finalize that has not ended", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    await made.loggedIn();
    const finalized = cryptoki.C_Finalize();
    await cryptoki.C_Initialize();
    await finalized;
    expect(await cryptoki.C_GetSlotList(true)).toHaveLength(1);
    await made.loggedIn();
  });

  test("C_GetInfo tells the version of the package", async () => {
    await using made = await rig();
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    const { version } = JSON.parse(text) as { version: string };
    const { libraryVersion, cryptokiVersion } = await made.cryptoki.C_GetInfo();
    expect(version.startsWith(`${libraryVersion.major}.${libraryVersion.minor}.`)).toBe(true);
    expect(cryptokiVersion).toEqual({ major: 3, minor: 1 });
  });

  test("tells the version that the application wants to hear", async () => {
    await using cryptoki = new Cryptoki({
      pcsc: new MemoryReaders().client(),
      profiles: [],
      version: { major: 2, minor: 11 },
    });
    await cryptoki.C_Initialize();
    expect(await cryptoki.C_GetInfo()).toMatchObject({ cryptokiVersion: { major: 2, minor: 11 } });
  });
});

describe("sessions", () => {
  test("are of two kinds, and counted", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    const writing = await made.session();
    const reading = await made.session(0);
    expect(await cryptoki.C_GetSessionInfo(writing)).toEqual({
      slotID: slot,
      state: CKS.RW_PUBLIC_SESSION,
      flags: CKF.SERIAL_SESSION | CKF.RW_SESSION,
      ulDeviceError: 0,
    });
    expect(await cryptoki.C_GetSessionInfo(reading)).toMatchObject({
      state: CKS.RO_PUBLIC_SESSION,
      flags: CKF.SERIAL_SESSION,
    });
    expect(await cryptoki.C_GetTokenInfo(slot)).toMatchObject({ ulSessionCount: 2, ulRwSessionCount: 1 });
    await cryptoki.C_CloseAllSessions(slot);
    expect(await cryptoki.C_GetTokenInfo(slot)).toMatchObject({ ulSessionCount: 0, ulRwSessionCount: 0 });
  });

  test("are serial", async () => {
    await using made = await rig(await testCard());
    await expect(made.cryptoki.C_OpenSession(await made.slot(), CKF.RW_SESSION)).rejects.toMatchObject(
      refusal("SESSION_PARALLEL_NOT_SUPPORTED"),
    );
  });

  test("may be a thousand", async () => {
    await using made = await rig(await testCard());
    const slot = await made.slot();
    const all = await Promise.all(
      Array.from({ length: 1000 }, () => made.cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION)),
    );
    expect(new Set(all).size).toBe(1000);
  });
});

/** Begins, continues and ends each kind of operation, with whatever it needs. */
const OPERATIONS = {
  digest: {
    init: (made: Rig, session: number) => made.cryptoki.C_DigestInit(session, HASH),
    whole: (made: Rig, session: number) => made.cryptoki.C_Digest(session, DATA),
    update: (made: Rig, session: number) => made.cryptoki.C_DigestUpdate(session, DATA),
    final: (made: Rig, session: number) => made.cryptoki.C_DigestFinal(session),
    cancel: (made: Rig, session: number) => made.cryptoki.C_DigestInit(session, null),
  },
  sign: {
    init: async (made: Rig, session: number) =>
      made.cryptoki.C_SignInit(session, RSA, await made.privateKey(session, 1)),
    whole: (made: Rig, session: number) => made.cryptoki.C_Sign(session, DATA),
    update: (made: Rig, session: number) => made.cryptoki.C_SignUpdate(session, DATA),
    final: (made: Rig, session: number) => made.cryptoki.C_SignFinal(session),
    cancel: (made: Rig, session: number) => made.cryptoki.C_SignInit(session, null, 0),
  },
  encrypt: {
    init: async (made: Rig, session: number) =>
      made.cryptoki.C_EncryptInit(session, { mechanism: CKM.RSA_PKCS }, await made.publicKey(session, 1)),
    whole: (made: Rig, session: number) => made.cryptoki.C_Encrypt(session, DATA),
    update: (made: Rig, session: number) => made.cryptoki.C_EncryptUpdate(session, DATA),
    final: (made: Rig, session: number) => made.cryptoki.C_EncryptFinal(session),
    cancel: (made: Rig, session: number) => made.cryptoki.C_EncryptInit(session, null, 0),
  },
  decrypt: {
    init: async (made: Rig, session: number) =>
      made.cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_X_509 }, await made.privateKey(session, 1)),
    whole: (made: Rig, session: number) => made.cryptoki.C_Decrypt(session, new Uint8Array(256)),
    update: (made: Rig, session: number) => made.cryptoki.C_DecryptUpdate(session, new Uint8Array(256)),
    final: (made: Rig, session: number) => made.cryptoki.C_DecryptFinal(session),
    cancel: (made: Rig, session: number) => made.cryptoki.C_DecryptInit(session, null, 0),
  },
  verify: {
    init: async (made: Rig, session: number) =>
      made.cryptoki.C_VerifyInit(session, RSA, await made.publicKey(session, 1)),
    // A signature that is wrong ends the operation as a right one does.
    whole: (made: Rig, session: number) => made.cryptoki.C_Verify(session, DATA, new Uint8Array(256)).catch(invalid),
    update: (made: Rig, session: number) => made.cryptoki.C_VerifyUpdate(session, DATA),
    final: (made: Rig, session: number) => made.cryptoki.C_VerifyFinal(session, new Uint8Array(256)).catch(invalid),
    cancel: (made: Rig, session: number) => made.cryptoki.C_VerifyInit(session, null, 0),
  },
} as const;

function invalid(error: unknown): void {
  if (!(error instanceof CryptokiError) || error.code !== "CKR_SIGNATURE_INVALID") throw error;
}

describe.each(Object.entries(OPERATIONS))("a %s operation", (_name, { init, whole, update, final, cancel }) => {
  test("is begun before it is continued, and once", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    for (const call of [whole, update, final]) {
      await expect(call(made, session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
    }
    await init(made, session);
    await expect(init(made, session)).rejects.toMatchObject(refusal("OPERATION_ACTIVE"));
    await whole(made, session);
    await expect(whole(made, session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
  });

  test("goes on in parts once it has begun in parts", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    await init(made, session);
    await update(made, session);
    await expect(whole(made, session)).rejects.toMatchObject(refusal("OPERATION_ACTIVE"));
    await final(made, session);
    await expect(final(made, session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
  });

  test("is over after an error, and after a null mechanism", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    await init(made, session);
    await cancel(made, session);
    await expect(update(made, session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
    await cancel(made, session);
    await init(made, session);
    await init(made, await made.session());
    await whole(made, session);
  });
});

test("what the caller gives stays the caller's, also where it is a Buffer", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const data = Buffer.from("kept");
  await cryptoki.C_SignInit(session, { mechanism: CKM.RSA_PKCS }, await made.privateKey(session, 1));
  await cryptoki.C_Sign(session, data);
  await cryptoki.C_EncryptInit(session, { mechanism: CKM.RSA_PKCS }, await made.publicKey(session, 1));
  await cryptoki.C_Encrypt(session, data);
  expect(data.toString()).toBe("kept");
});

test("data of the wrong kind ends an operation with CKR_ARGUMENTS_BAD", async () => {
  await using made = await rig(await testCard());
  const session = await made.loggedIn();
  const text = "not bytes" as unknown as Uint8Array;
  await made.cryptoki.C_DigestInit(session, HASH);
  await expect(made.cryptoki.C_Digest(session, text)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
  await expect(made.cryptoki.C_DigestFinal(session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
});

describe("calls on one session", () => {
  test("run in the order in which they were made", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    const results = await Promise.all([
      cryptoki.C_SignInit(session, RSA, key),
      cryptoki.C_SignUpdate(session, DATA),
      cryptoki.C_SignFinal(session),
      cryptoki.C_SignInit(session, RSA, key),
      cryptoki.C_Sign(session, DATA),
      cryptoki.C_CloseSession(session),
    ]);
    expect(results[2]).toEqual(results[4]);
  });

  test("end at once when their signal aborts, whatever stands before them", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    let open: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => {
      open = resolve;
    });
    made.before = async (): Promise<void> => closed;
    await cryptoki.C_SignInit(session, RSA, key);
    const slow = cryptoki.C_Sign(session, DATA);
    const stop = new AbortController();
    const waiting = cryptoki.C_Sign(session, DATA, { signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    open();
    expect(await slow).toHaveLength(256);
  });

  test("an exchange that is given up ends its operation", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await cryptoki.C_SignInit(session, RSA, key);
    const stop = new AbortController();
    made.before = (): Promise<void> => {
      stop.abort();
      return new Promise(() => undefined);
    };
    await expect(cryptoki.C_Sign(session, DATA, { signal: stop.signal })).rejects.toMatchObject(
      refusal("FUNCTION_CANCELED"),
    );
  });
});

test("two sessions sign at the same time, each its own data", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const first = await made.loggedIn();
  const key = await made.privateKey(first, 1);
  const publicKey = await made.publicKey(first, 1);
  await Promise.all(
    Array.from({ length: 10 }, async (_, index) => {
      const session = await made.session(0);
      const data = utf8(`data ${index}`);
      await cryptoki.C_SignInit(session, RSA, key);
      const signature = await cryptoki.C_Sign(session, data);
      await cryptoki.C_VerifyInit(session, RSA, publicKey);
      await cryptoki.C_Verify(session, data, signature);
      await cryptoki.C_CloseSession(session);
    }),
  );
});

test("what a card sends that is no answer of a card is CKR_DEVICE_ERROR", async () => {
  const card = await testCard();
  await using made = await rig({
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => (command[1] === 0x87 ? Uint8Array.of(0x90) : card.transmit(command)),
  });
  const session = await made.session();
  await made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, await made.privateKey(session, 4));
  await expect(made.cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  expect(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE })).toHaveLength(4);
});

test("C_Finalize leaves no session behind that was being opened", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => (go = resolve));
  const looking = new Promise<void>((resolve) => {
    made.before = () => {
      resolve();
      return held;
    };
  });
  const opening = expect(cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION)).rejects.toMatchObject(
    refusal("CRYPTOKI_NOT_INITIALIZED"),
  );
  await looking;
  const finalized = cryptoki.C_Finalize();
  go();
  await Promise.all([opening, finalized]);
});

test("the security officer and a read-only session do not meet, though both come at once", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const slot = await made.slot();
  const session = await made.session();
  let reading = 0;
  made.before = async () => {
    made.before = undefined;
    reading = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  };
  await expect(cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY)).rejects.toMatchObject(
    refusal("SESSION_READ_ONLY_EXISTS"),
  );
  expect(await cryptoki.C_GetSessionInfo(session)).toMatchObject({ state: CKS.RW_PUBLIC_SESSION });
  expect(await cryptoki.C_GetSessionInfo(reading)).toMatchObject({ state: CKS.RO_PUBLIC_SESSION });
});

test("closing a session costs the same however many are open", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const slot = await made.slot();
  const open = async (count: number): Promise<number[]> => {
    const sessions: number[] = [];
    for (let opened = 0; opened < count; opened++) {
      sessions.push(await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION));
    }
    return sessions;
  };
  /** The shortest time of several in which 200 sessions are closed. */
  const closing = async (): Promise<number> => {
    let best = Infinity;
    for (let round = 0; round < 5; round++) {
      const sessions = await open(200);
      const begun = performance.now();
      for (const session of sessions) await cryptoki.C_CloseSession(session);
      best = Math.min(best, performance.now() - begun);
    }
    return best;
  };
  await open(500);
  const few = await closing();
  await open(20_000);
  // One that looks at each session that is open takes about forty times as long.
  expect((await closing()) / few).toBeLessThan(8);
}, 120_000);

test("numbers and names of the wrong kind are CKR_ARGUMENTS_BAD", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  const bad = refusal("ARGUMENTS_BAD");
  for (const odd of [Symbol("odd"), 6n, "6", 0.5, undefined]) {
    const flags = odd as number;
    await expect(cryptoki.C_OpenSession(0, flags)).rejects.toMatchObject(bad);
    await expect(cryptoki.C_SessionCancel(session, flags)).rejects.toMatchObject(bad);
    await expect(cryptoki.C_GetInterface(null, null, flags)).rejects.toMatchObject(bad);
  }
  await expect(cryptoki.C_GetInterface(null, undefined as unknown as null, 0)).rejects.toMatchObject(bad);
  const types = [Symbol("odd"), new Uint8Array(1)] as unknown as number[];
  await expect(cryptoki.C_GetAttributeValue(session, await made.publicKey(session, 1), types)).rejects.toMatchObject(
    bad,
  );
  const missing = undefined as unknown as null;
  await expect(cryptoki.C_LoginUser(session, CKU.USER, PIN, missing)).rejects.toMatchObject(bad);
});
