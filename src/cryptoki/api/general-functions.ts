import { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { toCryptokiError } from "../error-map.ts";
import * as general from "../functions/general.ts";
import type { CardAccess } from "../slots/inserted-card.ts";
import { SlotTable } from "../slots/slot-table.ts";
import type { CK_INFO, CK_VERSION } from "../structures.ts";
import { Calls } from "./calls.ts";

/** The way to the cards, or the slots of another Cryptoki to share. */
export type CryptokiOptions = (CardAccess | { readonly slots: SlotTable }) & {
  /** What C_GetInfo says of the standard; 3.1 unless told. */
  readonly version?: CK_VERSION;
};

const VERSION_3_1: CK_VERSION = { major: 3, minor: 1 };

/** General purpose functions (PKCS#11 3.1 section 5.4). */
export abstract class GeneralFunctions extends Calls implements AsyncDisposable {
  /** The readers, cards and slot IDs, to be shared with others: `new Cryptoki({ slots: first.slots })`. */
  readonly slots: SlotTable;
  readonly #version: CK_VERSION;

  constructor(options: CryptokiOptions) {
    super();
    this.slots = "slots" in options ? options.slots : new SlotTable(options);
    this.#version = options.version ?? VERSION_3_1;
  }

  /**
   * Begins to follow the readers. A machine without readers, or without a smart-card service, is one without slots.
   * @throws {CryptokiError} CKR_CRYPTOKI_ALREADY_INITIALIZED.
   */
  async C_Initialize(): Promise<void> {
    if (this.application) throw new CryptokiError(CKR.CRYPTOKI_ALREADY_INITIALIZED);
    const application = new Application(this.slots, this.#version);
    this.application = application;
    try {
      await application.start();
    } catch (error) {
      if (this.application === application) this.application = undefined;
      throw toCryptokiError(error);
    }
  }

  /** Closes all sessions, after the calls under way, and the connections to the cards that nobody shares. */
  C_Finalize(): Promise<void> {
    return this.call("C_Finalize", (application) => {
      this.application = undefined;
      return application.end();
    });
  }

  C_GetInfo(): Promise<CK_INFO> {
    return this.call("C_GetInfo", general.getInfo);
  }

  /** {@link C_Finalize}, unless it was called already. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.application) await this.C_Finalize();
  }
}
