import { describe, expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKR, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";
import { first, Rig, READER } from "./rig.ts";

/** The option keepPin: what happens to the kept PIN when several sessions want it at once. */

const DATA = new Uint8Array(20).fill(7);
const ECDSA = { mechanism: CKM.ECDSA };

interface Kind {
  readonly card: () => Promise<InProcessCard>;
  /** The token among the card's, and the CKA_ID of its key that wants the PIN before each use. */
  readonly place: number;
  readonly id: number;
  readonly pin: string;
}

const kinds: readonly (readonly [string, Kind])[] = [
  ["a PIV card", { card: testCard, place: 0, id: 2, pin: "123456" }],
  ["a PKCS #15 card", { card: testPkcs15Card, place: 1, id: 4, pin: "654321" }],
];

const OTHER = "777777";

class Signers implements AsyncDisposable {
  readonly #made: Rig;
  readonly #kind: Kind;
  readonly cryptoki: Cryptoki;
  readonly slot: number;
  readonly sessions: readonly number[];
  readonly #key: number;
  readonly #others: Cryptoki[] = [];

  private constructor(made: Rig, kind: Kind, cryptoki: Cryptoki, slot: number, sessions: number[], key: number) {
    this.#made = made;
    this.#kind = kind;
    this.cryptoki = cryptoki;
    this.slot = slot;
    this.sessions = sessions;
    this.#key = key;
  }

  /** An application with `count` sessions that have begun a signature; its PIN is kept. */
  static async begin(kind: Kind, count: number): Promise<Signers> {
    const made = new Rig(profiles);
    made.readers.plug(READER);
    made.insert(await kind.card());
    const cryptoki = new Cryptoki({ pcsc: made.pcsc, profiles, keepPin: true });
    await cryptoki.C_Initialize();
    const slot = (await cryptoki.C_GetSlotList(true))[kind.place] ?? -1;
    const sessions: number[] = [];
    while (sessions.length < count) sessions.push(await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION));
    const session = first(sessions);
    await cryptoki.C_Login(session, CKU.USER, kind.pin);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(kind.id) });
    const key = first(await cryptoki.C_FindObjects(session));
    await cryptoki.C_FindObjectsFinal(session);
    for (const each of sessions) await cryptoki.C_SignInit(each, ECDSA, key);
    return new Signers(made, kind, cryptoki, slot, sessions, key);
  }

  /** A further application that has begun a signature, and keeps its PIN. @returns Ends the signature. */
  async another(): Promise<() => Promise<Uint8Array>> {
    const cryptoki = new Cryptoki({ slots: this.cryptoki.slots, keepPin: true });
    await cryptoki.C_Initialize();
    this.#others.push(cryptoki);
    const session = await cryptoki.C_OpenSession(this.slot, CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, this.#kind.pin);
    const wanted = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(this.#kind.id) };
    await cryptoki.C_FindObjectsInit(session, wanted);
    const key = first(await cryptoki.C_FindObjects(session));
    await cryptoki.C_FindObjectsFinal(session);
    await cryptoki.C_SignInit(session, ECDSA, key);
    return () => cryptoki.C_Sign(session, DATA);
  }

  /** Another program changes the PIN. */
  async changePin(from: string, to: string): Promise<void> {
    await using program = new Cryptoki({ pcsc: this.#made.readers.client(), profiles });
    await program.C_Initialize();
    const slot = (await program.C_GetSlotList(true))[this.#kind.place] ?? -1;
    await program.C_SetPIN(await program.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION), from, to);
  }

  /** All sessions sign at once. @param signal Ends the wait of the first. */
  signatures(signal?: AbortSignal): Promise<readonly PromiseSettledResult<Uint8Array>[]> {
    return Promise.allSettled(
      this.sessions.map((session, index) =>
        this.cryptoki.C_Sign(session, DATA, { signal: index === 0 ? signal : undefined }),
      ),
    );
  }

  async beginAgain(): Promise<void> {
    for (const session of this.sessions) await this.cryptoki.C_SignInit(session, ECDSA, this.#key);
  }

  /** Runs `work` when the card is given a PIN the next time, before it answers. */
  onPin(work: () => void): void {
    this.#made.before = (command) => {
      if (command[1] !== 0x20 || command.length <= 5) return;
      this.#made.before = undefined;
      work();
    };
  }

  /** The PINs that the card was given while `work` ran. */
  async pinsGiven(work: () => Promise<unknown>): Promise<readonly string[]> {
    const { length } = this.#made.commands;
    await work();
    const verifications = this.#made.commands.slice(length).filter((command) => /^0020.{6}./i.test(command));
    return verifications.map((command) => new TextDecoder().decode(fromHex(command.slice(10)).slice(0, 6)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const cryptoki of [...this.#others, this.cryptoki]) await cryptoki.C_Finalize();
    await this.#made[Symbol.asyncDispose]();
  }
}

describe.each(kinds)("several sessions that sign at once with the PIN that is kept, and %s", (_, kind) => {
  test("all sign, each with the PIN", async () => {
    await using signers = await Signers.begin(kind, 4);
    const given = await signers.pinsGiven(async () => {
      const results = await signers.signatures();
      expect(results.map(({ status }) => status)).toEqual(new Array(4).fill("fulfilled"));
    });
    expect(given).toEqual(new Array(4).fill(kind.pin));
  });

  test.each([1, 2, 5])("spend one try when another program changed it: %p sessions", async (count) => {
    await using signers = await Signers.begin(kind, count);
    await signers.changePin(kind.pin, OTHER);
    const given = await signers.pinsGiven(async () => {
      const [refused, ...others] = await signers.signatures();
      expect(refused).toMatchObject({
        status: "rejected",
        reason: { rv: CKR.USER_NOT_LOGGED_IN, cause: { reason: "incorrect", triesLeft: 2 } },
      });
      for (const other of others) {
        expect(other).toMatchObject({
          status: "rejected",
          reason: {
            rv: CKR.USER_NOT_LOGGED_IN,
            message: expect.stringContaining("needs its PIN before each use") as unknown,
          },
        });
      }
    });
    expect(given).toEqual([kind.pin]);
    // Nor later.
    await signers.beginAgain();
    expect(await signers.pinsGiven(() => signers.signatures())).toEqual([]);
    // The login stays, and the operation takes the new PIN.
    const session = first(signers.sessions);
    await signers.beginAgain();
    await signers.cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, OTHER);
    expect((await signers.cryptoki.C_Sign(session, DATA)).length).toBeGreaterThan(0);
  });

  test("spend one try also if they are sessions of several applications", async () => {
    await using signers = await Signers.begin(kind, 1);
    const others = [await signers.another(), await signers.another()];
    await signers.changePin(kind.pin, OTHER);
    const given = await signers.pinsGiven(async () => {
      const results = [...(await signers.signatures()), ...(await Promise.allSettled(others.map((sign) => sign())))];
      for (const result of results) expect(result).toMatchObject({ reason: { rv: CKR.USER_NOT_LOGGED_IN } });
    });
    expect(given).toEqual([kind.pin]);
  });

  test("spend one try also if the one that was refused is not waited for", async () => {
    await using signers = await Signers.begin(kind, 2);
    await signers.changePin(kind.pin, OTHER);
    const stop = new AbortController();
    signers.onPin(() => {
      stop.abort();
    });
    const given = await signers.pinsGiven(async () => {
      const [left, other] = await signers.signatures(stop.signal);
      expect(left).toMatchObject({ status: "rejected", reason: { rv: CKR.FUNCTION_CANCELED } });
      expect(other).toMatchObject({ status: "rejected", reason: { rv: CKR.USER_NOT_LOGGED_IN } });
    });
    expect(given).toEqual([kind.pin]);
  });

  test("and a logout meanwhile: a wiped PIN never goes to the card", async () => {
    await using signers = await Signers.begin(kind, 4);
    const given = await signers.pinsGiven(async () => {
      const signing = signers.signatures();
      await signers.cryptoki.C_Logout(first(signers.sessions));
      const reasons = (await signing).flatMap((result): unknown => ("reason" in result ? result.reason : []));
      expect(reasons.length).toBeGreaterThan(0);
      for (const reason of reasons) {
        expect(reason).toMatchObject({
          rv: CKR.USER_NOT_LOGGED_IN,
          message: expect.not.stringContaining("the card refuses the kept PIN") as unknown,
        });
      }
    });
    expect(given.filter((pin) => pin !== kind.pin)).toEqual([]);
    expect((await signers.cryptoki.C_GetTokenInfo(signers.slot)).flags & CKF.USER_PIN_COUNT_LOW).toBe(0);
    await signers.cryptoki.C_Login(first(signers.sessions), CKU.USER, kind.pin);
  });
});
