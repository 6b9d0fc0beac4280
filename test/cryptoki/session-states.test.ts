import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { CKF, CKS, CKU, Cryptoki, CryptokiError } from "../../src/cryptoki/index.ts";
import { fake } from "./fake-rig.ts";
import { FAKE } from "./two-pin-card.ts";
import { shareOf } from "../seeded-random.ts";

/** PKCS#11 3.1 section 5.6, as one application sees it, of a card with two tokens in slots 1 and 2. */
class Model {
  readonly sessions = new Map<number, { readonly slot: number; readonly readWrite: boolean }>();
  readonly logins = new Map<number, "user" | "so">();
  readonly #card: CardModel;

  constructor(card: CardModel) {
    this.#card = card;
  }

  state(handle: number): number | undefined {
    const session = this.sessions.get(handle);
    if (!session) return undefined;
    const user = this.logins.get(session.slot);
    if (user === "so") return CKS.RW_SO_FUNCTIONS;
    if (user === "user") return session.readWrite ? CKS.RW_USER_FUNCTIONS : CKS.RO_USER_FUNCTIONS;
    return session.readWrite ? CKS.RW_PUBLIC_SESSION : CKS.RO_PUBLIC_SESSION;
  }

  open(slot: number, readWrite: boolean): string {
    return !readWrite && this.logins.get(slot) === "so" ? "SESSION_READ_WRITE_SO_EXISTS" : "OK";
  }

  close(handle: number): string {
    const session = this.sessions.get(handle);
    if (!session) return "SESSION_HANDLE_INVALID";
    this.sessions.delete(handle);
    if (this.#in(session.slot).length === 0) this.logins.delete(session.slot);
    return "OK";
  }

  closeAll(slot: number): string {
    for (const [handle, session] of this.sessions) if (session.slot === slot) this.sessions.delete(handle);
    this.logins.delete(slot);
    return "OK";
  }

  login(handle: number, user: "user" | "so", right: boolean): string {
    const session = this.sessions.get(handle);
    if (!session) return "SESSION_HANDLE_INVALID";
    const { slot } = session;
    if (user === "so" && this.#in(slot).some(({ readWrite }) => !readWrite)) return "SESSION_READ_ONLY_EXISTS";
    const present = this.logins.get(slot);
    if (present) return present === user ? "USER_ALREADY_LOGGED_IN" : "USER_ANOTHER_ALREADY_LOGGED_IN";
    const outcome = this.#card.compare(slot, user, right);
    if (outcome === "OK") this.logins.set(slot, user);
    return outcome;
  }

  logout(handle: number): string {
    const session = this.sessions.get(handle);
    if (!session) return "SESSION_HANDLE_INVALID";
    return this.logins.delete(session.slot) ? "OK" : "USER_NOT_LOGGED_IN";
  }

  setPin(handle: number, right: boolean): string {
    const session = this.sessions.get(handle);
    if (!session) return "SESSION_HANDLE_INVALID";
    if (!session.readWrite) return "SESSION_READ_ONLY";
    return this.#card.compare(session.slot, this.logins.get(session.slot) ?? "user", right);
  }

  initPin(handle: number): string {
    const session = this.sessions.get(handle);
    if (!session) return "SESSION_HANDLE_INVALID";
    if (this.logins.get(session.slot) !== "so") return "USER_NOT_LOGGED_IN";
    this.#card.restore(session.slot);
    return "OK";
  }

  #in(slot: number): { readonly readWrite: boolean }[] {
    return [...this.sessions.values()].filter((session) => session.slot === slot);
  }
}

/** The tries of its PINs, which all applications share. */
class CardModel {
  readonly #tries = new Map<string, number>();

  compare(slot: number, user: "user" | "so", right: boolean): string {
    const key = `${slot} ${user}`;
    const tries = this.#tries.get(key) ?? 3;
    if (tries === 0) return "PIN_LOCKED";
    this.#tries.set(key, right ? 3 : tries - 1);
    if (right) return "OK";
    return tries === 1 ? "PIN_LOCKED" : "PIN_INCORRECT";
  }

  restore(slot: number): void {
    this.#tries.delete(`${slot} user`);
  }
}

const application = fc.nat(1);
const slot = fc.constantFrom(0, 1);
/** Of the handles that were ever given; and some that were not. */
const session = fc.nat(12);
const mostly = fc.integer({ min: 0, max: 7 }).map((number) => number > 0);

const STEP = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("open" as const), application, slot, readWrite: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("login" as const),
      application,
      session,
      user: fc.constantFrom("user" as const, "so" as const),
      right: mostly,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("close" as const), application, session }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("logout" as const), application, session }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("closeAll" as const), application, slot }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("setPin" as const), application, session, right: mostly }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("initPin" as const), application, session }) },
);

type Step = typeof STEP extends fc.Arbitrary<infer Value> ? Value : never;

/** "OK", or the name of what was thrown. */
async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
    return error.code.slice("CKR_".length);
  }
}

async function take(step: Step, cryptoki: Cryptoki, model: Model): Promise<{ real: string; expected: string }> {
  // The token of a session that is none does not matter.
  const handle = "session" in step ? step.session : 0;
  const at = "slot" in step ? step.slot : (model.sessions.get(handle)?.slot ?? 0);
  const pinOf = (user: "user" | "so"): string => (user === "so" ? FAKE.SO_PIN : `PIN${at + 1}`);
  switch (step.do) {
    case "open": {
      const expected = model.open(step.slot, step.readWrite);
      const flags = CKF.SERIAL_SESSION | (step.readWrite ? CKF.RW_SESSION : 0);
      const opened = cryptoki.C_OpenSession(step.slot, flags);
      const real = await outcomeOf(opened);
      if (real === "OK") model.sessions.set(await opened, { slot: step.slot, readWrite: step.readWrite });
      return { real, expected };
    }
    case "close":
      return { expected: model.close(handle), real: await outcomeOf(cryptoki.C_CloseSession(handle)) };
    case "closeAll":
      return { expected: model.closeAll(step.slot), real: await outcomeOf(cryptoki.C_CloseAllSessions(step.slot)) };
    case "login": {
      const pin = step.right ? pinOf(step.user) : "wrong";
      const expected = model.login(handle, step.user, step.right);
      return {
        expected,
        real: await outcomeOf(cryptoki.C_Login(handle, step.user === "so" ? CKU.SO : CKU.USER, pin)),
      };
    }
    case "logout":
      return { expected: model.logout(handle), real: await outcomeOf(cryptoki.C_Logout(handle)) };
    case "setPin": {
      const pin = pinOf(model.logins.get(at) ?? "user");
      const expected = model.setPin(handle, step.right);
      return { expected, real: await outcomeOf(cryptoki.C_SetPIN(handle, step.right ? pin : "wrong", pin)) };
    }
    case "initPin":
      return { expected: model.initPin(handle), real: await outcomeOf(cryptoki.C_InitPIN(handle, `PIN${at + 1}`)) };
  }
}

test("whatever two applications do with the sessions of two tokens, each is in the state that the standard says", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(STEP, { maxLength: 60 }), async (steps) => {
      await using made = await fake({}, { pinLabel: "PIN1" }, { pinLabel: "PIN2" });
      await made.cryptoki.C_CloseSession(made.session);
      await using other = new Cryptoki({ slots: made.cryptoki.slots });
      await other.C_Initialize();
      const card = new CardModel();
      const applications = [made.cryptoki, other].map((cryptoki) => ({ cryptoki, model: new Model(card) }));
      for (const [index, step] of steps.entries()) {
        const acting = applications[step.application];
        if (!acting) continue;
        const { real, expected } = await take(step, acting.cryptoki, acting.model);
        expect([index, step, real]).toEqual([index, step, expected]);
        for (const { cryptoki, model } of applications) {
          for (const handle of model.sessions.keys()) {
            expect((await cryptoki.C_GetSessionInfo(handle)).state).toBe(model.state(handle));
          }
        }
      }
      for (const at of [0, 1]) {
        const { ulSessionCount } = await other.C_GetTokenInfo(at);
        const sessions = [...(applications[1]?.model.sessions.values() ?? [])];
        expect(ulSessionCount).toBe(sessions.filter(({ slot: in_ }) => in_ === at).length);
      }
    }),
    { numRuns: shareOf(150) },
  );
}, 60_000);
