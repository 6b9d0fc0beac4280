import type { CallOptions } from "../../async/index.ts";
import { CKF_SLOT, CKR, CryptokiError, type CryptokiFunctions, type TokenDescription } from "../../cryptoki/index.ts";

/**
 * An application limited to the slots of some tokens; functions do not see the others.
 * @param wanted Whether a token is one of them.
 */
export function onlyTokens(
  application: CryptokiFunctions,
  wanted: (token: TokenDescription) => boolean | Promise<boolean>,
): CryptokiFunctions {
  const filter = new TokenFilter(application, wanted);
  return new Proxy(application, {
    get: (target, name): unknown => {
      const own: unknown = Reflect.get(OVERRIDES, name);
      if (typeof own === "function") {
        return (...args: readonly unknown[]): unknown => Reflect.apply(own, undefined, [filter, ...args]);
      }
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        if (typeof name === "string" && TAKES_SLOT.has(name)) await filter.mustGet(args[0]);
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
}

const OVERRIDES = {
  C_GetSlotList: (filter: TokenFilter, tokenPresent: boolean): Promise<number[]> => filter.slots(tokenPresent),
  C_WaitForSlotEvent: (filter: TokenFilter, flags: number, options?: CallOptions): Promise<number> =>
    filter.event(flags, options),
} as const;

/** Functions whose first argument is a slot. */
const TAKES_SLOT: ReadonlySet<string> = new Set([
  "C_GetSlotInfo",
  "C_GetTokenInfo",
  "C_GetMechanismList",
  "C_GetMechanismInfo",
  "C_InitToken",
  "C_OpenSession",
  "C_CloseAllSessions",
]);

class TokenFilter {
  readonly #application: CryptokiFunctions;
  readonly #wanted: (token: TokenDescription) => boolean | Promise<boolean>;
  /** Slots that were visible before: the removal of their token may be reported. */
  readonly #shown = new Set<number>();

  constructor(application: CryptokiFunctions, wanted: (token: TokenDescription) => boolean | Promise<boolean>) {
    this.#application = application;
    this.#wanted = wanted;
  }

  async slots(tokenPresent: boolean): Promise<number[]> {
    const fitting: number[] = [];
    for (const slotID of await this.#application.C_GetSlotList(true)) {
      if (await this.#fits(slotID)) fitting.push(slotID);
    }
    if (tokenPresent) return fitting;
    const all = await this.#application.C_GetSlotList(false);
    return all.filter((slotID) => this.#shown.has(slotID));
  }

  /** @throws {CryptokiError} CKR_SLOT_ID_INVALID unless the slot holds a wanted token, or held one that was removed. */
  async mustGet(slotID: unknown): Promise<void> {
    if (typeof slotID === "number") {
      if (await this.#fits(slotID)) return;
      if (this.#shown.has(slotID) && (await this.#isEmpty(slotID))) return;
    }
    throw new CryptokiError(CKR.SLOT_ID_INVALID);
  }

  async #isEmpty(slotID: number): Promise<boolean> {
    return ((await this.#application.C_GetSlotInfo(slotID)).flags & CKF_SLOT.TOKEN_PRESENT) === 0;
  }

  async event(flags: number, options?: CallOptions): Promise<number> {
    for (;;) {
      const slotID = await this.#application.C_WaitForSlotEvent(flags, options);
      if (this.#shown.has(slotID) || (await this.#fits(slotID))) return slotID;
    }
  }

  async #fits(slotID: number): Promise<boolean> {
    try {
      const { slotDescription, manufacturerID: slotManufacturerID } = await this.#application.C_GetSlotInfo(slotID);
      const { label, manufacturerID, model, serialNumber } = await this.#application.C_GetTokenInfo(slotID);
      const token = { slotID, slotDescription, slotManufacturerID, label, manufacturerID, model, serialNumber };
      if (!(await this.#wanted(token))) return false;
      this.#shown.add(slotID);
      return true;
    } catch (error) {
      // An absent or unreadable token is not a wanted one.
      if (error instanceof CryptokiError) return false;
      throw error;
    }
  }
}
